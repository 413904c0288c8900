"""A whole conversation described: its annotations, its arc, and what it is to be grouped by.

It knows specs and messages, and not where they were read.
"""

from collections.abc import Iterable

import msgspec

from duologue.core.message import Message, Origin
from duologue.core.policies import worded
from duologue.core.spec import ConversationSpec
from duologue.endings.annotate import Memory, annotate
from duologue.endings.arc import arc
from duologue.endings.codebook import Annotation, Arc

GIVEN = frozenset({Origin.OPENING, Origin.SCENARIO, Origin.NUDGE})


class Described(msgspec.Struct, frozen=True):
    """One conversation, described.

    Attributes:
        id: its id in the library, or the file it was read from.
        pair: who spoke with whom: the models, or the names where no model is known.
        policy: how it could end, in words; empty where that is not known.
        reason: why it ended, as recorded; None while it is open.
        annotations: one for each turn.
        arc: what they make together.
    """

    id: str
    pair: str
    policy: str
    reason: str | None
    annotations: tuple[Annotation, ...]
    arc: Arc


def describe(messages: Iterable[Message]) -> list[Annotation]:
    """The annotations of a conversation's messages, in order; an opening takes no leave."""
    memory, found = Memory(), []
    for message in messages:
        given = message.origin in GIVEN
        memory, one = annotate(memory, message.author, message.text, given=given)
        found.append(one)
    return found


def described(
    id_: str,
    messages: Iterable[Message],
    *,
    pair: str,
    policy: str = "",
    reason: str | None = None,
) -> Described:
    """A conversation with everything that can be read off its messages."""
    found = tuple(describe(messages))
    return Described(id_, pair, policy, reason, found, arc(found))


def pair(spec: ConversationSpec) -> str:
    """The models of a conversation in the order of its seats."""
    return " × ".join(seat.model for seat in spec.participants)


def policy(spec: ConversationSpec) -> str:
    """How a conversation may end, what follows a silence, and whether anybody is told, in words."""
    silence = f"silence: {type(spec.silence).__struct_config__.tag}"
    told = "told nothing" if spec.told is None else "told"
    return " · ".join([*(worded(rule) for rule in spec.ending), silence, told])
