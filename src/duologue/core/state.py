"""The one reducer: what a conversation is after each of its facts.

``apply`` is used by the loop on what it emits, by resume, by branch, by the index and by every
reader. It refuses facts that cannot follow one another. It does not know where facts come from.
"""

from collections.abc import Iterable
from functools import reduce
from typing import Any, assert_never

import msgspec
from msgspec.structs import replace

from duologue.core.event import (
    AttemptFailed,
    ContextReset,
    ConversationEnded,
    ConversationStarted,
    Event,
    MessageInjected,
    ParticipantLeft,
    TurnCompleted,
    TurnPassed,
    TurnStarted,
)
from duologue.core.message import Message, Origin, silence
from duologue.errors import RecordError


class Entry(msgspec.Struct, frozen=True):
    """One message of the conversation and the facts around it.

    Attributes:
        turn: its number, counted from 1.
        message: what was said.
        started: the request it answers; None for given and injected messages.
        completed: the fact that a participant said it; None for given and injected messages.
        attempts: failed attempts before it.
        left: how its author left with it, once for each way that it took.
        passed: how its author declined the turn, if it did.
    """

    turn: int
    message: Message
    started: TurnStarted | None = None
    completed: TurnCompleted | None = None
    attempts: tuple[AttemptFailed, ...] = ()
    left: tuple[ParticipantLeft, ...] = ()
    passed: TurnPassed | None = None

    @property
    def quiet(self) -> bool:
        """Whether a participant's turn made it and did nothing: nothing visible, no tool called."""
        return (
            self.completed is not None
            and not self.completed.calls
            and silence(self.message.text) is not None
        )


class State(msgspec.Struct, frozen=True):
    """A conversation at one moment.

    Attributes:
        started: how it began; None before that.
        entries: its messages, in order; entry ``k`` has turn ``k + 1``.
        pending: the turn that was started and not completed.
        attempts: failed attempts at the next turn.
        again: whether another attempt at it is due.
        views: from which message on a participant's view begins, where it was reset.
        running: how a participant's seat is run now, where that is not as it began.
        ended: how it ended; None while it is open.
    """

    started: ConversationStarted | None = None
    entries: tuple[Entry, ...] = ()
    pending: TurnStarted | None = None
    attempts: tuple[AttemptFailed, ...] = ()
    again: bool = False
    views: dict[str, int] = {}
    running: dict[str, dict[str, Any]] = {}
    ended: ConversationEnded | None = None

    @property
    def turn(self) -> int:
        """The number of the next message."""
        return len(self.entries) + 1

    @property
    def over(self) -> bool:
        """Whether it came to an end that stands."""
        return self.ended is not None and self.ended.stands

    def begun(self) -> ConversationStarted:
        """How the conversation began.

        Raises:
            RecordError: there is no beginning.
        """
        if self.started is None:
            raise RecordError("the record has no beginning: its first event is missing")
        return self.started


def _begin(event: ConversationStarted) -> State:
    """A new conversation, with its opening lines as its first messages."""
    given = tuple(
        Entry(turn, Message(line.author, line.text, Origin(line.origin)))
        for turn, line in enumerate(event.spec.opening, start=1)
    )
    return State(started=event, entries=given)


def _expect(state: State, turn: int, what: str) -> None:
    """Refuse a fact about any other turn than the next."""
    if turn != state.turn:
        raise RecordError(f"{what} is for turn {turn}, but the next turn is {state.turn}")


def _start(state: State, event: TurnStarted) -> State:
    """A turn is pending; its seat may be run otherwise from here on."""
    running = state.running
    if event.running is not None:
        running = {**running, event.participant: event.running}
    return replace(state, pending=event, again=False, running=running, ended=None)


def _complete(state: State, event: TurnCompleted) -> State:
    """The pending turn becomes a message."""
    _expect(state, event.turn, "a completed turn")
    _expect_pending(state, event.message.author, "completed")
    entry = Entry(event.turn, event.message, state.pending, event, state.attempts)
    return replace(state, entries=(*state.entries, entry), pending=None, attempts=())


def _expect_pending(state: State, name: str, what: str) -> None:
    """Refuse the outcome of a turn that was not started, or not by ``name``."""
    if state.pending is None:
        raise RecordError(f"turn {state.turn} was {what} but never started")
    if state.pending.participant != name:
        raise RecordError(
            f"turn {state.turn} was started by {state.pending.participant!r} and {what} by {name!r}"
        )


def _mark(state: State, event: ParticipantLeft | TurnPassed) -> State:
    """Mark the last message as one with which its author left, or declined its turn."""
    verb = "left" if isinstance(event, ParticipantLeft) else "passed"
    if not state.entries or state.entries[-1].turn != event.turn:
        raise RecordError(
            f"{event.participant!r} {verb} in turn {event.turn}, which is not the last"
        )
    last = state.entries[-1]
    if last.message.author != event.participant:
        raise RecordError(f"{event.participant!r} {verb} in turn {event.turn}, which is another's")
    if isinstance(event, ParticipantLeft):
        entry = replace(last, left=(*last.left, event))
    else:
        entry = replace(last, passed=event)
    return replace(state, entries=(*state.entries[:-1], entry))


def apply(state: State, event: Event) -> State:
    """The state after ``event``.

    A turn that starts after an ending reopens the conversation: a failed one that was retried.

    Raises:
        RecordError: the event cannot follow what came before.
    """
    if isinstance(event, ConversationStarted):
        if state.started is not None:
            raise RecordError("the conversation starts twice")
        return _begin(event)
    state.begun()
    match event:
        case TurnStarted():
            _expect(state, event.turn, "a started turn")
            return _start(state, event)
        case AttemptFailed():
            _expect(state, event.turn, "a failed attempt")
            _expect_pending(state, event.participant, "failed")
            attempts = (*state.attempts, event)
            return replace(state, attempts=attempts, again=event.again, pending=None)
        case TurnCompleted():
            return _complete(state, event)
        case MessageInjected():
            _expect(state, event.turn, "an injected message")
            entries = (*state.entries, Entry(event.turn, event.message))
            return State(state.started, entries, views=state.views, running=state.running)
        case ParticipantLeft() | TurnPassed():
            return _mark(state, event)
        case ContextReset():
            _expect(state, event.turn, "a context reset")
            views = {**state.views, event.participant: event.first}
            return replace(state, views=views, again=True)
        case ConversationEnded():
            return replace(state, ended=event)
    assert_never(event)


def fold(events: Iterable[Event]) -> State:
    """The state after all of ``events``, in order."""
    return reduce(apply, events, State())
