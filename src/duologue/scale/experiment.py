"""An experiment in its run's folder: what is still to be held, and having it held.

The folder is the experiment's memory. What is done stays done; what was interrupted goes on before
anything new is begun; what an edited file adds is all that is new. This module shows nothing.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TypeVar

import msgspec
import tomli_w

from duologue.core.experiment import Experiment
from duologue.core.experimentfile import document, is_experiment, read
from duologue.core.plan import Plan, Planned, plan
from duologue.core.spec import Budget
from duologue.core.toml_document import nearest, quoted
from duologue.errors import ConfigurationError, LeavingError, StoreError
from duologue.providers.registry import PROVIDERS, split
from duologue.scale.carrier import Carrier
from duologue.scale.crew import PATIENCE_S, Crew, How
from duologue.scale.processes import Processes
from duologue.scale.purse import Purse
from duologue.store.disk import move, sync
from duologue.store.library import Library, folder_name
from duologue.store.run import SPEC_FILE, Run
from duologue.store.standing import Seen, Standings

LOCAL_AT_ONCE = 4
"""Conversations at once where a local model takes part: each needs its own part of the engine."""
HOSTED_AT_ONCE = 1000
"""Conversations at once over all workers, where all models are reached over a network."""
AT_ONCE = 32
"""Conversations at once in each worker, for scripts and functions."""
_LOOK_S = 0.1
_SOON_S = 1.0
"""So long whoever was there before may take to leave without a word of it."""

T = TypeVar("T")


class Wanted(msgspec.Struct, frozen=True):
    """What of an experiment is to be carried out now, and how.

    Attributes:
        on: what carries the workers: None is this machine, ``ray`` or ``ray=ADDRESS`` a cluster.
        workers: processes; None is one for each core, or for each machine where a model is local.
        at_once: conversations at once in each; None leaves it to what the models are.
        most: conversations to hold now; None is all.
        only: the cells to hold, by key; none is all.
        retry_failed: whether conversations that failed are tried again.
        budget: what may be spent on the whole experiment, earlier executions counted.
    """

    on: str | None = None
    workers: int | None = None
    at_once: int | None = None
    most: int | None = None
    only: tuple[str, ...] = ()
    retry_failed: bool = False
    budget: Budget | None = None


class Sorted(msgspec.Struct, frozen=True):
    """The conversations of a plan by how they stand.

    Attributes:
        done: came to an end that stands.
        begun: begun and not ended.
        failed: ended because something broke, by what it was.
        damaged: cannot go on, and why.
        new: not begun.
    """

    done: tuple[str, ...]
    begun: tuple[str, ...]
    failed: dict[str, tuple[str, ...]]
    damaged: dict[str, str]
    new: tuple[str, ...]


class Execution:
    """One execution of an experiment; made by ``execution``, which holds the run for it."""

    def __init__(
        self, run: Run, lock: int, planned: Plan, *, wanted: Wanted, carrier: Carrier
    ) -> None:
        """Read how everything stands; nothing is started.

        Raises:
            ConfigurationError: there is no such cell, or no such model.
            StoreError: the disk refused.
        """
        self.run = run
        self.plan = planned
        self.wanted = wanted
        self._lock = lock
        self.chosen = _chosen(planned, wanted.only)
        count = workers(self.chosen, wanted, carrier)
        numbers, self.wrong = _patiently(lambda: run.mended(count))
        self.standings = Standings(run, run.lengths()).catch_up()
        self.standings.remember()
        self.how = How(count, at_once(self.chosen, wanted, count), tuple(numbers), carrier)
        self.todo = self._todo()
        self.purse: Purse | None = None
        self.crew: Crew | None = None
        self.interrupted = 0

    def sorted(self) -> Sorted:
        """How the chosen conversations stand now."""
        return by_standing(self.chosen, self.standings)

    def _todo(self) -> list[str]:
        """What is to be held now: what was begun first, then what failed, then what is new."""
        now = self.sorted()
        again = [conv for convs in now.failed.values() for conv in convs]
        found = [*now.begun, *(again if self.wanted.retry_failed else ()), *now.new]
        return found if self.wanted.most is None else found[: self.wanted.most]

    async def carry_out(
        self,
        seen: Callable[[Seen], None] | None = None,
        looked: Callable[[], None] | None = None,
    ) -> None:
        """Hold what is to be held.

        Args:
            seen: sees every new line of the log.
            looked: is called several times a second.

        Raises:
            ConfigurationError: a model cannot be asked.
            StoreError: the disk refused; the record is whole as far as it goes.
        """
        if self.wanted.budget is not None:
            now = self.standings
            self.purse = Purse(self.wanted.budget, now.spend, now.dearest, now.unfinished)
        self.crew = Crew(
            self.run,
            self._lock,
            self.standings,
            {each.id: each.spec for each in self.chosen},
            how=self.how,
            purse=self.purse,
            seen=seen,
            looked=looked,
        )
        try:
            await self.crew.hold(self.todo)
        finally:
            self.standings.remember()

    def interrupt(self) -> None:
        """Begin no further turn; the second time, end those in flight, too."""
        self.interrupted += 1
        if self.crew is not None:
            (self.crew.stop if self.interrupted == 1 else self.crew.kill)()


def by_standing(chosen: tuple[Planned, ...], standings: Standings) -> Sorted:
    """Conversations by how they stand, each group in the order of the plan."""
    done, begun, new = list[str](), list[str](), list[str]()
    failed, damaged = dict[str, list[str]](), dict[str, str]()
    for each in chosen:
        standing = standings.of.get(each.id)
        if standing is None:
            new.append(each.id)
        elif standing.damage is not None:
            damaged[each.id] = standing.damage
        elif standing.over:
            done.append(each.id)
        elif standing.failed:
            failed.setdefault(standing.cause, []).append(each.id)
        else:
            begun.append(each.id)
    causes = {cause: tuple(convs) for cause, convs in failed.items()}
    return Sorted(tuple(done), tuple(begun), causes, damaged, tuple(new))


def _chosen(planned: Plan, only: tuple[str, ...]) -> tuple[Planned, ...]:
    """The conversations of some cells, or of all.

    Raises:
        ConfigurationError: there is no such cell.
    """
    keys = [cell.key for cell in planned.cells]
    for key in only:
        if key not in keys:
            meant = nearest(key, keys) or f"for instance {quoted(keys[0])}:"
            raise ConfigurationError(
                f"there is no cell {quoted(key)}; {meant} 'duologue plan' lists them"
            )
    return tuple(each for each in planned.conversations if not only or each.cell.key in only)


def _providers(chosen: tuple[Planned, ...]) -> set[str]:
    """The providers of all participants.

    Raises:
        ConfigurationError: there is no such model.
    """
    models = {seat.model for each in chosen for seat in each.spec.participants}
    return {split(model)[0] for model in models}


def workers(chosen: tuple[Planned, ...], wanted: Wanted, carrier: Carrier) -> int:
    """How many workers: what was wanted, or as many as there is room for, if there is work.

    A local model's engine keeps all cores of a machine busy from one process, which its
    conversations share.

    Raises:
        ConfigurationError: a machine would load a local model several times.
    """
    local = "local" in _providers(chosen)
    room = carrier.places(local=local)
    if local and (wanted.workers or 1) > room:
        raise ConfigurationError(
            "a local model takes part, and each worker of a machine would load it again: leave "
            "--workers out"
        )
    return max(1, min(wanted.workers or room, wanted.most or len(chosen), len(chosen)))


def at_once(chosen: tuple[Planned, ...], wanted: Wanted, count: int) -> int:
    """How many conversations at once in each of so many workers."""
    if wanted.at_once is not None:
        return wanted.at_once
    names = _providers(chosen)
    if "local" in names:
        return LOCAL_AT_ONCE
    return AT_ONCE if names & PROVIDERS.keys() else max(1, HOSTED_AT_ONCE // count)


@contextmanager
def execution(
    run: Run, planned: Plan, wanted: Wanted, waiting: Callable[[], None] = lambda: None
) -> Iterator[Execution]:
    """Hold a run for the time of one execution.

    Where whoever held it has just been killed, its workers are given time to finish their turns.

    Args:
        run: which.
        planned: what its experiment comes to.
        wanted: what of it, and how.
        waiting: is called once if such workers have to be waited for.

    Raises:
        BusyError: another process is writing to the run.
        ConfigurationError: there is no such cell, or no such model.
    """
    with carried(wanted.on) as carrier, _held(run, waiting) as lock:
        yield Execution(run, lock, planned, wanted=wanted, carrier=carrier)


def carried(on: str | None) -> AbstractContextManager[Carrier]:
    """What carries the workers, by the name that was typed.

    Raises:
        ConfigurationError: there is no such thing, or it is not installed, or does not answer.
    """
    if on is None:
        return nullcontext(Processes())
    name, _, address = on.partition("=")
    if name != "ray":
        raise ConfigurationError(
            f"--on {on}: workers run on this machine (leave it out), or on a Ray cluster: --on "
            "ray, --on ray=ADDRESS"
        )
    from duologue.scale.cluster import connected  # noqa: PLC0415 - Ray is an extra

    return connected(address or None)


@contextmanager
def _held(run: Run, waiting: Callable[[], None]) -> Iterator[int]:
    """The run's lock; workers without a parent may hold it for as long as their turns last."""
    with ExitStack() as stack:
        yield _patiently(lambda: stack.enter_context(run.held()), waiting)


