"""``duologue resume``: go on with a conversation that was interrupted, or that failed."""

from typing import Annotated

import typer

from duologue.cli.completing import Id
from duologue.cli.experiment import (
    AtOnce,
    Chosen,
    Manner,
    Most,
    On,
    Only,
    RetryFailed,
    Workers,
    carry_out,
    kept,
    prepare,
    purse,
)
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
    only: Only = None,
    max_conversations: Most = None,
    retry_failed: RetryFailed = False,
    workers: Workers = None,
    at_once: AtOnce = None,
    on: On = None,
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
    chosen = Chosen(only, max_conversations, workers, at_once, on, retry_failed=retry_failed)
    limits = (budget_tokens, budget_usd, budget_minutes)
    if (found := kept(ctx.obj, id_)) is not None:
        run, experiment = found
        planned, wanted = plan(experiment), chosen.wanted(purse(limits))
        prepare(planned)
        carry_out(run, planned, wanted, Manner(quiet, json, read=open_))
        return
    chosen.refuse()
    if limits != (None, None, None):
        raise ConfigurationError(
            "the budgets are for an experiment, and this is a single conversation; its budget is "
            "in its spec"
        )
    from duologue.api import go_on, unfinished

    spec = unfinished(ctx.obj, id_)
    showing = Showing(ctx.obj, quiet=quiet, json=json, read=open_)
    hold(spec, showing, lambda watch: go_on(ctx.obj, id_, watch=watch))
