"""Anthropic Messages.

The limit of tokens is required there; where none is declared the seat's own stands in, as an edit.
Caching is asked for once, at the top level: the breakpoint moves by itself, so the body only grows.
"""

from duologue.core.event import Edit
from duologue.core.provider import Seat
from duologue.core.request import Heard, Request, Wire
from duologue.core.wire.pieces import body, chosen, members, quirk, quoted, voiced

LIMIT = 4096

_NAMES = {
    "max_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "stop": "stop_sequences",
}


def encode(seat: Seat, request: Request) -> Wire:
    """``{"model", "max_tokens", "stream", …, "system", "messages": [...]}``, compact.

    The dialect has no seed.

    Raises:
        RequestRefusedError: the provider would refuse the view.
    """
    heard, edits = voiced(seat, request)
    sampling = chosen(request.sampling, _NAMES)
    if "max_tokens" not in sampling:
        detail = f"{seat.provider} requires a limit of tokens and none is declared: {LIMIT} is sent"
        edits = (*edits, Edit("max_tokens", detail))
    caching = quirk(seat, "cache") == "automatic"
    head = members(
        {
            "model": seat.model,
            "max_tokens": LIMIT,
            **sampling,
            "stream": seat.settings.get("stream", True),
            **request.sampling.extra,
            "cache_control": {"type": "ephemeral"} if caching else None,
            "system": request.system,
        }
    )
    joined = b'"messages":[' + b",".join(_message(item) for item in heard)
    return Wire(body(head, joined + b"]"), len(head) + len(joined) + 2, edits)


def _message(heard: Heard) -> bytes:
    """A message; the participant's own bound reasoning comes before its words, unmodified."""
    role = b'{"role":' + quoted(heard.role.value) + b',"content":'
    if not heard.blocks:
        return role + quoted(heard.text) + b"}"
    words = ({"type": "text", "text": heard.text},) if heard.text else ()
    blocks = b",".join(body(members(block)) for block in (*heard.blocks, *words))
    return role + b"[" + blocks + b"]}"
