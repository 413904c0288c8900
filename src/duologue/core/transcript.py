"""What people read: the messages of a conversation with everything that must not be missed.

One projection for the terminal, the page and the exports, so that a silence, a cut, a failed
attempt or an injected line is marked in every one of them. It knows no colours and no markup.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable
from enum import StrEnum

import msgspec

from duologue.core.event import EndReason, Event, TurnStarted
from duologue.core.message import Origin, Silence, silence
from duologue.core.provider import Finish
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
    Finish.LENGTH: "cut: the token limit",
    Finish.REFUSAL: "refusal",
    Finish.CONTENT_FILTER: "content filter",
    Finish.CONTEXT_FULL: "cut: the context is full",
    Finish.UNKNOWN: None,
}


def transcript(events: Iterable[Event]) -> Transcript:
    """Read a conversation's facts.

    Raises:
        RecordError: the events cannot follow one another, or there are none.
    """
    state, starts = State(), Counter[int]()
    for event in events:
        state = apply(state, event)
        starts[event.turn if isinstance(event, TurnStarted) else 0] += 1
    state.begun()
    spoken = tuple(Spoken(entry, marks(entry, starts[entry.turn])) for entry in state.entries)
    return Transcript(state, spoken, status(state), _pending(state))


def status(state: State) -> Status:
    """What the facts say about how far a conversation has come."""
    if state.ended is None:
        return Status.INTERRUPTED
    if state.ended.reason is EndReason.ERROR:
        return Status.FAILED
    return Status.IMPORTED if state.ended.reason is EndReason.IMPORT else Status.ENDED


def marks(entry: Entry, starts: int = 1) -> tuple[Mark, ...]:
    """Everything about one message that must not be missed.

    Args:
        entry: the message.
        starts: how often its turn was started; more than its attempts means interruptions.
    """
    return (*_before(entry, starts), *_of(entry))


def _before(entry: Entry, starts: int) -> Iterable[Mark]:
    """What happened before the message was there."""
    interrupted = starts - 1 - len(entry.attempts)
    if entry.completed is not None and interrupted > 0:
        yield Mark("interrupted", f"interrupted: this turn was started {starts} times")
    for attempt in entry.attempts:
        yield Mark("attempt", f"failed attempt: {attempt.boundary}: {attempt.detail}")
    for edit in entry.started.edits if entry.started else ():
        yield Mark("edit", f"edited view: {edit.what}: {edit.detail}")


def _of(entry: Entry) -> Iterable[Mark]:
    """What the message itself is."""
    message = entry.message
    if given := _ORIGINS[message.origin]:
        yield Mark(message.origin.value, given)
    if message.seen_by is not None:
        yield Mark("private", f"seen by {', '.join(message.seen_by) or 'nobody'} only")
    if kind := silence(message.text):
        yield Mark("silence", _SILENCES[kind])
    if entry.completed is not None and entry.completed.reasoning:
        size = len(entry.completed.reasoning)
        yield Mark("reasoning", f"thought first: {size:,} characters, kept apart")
    if entry.completed is not None and (cut := _FINISHES[entry.completed.finish]):
        yield Mark(entry.completed.finish.value, cut)
    if entry.left is not None:
        yield Mark("exit", f"exit: {message.author} left with {entry.left}")


def _pending(state: State) -> tuple[Mark, ...]:
    """What is known of a turn that did not become a message."""
    failed = [
        Mark("attempt", f"failed attempt by {item.participant}: {item.boundary}: {item.detail}")
        for item in state.attempts
    ]
    if state.pending is None:
        return tuple(failed)
    text = f"turn {state.pending.turn}: {state.pending.participant} started and did not finish"
    return (*failed, Mark("interrupted", text))


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
