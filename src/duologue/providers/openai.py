"""Replies and errors of OpenAI-compatible chat completions; requests are ``core.wire.openai``.

Many speak this dialect, each a little differently: DeepSeek and Moonshot count cached tokens in
places of their own, Mistral sends reasoning as parts of the content, OpenRouter as details that
must come back unmodified, and errors inside a 200. All of that is read here, whoever is asked.
This module opens no connection and knows no key's value.
"""

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from duologue.core.provider import Completion, Delta, Finish, Seat, ToolCall, Usage
from duologue.core.wire.openai import reasoning_back
from duologue.errors import (
    AuthenticationError,
    BrokenStreamError,
    ContextFullError,
    MalformedReplyError,
    OverloadError,
    ProviderError,
    RateLimitError,
    RequestRefusedError,
)
from duologue.providers.dialect import ServerEvent
from duologue.providers.replies import compact, joined, shown, understood

_FINISH = {
    "stop": Finish.STOP,
    "eos": Finish.STOP,
    "end_turn": Finish.STOP,
    "stop_sequence": Finish.STOP,
    "length": Finish.LENGTH,
    "max_tokens": Finish.LENGTH,
    "content_filter": Finish.CONTENT_FILTER,
    "refusal": Finish.REFUSAL,
    "tool_calls": Finish.CALL,
    "tool_use": Finish.CALL,
    "context_length_exceeded": Finish.CONTEXT_FULL,
    "model_context_window_exceeded": Finish.CONTEXT_FULL,
}
_GAVE_UP = {"error", "insufficient_system_resource"}
"""Finish reasons that are failures: OpenRouter's without an error beside it, and DeepSeek's."""

_CONTEXT = re.compile(
    r"context[ _-]?(length|window|size)|prompt is too long|model token limit"
    r"|reduce the length of the (messages|prompt|input)",
    re.IGNORECASE,
)
_UNPAID = re.compile(r"insufficient_quota|exceeded_current_quota|billing_|insufficient_balance")
_BUSY = re.compile(r"overloaded|unavailable")
# What an error without a status is, from the words of its type and code.
_STATUS = {
    "rate_limit": 429,
    "too_many_requests": 429,
    "quota": 429,
    "authentication": 401,
    "api_key": 401,
    "permission": 403,
    "not_found": 404,
    "context": 400,
    "exceed_context": 400,
    "invalid": 400,
    "moderation": 400,
}
_UNKNOWN = 500
_NO_KEY = {401, 403}
_RATE = {429}
_TOO_LONG = {400, 413, 422}
_PASSING = {408, 409, 425}


class _Said(msgspec.Struct):
    """A delta of a stream, or the message of a whole reply."""

    content: str | list[dict[str, Any]] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[dict[str, Any]] | None = None
    tool_calls: Any = None
    function_call: Any = None

    def words_alone(self) -> str | None:
        """The words of a delta that holds nothing beside them, as nearly every one does."""
        beside = self.refusal or self.reasoning_content or self.reasoning
        calls = self.tool_calls or self.function_call
        if beside or self.reasoning_details or calls or not isinstance(self.content, str):
            return None
        return self.content


class _Choice(msgspec.Struct):
    """What stands for the one reply that was asked for."""

    index: int = 0
    delta: _Said | None = None
    message: _Said | None = None
    finish_reason: str | None = None
    native_finish_reason: Any = None
    content_filter_results: Any = None
    usage: Any = None


class _Chunk(msgspec.Struct):
    """One event of a stream, or a whole reply: what counts of it, strictly, and the rest not."""

    choices: list[_Choice] | None = None
    model: Any = None
    usage: Any = None
    error: Any = None
    object: Any = None
    message: Any = None
    code: Any = None
    type: Any = None


_CHUNK = msgspec.json.Decoder(_Chunk)


