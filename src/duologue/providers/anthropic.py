"""Replies and errors of Anthropic Messages; requests are ``core.wire.anthropic``.

Thinking is kept apart from the words, and as blocks to be given back unmodified; its signature
binds it to everything before it. A reply without any block is a silent turn, not an error. Blocks
that are neither words nor thinking nor calls are named in the completion's detail. How long to
wait stands in headers, which are read by whoever sent the request. This module opens no connection.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import msgspec

from duologue.core.provider import Completion, Delta, Finish, Seat, ToolCall, Usage
from duologue.errors import (
    AuthenticationError,
    BrokenStreamError,
    ContentFilterError,
    ContextFullError,
    MalformedReplyError,
    OverloadError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitError,
    RequestRefusedError,
)
from duologue.providers.dialect import ServerEvent
from duologue.providers.replies import compact, joined, shown, status_kind, understood

VERSION = "2023-06-01"

_FINISH = {
    "end_turn": Finish.STOP,
    "stop_sequence": Finish.STOP,
    "max_tokens": Finish.LENGTH,
    "refusal": Finish.REFUSAL,
    "tool_use": Finish.CALL,
    "model_context_window_exceeded": Finish.CONTEXT_FULL,
}
_KINDS: dict[str, type[ProviderError]] = {
    "authentication_error": AuthenticationError,
    "permission_error": AuthenticationError,
    "rate_limit_error": RateLimitError,
    "overloaded_error": OverloadError,
    "api_error": OverloadError,
    "timeout_error": ProviderTimeoutError,
    "invalid_request_error": RequestRefusedError,
    "not_found_error": RequestRefusedError,
    "request_too_large": RequestRefusedError,
    "billing_error": RequestRefusedError,
}
_OK = 200
_TOO_LONG = re.compile(r"prompt is too long|context (limit|window)", re.IGNORECASE)
_FILTERED = re.compile(r"content filtering policy", re.IGNORECASE)
_BOUND = re.compile(
    r"bound to a different conversation|invalid `?signature`? in `?thinking", re.IGNORECASE
)
_REMEDIES = {
    "not_found_error": "; check the model's name and the base URL",
    "billing_error": "; the account cannot pay: waiting will not help",
}
_BOUND_REMEDY = (
    "; the thinking of an earlier turn was made after other words: branch from before that turn"
)
# The part of each delta that is more of the same part of its block.
_PARTS = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}
_INPUT = {"input_json_delta": "partial_json"}
_THINKING = ("thinking", "redacted_thinking")
_CALL = "tool_use"
_QUIET = ("ping", "message_stop", "content_block_stop")


class _Error(msgspec.Struct):
    """What went wrong, in the API's words."""

    type: str = ""
    message: str = ""


class _OutputDetails(msgspec.Struct):
    """What the output tokens were."""

    thinking_tokens: int | None = None


class _Usage(msgspec.Struct):
    """Tokens; later counts are of the whole reply and replace earlier ones."""

    input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens: int | None = None
    output_tokens_details: _OutputDetails | None = None


class _StopDetails(msgspec.Struct):
    """Why a reply was refused."""

    category: str | None = None
    explanation: str | None = None


class _Stop(msgspec.Struct):
    """How a reply ended."""

    stop_reason: str | None = None
    stop_details: _StopDetails | None = None


class _Opening(msgspec.Struct, kw_only=True):
    """What is known of a reply when its stream begins."""

    content: list[dict[str, Any]] = []
    model: str | None = None
    stop_reason: str | None = None
    stop_details: _StopDetails | None = None
    usage: _Usage | None = None


class _Whole(_Opening, kw_only=True):
    """A reply that was not streamed: it says what it holds, and be it nothing."""

    content: list[dict[str, Any]]


class _Start(msgspec.Struct):
    """A stream begins."""

    message: _Opening


class _BlockStart(msgspec.Struct):
    """A content block begins."""

    index: int
    content_block: dict[str, Any]


class _BlockDelta(msgspec.Struct):
    """More of a content block."""

    index: int
    delta: dict[str, Any]


class _MessageDelta(msgspec.Struct):
    """The end of the reply is in sight."""

    delta: _Stop
    usage: _Usage | None = None


class _Failure(msgspec.Struct):
    """An error, as a body or as an event."""

    error: _Error


class _Kind(msgspec.Struct):
    """What an event or a body is."""

    type: str = ""
    error: Any = None

    def name(self, otherwise: str = "") -> str:
        """Its type; gateways send errors without one."""
        return "error" if self.error is not None else self.type or otherwise


T = TypeVar("T")


