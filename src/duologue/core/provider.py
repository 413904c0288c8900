"""The port: what the loop asks of a model, and what it gets back.

Everything that can take a seat (hosted, local, scripted, a person, a log) is one ``Provider``.
The loop knows nothing else about it. This module knows no wire format and no network.
"""

from collections.abc import AsyncGenerator
from enum import StrEnum
from typing import Any, Protocol

import msgspec

from duologue.core.message import Origin


class Finish(StrEnum):
    """Why a turn stopped, normalised; the provider's own word is kept beside it.

    ``call``: it ended with the call of a tool, by the provider's word or by what the reply holds.
    """

    STOP = "stop"
    LENGTH = "length"
    REFUSAL = "refusal"
    CONTENT_FILTER = "content_filter"
    CONTEXT_FULL = "context_full"
    CALL = "call"
    UNKNOWN = "unknown"


class Seat(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a participant's ``model`` resolved to; enough to rebuild every request body.

    Attributes:
        provider: the provider's name.
        model: the resolved model id.
        dialect: the name of the encoder in ``core.wire`` that makes the request body.
        settings: whatever else makes it this model, and whatever the encoder needs, as JSON
            values; no secrets. A conversation goes on only with the very same.
        running: how it is run: recorded, for it may change what is said, but a conversation may
            go on where it is not the same. What is otherwise then, the next turn's start records.
    """

    provider: str
    model: str
    dialect: str = "plain"
    settings: dict[str, Any] = {}
    running: dict[str, Any] = {}


class Usage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Tokens, as the provider counts them; None where it does not say.

    Attributes:
        input: tokens of the request, cached ones included.
        output: tokens of the reply, reasoning included.
        cached: how many of the input tokens were not read again.
        reasoning: how many of the output tokens were reasoning.
        written: how many of the input tokens were put into a cache, where that costs more.
    """

    input: int | None = None
    output: int | None = None
    cached: int | None = None
    reasoning: int | None = None
    written: int | None = None


class Call(msgspec.Struct, frozen=True):
    """One attempt at one turn.

    Attributes:
        body: the exact request, as digested and recorded.
        key: ``conversation/participant``; equal keys want the same cache.
    """

    body: bytes
    key: str = ""


class ToolCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A tool that a participant called in its turn, as the reply says it.

    Attributes:
        name: the tool's name, as called; it may be one that nobody offered.
        arguments: what it was called with: the characters that came, JSON or not. Where the
            provider sends a value and not characters, that value as compact JSON.
        id: the provider's own name for this call, if it gave one.
    """

    name: str
    arguments: str = "{}"
    id: str | None = None


class Delta(msgspec.Struct, frozen=True):
    """Text as it arrives; shown live, never stored.

    Attributes:
        text: the new characters.
        reasoning: whether they are reasoning, which is not part of the message.
    """

    text: str
    reasoning: bool = False


class Completion(msgspec.Struct, frozen=True, omit_defaults=True):
    """A whole reply.

    Attributes:
        text: the words, exactly as the model made them; may be empty.
        finish: why it stopped.
        finish_raw: the provider's own word for it.
        usage: tokens.
        first_token_s: seconds from the call to the first token.
        seconds: seconds from the call to the end.
        served: the model that the reply says really made it.
        reasoning: what the model thought before it spoke, kept apart.
        detail: the provider's own words about a refusal, a filter or a cut, if it gave any.
        blocks: reasoning as the provider sent it, bound to this reply; to be given back to this
            participant unmodified, and to nobody else.
        cost: United States dollars, if the price is known.
        pace: how many requests could be under way at once when this one was sent, if it was paced.
        origin: who made the words: a person's seat says ``human``.
        calls: the tools that it called, in order, whether or not they were offered.
    """

    text: str
    finish: Finish = Finish.STOP
    finish_raw: str | None = None
    usage: Usage = Usage()
    first_token_s: float | None = None
    seconds: float | None = None
    served: str | None = None
    reasoning: str | None = None
    detail: str | None = None
    blocks: tuple[dict[str, Any], ...] = ()
    cost: float | None = None
    pace: int | None = None
    origin: Origin = Origin.MODEL
    calls: tuple[ToolCall, ...] = ()


class Failure(msgspec.Struct, frozen=True):
    """An attempt that failed and that is followed by another, as a wrapper reports it.

    Attributes:
        boundary: what was crossed, as named in ``duologue.errors``.
        detail: what happened.
        partial: text that had arrived.
        wait_s: how long the provider asked us to wait.
        pace: how many requests could be under way at once when this one was sent, if it was paced.
    """

    boundary: str
    detail: str
    partial: str = ""
    wait_s: float | None = None
    pace: int | None = None


Item = Delta | Failure | Completion


class Provider(Protocol):
    """Something that can take a seat."""

    @property
    def seat(self) -> Seat:
        """What this provider is, as it will be recorded."""
        ...

    def stream(self, call: Call) -> AsyncGenerator[Item, None]:
        """Answer one request: any number of deltas, then exactly one completion.

        After a ``Failure`` the same request is sent again, and its deltas begin anew.

        Raises:
            ProviderError: named by the boundary that was crossed.
        """
        ...

    async def aclose(self) -> None:
        """Let go of whatever is held: connections, processes, weights."""
        ...
