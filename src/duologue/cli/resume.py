"""``duologue resume``: go on with a conversation that was interrupted, or that failed."""

from typing import Annotated

import typer

from duologue.cli.completing import complete_id
from duologue.cli.holding import Showing, hold
from duologue.core.state import fold
from duologue.core.transcript import Status, status
from duologue.errors import ConfigurationError


def resume(
    ctx: typer.Context,
    id_: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="The beginning of its id, or its run's name.",
            autocompletion=complete_id,
        ),
    ],
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the id.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the log's lines.")] = False,
) -> None:
    """Go on with an interrupted or failed conversation, from its last completed message."""
    from duologue.api import go_on

    run, conv = ctx.obj.find(id_)
    state = fold(run.events(conv))
    reason = "" if state.ended is None else state.ended.reason.value
    if status(state) in (Status.ENDED, Status.IMPORTED):
        raise ConfigurationError(
            f"{conv} is over ({reason}): 'duologue branch {conv} --at "
            f"{len(state.entries)} --turns {len(state.entries) + 10}' goes on from its end"
        )
    showing = Showing(ctx.obj, quiet=quiet, json=json)
    hold(state.begun().spec, showing, lambda watch: go_on(ctx.obj, conv, watch=watch))