class Anthropic:
    """The dialect; see ``duologue.providers.dialect.Dialect``."""

    def path(self, seat: Seat) -> str:
        """Below a base URL, whether or not that holds the version."""
        base = str(seat.settings.get("base_url", ""))
        return "/messages" if base.rstrip("/").endswith("/v1") else "/v1/messages"

    def headers(self, key: str | None) -> dict[str, str]:
        """The key, if there is one, and the version of the API."""
        named = {"x-api-key": key} if key else {}
        return {**named, "anthropic-version": VERSION}

    def reader(self, seat: Seat) -> "MessageReader":  # noqa: ARG002 - the same for every model
        """A reader for one streamed reply."""
        return MessageReader()

    def whole(self, seat: Seat, body: bytes) -> Completion:  # noqa: ARG002 - likewise
        """A reply that was not streamed, without timings.

        Raises:
            ProviderError: it is an error in disguise, or cannot be understood.
        """
        if understood(body, _Kind).name() == "error":
            raise _classified(_OK, understood(body, _Failure).error)
        reader = MessageReader()
        reader.take(understood(body, _Whole))
        return reader.completion()

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:  # noqa: ARG002 - the wait in them is read by whoever sent the request
        """The error that a reply of any other status than 200 is."""
        try:
            error = understood(body, _Failure).error
        except MalformedReplyError:
            error = _Error(message=shown(body))
        return _classified(status, error)


class _Block:
    """One content block, as its deltas come."""

    def __init__(self, start: dict[str, Any]) -> None:
        self.start = start
        self.kind: Any = start.get("type")
        self.parts: dict[str, list[str]] = {}

    def add(self, part: str, more: str) -> None:
        """More of one part."""
        self.parts.setdefault(part, []).append(more)

    def text(self) -> str:
        """The words of a block of words, the thoughts of a block of thinking."""
        return joined(self.parts.get(str(self.kind), ()))

    def call(self) -> ToolCall:
        """The call that a block of one is; an input that came in pieces replaces the first one."""
        pieces = joined(self.parts.get("partial_json", ()))
        ident = self.start.get("id")
        return ToolCall(
            self.start["name"],
            pieces or compact(self.start.get("input", {})),
            ident if isinstance(ident, str) else None,
        )

    def whole(self) -> dict[str, Any]:
        """The block as a reply that was not streamed would hold it."""
        return self.start | {part: joined(pieces) for part, pieces in self.parts.items()}


