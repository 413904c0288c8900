"""Exact request bytes: one pure encoder for each dialect, chosen by the seat's ``dialect``.

An encoder is a function of the recorded seat and the request alone, so any body can be rebuilt
from the log, by the loop, by ``duologue verify`` and by a page that shows what a participant saw.
A body grows with its view; ``encode`` lets it grow from nothing. This package sends nothing.
"""

from collections.abc import Callable
from hashlib import blake2b

from msgspec.structs import replace

from duologue.core.provider import Seat
from duologue.core.request import Heard, Request, Wire
from duologue.core.wire.anthropic import Messages
from duologue.core.wire.gguf import Prompt
from duologue.core.wire.google import Contents
from duologue.core.wire.llm import Llm
from duologue.core.wire.openai import Chat
from duologue.core.wire.pieces import DIGEST_BYTES, Draft
from duologue.core.wire.plain import Plain
from duologue.core.wire.tools import Past, offered
from duologue.errors import ConfigurationError

ENCODERS: dict[str, Callable[[Seat, Request], Draft]] = {
    "anthropic": Messages,
    "gguf": Prompt,
    "google": Contents,
    "llm": Llm,
    "openai": Chat,
    "plain": Plain,
}


class Body:
    """The body of a participant's requests, which grows with its view."""

    def __init__(self, seat: Seat, request: Request) -> None:
        """Begin with the messages of ``request``; its seed does not count yet.

        Raises:
            ConfigurationError: no encoder has that dialect's name, or the seat cannot be offered
                what the spec declares.
            RequestRefusedError: the provider would refuse the view.
        """
        try:
            encoder = ENCODERS[seat.dialect]
        except KeyError:
            known = ", ".join(sorted(ENCODERS))
            raise ConfigurationError(
                f"no encoder for the dialect {seat.dialect!r} of model {seat.model!r}; "
                f"known: {known}"
            ) from None
        tools, self._edits = offered(seat, request)
        self._past = Past(seat)
        self._count = 0
        self._draft = encoder(seat, replace(request, tools=tools, messages=()))
        for heard in request.messages:
            self.add(heard)

    def add(self, heard: Heard) -> None:
        """The view holds one message more.

        Raises:
            RequestRefusedError: the provider would refuse it; the body is of no use any more.
        """
        self._draft.add(self._past.shown(heard, self._count))
        self._count += 1

    def wire(self, seed: int | None) -> Wire:
        """The exact bytes for the next turn.

        Raises:
            RequestRefusedError: there is nothing that the provider would answer.
        """
        wire = self._draft.close(seed)
        edits = (*self._edits, *self._past.edits)
        return replace(wire, edits=(*edits, *wire.edits)) if edits else wire


def encode(seat: Seat, request: Request) -> Wire:
    """The exact bytes that ``request`` is for ``seat``.

    Raises:
        ConfigurationError: no encoder has that dialect's name, or the seat cannot be offered what
            the spec declares.
        RequestRefusedError: the provider would refuse the view.
    """
    return Body(seat, request).wire(request.seed)


def digest(body: bytes) -> str:
    """BLAKE2b-256 of a body, in hexadecimal: how a request is named in the log."""
    return blake2b(body, digest_size=DIGEST_BYTES).hexdigest()
