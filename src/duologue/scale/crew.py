"""The parent of workers: gives conversations out, and makes good what a killed worker left.

Each worker has a segment of the log for itself. What it holds is leased: when it dies, its leases
are given out again, first of all, and whoever takes one goes on from the log. The parent writes
nothing to the log; it reads it, as any reader does, to know how everything stands. This module
knows no models and shows nothing.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping

import msgspec

from duologue import errors
from duologue.core.spec import ConversationSpec
from duologue.errors import DuologueError, LeavingError, RecordError, StoreError
from duologue.providers.cast import seats_alike
from duologue.scale.carrier import Carrier, Reach
from duologue.scale.messages import (
    Answer,
    Ask,
    Broken,
    Done,
    Enough,
    Setup,
    Take,
    Took,
    ToParent,
    ToWorker,
    Wait,
    Want,
    heard_by_parent,
    tell,
)
from duologue.scale.purse import Purse
from duologue.scheduler import Lease, Outcome
from duologue.store.run import Run
from duologue.store.standing import Seen, Standings

LIVES = 10
"""How often in a row a worker may die before it has asked for work."""

LOOK_S = 0.25
"""How often the log is read, in seconds."""

PATIENCE_S = 600.0
"""How long to wait for a worker that is out of reach to let go of its segment, in seconds."""


class How(msgspec.Struct, frozen=True):
    """How an experiment is to be carried out.

    Attributes:
        workers: how many.
        most: conversations at once in each.
        segments: the segments' numbers, one for each worker.
        carrier: what carries the workers.
    """

    workers: int
    most: int
    segments: tuple[int, ...]
    carrier: Carrier


class Worker:
    """One worker as its parent sees it."""

    def __init__(self, segment: int, reach: Reach) -> None:
        """Reach a worker that waits to be set up."""
        self.segment = segment
        self.reach = reach
        self.leased: dict[str, int] = {}
        self.asked = False
        self.questions = set[asyncio.Task[None]]()

    def tell(self, message: ToWorker) -> None:
        """Send it a message, if it is there to hear it."""
        tell(self.reach, message)

    def dismiss(self) -> None:
        """Let it finish its turns and go; it takes that for a no to whatever it has asked."""
        if self.reach.up:
            self.tell(Enough())
        else:
            self.reach.kill()  # it waits for a place, and has nothing in hand
        self._drop_questions()

    async def gone(self) -> bool:
        """Wait until it has ended; whether well. Nothing is granted to it any more."""
        self._drop_questions()
        return await self.reach.gone()

    def _drop_questions(self) -> None:
        """Look for no further answers."""
        for question in self.questions:
            question.cancel()


class Crew:
    """Workers that hold conversations, and whatever is still to be held."""

    def __init__(
        self,
        run: Run,
        lock: int,
        standings: Standings,
        specs: Mapping[str, ConversationSpec],
        *,
        how: How,
        purse: Purse | None = None,
        seen: Callable[[Seen], None] | None = None,
        looked: Callable[[], None] | None = None,
    ) -> None:
        """Prepare; nothing is started.

        Args:
            run: where all is written.
            lock: the file descriptor of its lock, which workers inherit.
            standings: how everything stands; kept up to date from here on.
            specs: what may be held, by id.
            how: with how many, in which segments.
            purse: what may be spent, if that is limited.
            seen: sees every new line of the log.
            looked: is called after each reading of the log.
        """
        self._run = run
        self._lock = lock
        self.standings = standings
        self._specs = specs
        self._how = how
        self._purse = purse
        self._seen = seen
        self._looked = looked
        self.todo: deque[str] = deque()
        self.workers: list[Worker] = []
        self._hungry: deque[Worker] = deque()
        self.damaged: dict[str, str] = {}
        self.died = 0
        self._failure: DuologueError | None = None
        self.stopping = False
        self._group = asyncio.TaskGroup()

    async def hold(self, convs: Iterable[str]) -> None:
        """Have all of these held, once; returns when all are, or when nothing more may begin.

        Raises:
            ConfigurationError: a model cannot be asked.
            StoreError: the disk refused, or workers die again and again.
        """
        self.todo.extend(convs)
        if not self.todo:
            return
        looking = asyncio.create_task(self._look_again())
        try:
            async with self._group:
                for segment in self._how.segments[: self._how.workers]:
                    self._group.create_task(self._keep(segment))
        finally:
            looking.cancel()
            self._look()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Begin nothing more; turns in flight are finished."""
        if not self.stopping:
            self.stopping = True
            for worker in self.workers:
                worker.dismiss()

    def kill(self) -> None:
        """End all workers at once; turns in flight stay started and not finished."""
        self.stop()
        for worker in self.workers:
            worker.reach.kill()

    async def _keep(self, segment: int) -> None:
        """Keep a worker at a segment, one after the other if need be, until all is held."""
        idle, why = 0, ""
        while idle < LIVES:
            worker = Worker(segment, await self._how.carrier.start(self._lock))
            self.workers.append(worker)
            well = await self._serve(worker)
            self.workers.remove(worker)
            idle, why = 0 if worker.asked else idle + 1, worker.reach.why
            if worker.leased and not well:
                await self._freed(segment)
            self._take_back(worker)
            if self.stopping or (well and not self.todo):
                return
            self.died += 1
        died = f"a worker died {LIVES} times before it began to work: give up"
        self._fail(StoreError(f"{died}\n{why}" if why else died))

    async def _serve(self, worker: Worker) -> bool:
        """Hear a worker until it is gone; whether it ended well."""
        worker.tell(
            Setup(
                str(self._run.path.absolute()),
                worker.segment,
                self._how.most,
                self._how.workers,
                self._purse is not None,
                seats_alike(self._specs.values()),
                self._how.carrier.origin(self._run.holder()),
            )
        )
        if self.stopping:
            worker.dismiss()
        while (message := await heard_by_parent(worker.reach)) is not None:
            self._hear(worker, message)
        return await worker.gone()

    async def _freed(self, segment: int) -> None:
        """Wait until nobody appends to a segment any more, so that nothing is held twice.

        A worker that is out of reach may live on for a while; it has its segment's lock until it
        has gone, and then all that it wrote is there.
        """
        for _ in range(round(PATIENCE_S / LOOK_S)):
            try:
                await asyncio.to_thread(self._run.settle, segment)
            except LeavingError:
                await asyncio.sleep(LOOK_S)
                continue
            except RecordError:
                pass  # whoever is to append to it next says what is wrong with it
            except StoreError as error:
                self._fail(error)
            return
        self._fail(
            LeavingError(
                f"the worker that wrote {self._run.segment(segment)} is out of reach, and still "
                "holds it: end it where it runs, then type the same again; everything recorded is "
                "safe"
            )
        )

    def _hear(self, worker: Worker, message: ToParent) -> None:
        """Do what a worker's message wants."""
        match message:
            case Want():
                worker.asked = True
                self._hungry.append(worker)
                self._feed()
            case Done(outcome=outcome):
                self._done(worker, outcome)
            case Ask(conv=conv):
                self._ask(worker, conv)
            case Took():
                self._group.create_task(self._came(message))
            case Wait():
                for other in self.workers:
                    if other is not worker:
                        other.tell(message)
            case Broken(kind=kind, message=text):
                self._fail(_error(kind, text))

    def _feed(self) -> None:
        """Give what is to be held to those who want it; all may go when nothing is left."""
        while self.todo and self._hungry and not self.stopping:
            worker, conv = self._hungry.popleft(), self.todo.popleft()
            standing = self.standings.of.get(conv)
            worker.leased[conv] = standing.records if standing else 0
            places = tuple(standing.places) if standing else ()
            worker.tell(Take(Lease(conv, self._specs[conv], places)))
        if not self.todo and not any(worker.leased for worker in self.workers):
            self.stop()

    def _done(self, worker: Worker, outcome: Outcome) -> None:
        """A lease has come to something."""
        worker.leased.pop(outcome.conv, None)
        if outcome.damage is not None:
            self.damaged[outcome.conv] = outcome.damage
        self._feed()

    def _take_back(self, worker: Worker) -> None:
        """What a worker that is gone had not finished is to be held first of all."""
        self._hungry = deque(other for other in self._hungry if other is not worker)
        if not worker.leased:
            return
        self._look()
        for conv, records in reversed(worker.leased.items()):
            if self._purse is not None:
                self._group.create_task(self._purse.came(conv, None))
            standing = self.standings.of.get(conv)
            if standing is None or standing.reason is None or standing.records == records:
                self.todo.appendleft(conv)
        worker.leased.clear()
        self._feed()

    def _fail(self, error: DuologueError) -> None:
        """Stop, and say why when all have gone."""
        self._failure = self._failure or error
        self.stop()

    # Asking before each turn.

    def _ask(self, worker: Worker, conv: str) -> None:
        """Find an answer, which may have to wait; a worker that is dismissed waits for none."""
        if not self.stopping:
            question = self._group.create_task(self._answer(worker, conv))
            worker.questions.add(question)
            question.add_done_callback(worker.questions.discard)

    async def _answer(self, worker: Worker, conv: str) -> None:
        """Whether a turn may be taken; when one may not, all is stopped."""
        assert self._purse is not None  # noqa: S101 - nobody asks without one
        may = await self._purse.turn(conv)
        worker.tell(Answer(conv, may))
        if not may:
            self.stop()

    async def _came(self, took: Took) -> None:
        """A turn is over."""
        assert self._purse is not None  # noqa: S101 - nobody tells without one
        known = (took.tokens, took.usd, took.minutes) != (None, None, None)
        taken = {"tokens": took.tokens, "usd": took.usd, "minutes": took.minutes}
        await self._purse.came(took.conv, taken if known else None)

    # Reading the log.

    async def _look_again(self) -> None:
        """Read the log now and then."""
        while True:
            await asyncio.sleep(LOOK_S)
            self._look()
            self.standings.remember()

    def _look(self) -> None:
        """Take in what was appended to the log."""
        for line in self.standings.read_on():
            if self._seen is not None:
                self._seen(line)
        if self._looked is not None:
            self._looked()


def _error(kind: str, message: str) -> DuologueError:
    """A worker's error, as the parent's."""
    found = getattr(errors, kind, StoreError)
    try:
        error = found(message)
    except TypeError:
        return DuologueError(message)
    return error if isinstance(error, DuologueError) else DuologueError(message)
