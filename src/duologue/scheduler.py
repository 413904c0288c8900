"""From conversations' facts to the log: every fact is written before its loop goes on.

One conversation (``record``), or many at once in one event loop (``Holding``): as many as there is
room for, and what is begun is finished before more is begun. Between two turns a ``Gate`` is asked;
when it says no, a conversation stops where it can be gone on with. This module does not know how
models answer, how conversations are shown, or who decides what is to be held: it hands every record
and every delta to whoever watches, and to the live text beside the log.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from typing import Protocol

import msgspec

from duologue.conversation import converse
from duologue.core.detectors import Detectors
from duologue.core.event import AttemptFailed, Event, Record, TurnCompleted, TurnStarted
from duologue.core.provider import Delta, Provider
from duologue.core.spec import ConversationSpec
from duologue.core.state import fold
from duologue.errors import (
    ConfigurationError,
    DuologueError,
    RecordError,
    StoreError,
    UnrecordedError,
)
from duologue.store.run import Log

Watch = Callable[[Record | Delta], None]

BREATH = 64
"""After how many items within a turn others get theirs, should its provider never wait."""


class Gate(Protocol):
    """Says before each turn whether it may be taken, and is told what came of it."""

    async def turn(self, conv: str) -> bool:
        """Whether a conversation may take its next turn; asked before anything is sent."""
        ...

    def came(self, conv: str, outcome: TurnCompleted | AttemptFailed | None) -> None:
        """A turn that was let through is over; None where nothing is known of what came of it."""
        ...

    def close(self) -> None:
        """Let no further turn begin; those in flight are finished."""
        ...


class Switch:
    """A gate that is open until it is closed."""

    def __init__(self) -> None:
        """Be open."""
        self.open = True

    def close(self) -> None:
        """Let no further turn begin; those in flight are finished."""
        self.open = False

    async def turn(self, conv: str) -> bool:  # noqa: ARG002 - the same for all
        """Whether it is open."""
        return self.open

    def came(self, conv: str, outcome: TurnCompleted | AttemptFailed | None) -> None:
        """It makes no difference."""


async def record(
    log: Log,
    conv: str,
    spec: ConversationSpec,
    providers: Mapping[str, Provider],
    *,
    history: Iterable[Event] = (),
    watch: Watch,
    detectors: Detectors | None = None,
    gate: Gate | None = None,
) -> bool:
    """Hold a conversation, or go on with one, and write it down.

    Args:
        log: where to write.
        conv: the conversation's id.
        spec: what to hold.
        providers: who answers, by participant's name.
        history: the facts that the log already has.
        watch: sees every record after it was written, and every delta.
        detectors: what sees the signs that the spec's detectors name.
        gate: asked before each turn.

    Returns:
        Whether it came to its end; else the gate stopped it between two turns.

    Raises:
        ConfigurationError: the spec or the providers do not fit.
        UnrecordedError: the disk refused a message that was finished; its words are in the error.
        StoreError: the disk refused; everything before is in the log.
    """
    gate, passed, live = gate or Switch(), False, log.live(conv)
    others = _Others()
    facts = converse(spec, providers, history, key=conv, detectors=detectors)
    try:
        async with aclosing(facts):
            async for item in facts:
                if isinstance(item, TurnStarted):
                    if not await gate.turn(conv):
                        return False
                    passed = True
                    others.ask()
                shown = item if isinstance(item, Delta) else _written(log, conv, item)
                live.hear(shown)
                watch(shown)
                if over := isinstance(item, TurnCompleted | AttemptFailed):
                    gate.came(conv, item)
                    passed = False
                if others.wait(over=over):
                    await asyncio.sleep(0)
    finally:
        live.close()
        if passed:
            gate.came(conv, None)
    return True


class _Others:
    """Whatever else the event loop has to do: a provider that never waits must not keep it waiting.

    A Ctrl-C waits for the loop, too. Where a provider waited within the turn, the loop went round.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._items = 0
        self._went = False

    def ask(self) -> None:
        """A turn begins."""
        self._went = False
        self._loop.call_soon(self._go)

    def _go(self) -> None:
        """The loop goes round."""
        self._went = True

    def wait(self, *, over: bool) -> bool:
        """Whether it is theirs now, after one more item; ``over`` when that ends a turn."""
        self._items += 1
        return (over and not self._went) or self._items % BREATH == 0


class Lease(msgspec.Struct, frozen=True):
    """A conversation that is to be held, or gone on with, here and nowhere else.

    Attributes:
        conv: its id.
        spec: what to hold, if nothing of it is on record yet.
        places: where its records stand, if any do.
    """

    conv: str
    spec: ConversationSpec
    places: tuple[tuple[str, int, int], ...] = ()


class Outcome(msgspec.Struct, frozen=True):
    """What came of a lease.

    Attributes:
        conv: the conversation's id.
        ended: whether it came to its end; else it was stopped and can be gone on with.
        damage: why it could not be gone on with, if its record is damaged.
    """

    conv: str
    ended: bool
    damage: str | None = None


