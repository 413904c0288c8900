"""The values that the hostile server is made of: what was asked, what is said, what is sent.

This module knows no dialect, no scenario and no socket.
"""

import re
from collections.abc import Iterable
from enum import StrEnum
from itertools import pairwise
from typing import Any

import msgspec

# Stands in a reply for bytes that no JSON encoder would write; put in after encoding.
UNWRITABLE = "@@UNWRITABLE@@"

# A long text comes in few large events: longer lines than most readers of lines allow.
_PIECE = 1024 * 1024
_LONG = 16 * 1024


class Finish(StrEnum):
    """Why a reply stops, in words of our own; each dialect has its own for them."""

    STOP = "stop"
    LENGTH = "length"
    REFUSAL = "refusal"
    CONTENT_FILTER = "content_filter"
    CONTEXT_FULL = "context_full"
    CALL = "call"


class Shape(StrEnum):
    """What is odd about the place where the words should stand."""

    NORMAL = "normal"
    NULL = "null"  # the place is there and holds null
    NOTHING = "nothing"  # there is no place


class Style(StrEnum):
    """Providers of one dialect have more than one way to send reasoning."""

    FIRST = "first"
    SECOND = "second"


class Problem(StrEnum):
    """An error that a provider reports, named apart from how it is spelt on the wire."""

    INVALID = "invalid"
    UNAUTHORIZED = "unauthorized"
    ECHOED_KEY = "echoed_key"
    NO_MODEL = "no_model"
    TOO_LARGE = "too_large"
    CONTEXT_FULL = "context_full"
    FILTERED = "filtered"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    UNAVAILABLE = "unavailable"
    OVERLOADED = "overloaded"


# The boundary that each problem crosses, in the words of ``duologue.errors``. A reply that the
# provider's filter held back has no class there yet.
BOUNDARY = {
    Problem.INVALID: "request_refused",
    Problem.UNAUTHORIZED: "authentication",
    Problem.ECHOED_KEY: "authentication",
    Problem.NO_MODEL: "request_refused",
    Problem.TOO_LARGE: "request_refused",
    Problem.CONTEXT_FULL: "context_full",
    Problem.FILTERED: "content_filter",
    Problem.RATE_LIMITED: "rate_limit",
    Problem.SERVER_ERROR: "overload",
    Problem.UNAVAILABLE: "overload",
    Problem.OVERLOADED: "overload",
}


class Objection(msgspec.Struct, frozen=True):
    """Why a request is not acceptable, as the provider words it."""

    message: str
    param: str | None = None
    code: str | None = None


class Tokens(msgspec.Struct, frozen=True):
    """What is reported as usage. ``written`` is part of ``input``, and so is ``cached``."""

    input: int = 0
    cached: int = 0
    written: int = 0
    output: int = 0
    reasoning: int = 0


class Ask(msgspec.Struct, frozen=True):
    """One request, understood.

    Attributes:
        dialect: ``openai``, ``anthropic`` or ``google``.
        provider: the first part of the path, or the dialect where there is none.
        sent: the model as it was sent.
        model: the model without the scenario after ``!``.
        key: the API key, or an empty string.
        stream: whether events were asked for.
        body: the request.
        problem: why it could not be understood at all.
    """

    dialect: str
    provider: str
    sent: str
    model: str
    key: str
    stream: bool
    body: dict[str, Any] = {}
    problem: Objection | None = None


class Prompt(msgspec.Struct, frozen=True):
    """What a prefix cache compares.

    Attributes:
        parts: the messages in order, each with its role.
        marks: how many parts stand before each breakpoint; None where caching is automatic.
    """

    parts: tuple[str, ...]
    marks: tuple[int, ...] | None = None


class Calling(msgspec.Struct, frozen=True):
    """A call of a tool: its name, and an object as compact JSON."""

    name: str
    arguments: str = "{}"


class Saying(msgspec.Struct, frozen=True):
    """What a model says, before a dialect spells it."""

    text: str
    finish: Finish = Finish.STOP
    reasoning: str = ""
    style: Style = Style.FIRST
    shape: Shape = Shape.NORMAL
    category: str | None = None
    served: str = ""
    tokens: Tokens = Tokens()
    calls: tuple[Calling, ...] = ()


class Truth(msgspec.Struct, frozen=True):
    """What really happened, for a test to hold a record against.

    Attributes:
        boundary: what the client must find was crossed; None if the reply is whole.
        text: the words that were put on the wire; partial where a boundary was crossed. After a
            ``reset`` the client may have got any beginning of it.
        reasoning: likewise.
        finish: why the reply stopped, if it came to that.
        served: the model that the reply names.
        wait_s: how long the client was told to wait, in seconds.
        category: a refusal's category, where the dialect has one.
        calls: the tools that were called.
    """

    boundary: str | None = None
    text: str = ""
    reasoning: str = ""
    finish: Finish | None = None
    served: str = ""
    wait_s: float | None = None
    category: str | None = None
    calls: tuple[Calling, ...] = ()


class Frame(msgspec.Struct, frozen=True):
    """Bytes that are written at once, and the words that they carry."""

    data: bytes
    text: str = ""
    reasoning: str = ""


class Pause(msgspec.Struct, frozen=True):
    """Nothing, for so many seconds."""

    seconds: float


Step = Frame | Pause


class Close(StrEnum):
    """What becomes of the connection."""

    KEEP = "keep"
    CUT = "cut"  # closed in the middle of the body
    RESET = "reset"  # an RST in the middle of the body


class Reply(msgspec.Struct, frozen=True):
    """One HTTP response, as a plan.

    Attributes:
        truth: what it amounts to.
        steps: the body.
        status: zero is no head at all: the connection ends before a byte is sent.
        chunked: sent in chunks, one a frame; otherwise with a length.
        length: a declared length that is a lie.
        late_s: seconds before the first byte.
    """

    truth: Truth
    steps: tuple[Step, ...] = ()
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/json"
    chunked: bool = False
    length: int | None = None
    close: Close = Close.KEEP
    late_s: float = 0


def json(value: object) -> bytes:
    """Compact JSON."""
    return msgspec.json.encode(value)


def frames(steps: Iterable[Step]) -> list[Frame]:
    """The steps that write something."""
    return [step for step in steps if isinstance(step, Frame)]


def body(steps: Iterable[Step]) -> bytes:
    """Everything that the steps write."""
    return b"".join(frame.data for frame in frames(steps))


def words(steps: Iterable[Step]) -> tuple[str, str]:
    """The text and the reasoning that the steps carry."""
    sent = frames(steps)
    return "".join(frame.text for frame in sent), "".join(frame.reasoning for frame in sent)


def pieces(text: str) -> list[str]:
    """``text`` as a model would stream it; the pieces joined are ``text``."""
    if len(text) > _LONG:
        return [text[at : at + _PIECE] for at in range(0, len(text), _PIECE)]
    return re.findall(r"\s*\S+|\s+\Z", text)


def crumbs(text: str) -> list[str]:
    """``text`` in pieces of one, two and three characters, which cut words, escapes and numbers."""
    cuts = [sum((1, 2, 3)[at % 3] for at in range(n)) for n in range(len(text) + 1)]
    return [text[a:b] for a, b in pairwise(cuts) if text[a:b]]


def count(text: str) -> int:
    """Tokens of ``text`` as this server counts them: four bytes of UTF-8 are one."""
    return (len(text.encode(errors="replace")) + 3) // 4
