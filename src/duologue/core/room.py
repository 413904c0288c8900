"""What would give a conversation room again that ended because a context was full.

A reading of the state: which seat, from which message, with how many tokens of context. It knows
no command line, and starts nothing.
"""

from math import ceil

import msgspec

from duologue.core.event import EndReason
from duologue.core.provider import Finish
from duologue.core.state import State

_BYTES = 2
"""Bytes of a view to a token, at the least, in what people and models mostly write."""


class Room(msgspec.Struct, frozen=True):
    """How to go on.

    Attributes:
        name: whose context was full.
        at: the last message to keep: all of them, but one that the end of the context cut.
        context: tokens of context that hold twice as much, and all that was said; None where the
            model was made for no more than it had, or has a length of its own.
    """

    name: str
    at: int
    context: int | None


def room(state: State) -> Room | None:
    """What to change to go on; None for a conversation that did not end so."""
    ended = state.ended
    if ended is None or ended.reason is not EndReason.CONTEXT_FULL or ended.by is None:
        return None
    last = state.entries[-1].completed if state.entries else None
    cut = not state.attempts and last is not None and last.finish is Finish.CONTEXT_FULL
    settings = state.begun().seats[ended.by].settings
    context = _longer(settings.get("context"), settings.get("context_trained"), _said(state))
    return Room(ended.by, len(state.entries) - cut, context)


def _said(state: State) -> int:
    """Tokens that everything said could make, and what everybody is told: rather too many."""
    spec = state.begun().spec
    told = [spec.told or "", *(seat.system or "" for seat in spec.participants)]
    texts = [*told, *(entry.message.text for entry in state.entries)]
    return ceil(sum(len(text.encode()) for text in texts) / _BYTES)


def _longer(context: int | None, trained: int | None, wanted: int) -> int | None:
    """A longer context, a power of two where the model can have that; None if it can have none."""
    if context is None or trained is None or trained <= context:
        return None
    return min(trained, 1 << (max(2 * context, wanted) - 1).bit_length())
