"""Exact request bytes: one pure encoder for each dialect, chosen by the seat's ``dialect``.

An encoder is a function of the recorded seat and the request alone, so any body can be rebuilt
from the log, by the loop, by ``duologue verify`` and by a page that shows what a participant saw.
This package sends nothing.
"""

from collections.abc import Callable
from hashlib import blake2b

from msgspec.structs import replace

from duologue.core.provider import Seat
from duologue.core.request import Request, Wire
from duologue.core.wire import anthropic, gguf, google, llm, openai, plain
from duologue.core.wire.tools import fitted
from duologue.errors import ConfigurationError

Encoder = Callable[[Seat, Request], Wire]

ENCODERS: dict[str, Encoder] = {
    "anthropic": anthropic.encode,
    "gguf": gguf.encode,
    "google": google.encode,
    "llm": llm.encode,
    "openai": openai.encode,
    "plain": plain.encode,
}


def encode(seat: Seat, request: Request) -> Wire:
    """The exact bytes that ``request`` is for ``seat``.

    Raises:
        ConfigurationError: no encoder has that dialect's name, or the seat cannot be offered what
            the spec declares.
    """
    try:
        encoder = ENCODERS[seat.dialect]
    except KeyError:
        known = ", ".join(sorted(ENCODERS))
        raise ConfigurationError(
            f"no encoder for the dialect {seat.dialect!r} of model {seat.model!r}; known: {known}"
        ) from None
    fit, edits = fitted(seat, request)
    wire = encoder(seat, fit)
    return replace(wire, edits=(*edits, *wire.edits)) if edits else wire


def digest(body: bytes) -> str:
    """BLAKE2b-256 of a body, in hexadecimal: how a request is named in the log."""
    return blake2b(body, digest_size=32).hexdigest()