class OpenAI:
    """The dialect; see ``duologue.providers.dialect.Dialect``."""

    def path(self, seat: Seat) -> str:  # noqa: ARG002 - the same for every model
        """Below a base URL that holds the version."""
        return "/chat/completions"

    def headers(self, key: str | None) -> dict[str, str]:
        """The key, if there is one, as a bearer token (RFC 6750)."""
        return {"Authorization": f"Bearer {key}"} if key else {}

    def reader(self, seat: Seat) -> "ChatReader":
        """A reader for one streamed reply."""
        return ChatReader(seat)

    def whole(self, seat: Seat, body: bytes) -> Completion:
        """A reply that was not streamed, without timings.

        Raises:
            ProviderError: it is an error in disguise, or cannot be understood.
        """
        reader = ChatReader(seat)
        reader.take(body)
        reader.finish()
        return reader.completion()

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:  # noqa: ARG002 - the wait in them is read by whoever sent the request
        """The error that a reply of any other status than 200 is."""
        return _classified(status, _problem(body))


class ChatReader:
    """Assembles one reply from its chunks, or from the one that is whole.

    Nothing is ever dropped as a duplicate: a delta that comes twice cannot be told from a model
    that says the same thing twice, and models do.
    """

    def __init__(self, seat: Seat) -> None:
        self._seat = seat
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._details: list[_Detail] = []
        self._calls: list[_Call] = []
        self._others: list[Any] = []
        self._refused = False
        self._spoke = False
        self._ended = False
        self._finish: str | None = None
        self._native: Any = None
        self._filter: Any = None
        self._model: str | None = None
        self._usage = Usage()

    @property
    def done(self) -> bool:
        """Whether the reply has said why it stops, or that it does."""
        return self._ended or self._finish is not None

    def feed(self, event: ServerEvent) -> list[Delta]:
        """Take one event; what it adds to words or reasoning.

        Raises:
            ProviderError: the event is an error, or cannot be understood.
        """
        data = event.data.strip()
        if data == b"[DONE]":
            self.finish()
            return []
        return self.take(data, failed=event.name == "error") if data else []

    def finish(self) -> None:
        """There is no more to come."""
        self._ended = True

    def take(self, data: bytes, *, failed: bool = False) -> list[Delta]:
        """Take a chunk, or a whole reply.

        Args:
            data: JSON.
            failed: whether it is known to be an error.

        Raises:
            ProviderError: it is an error, or cannot be understood.
        """
        chunk = self._chunk(data)
        self._model = chunk.model if isinstance(chunk.model, str) else self._model
        if chunk.usage is not None:
            self._count(chunk.usage)
        deltas = [delta for choice in chunk.choices or () for delta in self._choose(choice)]
        if chunk.error or chunk.object == "error" or failed:
            raise self._failed(_in_band(_problem(data)))
        if self._finish in _GAVE_UP:
            detail = f"the provider gave up in mid-reply: {self._finish} {self._native or ''}"
            raise self._failed(OverloadError(detail.rstrip()))
        return deltas

    def completion(self) -> Completion:
        """The whole reply, without timings.

        Raises:
            BrokenStreamError: the stream ended before the reply did.
            MalformedReplyError: there is no reply in it.
        """
        if not self.done:
            calling = f", while it called {self._called()}" if self._calls else ""
            raise self._failed(BrokenStreamError(f"the stream ended before the reply did{calling}"))
        if not self._spoke:
            raise MalformedReplyError("the reply holds no choices, so nothing was said")
        finish = self._normal()
        return Completion(
            text=joined(self._text),
            finish=finish,
            finish_raw=self._finish,
            usage=self._usage,
            served=self._model,
            reasoning=joined(self._reasoning) or None,
            detail=self._detail(finish),
            blocks=self._blocks(),
            calls=self._called(),
        )

    def _chunk(self, data: bytes) -> _Chunk:
        """The chunk in JSON: the quick way, or else the one that lets half a character through."""
        try:
            return _CHUNK.decode(data)
        except ValueError:
            return understood(data, _Chunk, joined(self._text))

    def _failed(self, error: ProviderError) -> ProviderError:
        """An error with the words that came before it."""
        error.partial = joined(self._text)
        return error

    def _choose(self, choice: _Choice) -> list[Delta]:
        """One choice: its words, and why it stops."""
        if choice.index:
            detail = "the reply holds more than one choice: take 'n' out of 'extra'"
            raise self._failed(RequestRefusedError(detail))
        self._spoke = True
        self._finish = choice.finish_reason or self._finish
        self._native = choice.native_finish_reason or self._native
        self._filter = choice.content_filter_results or self._filter
        if choice.usage is not None:
            self._count(choice.usage)
        if choice.delta or not choice.message:
            return self._listen(choice.delta) if choice.delta else []
        return self._listen(choice.message, whole=True)

    def _listen(self, said: _Said, *, whole: bool = False) -> list[Delta]:
        """Words and reasoning, kept apart; calls, which are neither."""
        if (words := said.words_alone()) is not None:
            return self._heard([Delta(words)] if words else [])
        words, thoughts = _parts(said.content)
        details = said.reasoning_details or []
        # Some say the same in two or three places, for clients old and new: the first one counts.
        thought = said.reasoning_content or said.reasoning or _thought(details) or thoughts
        self._refused = self._refused or bool(said.refusal)
        self._details += map(_Detail, details)
        self._call(said.tool_calls, whole=whole)
        self._others += [said.function_call] if said.function_call else []
        self._others += _no_words(said.content)
        deltas = [Delta(thought, reasoning=True)] if thought else []
        deltas += [Delta(text) for text in (words, said.refusal) if text]
        return self._heard(deltas)

    def _heard(self, deltas: list[Delta]) -> list[Delta]:
        """Keep what was said and thought."""
        for delta in deltas:
            (self._reasoning if delta.reasoning else self._text).append(delta.text)
        return deltas

    def _call(self, pieces: Any, *, whole: bool) -> None:  # noqa: ANN401 - whatever stands there
        """Pieces of calls, or calls that are whole; what has not their form goes on record too."""
        for piece in pieces if isinstance(pieces, list) else [pieces] if pieces else []:
            before = None if whole else _goes_on(self._calls, piece)
            if before is not None:
                before.add(piece)
            elif _names(piece):
                self._calls.append(_Call(piece))
            else:
                self._others.append(piece)

    def _called(self) -> tuple[ToolCall, ...]:
        """The calls so far."""
        return tuple(call.whole() for call in self._calls)

    def _count(self, usage: Any) -> None:  # noqa: ANN401 - a count that is wrong costs no reply
        """Tokens; the last count is the whole one."""
        self._usage = _usage(usage) if isinstance(usage, dict) else self._usage

    def _normal(self) -> Finish:
        """Why it stopped, in our words."""
        if self._refused or self._native == "refusal":
            return Finish.REFUSAL
        finish = _FINISH.get(self._finish or "", Finish.UNKNOWN)
        return Finish.CALL if finish is Finish.STOP and self._calls else finish

    def _detail(self, finish: Finish) -> str | None:
        """What the provider said about a reply that did not simply stop."""
        said = ["refusal field"] if self._refused else []
        if finish is not Finish.STOP and self._native not in (None, self._finish):
            said.append(f"native_finish_reason {self._native}")
        if finish is Finish.CONTENT_FILTER and self._filter:
            said.append(json.dumps(self._filter))
        if self._others:
            said.append(f"beside the words it sent {json.dumps(self._others)}")
        return "; ".join(said) or None

    def _blocks(self) -> tuple[dict[str, Any], ...]:
        """The reasoning in the form in which this provider wants it back, if it does."""
        field = reasoning_back(self._seat, calls=bool(self._calls))
        value = (
            _assembled(self._details) if field == "reasoning_details" else joined(self._reasoning)
        )
        return ({"field": field, "value": value},) if field and value else ()


