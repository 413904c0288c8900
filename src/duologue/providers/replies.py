"""What the dialects with typed replies do alike: read JSON, name a failure by its status.

Whatever cannot be understood is one error, with the words that had come before it. This module
knows no dialect.
"""

import json
from collections.abc import Iterable
from http import HTTPStatus
from typing import TypeVar

import msgspec

from duologue.errors import (
    AuthenticationError,
    MalformedReplyError,
    OverloadError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitError,
    RequestRefusedError,
)

T = TypeVar("T")

_SHOWN = 2000


def understood(data: bytes, shape: type[T], partial: str = "") -> T:
    """JSON as a typed value; fields that ``shape`` does not name are ignored.

    Half a character (a lone surrogate, escaped) is let through: its other half may come next, and
    if it does not, the loop reports the reply with all that was said.

    Raises:
        MalformedReplyError: it is no UTF-8, no JSON, or something in it has the wrong type.
    """
    try:
        try:
            value = msgspec.json.decode(data)
        except msgspec.DecodeError:
            value = json.loads(data.decode())
        return msgspec.convert(value, shape)
    except (ValueError, RecursionError) as error:
        detail = f"what came cannot be understood ({error}): {shown(data)}"
        raise MalformedReplyError(detail, partial=partial) from error


def shown(data: bytes) -> str:
    """The beginning of a body in one line, for a message."""
    return " ".join(data[:_SHOWN].decode("utf-8", "backslashreplace").split()) or "nothing"


def joined(pieces: Iterable[str]) -> str:
    """The pieces as one text; halves of a character that came apart become whole."""
    text = "".join(pieces)
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    return text


def compact(value: object) -> str:
    """A text as it is, any other JSON value in as few characters as it takes."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def status_kind(status: int) -> type[ProviderError]:
    """The boundary that a status alone tells of, where no words of the API's own do."""
    match status:
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            return AuthenticationError
        case HTTPStatus.TOO_MANY_REQUESTS:
            return RateLimitError
        case HTTPStatus.REQUEST_TIMEOUT | HTTPStatus.GATEWAY_TIMEOUT:
            return ProviderTimeoutError
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return OverloadError
    return RequestRefusedError if status >= HTTPStatus.BAD_REQUEST else MalformedReplyError
