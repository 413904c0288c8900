"""Replies and errors of Google generateContent; requests are ``core.wire.google``.

A stream has no last word: a reply is whole with a finish reason, or with the reason for which the
prompt was blocked, and more (tokens, a signature) may come after it. Signed parts are kept as they
came, with the words and calls around them, to be given back unmodified. Parts that are none of
these are named in the completion's detail. This module opens no connection.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import UNSET, UnsetType

from duologue.core.provider import Completion, Delta, Finish, Seat, ToolCall, Usage
from duologue.errors import (
    AuthenticationError,
    BrokenStreamError,
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

_VERSION = re.compile(r"[^/]/v\d+(alpha|beta)?\d*/?$")

_FINISH = {
    "STOP": Finish.STOP,
    "MAX_TOKENS": Finish.LENGTH,
    "SAFETY": Finish.CONTENT_FILTER,
    "RECITATION": Finish.CONTENT_FILTER,
    "PROHIBITED_CONTENT": Finish.CONTENT_FILTER,
    "SPII": Finish.CONTENT_FILTER,
    "BLOCKLIST": Finish.CONTENT_FILTER,
    "IMAGE_SAFETY": Finish.CONTENT_FILTER,
    "MODEL_ARMOR": Finish.CONTENT_FILTER,
}
_OK = 200
_UNSAID = (
    "",
    "FINISH_REASON_UNSPECIFIED",
    "BLOCK_REASON_UNSPECIFIED",
    "BLOCKED_REASON_UNSPECIFIED",
)
_KINDS: dict[str, type[ProviderError]] = {
    "UNAUTHENTICATED": AuthenticationError,
    "PERMISSION_DENIED": AuthenticationError,
    "RESOURCE_EXHAUSTED": RateLimitError,
    "UNAVAILABLE": OverloadError,
    "INTERNAL": OverloadError,
    "UNKNOWN": OverloadError,
    "ABORTED": OverloadError,
    "CANCELLED": OverloadError,
    "DEADLINE_EXCEEDED": ProviderTimeoutError,
    "INVALID_ARGUMENT": RequestRefusedError,
    "FAILED_PRECONDITION": RequestRefusedError,
    "OUT_OF_RANGE": RequestRefusedError,
    "NOT_FOUND": RequestRefusedError,
    "UNIMPLEMENTED": RequestRefusedError,
}
_TOO_LONG = re.compile(
    r"token count.{0,40}exceeds|exceeds the maximum number of tokens|context (length|window)",
    re.IGNORECASE,
)
_DELAY = re.compile(r"(\d+(?:\.\d+)?)s")
_KNOWN = ("text", "thought", "thoughtSignature", "functionCall")


class _Called(msgspec.Struct):
    """A call of a tool."""

    name: str
    args: dict[str, Any] = {}
    id: str | None = None


class _Part(msgspec.Struct):
    """A part of a content, as far as it is words or a call."""

    text: str | UnsetType = UNSET
    thought: bool = False
    thoughtSignature: str | UnsetType = UNSET  # noqa: N815 - the API's name
    functionCall: _Called | None = None  # noqa: N815 - likewise


class _Content(msgspec.Struct):
    """What one side says."""

    parts: list[dict[str, Any]] | None = None


class _Rating(msgspec.Struct):
    """How one kind of harm was rated."""

    category: str = ""
    blocked: bool = False


class _Candidate(msgspec.Struct, rename="camel"):
    """One of the replies; one was asked for."""

    index: int = 0
    content: _Content | None = None
    finish_reason: str | None = None
    finish_message: str | None = None
    safety_ratings: list[_Rating] | None = None


class _Feedback(msgspec.Struct, rename="camel"):
    """What is said of the prompt."""

    block_reason: str | None = None
    block_reason_message: str | None = None


class _Tokens(msgspec.Struct, rename="camel"):
    """Tokens; the last count is of the whole reply."""

    prompt_token_count: int | None = None
    cached_content_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None


class _Error(msgspec.Struct):
    """What went wrong, in the API's words."""

    code: int | None = None
    message: str = ""
    status: str = ""
    details: list[dict[str, Any]] = []


class _Failure(msgspec.Struct):
    """An error, as a body."""

    error: _Error


class _Chunk(msgspec.Struct, rename="camel"):
    """One event of a stream, or a whole reply."""

    candidates: list[_Candidate] | None = None
    prompt_feedback: _Feedback | None = None
    usage_metadata: _Tokens | None = None
    model_version: str | None = None
    error: _Error | None = None