class _Call:
    """One call of a tool, as its pieces come."""

    def __init__(self, piece: dict[str, Any]) -> None:
        self.place = piece.get("index")
        self.id = ""
        self._name = ""
        self._arguments: list[str] = []
        self.add(piece)

    def add(self, piece: dict[str, Any]) -> None:
        """Take the next piece; some say the id and the name again in every one."""
        called = _function(piece)
        self.id = self.id or _string(piece, "id")
        name = _string(called, "name")
        self._name += name if name != self._name else ""
        given = called.get("arguments")
        self._arguments += [] if given is None else [compact(given)]

    def whole(self) -> ToolCall:
        """The call."""
        return ToolCall(joined([self._name]), joined(self._arguments), self.id or None)


def _function(piece: dict[str, Any]) -> dict[str, Any]:
    """What a piece says of the tool that is called."""
    called = piece.get("function")
    return called if isinstance(called, dict) else {}


def _names(piece: Any) -> bool:  # noqa: ANN401 - whatever stands there
    """Whether a piece begins a call: it names a tool."""
    return isinstance(piece, dict) and bool(_string(_function(piece), "name"))


def _goes_on(calls: list[_Call], piece: Any) -> _Call | None:  # noqa: ANN401 - whatever stands there
    """The call of which a piece is more; None for the first of a new one.

    The index tells. Where there is none, or one stands for several, another id is another call.
    """
    if not isinstance(piece, dict):
        return None
    place, name = piece.get("index"), _string(piece, "id")
    for call in reversed(calls):
        if name and call.id and name != call.id:
            continue
        if (place is None and not _names(piece)) or (place is not None and place == call.place):
            return call
    return None


