"""``duologue status``: how a run stands, at any time, from any terminal; it reads the log only."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Self

import msgspec
import typer

from duologue.cli.completing import complete_id
from duologue.core.plan import Plan
from duologue.store.library import default_path
from duologue.store.run import Run
from duologue.store.standing import Spend, Standing, Standings

_LABEL = 14


class Report(msgspec.Struct, frozen=True):
    """How a run stands.

    Attributes:
        run: its name.
        planned: how many conversations its experiment comes to; None where it has none.
        done: came to an end that stands, by why they ended.
        running: are being held now.
        interrupted: were begun and can be gone on with.
        failed: ended because something broke, by what it was.
        damaged: cannot go on, and why, by id.
        new: not begun.
        unplanned: on record, and not in the experiment any more.
        messages: in all.
        spend: what all of it took.
        problems: lines of the log that cannot be read.
        busy: whether a process is writing to it.
    """

    run: str
    planned: int | None
    done: dict[str, int]
    running: int
    interrupted: int
    failed: dict[str, int]
    damaged: dict[str, str]
    new: int
    unplanned: int
    messages: int
    spend: Spend
    problems: tuple[str, ...]
    busy: bool

    @classmethod
    def of(cls, run: Run, plan: Plan | None, standings: Standings, *, busy: bool) -> Self:
        """Count the conversations of a run."""
        known = standings.of
        ids = {each.id for each in plan.conversations} if plan else set(known)
        groups: dict[str, list[Standing]] = {}
        for each in known.values():
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
    if standing.over:
        return "done"
    if standing.damage is not None:
        return "damaged"
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
) -> None:
    """Say how a run stands: done, running, interrupted, failed and why, spent."""
    from duologue.cli.verify import located
    from duologue.scale.experiment import stored_plan

    run = located(ctx.obj, what)
    mark = run.mark()
    standings = Standings(run, mark).catch_up()
    report = Report.of(run, stored_plan(run), standings, busy=mark is not None)
    if json:
        typer.echo(msgspec.json.encode(report).decode())
    else:
        show(report, run.path.parent)


def show(report: Report, library: Path) -> None:
    """A report in words."""
    from duologue.cli.board import spending
    from duologue.cli.screen import command

    ended = sum(report.done.values())
    failed = sum(report.failed.values())
    whole = "" if report.planned is None else f" of {report.planned:,}"
    _row("run", f"{library / report.run}{', being written now' if report.busy else ''}")
    _row("done", f"{ended:,}{whole}{_by(report.done)}")
    for label, number in (("running", report.running), ("interrupted", report.interrupted)):
        if number:
            _row(label, f"{number:,}")
    if failed:
        _row("failed", f"{failed:,}{_by(report.failed)}")
    for conv, why in report.damaged.items():
        _row("damaged", f"{conv}: {why}")
    if report.new:
        _row("to begin", f"{report.new:,}")
    if report.unplanned and report.planned is not None:
        _row("besides", f"{report.unplanned:,} that the experiment no longer asks for")
    tries = f", {report.spend.failed:,} failed tries" if report.spend.failed else ""
    _row("messages", f"{report.messages:,}{tries}")
    _row("spent", spending(report.spend))
    typed = command(library, default_path())
    if not report.busy and (report.interrupted or report.new):
        _row("next", f"{typed} resume {report.run}   # goes on")
    elif not report.busy and failed:
        _row("next", f"{typed} resume {report.run} --retry-failed   # tries those again")


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
