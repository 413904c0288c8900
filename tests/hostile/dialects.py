"""Which dialect a request speaks, and what it asks.

    POST [/PROVIDER]/v1/chat/completions                       openai
    POST [/PROVIDER]/v1/messages                               anthropic
    POST [/PROVIDER]/v1beta/models/MODEL:generateContent       google
    POST [/PROVIDER]/v1beta/models/MODEL:streamGenerateContent google
    GET  .../models

The version may be left out, so that any convention of base URLs works. This module knows no
socket and no misbehaviour.
"""

import re
from collections.abc import Mapping
from types import ModuleType
from typing import Protocol, cast
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from . import anthropic, google, openai
from .parts import Ask, Frame, Objection, Problem, Prompt, Reply, Saying, Truth


class Dialect(Protocol):
    """What each of the three modules offers."""

    NAME: str
    COMMENT: bytes

    def objection(self, ask: Ask) -> Objection | None:
        """What the API would not accept in this request."""

    def prompt(self, ask: Ask) -> Prompt:
        """What a prefix cache compares."""

    def tools(self, ask: Ask) -> list[str]:
        """The names of the tools that are offered."""

    def own_turns(self, ask: Ask) -> int:
        """How many messages of the history are the model's own."""

    def whole(self, ask: Ask, saying: Saying) -> bytes:
        """The body of a reply that is not streamed."""

    def stream(self, ask: Ask, saying: Saying) -> list[Frame]:
        """The events of a streamed reply."""

    def fault(self, problem: Problem, ask: Ask, *, wait_s: float | None, why: Objection) -> Reply:
        """An error as this API reports it."""

    def context_full(self, tokens: int, window: int) -> Objection:
        """The message of a view that is too long."""

    def error_body(self, ask: Ask) -> bytes:
        """An error inside a 200."""

    def error_events(self, ask: Ask, saying: Saying) -> list[Frame]:
        """An error in the middle of a stream."""

    def models(self, names: tuple[str, ...]) -> bytes:
        """The list of models."""

    def truth(self, saying: Saying) -> Truth:
        """What a client should make of a whole reply."""


def _as_dialect(module: ModuleType) -> Dialect:
    """A module with those functions is a dialect; ``test_server`` holds each one to it."""
    return cast("Dialect", module)


DIALECTS: dict[str, Dialect] = {
    module.NAME: _as_dialect(module) for module in (openai, anthropic, google)
}
VERSIONS = {"anthropic": "v1", "google": "v1beta"}

_PATH = re.compile(
    r"(?:/(?P<provider>(?!v1)[a-z0-9.-]+))?(?:/v1(?:beta)?)?"
    r"(?:/(?P<call>chat/completions|messages)"
    r"|/models/(?P<model>.+):(?P<verb>generateContent|streamGenerateContent)"
    r"|/(?P<list>models))$"
)
_CALLS = {"chat/completions": "openai", "messages": "anthropic", None: "google"}


class Route(msgspec.Struct, frozen=True):
    """Where a request goes."""

    dialect: str
    provider: str
    listing: bool
    model: str
    stream: bool
    query: Mapping[str, list[str]]


def route(target: str, headers: Mapping[str, str]) -> Route | None:
    """The dialect that a path belongs to; None if it belongs to none."""
    url = urlsplit(target)
    found = _PATH.match(url.path)
    if found is None:
        return None
    dialect = _lister(url.path, headers) if found["list"] else _CALLS[found["call"]]
    return Route(
        dialect=dialect,
        provider=found["provider"] or dialect,
        listing=bool(found["list"]),
        model=unquote(found["model"] or ""),
        stream=found["verb"] == "streamGenerateContent",
        query=parse_qs(url.query),
    )


def _lister(path: str, headers: Mapping[str, str]) -> str:
    """Two dialects list their models at one path; they differ in their headers."""
    if "v1beta" in path or "x-goog-api-key" in headers:
        return "google"
    return "anthropic" if "anthropic-version" in headers or "x-api-key" in headers else "openai"


def ask(where: Route, headers: Mapping[str, str], body: bytes) -> Ask:
    """What a request asks. A body that is no JSON object becomes a ``problem``."""
    problem, read = None, {}
    try:
        read = msgspec.json.decode(body or b"{}", type=dict)
    except msgspec.DecodeError as error:
        problem = Objection(f"We could not parse the JSON body of your request: {error}")
    sent = where.model or str(read.get("model", ""))
    return Ask(
        dialect=where.dialect,
        provider=where.provider,
        sent=sent,
        model=sent.partition("!")[0],
        key=key(where, headers),
        stream=where.stream or bool(read.get("stream")),
        body=read,
        problem=problem,
    )


def key(where: Route, headers: Mapping[str, str]) -> str:
    """The API key, from wherever the three of them put it."""
    bearer = headers.get("authorization", "").removeprefix("Bearer ").strip()
    named = headers.get("x-api-key") or headers.get("x-goog-api-key")
    return named or bearer or where.query.get("key", [""])[0]