class _Detail:
    """One reasoning detail, as its chunks come."""

    def __init__(self, chunk: dict[str, Any]) -> None:
        self.fields = chunk
        self.pieces: dict[str, list[str]] = {
            name: [chunk[name]] for name in ("text", "summary") if isinstance(chunk.get(name), str)
        }

    def continues(self, before: "_Detail") -> bool:
        """Whether this is more of the one before, and not the next one."""
        same = all(self.fields.get(name) == before.fields.get(name) for name in ("type", "index"))
        return same and bool(self.pieces) and bool(before.pieces)

    def add(self, after: "_Detail") -> None:
        """Take the next chunk of the same detail; what is null in it says nothing."""
        known = {name: value for name, value in after.fields.items() if value is not None}
        self.fields = self.fields | known
        for name, pieces in after.pieces.items():
            self.pieces.setdefault(name, []).extend(pieces)

    def whole(self) -> dict[str, Any]:
        """The detail."""
        return self.fields | {name: joined(pieces) for name, pieces in self.pieces.items()}


def _assembled(chunks: list[_Detail]) -> list[dict[str, Any]]:
    """The details in order, each whole."""
    details: list[_Detail] = []
    for chunk in chunks:
        if details and chunk.continues(details[-1]):
            details[-1].add(chunk)
        else:
            details.append(chunk)
    return [detail.whole() for detail in details]


def _parts(content: str | list[dict[str, Any]] | None) -> tuple[str, str]:
    """Words and reasoning of a content that may be a text, a list of parts, or nothing."""
    if not isinstance(content, list):
        return content or "", ""
    words = "".join(_string(part, "text") for part in content if part.get("type") == "text")
    thoughts = [part.get("thinking") or [] for part in content if part.get("type") == "thinking"]
    return words, "".join(one if isinstance(one, str) else _parts(one)[0] for one in thoughts)


