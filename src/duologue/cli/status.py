"""``duologue status``: how a run stands, at any time, from any terminal; it reads the log only."""

from collections import Counter
from math import floor, log10
from pathlib import Path
from typing import Annotated, Self

import msgspec
import typer
from msgspec.structs import replace

from duologue.cli.completing import complete_id
from duologue.core.experiment import OUTCOMES
from duologue.core.plan import Plan
from duologue.endings.outcome import Outcome
from duologue.endings.rates import Rate
from duologue.store.library import default_path
from duologue.store.run import Run
from duologue.store.standing import Spend, Standing, Standings

_LABEL = 14
_QUICK = 20_000
_FEW = 5


class Report(msgspec.Struct, frozen=True):
    """How a run stands.

    Attributes:
        run: its name.
        planned: how many conversations its experiment comes to; None where it has none.
        done: came to an end that stands, by why they ended; like what runs, was interrupted or
            failed, only those that its experiment asks for, where it has one.
        running: are being held now.
        interrupted: were begun and can be gone on with.
        failed: ended because something broke, by what it was.
        broken: one of those that failed, by what it was.
        damaged: cannot go on, and why, by id.
        new: not begun.
        unplanned: on record, and not in the experiment any more.
        messages: in all.
        spend: what all of it took.
        problems: lines of the log that cannot be read.
        busy: whether a process is writing to it.
        outcome: the primary outcome that its experiment declares.
        cells: what it came to, by cell and over all; empty where it was not reckoned.
    """

    run: str
    planned: int | None
    done: dict[str, int]
    running: int
    interrupted: int
    failed: dict[str, int]
    broken: dict[str, str]
    damaged: dict[str, str]
    new: int
    unplanned: int
    messages: int
    spend: Spend
    problems: tuple[str, ...]
    busy: bool
    outcome: str | None = None
    cells: dict[str, Outcome] = {}

    @classmethod
    def of(cls, run: Run, plan: Plan | None, standings: Standings, *, busy: bool) -> Self:
        """Count the conversations of a run."""
        known = standings.of
        ids = {each.id for each in plan.conversations} if plan else set(known)
        groups: dict[str, list[Standing]] = {}
        for each in known.values():
            if each.id not in ids and each.damage is None:
                continue
            groups.setdefault(_group(each, at_work=busy and standings.at_work(each)), []).append(
                each
            )
        return cls(
            run=run.name,
            planned=len(ids) if plan else None,
            done=dict(Counter(each.reason or "" for each in groups.get("done", ()))),
            running=len(groups.get("running", ())),
            interrupted=len(groups.get("interrupted", ())),
            failed=dict(Counter(each.cause for each in groups.get("failed", ()))),
            broken={each.cause: each.id for each in reversed(groups.get("failed", ()))},
            damaged={each.id: each.damage or "" for each in groups.get("damaged", ())},
            new=len(ids - known.keys()),
            unplanned=len(known.keys() - ids),
            messages=sum(each.messages for each in known.values()),
            spend=standings.spend,
            problems=tuple(standings.problems),
            busy=busy,
        )


def _group(standing: Standing, *, at_work: bool) -> str:
    """How a conversation stands, in a word."""
    if standing.damage is not None:
        return "damaged"
    if standing.over:
        return "done"
    if standing.failed:
        return "failed"
    return "running" if at_work else "interrupted"


def status(
    ctx: typer.Context,
    what: Annotated[
        str,
        typer.Argument(
            metavar="RUN|ID", help="A run's name or folder, or an id.", autocompletion=complete_id
        ),
    ],
    json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
    outcome: Annotated[
        bool | None,
        typer.Option(
            "--outcome/--no-outcome",
            help="Reckon the primary outcome: every word is read again.",
            show_default="up to 20,000 messages",
        ),
    ] = None,
) -> None:
    """Say how a run stands: done, running, interrupted, failed and why, spent, and its outcome."""
    from duologue.cli.verify import located
    from duologue.scale.experiment import stored_plan

    run = located(ctx.obj, what)
    mark, plan = run.mark(), stored_plan(run)
    standings = Standings(run, mark).catch_up()
    report = Report.of(run, plan, standings, busy=mark is not None)
    report = with_outcome(report, run, plan, standings, wanted=outcome)
    if json:
        typer.echo(msgspec.json.encode(report).decode())
    else:
        show(report, run.path.parent)


