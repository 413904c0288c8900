"""``duologue run FILE`` for an experiment: hold what is still to be held, in front of a person."""

import asyncio
import signal
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from msgspec.structs import replace

from duologue.cli.holding import FAILED, INTERRUPTED
from duologue.core.experiment import Experiment
from duologue.core.plan import Plan, Planned, plan
from duologue.core.spec import Budget
from duologue.errors import ConfigurationError
from duologue.store.library import Library, folder_name
from duologue.store.run import SPEC_FILE, Run

if TYPE_CHECKING:
    from duologue.scale.experiment import Execution, Wanted


Only = Annotated[
    list[str] | None,
    typer.Option(metavar="CELL", help="Of an experiment: only this cell; may be repeated."),
]
Most = Annotated[
    int | None, typer.Option(min=1, help="Of an experiment: hold so many now, at the most.")
]
RetryFailed = Annotated[
    bool, typer.Option("--retry-failed", help="Of an experiment: try again what failed.")
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Of an experiment: processes; one for each core.")
]
AtOnce = Annotated[
    int | None, typer.Option(min=1, help="Of an experiment: conversations at once in each.")
]
On = Annotated[
    str | None,
    typer.Option(metavar="ray[=ADDRESS]", help="Of an experiment: on a Ray cluster."),
]

Limits = tuple[int | None, float | None, float | None]
"""A budget as it was typed: tokens, dollars, minutes."""


class Manner(msgspec.Struct, frozen=True):
    """How an experiment is to be shown.

    Attributes:
        quiet: print nothing but the run's name.
        json: print the log's lines.
        read: open the reading room beside it, on its run.
    """

    quiet: bool = False
    json: bool = False
    read: bool = False


def named(file: str | None, folder: Path) -> bool:
    """Whether what was typed is an experiment, and not a single conversation."""
    from duologue.cli.asking import presets, text_of
    from duologue.cli.plan import ready
    from duologue.core.experimentfile import is_experiment

    if file is None or (file in presets() and not (folder / file).is_file()):
        return False
    path = folder / file
    if path.is_file():
        return is_experiment(text_of(path), file)
    return file in ready()


class Chosen(msgspec.Struct, frozen=True):
    """What of an experiment a person asked for on the command line.

    Attributes:
        only: cells; none is all.
        most: conversations to hold now.
        workers: processes.
        at_once: conversations at once in each.
        on: what carries the workers.
        retry_failed: whether what failed is tried again.
    """

    only: list[str] | None = None
    most: int | None = None
    workers: int | None = None
    at_once: int | None = None
    on: str | None = None
    retry_failed: bool = False

    def refuse(self) -> None:
        """Refuse all of it, for a single conversation.

        Raises:
            ConfigurationError: something was asked for.
        """
        if self != Chosen():
            raise ConfigurationError(
                "--only, --max-conversations, --retry-failed, --workers, --at-once and --on are "
                "for an experiment, and this is a single conversation"
            )

    def wanted(self, budget: Budget | None = None) -> "Wanted":
        """As the scheduler wants it."""
        from duologue.scale.experiment import Wanted

        return Wanted(
            on=self.on,
            workers=self.workers,
            at_once=self.at_once,
            most=self.most,
            only=tuple(self.only or ()),
            retry_failed=self.retry_failed,
            budget=budget,
        )


def begin_named(
    library: Library,
    file: str,
    chosen: Chosen,
    budget: Limits,
    *,
    name: str | None,
    manner: Manner,
) -> None:
    """Carry out the experiment of a file, or go on with it, in the run of its name.

    Raises:
        typer.Exit: a conversation failed (1), or it was interrupted (130).
    """
    from duologue.cli.plan import load
    from duologue.scale.experiment import folder

    experiment = load(file, Path.cwd())
    if name is not None:
        experiment = replace(experiment, name=name)
    planned, limits = plan(experiment), purse(budget)
    prepare(planned)
    run = folder(library, experiment)
    carry_out(run, planned, chosen.wanted(limits), manner)


def purse(budget: Limits) -> Budget | None:
    """What may be spent; None where nothing was said of it.

    Raises:
        ConfigurationError: a limit is not more than nothing.
    """
    tokens, usd, minutes = budget
    for option, limit in (("usd", usd), ("minutes", minutes)):
        if limit is not None and not limit > 0:
            raise ConfigurationError(f"--budget-{option} {limit:g}: more than 0 is needed")
    return None if budget == (None, None, None) else Budget(tokens, usd, minutes)