class Google:
    """The dialect; see ``duologue.providers.dialect.Dialect``."""

    def path(self, seat: Seat) -> str:
        """Below a base URL, whether or not that holds the version. The key is never in it."""
        model = quote(seat.model if "/" in seat.model else f"models/{seat.model}")
        version = "" if _VERSION.search(str(seat.settings.get("base_url", ""))) else "/v1beta"
        streams = seat.settings.get("stream", True)
        verb = "streamGenerateContent?alt=sse" if streams else "generateContent"
        return f"{version}/{model}:{verb}"

    def headers(self, key: str | None) -> dict[str, str]:
        """The key, if there is one."""
        return {"x-goog-api-key": key} if key else {}

    def reader(self, seat: Seat) -> "ContentReader":  # noqa: ARG002 - the same for every model
        """A reader for one streamed reply."""
        return ContentReader()

    def whole(self, seat: Seat, body: bytes) -> Completion:  # noqa: ARG002 - likewise
        """A reply that was not streamed, or the list of its chunks, without timings.

        Raises:
            ProviderError: it is an error in disguise, or cannot be understood.
        """
        reader = ContentReader()
        listed = body.lstrip().startswith(b"[")
        for chunk in understood(body, list[_Chunk]) if listed else [understood(body, _Chunk)]:
            list(reader.take(chunk))
        try:
            return reader.completion()
        except BrokenStreamError as error:
            detail = "the reply does not say why it ended"
            raise MalformedReplyError(detail, partial=error.partial) from error

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:  # noqa: ARG002 - the wait in them is read by whoever sent the request
        """The error that a reply of any other status than 200 is."""
        body = body.strip().removeprefix(b"[").removesuffix(b"]")  # how streams report theirs
        try:
            return _classified(status, understood(body, _Failure).error)
        except MalformedReplyError:
            return _classified(status, _Error(message=shown(body)))