class Room:
    """How many conversations may be held at once."""

    def __init__(self, most: int, crowded: Callable[[], bool] = lambda: False) -> None:
        """Have room for ``most``, but for no more while it is ``crowded``.

        Args:
            most: conversations at once, ever.
            crowded: whether more conversations would only wait for those that are there.
        """
        self._most = most
        self._crowded = crowded
        self._held = 0
        self._changed = asyncio.Event()

    async def enter(self) -> None:
        """Wait until one more can begin, and let it in."""
        while self._held >= self._most or (self._held and self._crowded()):
            self._changed.clear()
            await self._changed.wait()
        self._held += 1

    def look(self) -> None:
        """Look again whether there is room: something has changed."""
        self._changed.set()

    def leave(self) -> None:
        """One has gone."""
        self._held -= 1
        self.look()


Cast = Callable[[ConversationSpec], Awaitable[Mapping[str, Provider]]]
"""Who answers for the participants of a spec, by name; the same providers for the same models."""


class Holding:
    """Many conversations in one event loop, written to one log."""

    def __init__(
        self,
        log: Log,
        cast: Cast,
        room: Room,
        *,
        gate: Gate,
        watch: Watch | None = None,
        eyes: Callable[[], Detectors] | None = None,
    ) -> None:
        """Prepare; nothing is held yet.

        Args:
            log: where to write.
            cast: who answers.
            room: how many at once.
            gate: asked before each turn.
            watch: sees every record after it was written, and every delta.
            eyes: makes what sees declared signs, for each conversation its own.
        """
        self._log = log
        self._cast = cast
        self._room = room
        self._gate = gate
        self._watch = watch
        self._eyes = eyes

    async def all(
        self, leases: AsyncIterator[Lease], done: Callable[[Outcome], Awaitable[None]]
    ) -> None:
        """Hold every lease; the next is taken when there is room for it.

        When the disk refuses, or a model cannot be asked at all, turns in flight are finished, and
        nothing more is begun.

        Args:
            leases: what to hold.
            done: is told what came of each, but of one that was refused.

        Raises:
            ConfigurationError: somebody's model cannot be asked.
            StoreError: the disk refused.
        """
        refused: list[DuologueError] = []
        async with asyncio.TaskGroup() as group:
            while not refused:
                await self._room.enter()
                if refused or (lease := await anext(leases, None)) is None:
                    break
                group.create_task(self._one(lease, done, refused))
        if refused:
            raise _worst(refused)

    async def _one(
        self,
        lease: Lease,
        done: Callable[[Outcome], Awaitable[None]],
        refused: list[DuologueError],
    ) -> None:
        """Hold one, and say what came of it."""
        try:
            await done(await self._held(lease))
        except (ConfigurationError, StoreError) as error:
            refused.append(error)
            self._gate.close()
        finally:
            self._room.leave()

    async def _held(self, lease: Lease) -> Outcome:
        """Hold one to its end, or until the gate stops it."""
        try:
            history = self._log.take_up(lease.conv, lease.places)
        except RecordError as error:
            return Outcome(lease.conv, ended=False, damage=str(error))
        spec = fold(history).begun().spec if history else lease.spec
        providers = await self._cast(spec)
        ended = await record(
            self._log,
            lease.conv,
            spec,
            providers,
            history=history,
            watch=self._seen,
            detectors=None if self._eyes is None else self._eyes(),
            gate=self._gate,
        )
        return Outcome(lease.conv, ended)

    def _seen(self, item: Record | Delta) -> None:
        """Whatever is written may have made room."""
        if isinstance(item, Record):
            self._room.look()
        if self._watch is not None:
            self._watch(item)


def _worst(refused: list[DuologueError]) -> DuologueError:
    """The error to raise of several: all the words that the disk refused must reach a person."""
    unrecorded = [error for error in refused if isinstance(error, UnrecordedError)]
    if len(unrecorded) > 1:
        return UnrecordedError("\n".join(map(str, unrecorded)))
    return unrecorded[0] if unrecorded else refused[0]


def _written(log: Log, conv: str, event: Event) -> Record:
    """The record of an event; words that the disk refuses are handed to the person.

    Raises:
        UnrecordedError: the disk refused a message that was finished; it stands in the error.
        StoreError: the disk refused another fact; what had arrived of a reply stands in the error.
    """
    try:
        return log.append(conv, event)
    except StoreError as error:
        if isinstance(event, TurnCompleted):
            raise UnrecordedError(f"{error}\n{_handed(event)}") from error
        if isinstance(event, AttemptFailed) and event.partial:
            raise StoreError(
                f"{error}\nMessage {event.turn}, by {event.participant}, failed "
                f"({event.boundary}) and could not be recorded. This had arrived of it:\n"
                f"{event.partial}"
            ) from error
        raise


def _handed(done: TurnCompleted) -> str:
    """All that was said in a message, for a person."""
    thought = f"\nBefore them it thought:\n{done.reasoning}" if done.reasoning else ""
    return (
        f"Message {done.turn}, by {done.message.author}, was finished and could not be recorded. "
        f"These were its words:\n{done.message.text}{thought}"
    )
