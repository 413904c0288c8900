"""``duologue resume``: go on with a conversation that was interrupted, or that failed."""

from typing import Annotated

import typer

from duologue.cli.completing import Id
from duologue.cli.holding import Showing, hold


def resume(
    ctx: typer.Context,
    id_: Id,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the id.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the log's lines.")] = False,
) -> None:
    """Go on with an interrupted or failed conversation.

    It goes on from its last completed message; nothing that was said is asked for again.
    """
    from duologue.api import go_on, unfinished

    spec = unfinished(ctx.obj, id_)
    showing = Showing(ctx.obj, quiet=quiet, json=json)
    hold(spec, showing, lambda watch: go_on(ctx.obj, id_, watch=watch))
