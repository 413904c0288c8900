"""Every request that was ever sent, made again from the facts alone.

What this module yields is what ``duologue verify`` compares with the recorded digests, and what a
reader is shown as "what this participant saw". It does not know what was really sent: only the
digest in the log can tell.
"""

from collections.abc import Callable, Iterable, Iterator

import msgspec
from msgspec.structs import replace

from duologue.core.event import ConversationStarted, Event, TurnStarted
from duologue.core.perspective import view
from duologue.core.request import Request, Wire
from duologue.core.state import State, apply
from duologue.core.wire import digest, encode
from duologue.errors import RecordError


class Rebuilt(msgspec.Struct, frozen=True):
    """One request, made again.

    Attributes:
        index: the place of its ``TurnStarted`` among the events given.
        started: that fact, with the recorded digest.
        request: the participant's view.
        wire: the exact bytes.
        generation: 0 if the conversation sent it itself, 1 if its parent did, and so on.
        first: the number of the message with which the view begins; a reset makes it later.
    """

    index: int
    started: TurnStarted
    request: Request
    wire: Wire
    generation: int
    first: int = 1

    @property
    def inherited(self) -> bool:
        """Whether an ancestor of the conversation sent the request."""
        return self.generation > 0

    @property
    def agrees(self) -> bool:
        """Whether the bytes made again have the digest that was recorded."""
        return digest(self.wire.body) == self.started.request


def governing(started: ConversationStarted, turn: int) -> tuple[ConversationStarted, int]:
    """How the sender of the request for ``turn`` had started, and how many generations ago."""
    generation = 0
    while started.fork is not None and turn <= started.fork.turn:
        started, generation = started.fork.started, generation + 1
    return started, generation


def _every(_: TurnStarted) -> bool:
    """Each request."""
    return True


def rebuild(
    events: Iterable[Event], wanted: Callable[[TurnStarted], bool] = _every
) -> Iterator[Rebuilt]:
    """Every request of a conversation, in order, repeated starts included.

    Args:
        events: the conversation's facts, from the first.
        wanted: which requests to make again: of a long conversation each is long.

    Raises:
        RecordError: the events cannot follow one another.
    """
    state = State()
    for index, event in enumerate(events):
        if isinstance(event, TurnStarted) and event.request and wanted(event):
            yield _again(state, index, event)
        state = apply(state, event)


def _again(state: State, index: int, event: TurnStarted) -> Rebuilt:
    """The request of one ``TurnStarted``, from the state before it."""
    sender, generation = governing(state.begun(), event.turn)
    if event.participant not in sender.seats:
        raise RecordError(
            f"turn {event.turn} was started by {event.participant!r}, who has no seat"
        )
    request = view(replace(state, started=sender), event.participant)
    wire = encode(sender.seats[event.participant], request)
    first = state.views.get(event.participant, 1)
    return Rebuilt(index, event, request, wire, generation, first)
