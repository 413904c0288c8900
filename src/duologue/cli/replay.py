"""``duologue replay``: execute a conversation again, answered from its own log."""

from typing import Annotated

import typer

from duologue.cli.completing import complete_id


def replay(
    ctx: typer.Context,
    id_: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="The beginning of its id, or its run's name.",
            autocompletion=complete_id,
        ),
    ],
) -> None:
    """Make a conversation's facts again from its log, and compare.

    No model is asked, and nothing is written.
    """
    import asyncio

    from duologue.api import replay as again

    run, conv = ctx.obj.find(id_)
    count = asyncio.run(again(ctx.obj, conv))
    typer.echo(f"{conv}: {count} facts came out as they are recorded, from {run.path}")