def _patiently(attempt: Callable[[], T], waiting: Callable[[], None] = lambda: None) -> T:
    """What an attempt gives; while whoever was there before is still leaving, it is made again.

    Raises:
        LeavingError: they do not go.
    """
    began = time.monotonic()
    told = False
    while True:
        try:
            return attempt()
        except LeavingError:
            waited = time.monotonic() - began
            if waited > PATIENCE_S:
                raise
            if waited > _SOON_S and not told:
                told = True
                waiting()
            time.sleep(_LOOK_S)


def folder(library: Library, experiment: Experiment) -> Run:
    """The run of an experiment: the one that is there, or a new one.

    Where the experiment was changed since, what was asked for before is kept beside it.

    Raises:
        ConfigurationError: a run of that name holds something else.
        StoreError: the disk refused.
    """
    asked = document(experiment)
    run = Run(library.path / folder_name(_called(experiment)))
    if not run.path.exists():
        return _made(library, run, asked)
    before = stored(run)
    if before is None:
        raise ConfigurationError(
            f"there is a run named {run.name!r} already in {library.path}, of a single "
            "conversation: give the experiment another name"
        )
    if _called(before) != _called(experiment):
        raise ConfigurationError(
            f"the run {run.name!r} in {library.path} is of the experiment {_called(before)!r}, and "
            f"{_called(experiment)!r} would have the same folder: give it another name"
        )
    if before != experiment:
        with run.held():
            _change(run, tomli_w.dumps(asked).encode())
    return run


