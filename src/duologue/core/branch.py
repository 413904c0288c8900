"""A history for a conversation that leaves another at a message, perhaps with something changed.

A branch's log holds the inherited facts as they were, so it can be read, verified and branched
again when its parent is gone. This module does not start anything.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from duologue.core.event import ConversationEnded, ConversationStarted, Event, Fork, MessageInjected
from duologue.core.message import Message, Origin
from duologue.core.provider import Seat
from duologue.core.spec import ConversationSpec, check
from duologue.core.state import fold
from duologue.errors import ConfigurationError


def branch(
    events: Sequence[Event],
    parent: str,
    at: int,
    *,
    spec: ConversationSpec,
    seats: dict[str, Seat],
    say: Message | None = None,
) -> tuple[Event, ...]:
    """The facts with which a branch begins.

    Args:
        events: the parent's facts.
        parent: the parent's id.
        at: the last message that is inherited, counted from 1; 0 inherits none.
        spec: the branch's own spec; its opening is replaced by what is inherited of the parent's.
        seats: what the branch's participants resolved to.
        say: a message to inject after the inherited ones.

    Raises:
        ConfigurationError: the parent has no such message, or ``say`` passes for a model's.
    """
    state = fold(events)
    started = state.begun()
    if not 0 <= at <= len(state.entries):
        raise ConfigurationError(
            f"conversation {parent} has {len(state.entries)} messages: it cannot be branched at "
            f"{at}; choose a number from 0 to {len(state.entries)}"
        )
    if say is not None and say.origin is Origin.MODEL:
        raise ConfigurationError(
            f"injected words need an origin: {say.author!r} would pass for a model's; give 'say' "
            "the origin human, scenario or nudge"
        )
    own = replace(check(spec), opening=started.spec.opening[:at])
    inherited = [event for event in events[1:] if _belongs(event, at)]
    given = [] if say is None else [MessageInjected(at + 1, say)]
    return (ConversationStarted(own, seats, Fork(parent, at, started)), *inherited, *given)


def _belongs(event: Event, at: int) -> bool:
    """Whether a fact is about a message up to ``at``. How the parent ended is not inherited."""
    return not isinstance(event, ConversationStarted | ConversationEnded) and event.turn <= at
