"""A conversation executed again, answered from its own log, and held against it.

What comes out must be what is recorded, fact by fact. Nothing is written, and no model is asked.
This module does not know where the facts are kept.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

import msgspec
from msgspec.structs import replace

from duologue.conversation import converse
from duologue.core.detectors import Detectors
from duologue.core.ending import NUDGER
from duologue.core.event import (
    ConversationEnded,
    ConversationStarted,
    Event,
    MessageInjected,
    TurnStarted,
)
from duologue.core.provider import Delta
from duologue.core.state import fold
from duologue.errors import ReplayError
from duologue.providers.replay import Replay

_WIDTH = 200


def settled(events: Sequence[Event]) -> list[Event]:
    """The facts as a stand-in makes them again.

    Without turns that were started, interrupted and started again, and without how a seat was run
    otherwise after a resume: a log runs nothing.
    """
    following = [*events[1:], None]
    return [
        replace(event, running=None) if isinstance(event, TurnStarted) else event
        for event, after in zip(events, following, strict=True)
        if not (isinstance(event, TurnStarted) and isinstance(after, TurnStarted))
    ]


def given(events: Sequence[Event]) -> list[Event]:
    """The facts that the loop did not make, which come first: inherited ones, injected ones."""
    started = fold(events[:1]).begun()
    if started.fork is None:
        return []
    at = started.fork.turn
    last = max(place for place, event in enumerate(events) if _is_given(event, at))
    return list(events[: last + 1])


def _is_given(event: Event, at: int) -> bool:
    """Whether a branch that left its parent at message ``at`` was given this fact."""
    if isinstance(event, ConversationStarted):
        return True
    if isinstance(event, MessageInjected):  # a nudge of the loop's own is not given
        return event.turn <= at + (event.message.author != NUDGER)
    return not isinstance(event, ConversationEnded) and event.turn <= at


async def replay(
    events: Sequence[Event],
    watch: Callable[[Event | Delta], None],
    *,
    detectors: Detectors | None = None,
) -> int:
    """Make the facts again and compare them.

    Args:
        events: a conversation's facts, as recorded.
        watch: sees every fact that agrees, and every delta.
        detectors: what sees the signs that the spec's detectors name.

    Returns:
        How many facts agree: all of them.

    Raises:
        ReplayError: the first fact, or request, that is not as it is recorded.
    """
    expected = settled(events)
    made = given(expected)
    if not any(isinstance(event, TurnStarted) for event in expected[len(made) :]):
        raise ReplayError("nothing to replay: no model was asked, every message was given")
    providers = {
        name: Replay(seat, _own(expected)) for name, seat in fold(events[:1]).begun().seats.items()
    }
    while len(made) < len(expected):
        before = len(made)
        async with aclosing(_again(made, expected, providers, detectors)) as items:
            async for item in items:
                watch(item)
        if len(made) == before:
            shown = _shown(expected[before])
            raise ReplayError(f"fact {before} is recorded, but nothing came: {shown}")
    return len(made)


def _own(events: list[Event]) -> list[Event]:
    """The facts to answer from; what a branch inherited was answered to its parent."""
    return events[len(given(events)) :]


async def _again(
    made: list[Event],
    expected: list[Event],
    providers: dict[str, Replay],
    detectors: Detectors | None,
) -> AsyncGenerator[Event | Delta, None]:
    """Run the loop from what was made, adding to it, until it stops or all is made."""
    history = list(made)
    started = fold(expected[:1]).begun()
    facts = converse(started.spec, providers, history, key=started.key, detectors=detectors)
    async with aclosing(facts):
        async for item in facts:
            if not isinstance(item, Delta):
                _compare(item, expected, len(made))
                made.append(item)
            yield item
            if len(made) == len(expected):
                return


def _compare(fact: Event, expected: list[Event], place: int) -> None:
    """Refuse a fact that is not the one recorded at its place."""
    if fact != expected[place]:
        raise ReplayError(
            f"fact {place} is {_shown(expected[place])} in the log, and came as {_shown(fact)}: "
            "the log was changed, or another duologue wrote it"
        )


def _shown(event: Event) -> str:
    """A fact as its log has it, not too long."""
    line = msgspec.json.encode(event).decode()
    return line if len(line) <= _WIDTH else f"{line[:_WIDTH]}…"
