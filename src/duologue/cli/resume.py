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
    open_: Annotated[
        bool, typer.Option("--open", help="Watch it in the browser, too: the reading room.")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Of an experiment: try again what failed.")
    ] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="Of an experiment: processes.")] = None,
) -> None:
    """Go on with an interrupted or failed conversation, or with an experiment.

    It goes on from its last completed message; nothing that was said is asked for again.
    """
    from duologue.cli.experiment import Chosen, Manner, carry_out, kept

    if (found := kept(ctx.obj, id_)) is not None:
        run, experiment = found
        chosen = Chosen(workers=workers, retry_failed=retry_failed)
        carry_out(run, experiment, chosen.wanted(), Manner(quiet, json, read=open_))
        return
    from duologue.api import go_on, unfinished

    spec = unfinished(ctx.obj, id_)
    showing = Showing(ctx.obj, quiet=quiet, json=json, read=open_)
    hold(spec, showing, lambda watch: go_on(ctx.obj, id_, watch=watch))