def _no_words(content: str | list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """The parts of a content that are neither words nor reasoning."""
    parts = content if isinstance(content, list) else []
    return [part for part in parts if part.get("type") not in {"text", "thinking"}]


def _thought(details: list[dict[str, Any]]) -> str:
    """What can be read of reasoning details."""
    return "".join(_string(one, "text") or _string(one, "summary") for one in details)


def _string(values: Mapping[str, Any], name: str) -> str:
    """A text in an object, or an empty one."""
    value = values.get(name)
    return value if isinstance(value, str) else ""


def _usage(usage: Mapping[str, Any]) -> Usage:
    """Tokens, from wherever this provider counts them."""
    read, said = _number(usage, "prompt_tokens"), _number(usage, "completion_tokens")
    thought = _number(usage.get("completion_tokens_details"), "reasoning_tokens")
    cached = _number(usage.get("prompt_tokens_details"), "cached_tokens")
    for name in ("prompt_cache_hit_tokens", "cached_tokens"):  # DeepSeek's and Moonshot's
        cached = _number(usage, name) if cached is None else cached
    if read is not None and said is not None and thought:
        # xAI counts reasoning beside the reply, all others as part of it; the total tells.
        beside = _number(usage, "total_tokens") == read + said + thought
        said += thought if beside else 0
    return Usage(read, said, cached=cached, reasoning=thought)


def _number(values: Any, name: str) -> int | None:  # noqa: ANN401 - whatever stands there
    """A whole number in an object, if there is one."""
    value = values.get(name) if isinstance(values, dict) else None
    return value if type(value) is int else None


class _Problem(msgspec.Struct, frozen=True):
    """An error in the provider's words.

    Attributes:
        message: for a person.
        kind: its type and code, in one text; empty if it has none.
        status: the status that it names itself.
        moderated: whether the input was refused for what it says.
    """

    message: str
    kind: str = ""
    status: int | None = None
    moderated: bool = False


def _problem(body: bytes) -> _Problem:
    """The error in a body: JSON in one of several shapes, or anything else as it stands."""
    try:
        value: Any = understood(body, object)
    except MalformedReplyError:
        return _Problem(shown(body))
    inner = value.get("error") if isinstance(value, dict) else None
    told = inner or value
    if not isinstance(told, dict):
        return _Problem(_words(told))
    meta = told.get("metadata")
    metadata: dict[str, Any] = meta if isinstance(meta, dict) else {}
    message = _words(told.get("message") or told.get("detail") or told)
    raw = metadata.get("raw")  # the words of whom OpenRouter asked
    names = (told.get("type"), told.get("code"), metadata.get("error_type"))
    return _Problem(
        f"{message}: {_words(raw)}" if raw else message,
        " ".join(name for name in names if isinstance(name, str)),
        _status(told.get("code")),
        moderated="flagged_input" in metadata or "reasons" in metadata,
    )


def _words(value: Any) -> str:  # noqa: ANN401 - whatever stands there
    """A text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def _status(code: Any) -> int | None:  # noqa: ANN401 - whatever stands there
    """An HTTP status, if a code is one."""
    number = int(code) if isinstance(code, int | str) and re.fullmatch(r"\d{3}", str(code)) else 0
    return number if number >= 400 else None  # noqa: PLR2004 - errors begin there


def _in_band(problem: _Problem) -> ProviderError:
    """The error that an error inside a 200 is; what is not known may pass."""
    named = (status for word, status in _STATUS.items() if word in problem.kind)
    status = problem.status or next(named, _UNKNOWN)
    return _classified(status, problem)


def _classified(status: int, problem: _Problem) -> ProviderError:
    """The boundary that was crossed, from status and words."""
    kind, advice = _boundary(status, problem)
    named = f" [{problem.kind}]" if problem.kind else ""
    return kind(f"{status}: {problem.message}{named}{advice}")


def _boundary(status: int, problem: _Problem) -> tuple[type[ProviderError], str]:
    """The class of the error, and what to do next."""
    words = f"{problem.kind} {problem.message}"
    if problem.moderated:
        return RequestRefusedError, "; the provider's moderation refused the conversation"
    if status in _NO_KEY:
        return AuthenticationError, "; check the key"
    if status == HTTPStatus.PAYMENT_REQUIRED or (status in _RATE and _UNPAID.search(problem.kind)):
        return RequestRefusedError, "; the account cannot pay: waiting will not help"
    if status in _TOO_LONG and _CONTEXT.search(words):
        return ContextFullError, ""
    if status == HTTPStatus.NOT_FOUND:
        return RequestRefusedError, "; check the model's name and the base URL"
    if status in _RATE:
        return (OverloadError if _BUSY.search(problem.kind) else RateLimitError), ""
    if status in _PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return OverloadError, ""
    return RequestRefusedError, ""