class ContentReader:
    """Assembles one reply from its chunks."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._thoughts: list[str] = []
        self._parts: list[dict[str, Any] | list[str]] = []
        self._signed = False
        self._calls: list[ToolCall] = []
        self._foreign: dict[str, None] = {}
        self._spoke = False
        self._finish: str | None = None
        self._why: list[str] = []
        self._blocked: _Feedback | None = None
        self._model: str | None = None
        self._tokens = _Tokens()

    @property
    def done(self) -> bool:
        """Whether the reply, or whoever blocked the prompt, has said why it ends."""
        return self._finish is not None or self._blocked is not None

    def feed(self, event: ServerEvent) -> Iterator[Delta]:
        """Take one event; what it adds to words or reasoning.

        Raises:
            ProviderError: the event is an error, or cannot be understood.
        """
        yield from self.take(understood(event.data, _Chunk, joined(self._text)))

    def take(self, chunk: _Chunk) -> Iterator[Delta]:
        """Take one chunk, or a reply that is whole.

        Raises:
            ProviderError: it is an error, or a part of it has the wrong form.
        """
        if chunk.error is not None:
            raise self._failed(_classified(chunk.error.code or _OK, chunk.error))
        self._model = chunk.model_version or self._model
        self._tokens = chunk.usage_metadata or self._tokens
        if chunk.prompt_feedback and chunk.prompt_feedback.block_reason not in (None, *_UNSAID):
            self._blocked = chunk.prompt_feedback
        for candidate in chunk.candidates or ():
            yield from self._hear(candidate)

    def completion(self) -> Completion:
        """The whole reply, without timings.

        Raises:
            BrokenStreamError: the stream ended before the reply did.
            MalformedReplyError: there is no reply in it.
        """
        if not self.done and not self._spoke:
            raise MalformedReplyError("the reply holds no candidate, nor why there is none")
        if not self.done:
            calling = f", while it called {tuple(self._calls)}" if self._calls else ""
            raise self._failed(BrokenStreamError(f"the stream ended before the reply did{calling}"))
        finish, raw = self._ending()
        return Completion(
            text=joined(self._text),
            finish=finish,
            finish_raw=raw,
            usage=_counted(self._tokens),
            served=self._model,
            reasoning=joined(self._thoughts) or None,
            detail=self._detail(),
            blocks=self._bound() if self._signed else (),
            calls=tuple(self._calls),
        )

    def _failed(self, error: ProviderError) -> ProviderError:
        """An error with the words that came before it."""
        error.partial = joined(self._text)
        return error

    def _hear(self, candidate: _Candidate) -> Iterator[Delta]:
        """A candidate: its words, and why it ends."""
        if candidate.index:
            detail = "the reply holds more than one candidate: take 'candidateCount' out of 'extra'"
            raise self._failed(RequestRefusedError(detail))
        self._spoke = True
        for part in (candidate.content and candidate.content.parts) or ():
            yield from self._listen(part)
        if candidate.finish_reason not in (None, *_UNSAID):
            self._finish = candidate.finish_reason
        ratings = [rating.category for rating in candidate.safety_ratings or () if rating.blocked]
        self._why += [candidate.finish_message] if candidate.finish_message else []
        self._why += [f"blocked for {', '.join(ratings)}"] if ratings else []

    def _listen(self, raw: dict[str, Any]) -> Iterator[Delta]:
        """One part: words, thoughts, a signature, a call, or something else."""
        try:
            part = msgspec.convert(raw, _Part)
        except msgspec.ValidationError as error:
            detail = f"a part of the reply cannot be understood ({error})"
            raise self._failed(MalformedReplyError(detail)) from error
        self._foreign |= dict.fromkeys(name for name in raw if name not in _KNOWN)
        text = "" if part.text is UNSET else part.text
        (self._thoughts if part.thought else self._text).append(text)
        self._keep(raw, part, text)
        if called := part.functionCall:
            self._calls.append(ToolCall(called.name, compact(called.args), called.id))
        if text:
            yield Delta(text, reasoning=part.thought)

    def _keep(self, raw: dict[str, Any], part: _Part, text: str) -> None:
        """Signed parts as they are, and the words between them."""
        if part.thoughtSignature is not UNSET:
            self._signed = True
            self._parts.append(raw)
        elif part.functionCall:
            self._parts.append(raw)
        elif text and not part.thought:
            last = self._parts[-1] if self._parts else None
            if isinstance(last, list):
                last.append(text)
            else:
                self._parts.append([text])

    def _bound(self) -> tuple[dict[str, Any], ...]:
        """The parts to be given back; words that came in pieces are one part."""
        return tuple(
            {"text": joined(part)} if isinstance(part, list) else part for part in self._parts
        )

    def _ending(self) -> tuple[Finish, str | None]:
        """Why it ended, in our words and in theirs."""
        if self._finish is None:
            return Finish.REFUSAL, self._blocked.block_reason if self._blocked else None
        finish = _FINISH.get(self._finish, Finish.UNKNOWN)
        return (Finish.CALL if finish is Finish.STOP and self._calls else finish), self._finish

    def _detail(self) -> str | None:
        """What the API said of a block, and what it sent beside words and thoughts."""
        told = list(self._why)
        if self._blocked:
            why = (self._blocked.block_reason, self._blocked.block_reason_message)
            told.append(f"the prompt was blocked: {': '.join(filter(None, why))}")
        if self._foreign:
            told.append(f"beside the words it sent {', '.join(self._foreign)}")
        return "; ".join(told) or None


def _counted(tokens: _Tokens) -> Usage:
    """Tokens; the API counts thoughts apart from the candidates, what was cached as part."""
    said = [
        n for n in (tokens.candidates_token_count, tokens.thoughts_token_count) if n is not None
    ]
    return Usage(
        input=tokens.prompt_token_count,
        output=sum(said) if said else None,
        cached=tokens.cached_content_token_count,
        reasoning=tokens.thoughts_token_count,
    )


def _classified(status: int, error: _Error) -> ProviderError:
    """The boundary that was crossed, from the error's status, its words, and HTTP's status."""
    reasons = [one["reason"] for one in error.details if isinstance(one.get("reason"), str)]
    named = " ".join(filter(None, (error.status, *reasons)))
    detail = f"{status}: {error.message or 'nothing was said'}{f' [{named}]' if named else ''}"
    kind = _KINDS.get(error.status) or status_kind(status)
    if kind is RequestRefusedError and _TOO_LONG.search(error.message):
        kind = ContextFullError
    if any(reason.startswith("API_KEY") for reason in reasons):
        kind = AuthenticationError
    return kind(detail + _remedy(kind, error.status), wait_s=_wait(error.details))


def _remedy(kind: type[ProviderError], status: str) -> str:
    """What to do next."""
    if kind is AuthenticationError:
        return "; check the key and what it may use"
    return "; check the model's name and the base URL" if status == "NOT_FOUND" else ""


def _wait(details: list[dict[str, Any]]) -> float | None:
    """How long to wait, in seconds, as a ``google.rpc.RetryInfo`` says it."""
    told = (_DELAY.fullmatch(str(one.get("retryDelay"))) for one in details)
    return max((float(found[1]) for found in told if found), default=None)
