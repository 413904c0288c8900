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


class Tool(msgspec.Struct, frozen=True):
    """A tool that the participant is offered; it takes no arguments.

    Attributes:
        name: what it is called by.
        description: what it is for; words that the participant sees.
        answer: what a call of it is answered with, in the views that follow.
        needed: whether a participant that cannot call it is left without what was declared.
    """

    name: str
    description: str
    answer: str
    needed: bool = False


class Called(msgspec.Struct, frozen=True, omit_defaults=True):
    """A call that the participant made, as it is shown to it again.

    Attributes:
        name: the tool's name.
        arguments: what it was called with.
        id: the name of this one call.
        answer: what it was answered with; None for a tool that nobody offered.
    """

    name: str
    arguments: str = "{}"
    id: str | None = None
    answer: str | None = None


class Heard(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message of a view.

    Attributes:
        role: whether the participant said it itself.
        author: under whose name it stands.
        text: the words as they are put to the participant; a declared label comes before them.
        blocks: the participant's own bound reasoning, to be given back unmodified.
        calls: the tools that the participant itself called with these words.
    """

    role: Role
    author: str
    text: str
    blocks: tuple[dict[str, Any], ...] = ()
    calls: tuple[Called, ...] = ()


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
        tools: what it is offered to call.
    """

    participant: str
    system: str | None
    framing: Framing
    messages: tuple[Heard, ...]
    sampling: Sampling
    seed: int | None = None
    stand_in: str | None = None
    key: str = ""
    tools: tuple[Tool, ...] = ()


class Wire(msgspec.Struct, frozen=True):
    """A request as exact bytes.

    Attributes:
        body: what is sent, digested and rebuilt.
        stable: how many leading bytes the same participant's next body must begin with: views
            only grow.
        digest: BLAKE2b-256 of the body, in hexadecimal: how the request is named in the log.
        edits: what the dialect's rules changed.
    """

    body: bytes
    stable: int
    digest: str
    edits: tuple[Edit, ...] = ()