def kept(library: Library, what: str) -> tuple[Run, Experiment] | None:
    """The run and the experiment of that name; None where it is not an experiment's.

    Another name that makes the same folder is not its name.
    """
    from duologue.scale.experiment import stored

    run = Run(library.path / folder_name(what))
    if not (run.path / SPEC_FILE).is_file():
        return None
    experiment = stored(run)
    if experiment is None or what not in {run.name, experiment.name}:
        return None
    return run, experiment


def carry_out(run: Run, planned: Plan, wanted: "Wanted", manner: Manner) -> None:
    """Hold what is still to be held of an experiment that has a run."""
    from duologue.cli.board import Board
    from duologue.cli.open import Beside
    from duologue.scale.experiment import execution

    room = Beside(Library(run.path.parent)) if manner.read else None
    with room or nullcontext():
        with execution(run, planned, wanted, _waiting) as held:
            if room is not None:
                room.open(run.name)
            with Board(held, quiet=manner.quiet, json=manner.json) as board:
                asyncio.run(_carried_out(held, board.see, board.look))
            code = _told(held, manner)
        if room is not None and code != INTERRUPTED:
            room.stay()
    if code:
        raise typer.Exit(code)


def _waiting() -> None:
    """Say why nothing happens yet."""
    typer.echo(
        "duologue: the workers of a process that was killed are finishing their turns; this one "
        "begins when they have gone (Ctrl-C: not now)",
        err=True,
    )


async def _carried_out(held: "Execution", *watching: object) -> None:
    """Carry out an experiment; Ctrl-C asks it to stop, again stops it."""
    loop = asyncio.get_running_loop()
    with suppress(NotImplementedError, RuntimeError):  # only the main thread hears signals
        loop.add_signal_handler(signal.SIGINT, held.interrupt)
        loop.add_signal_handler(signal.SIGTERM, held.interrupt)
    seen, looked = watching
    await held.carry_out(seen, looked)  # type: ignore[arg-type] # both are the board's


def prepare(planned: Plan) -> None:
    """Warn of what providers will refuse, and install local models, once for each way to ask."""
    from duologue.cli.holding import fetch_missing, warn

    told: set[bytes] = set()
    for each in planned.conversations:
        bare = msgspec.json.encode([_asked(each, place) for place in range(len(_seats(each)))])
        if bare not in told:
            told.add(bare)
            warn(each.spec)
            fetch_missing(each.spec)


def _seats(each: Planned) -> tuple[object, ...]:
    """The participants of a conversation."""
    return each.spec.participants


def _asked(each: Planned, place: int) -> object:
    """How a participant's model is asked, whatever it is told."""
    seat = each.spec.participants[place]
    return (seat.name, seat.model, seat.base_url, seat.sampling)


def _told(held: "Execution", manner: Manner) -> int:
    """Say how it stands; the exit code that says it, too."""
    from duologue.cli.status import Report, show, with_outcome

    now = held.sorted()
    why = held.purse.why if held.purse is not None else ""
    # However little of it is shown: reckoning finds damage, and the exit code tells of that.
    report = Report.of(held.run, held.plan, held.standings, busy=False)
    report = with_outcome(report, held.run, held.plan, held.standings)
    shown = not (manner.quiet or manner.json)
    if shown:
        show(report, held.run.path.parent, _typed(held.wanted.budget), reached=bool(why))
    elif manner.quiet:
        typer.echo(held.run.name)
    for wrong in held.wrong:
        typer.echo(f"duologue: {wrong}; nothing is appended to it any more", err=True)
    if why:
        typer.echo(f"duologue: the budget is reached: {why}", err=True)
    stopped = {**now.damaged, **(held.crew.damaged if held.crew is not None else {})}
    for conv, damage in {**report.damaged, **stopped}.items():
        if not (shown and conv in report.damaged):
            told = f"{conv} cannot go on: {damage}" if conv in stopped else damage
            typer.echo(f"duologue: {told}", err=True)
    if held.interrupted:
        return INTERRUPTED
    return FAILED if now.failed or report.damaged or stopped else 0


def _typed(budget: Budget | None) -> str:
    """The options of a budget: what is typed next is not to be without one by an oversight."""
    from duologue.scale.purse import limits

    set_ = limits(budget) if budget is not None else {}
    return "".join(f" --budget-{unit} {limit:.10g}" for unit, limit in set_.items())


def refuse(typed: dict[str, object]) -> None:
    """Refuse options that are for a single conversation.

    Raises:
        ConfigurationError: one was given.
    """
    for option, value in typed.items():
        if value not in (None, False, {}):
            dashes = "-" if len(option) == 1 else "--"
            raise ConfigurationError(
                f"{dashes}{option} changes a single conversation, and this is an experiment: say "
                "it in its file"
            )
