"""What people read: the messages of a conversation with everything that must not be missed.

One projection for the terminal, the page and the exports, so that a silence, a cut, a failed
attempt or an injected line is marked in every one of them. It knows no colours and no markup.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec

from duologue.core.event import (
    AttemptFailed,
    ContextReset,
    EndReason,
    Event,
    ParticipantLeft,
    TurnPassed,
    TurnStarted,
)
from duologue.core.message import Origin, Silence, silence
from duologue.core.perspective import SILENCE
from duologue.core.provider import Finish, Seat, ToolCall
from duologue.core.rebuild import governing
from duologue.core.state import Entry, State, apply


class Status(StrEnum):
    """How far a conversation has come, as its facts tell."""

    ENDED = "ended"
    FAILED = "failed"
    IMPORTED = "imported"
    INTERRUPTED = "interrupted"


class Mark(msgspec.Struct, frozen=True):
    """Something about a message that a reader must see.

    Attributes:
        kind: one word, for colours and filters.
        text: what is to be read.
    """

    kind: str
    text: str


class Spoken(msgspec.Struct, frozen=True):
    """A message and its marks.

    Attributes:
        entry: the message and the facts around it.
        marks: what must not be missed, in the order in which it happened.
    """

    entry: Entry
    marks: tuple[Mark, ...]


class Transcript(msgspec.Struct, frozen=True):
    """A conversation for reading.

    Attributes:
        state: what it is after all its facts.
        spoken: its messages, in order.
        status: how far it has come.
        pending: marks of a turn that was started and not finished, or failed.
    """

    state: State
    spoken: tuple[Spoken, ...]
    status: Status
    pending: tuple[Mark, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The seats' names, then other authors in the order in which they speak."""
        seats = self.state.begun().spec.names()
        authors = (item.entry.message.author for item in self.spoken)
        return tuple(dict.fromkeys((*seats, *authors)))


_TIMES = "\u00d7"
_CHARACTERS = 3  # kinds of characters named in the mark of one silence
_SILENCES = {
    Silence.EMPTY: "silence: an empty message",
    Silence.WHITESPACE: "silence: white space only",
    Silence.INVISIBLE: "silence: invisible characters only",
}
_ORIGINS = {
    Origin.OPENING: "opening: given, not generated",
    Origin.SCENARIO: "scenario: given, not generated",
    Origin.NUDGE: "nudge: added by the system",
    Origin.HUMAN: "injected: a person's words",
    Origin.IMPORT: None,
    Origin.MODEL: None,
}
_FINISHES = {
    Finish.STOP: None,
    Finish.CALL: None,
    Finish.LENGTH: "cut: the token limit",
    Finish.REFUSAL: "refusal",
    Finish.CONTENT_FILTER: "content filter",
    Finish.CONTEXT_FULL: "cut: the context is full",
    Finish.UNKNOWN: "stopped for a reason that is not known",
}


def transcript(events: Iterable[Event]) -> Transcript:
    """Read a conversation's facts.

    Raises:
        RecordError: the events cannot follow one another, or there are none.
    """
    state, starts, resets = State(), Counter[int](), list[ContextReset]()
    for event in events:
        state = apply(state, event)
        starts[event.turn if isinstance(event, TurnStarted) else 0] += 1
        if isinstance(event, ContextReset):
            resets.append(event)
    state.begun()
    spoken = tuple(
        Spoken(
            entry,
            marks(entry, starts[entry.turn], seat=seated(state, entry), resets=resets),
        )
        for entry in state.entries
    )
    return Transcript(state, spoken, status(state), _pending(state, resets))


def seated(state: State, entry: Entry) -> Seat | None:
    """The model that was asked for a message, which may have been a parent's; None for no model."""
    sender, _ = governing(state.begun(), entry.turn)
    return sender.seats.get(entry.message.author) if entry.completed else None


def status(state: State) -> Status:
    """What the facts say about how far a conversation has come."""
    if state.ended is None:
        return Status.INTERRUPTED
    if not state.over:
        return Status.FAILED
    return Status.IMPORTED if state.ended.reason is EndReason.IMPORT else Status.ENDED


def marks(
    entry: Entry,
    starts: int = 1,
    *,
    seat: Seat | None = None,
    resets: Sequence[ContextReset] = (),
) -> tuple[Mark, ...]:
    """Everything about one message that must not be missed.

    Args:
        entry: the message.
        starts: how often its turn was started; more than its attempts means interruptions.
        seat: the model that was asked for it.
        resets: of contexts; those of other turns do not matter.
    """
    own = tuple(reset for reset in resets if reset.turn == entry.turn)
    return (*_before(entry, starts, own), *_of(entry), *_paid(entry, seat))