def _called(experiment: Experiment) -> str:
    """The name of an experiment, though it may have none."""
    return experiment.name or "experiment"


def _made(library: Library, run: Run, asked: dict[str, object]) -> Run:
    """A new run, whole or not at all."""
    try:
        with library.corner() as corner:
            made = corner.create(f"{run.name}-{os.getpid()}", asked)
            move(made.path, run.path)
    except OSError as error:
        raise StoreError(
            f"the run folder {run.path} cannot be made: {error.strerror}; give another --library"
        ) from error
    return run


def stored(run: Run) -> Experiment | None:
    """The experiment that a run is of; None if it holds a single conversation.

    Raises:
        SpecError: its file was edited and makes no sense any more.
        StoreError: it cannot be read.
    """
    file = run.path / SPEC_FILE
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{file} cannot be read: {error}") from error
    return read(text, str(file)) if is_experiment(text, str(file)) else None


def stored_plan(run: Run) -> Plan | None:
    """What the experiment that a run is of comes to; None if it holds a single conversation."""
    experiment = stored(run)
    return None if experiment is None else plan(experiment)


def _change(run: Run, text: bytes) -> None:
    """Put another experiment in a run's folder; the one before is kept, numbered."""
    file = run.path / SPEC_FILE
    kept = sum(1 for _ in run.path.glob("experiment-*.toml")) + 1
    new = run.path / f".{SPEC_FILE}"
    try:
        with suppress(FileExistsError):
            (run.path / f"experiment-{kept}.toml").hardlink_to(file)
        new.write_bytes(text)
        sync(new)
        new.replace(file)
        sync(run.path)
    except OSError as error:
        raise StoreError(f"{Path(file)} cannot be written: {error.strerror}") from error
