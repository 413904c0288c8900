"""``duologue replay``: execute a conversation again, answered from its own log."""

import typer

from duologue.cli.completing import Id


def replay(
    ctx: typer.Context,
    id_: Id,
) -> None:
    """Make a conversation's facts again from its log, and compare.

    No model is asked, and nothing is written.
    """
    import asyncio

    from duologue.api import replay as again

    run, conv = ctx.obj.find(id_)
    count = asyncio.run(again(ctx.obj, conv))
    typer.echo(f"{conv}: {count} facts came out as they are recorded, from {run.path}")