def _before(entry: Entry, starts: int, resets: Sequence[ContextReset]) -> Iterable[Mark]:
    """What happened before the message was there."""
    interrupted = starts - 1 - len(entry.attempts)
    if entry.completed is not None and interrupted > 0:
        yield Mark("interrupted", f"interrupted: this turn was started {starts} times")
    yield from map(failed_mark, entry.attempts)
    yield from map(reset_mark, resets)
    if entry.started is None:
        return
    for edit in entry.started.edits:
        yield Mark("edit", f"edited view: {edit.what}: {edit.detail}")
    if entry.started.running is not None:
        plain = entry.started.running.items()
        told = ", ".join(f"{key} {value}" for key, value in plain if not isinstance(value, dict))
        yield Mark("running", f"run otherwise from here on: {told}")


def failed_mark(attempt: AttemptFailed) -> Mark:
    """A failed attempt; a silence that was asked for again is no fault of anybody's."""
    if attempt.boundary == SILENCE:
        return Mark("resent", f"silence: {attempt.detail}")
    return Mark("attempt", f"failed attempt: {attempt.boundary}: {attempt.detail}")


def reset_mark(reset: ContextReset) -> Mark:
    """A view that begins later from here on."""
    text = f"context reset: {reset.participant} sees the messages from {reset.first} on"
    return Mark("reset", text)


def _paid(entry: Entry, seat: Seat | None) -> Iterable[Mark]:
    """Who really made the message, if another than was asked, and what it cost."""
    done = entry.completed
    if done is None:
        return
    if seat is not None and _another(seat, done.served):
        yield Mark("served", f"served by {done.served}, not {seat.model}")
    if done.cost:
        yield Mark("cost", f"cost: ${done.cost:.3g}")


def _another(seat: Seat, served: str | None) -> bool:
    """Whether another model answered; a local engine says how it ran after the model's name."""
    if served is None or seat.dialect == "gguf":
        return False
    return served != seat.model


def _of(entry: Entry) -> Iterable[Mark]:
    """What the message itself is."""
    message = entry.message
    if message.origin is Origin.HUMAN and entry.completed is not None:
        yield Mark("human", "a person in the seat")
    elif given := _ORIGINS[message.origin]:
        yield Mark(message.origin.value, given)
    if message.seen_by is not None:
        yield Mark("private", f"seen by {', '.join(message.seen_by) or 'nobody'} only")
    if kind := silence(message.text):
        yield Mark("silence", _SILENCES[kind])
    if entry.completed is not None and entry.completed.reasoning:
        size = len(entry.completed.reasoning)
        yield Mark("reasoning", f"thought first: {size:,} characters, kept apart")
    if entry.completed is not None and (cut := _FINISHES[entry.completed.finish]):
        words = entry.completed.detail or (
            entry.completed.finish_raw if entry.completed.finish is Finish.UNKNOWN else None
        )
        said = f": {words}" if words else ""
        yield Mark(entry.completed.finish.value, cut + said)
    yield from map(called_mark, entry.completed.calls if entry.completed else ())
    yield from map(left_mark, entry.left)
    if entry.passed is not None:
        yield passed_mark(entry.passed)


def called_mark(call: ToolCall) -> Mark:
    """That a tool was called, whether or not it was offered; only a declared one does anything."""
    return Mark("call", f"tool: called {call.name} with {call.arguments or 'nothing'}")


def left_mark(left: ParticipantLeft) -> Mark:
    """That a participant left, and how."""
    return Mark("exit", f"exit: {left.participant} left with {left.way}")


def passed_mark(passed: TurnPassed) -> Mark:
    """That a participant declined its turn, and how."""
    how = "by its silence" if passed.token is None else f"with {passed.token}"
    return Mark("pass", f"pass: {passed.participant} passed {how}")


def _pending(state: State, resets: Sequence[ContextReset]) -> tuple[Mark, ...]:
    """What is known of a turn that did not become a message."""
    known = [
        Mark("attempt", f"failed attempt by {item.participant}: {item.boundary}: {item.detail}")
        for item in state.attempts
    ]
    known += [reset_mark(reset) for reset in resets if reset.turn == state.turn]
    if state.pending is None:
        return tuple(known)
    text = f"turn {state.pending.turn}: {state.pending.participant} started and did not finish"
    return (*known, Mark("interrupted", text))


def characters(text: str) -> str:
    """Which characters a silent message is made of, as in ``U+200B ZERO WIDTH SPACE``."""
    counted = Counter(text).most_common()
    named = [_character(*kind) for kind in counted[:_CHARACTERS]]
    if len(counted) > _CHARACTERS:
        named.append(f"{len(counted) - _CHARACTERS} other kinds")
    return ", ".join(named)


def _character(char: str, count: int) -> str:
    """A character's number and name, and how often it stands there."""
    name = f"U+{ord(char):04X} {unicodedata.name(char, '')}".rstrip()
    return name if count == 1 else f"{count:,} {_TIMES} {name}"