def with_outcome(
    report: Report, run: Run, plan: Plan | None, standings: Standings, *, wanted: bool | None = None
) -> Report:
    """A report with the primary outcome that was declared, cell by cell.

    Args:
        report: how the run stands.
        run: which.
        plan: what it is of; without one, or without an outcome, nothing is reckoned.
        standings: how everything stands.
        wanted: whether to; None is yes, unless there is so much to read that it takes long.
    """
    if plan is None or plan.outcome is None or wanted is False or not report.done:
        return report
    if wanted is None and report.messages > _QUICK:
        return replace(report, outcome=plan.outcome)
    from duologue.surveying import outcomes

    over = {conv for conv, each in standings.of.items() if each.over and each.damage is None}
    damaged = dict(report.damaged)
    cells = outcomes(run, plan, over, lambda conv, why: damaged.update({conv: str(why)}))
    return replace(report, outcome=plan.outcome, cells=dict(cells), damaged=damaged)


def show(report: Report, library: Path, budget: str = "", *, reached: bool = False) -> None:
    """A report in words.

    Args:
        report: how a run stands.
        library: where it lies.
        budget: the options of the budget that was kept, for what is to be typed next.
        reached: whether that budget allows nothing more.
    """
    from duologue.cli.board import spending
    from duologue.cli.screen import command

    ended = sum(report.done.values())
    failed = sum(report.failed.values())
    whole = "" if report.planned is None else f" of {report.planned:,}"
    typed = command(library, default_path())
    _row("run", f"{library / report.run}{', being written now' if report.busy else ''}")
    _row("done", f"{ended:,}{whole}{_by(report.done)}")
    for label, number in (("running", report.running), ("interrupted", report.interrupted)):
        if number:
            _row(label, f"{number:,}")
    if failed:
        _row("failed", f"{failed:,}{_by(report.failed)}")
    for cause, conv in report.broken.items():
        _row("", f"{typed} show {conv}   # {cause}, for instance")
    _damaged(report)
    if report.new:
        _row("to begin", f"{report.new:,}")
    if report.unplanned and report.planned is not None:
        _row("besides", f"{report.unplanned:,} that the experiment no longer asks for")
    tries = f", {report.spend.failed:,} failed tries" if report.spend.failed else ""
    _row("messages", f"{report.messages:,}{tries}")
    _row("spent", spending(report.spend))
    _outcome(report, typed)
    if not report.busy and (report.interrupted or report.new):
        how = "goes on, with a higher limit or none" if reached else "goes on"
        _row("next", f"{typed} resume {report.run}{budget}   # {how}")
    elif not report.busy and failed:
        _row("next", f"{typed} resume {report.run} --retry-failed{budget}   # tries those again")


def _damaged(report: Report) -> None:
    """What is not as it was written: a few of them; ``verify`` names all."""
    told = [why if conv in why else f"{conv}: {why}" for conv, why in report.damaged.items()]
    told += [each for each in report.problems if each not in report.damaged.values()]
    for each in told[:_FEW]:
        _row("damaged", each)
    if len(told) > _FEW:
        _row("", f"and {len(told) - _FEW:,} more: 'duologue verify {report.run}' names every place")


def _outcome(report: Report, typed: str) -> None:
    """The primary outcome, a line for each cell."""
    if report.outcome is None:
        return
    if not report.cells:
        _row("outcome", f"{report.outcome}: {typed} status {report.run} --outcome   # reckons it")
        return
    _row("outcome", f"{report.outcome}, {OUTCOMES[report.outcome]}")
    from rich.cells import cell_len

    from duologue.cli.words import padded

    wide = max(map(cell_len, report.cells))
    for cell, found in report.cells.items():
        _row("", f"{padded(cell, wide)}  n {found.n:<4} {figures(found)}")


def figures(found: Outcome) -> str:
    """What an outcome came to, in words, with its interval at 95 per cent."""
    if found.kinds:
        return ", ".join(f"{kind} {_percent(share)}" for kind, share in found.kinds.items())
    if (spread := found.spread) is None:
        return "none has it"
    some = f" ({spread.n} have it)" if spread.n < spread.of else ""
    form = f",.{_places(spread.mean)}f"
    if spread.low is None:
        return f"{spread.mean:{form}}{some}"
    return f"{spread.mean:{form}} [{spread.low:{form}}, {spread.high:{form}}]{some}"


def _places(mean: float) -> int:
    """Decimal places for a mean and its interval: two; below 1, so many that three figures show."""
    if mean >= 1:
        return 2
    return 2 - floor(log10(mean)) if mean > 0 else 3


def _percent(share: Rate) -> str:
    """A share with its interval, in per cent, and the count."""
    low, high = 100 * share.low, 100 * share.high
    return f"{100 * share.share:.0f} % [{low:.0f}, {high:.0f}] ({share.count})"


def _by(counts: dict[str, int]) -> str:
    """Counts by their name, the most frequent first."""
    if not counts:
        return ""
    told = ", ".join(f"{name} {count:,}" for name, count in Counter(counts).most_common())
    return f" ({told})"


def _row(label: str, told: str) -> None:
    """A line with its label."""
    from duologue.cli.words import one_line

    typer.echo(one_line(f"{label:<{_LABEL}} {told}").plain)
