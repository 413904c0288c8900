"""What one participant is to be sent for one turn, before any wire format.

Roles exist from here to the wire and nowhere else. This module knows no dialect.
"""

from enum import StrEnum
from typing import Any

import msgspec

from duologue.core.event import Edit
from duologue.core.spec import Framing, Sampling


class Role(StrEnum):
    """How a message looks to the participant who is about to speak."""

    OWN = "assistant"
    OTHER = "user"


class Heard(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message of a view.

    Attributes:
        role: whether the participant said it itself.
        author: under whose name it stands.
        text: the words as they are put to the participant; a declared label comes before them.
        blocks: the participant's own bound reasoning, to be given back unmodified.
    """

    role: Role
    author: str
    text: str
    blocks: tuple[dict[str, Any], ...] = ()


class Request(msgspec.Struct, frozen=True):
    """One participant's view, to be answered.

    Attributes:
        participant: who is to speak.
        system: its system prompt and what it was told; None for none at all.
        framing: how the view is laid out.
        messages: what it has heard and said, in order.
        sampling: how the words are to be drawn.
        seed: this turn's own seed, if the spec has one.
        stand_in: what to put in the place of silence where the dialect refuses silence.
        key: the conversation and the participant, for routing to the same cache.
    """

    participant: str
    system: str | None
    framing: Framing
    messages: tuple[Heard, ...]
    sampling: Sampling
    seed: int | None = None
    stand_in: str | None = None
    key: str = ""


class Wire(msgspec.Struct, frozen=True):
    """A request as exact bytes.

    Attributes:
        body: what is sent, digested and rebuilt.
        stable: how many leading bytes the same participant's next body must begin with: views
            only grow.
        edits: what the dialect's rules changed.
    """

    body: bytes
    stable: int
    edits: tuple[Edit, ...] = ()
