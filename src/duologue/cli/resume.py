"""``duologue resume``: go on with a conversation that was interrupted, or that failed."""

from typing import Annotated

import typer

from duologue.cli.completing import Id
from duologue.cli.holding import Showing, hold
from duologue.core.plan import plan
from duologue.errors import ConfigurationError


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
    on: Annotated[
        str | None,
        typer.Option(metavar="ray[=ADDRESS]", help="Of an experiment: on a Ray cluster."),
    ] = None,
    budget_usd: Annotated[
        float | None, typer.Option(metavar="USD", help="Of an experiment: end before more.")
    ] = None,
    budget_tokens: Annotated[
        int | None, typer.Option(min=1, help="Of an experiment: end before more are used.")
    ] = None,
    budget_minutes: Annotated[
        float | None, typer.Option(metavar="MINUTES", help="Of an experiment: of the models' time.")
    ] = None,
) -> None:
    """Go on with an interrupted or failed conversation, or with an experiment.

    It goes on from its last completed message; nothing that was said is asked for again.
    """
    from duologue.cli.experiment import Chosen, Manner, carry_out, kept, purse

    limits = (budget_tokens, budget_usd, budget_minutes)

    if (found := kept(ctx.obj, id_)) is not None:
        run, experiment = found
        chosen = Chosen(workers=workers, on=on, retry_failed=retry_failed)
        carry_out(
            run, plan(experiment), chosen.wanted(purse(limits)), Manner(quiet, json, read=open_)
        )
        return
    if (workers, on, *limits) != (None,) * 5:
        raise ConfigurationError(
            "--workers, --on and the budgets are for an experiment, and this is a single "
            "conversation; its budget is in its spec"
        )
    from duologue.api import go_on, unfinished

    spec = unfinished(ctx.obj, id_)
    showing = Showing(ctx.obj, quiet=quiet, json=json, read=open_)
    hold(spec, showing, lambda watch: go_on(ctx.obj, id_, watch=watch))