class MessageReader:
    """Assembles one reply from its events, or from the body that is whole."""

    def __init__(self) -> None:
        self._blocks: list[_Block] = []
        self._places: dict[int, _Block] = {}
        self._foreign: dict[str, None] = {}
        self._model: str | None = None
        self._stop = _Stop()
        self._usage = _Usage()
        self._done = False

    @property
    def done(self) -> bool:
        """Whether the reply is known to be whole."""
        return self._done

    def feed(self, event: ServerEvent) -> Iterator[Delta]:
        """Take one event; what it adds to words or reasoning.

        Raises:
            ProviderError: the event is an error, or cannot be understood.
        """
        if self._done:  # some gateways add a ``[DONE]``
            return
        match self._read(event, _Kind).name(event.name):
            case "message_start":
                yield from self._begin(self._read(event, _Start).message)
            case "content_block_start":
                start = self._read(event, _BlockStart)
                yield from self._open(start.content_block, start.index)
            case "content_block_delta":
                yield from self._continue(self._read(event, _BlockDelta))
            case "message_delta":
                end = self._read(event, _MessageDelta)
                self._end(end.delta, end.usage)
            case "message_stop":
                self._done = True
            case "error":
                raise self._failed(_classified(_OK, self._read(event, _Failure).error))
            case kind if kind not in _QUIET:
                self._foreign[kind] = None

    def take(self, message: _Whole) -> None:
        """Take a reply that is whole.

        Raises:
            MalformedReplyError: a block of it has the wrong form.
        """
        list(self._begin(message))
        self._done = True

    def completion(self) -> Completion:
        """The whole reply, without timings.

        Raises:
            BrokenStreamError: the stream ended before the reply did.
            MalformedReplyError: it does not say why it ended.
        """
        if not self._done:
            calls = self._called()
            calling = f", while it called {calls}" if calls else ""
            raise self._failed(BrokenStreamError(f"the stream ended before the reply did{calling}"))
        reason = self._stop.stop_reason
        if reason is None:
            raise self._failed(MalformedReplyError("the reply does not say why it ended"))
        thoughts = [block.text() for block in self._blocks if block.kind == "thinking"]
        return Completion(
            text=self._said(),
            finish=self._normal(reason),
            finish_raw=reason,
            usage=_counted(self._usage),
            served=self._model,
            reasoning="\n\n".join(filter(None, thoughts)) or None,
            detail=self._detail(),
            blocks=self._bound(),
            calls=self._called(),
        )

    def _normal(self, reason: str) -> Finish:
        """Why it ended, in our words."""
        finish = _FINISH.get(reason, Finish.UNKNOWN)
        return Finish.CALL if finish is Finish.STOP and self._called() else finish

    def _called(self) -> tuple[ToolCall, ...]:
        """The calls so far."""
        return tuple(block.call() for block in self._blocks if block.kind == _CALL)

    def _read(self, event: ServerEvent, shape: type[T]) -> T:
        """An event, typed; what was said so far goes with an error."""
        return understood(event.data, shape, self._said())

    def _said(self) -> str:
        """The words so far."""
        return joined(block.text() for block in self._blocks if block.kind == "text")

    def _failed(self, error: ProviderError) -> ProviderError:
        """An error with the words that came before it."""
        error.partial = self._said()
        return error

    def _begin(self, message: _Opening) -> Iterator[Delta]:
        """What is known at the start; all of it, where the reply is whole."""
        self._model = message.model
        for place, block in enumerate(message.content):
            yield from self._open(block, place)
        self._end(_Stop(message.stop_reason, message.stop_details), message.usage)

    def _open(self, start: dict[str, Any], place: int) -> Iterator[Delta]:
        """A block begins, perhaps with words."""
        block = self._places[place] = _Block(start)
        if block.kind == _CALL and not isinstance(start.get("name"), str):
            raise self._failed(MalformedReplyError("a call in the reply does not name its tool"))
        if block.kind not in ("text", _CALL, *_THINKING):
            self._foreign[str(block.kind)] = None
        elif block.kind == "text" and "text" not in start:
            raise self._failed(MalformedReplyError("a text block of the reply has no text"))
        elif block.kind == "thinking":
            block.add("thinking", "")  # for a block that holds nothing but its signature
        self._blocks.append(block)
        for part in _PARTS.values():
            if part in start and block.kind in ("text", "thinking"):
                yield from self._add(block, part, start[part])

    def _continue(self, more: _BlockDelta) -> Iterator[Delta]:
        """More of a block that has begun."""
        block, kind = self._places.get(more.index), more.delta.get("type")
        if block is None:
            raise self._failed(MalformedReplyError(f"block {more.index} goes on but never began"))
        part = (_INPUT if block.kind == _CALL else _PARTS).get(str(kind))
        if part is not None:
            yield from self._add(block, part, more.delta.get(part, msgspec.UNSET))
        elif block.kind in ("text", _CALL, *_THINKING):
            self._foreign[str(kind)] = None

    def _add(self, block: _Block, part: str, more: object) -> Iterator[Delta]:
        """More of one part of a block; null where words stand is no words."""
        more = "" if more is None and part == "text" else more
        if not isinstance(more, str):
            detail = f"in a block of {block.kind}, {part} is not a text but {more!r}"
            raise self._failed(MalformedReplyError(detail))
        block.add(part, more)
        if more and part == block.kind:
            yield Delta(more, reasoning=part == "thinking")

    def _end(self, stop: _Stop, usage: _Usage | None) -> None:
        """Why the reply ends, and what it took; what is not said again still holds."""
        self._stop = stop if stop.stop_reason is not None else self._stop
        for name in _Usage.__struct_fields__:
            value = getattr(usage, name, None)
            if value is not None:
                setattr(self._usage, name, value)

    def _detail(self) -> str | None:
        """What the API said of a refusal, and what it sent beside words and thoughts."""
        why = self._stop.stop_details or _StopDetails()
        told = [": ".join(filter(None, (why.category, why.explanation)))]
        if self._foreign:
            told.append(f"beside the words it sent {', '.join(self._foreign)}")
        return "; ".join(filter(None, told)) or None

    def _bound(self) -> tuple[dict[str, Any], ...]:
        """The thinking, to be given back; with the words, where it stands not just before them."""
        kept = [block for block in self._blocks if block.kind in _THINKING or block.text()]
        kept = [block for block in kept if block.kind in ("text", *_THINKING)]
        thinking = [block for block in kept if block.kind in _THINKING]
        in_order = len(kept) - len(thinking) <= 1 and kept[: len(thinking)] == thinking
        return tuple(block.whole() for block in (thinking if in_order else kept) if thinking)


def _counted(usage: _Usage) -> Usage:
    """Tokens; the API counts what was cached apart from the input."""
    written, cached = usage.cache_creation_input_tokens, usage.cache_read_input_tokens
    read = usage.input_tokens
    details = usage.output_tokens_details
    return Usage(
        input=None if read is None else read + (written or 0) + (cached or 0),
        output=usage.output_tokens,
        cached=cached,
        reasoning=details.thinking_tokens if details else None,
        written=written,
    )


def _classified(status: int, error: _Error) -> ProviderError:
    """The boundary that was crossed, from the error's type, its words, and the status."""
    kind = _KINDS.get(error.type) or status_kind(status)
    named = f" [{error.type}]" if error.type else ""
    detail = f"{status}: {error.message or 'nothing was said'}{named}"
    if kind is RequestRefusedError and _TOO_LONG.search(error.message):
        return ContextFullError(detail)
    if kind is RequestRefusedError and _FILTERED.search(error.message):
        return ContentFilterError(detail)
    if kind is RequestRefusedError and _BOUND.search(error.message):
        return RequestRefusedError(detail + _BOUND_REMEDY)
    key = "; check the key and what it may use" if kind is AuthenticationError else ""
    return kind(detail + _REMEDIES.get(error.type, key))
