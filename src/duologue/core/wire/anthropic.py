"""Anthropic Messages.

The limit of tokens is required there; where none is declared the seat's own stands in, as an edit.
Caching is asked for once, at the top level: the breakpoint moves by itself, so the body only grows.
"""

from typing import Any

import msgspec

from duologue.core.event import Edit
from duologue.core.provider import Seat
from duologue.core.request import Heard, Request, Wire
from duologue.core.wire.pieces import body, chosen, members, quirk, quoted, voiced, with_extra

LIMIT = 4096

_NAMES = {
    "max_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "stop": "stop_sequences",
}


def encode(seat: Seat, request: Request) -> Wire:
    """``{"model", "stream", "max_tokens", …, "system", "messages": [...]}``, compact.

    The dialect has no seed.

    Raises:
        RequestRefusedError: the provider would refuse the view.
    """
    heard, edits = voiced(seat, request, _ours)
    sampling, extra = chosen(request.sampling, _NAMES), request.sampling.extra
    if "max_tokens" not in {*sampling, *extra}:
        detail = f"{seat.provider} requires a limit of tokens and none is declared: {LIMIT} is sent"
        edits = (*edits, Edit("max_tokens", detail))
        sampling = {"max_tokens": LIMIT, **sampling}
    caching = quirk(seat, "cache") == "automatic"
    stream = seat.settings.get("stream", True)
    declared = {"model": seat.model, "stream": stream, **sampling, "system": request.system}
    default = {"cache_control": {"type": "ephemeral"}} if caching else {}
    head = members(with_extra(declared, extra, default, {"messages"}))
    joined = b'"messages":[' + b",".join(_message(item) for item in heard)
    return Wire(body(head, joined + b"]"), len(head) + len(joined) + 2, edits)


def _ours(block: dict[str, Any]) -> bool:
    """Whether bound reasoning came by this dialect: a block of a message's content."""
    kind, text = block.get("type"), block.get("text")
    return kind in ("thinking", "redacted_thinking") or (kind == "text" and isinstance(text, str))


def _message(heard: Heard) -> bytes:
    """A message; the participant's own bound reasoning stands where it stood, unmodified."""
    role = b'{"role":' + quoted(heard.role.value) + b',"content":'
    if not heard.blocks:
        return role + quoted(heard.text) + b"}"
    return role + msgspec.json.encode(_content(heard)) + b"}"


def _content(heard: Heard) -> list[dict[str, Any]]:
    """The blocks as they came, if they hold the very words; else the words after the reasoning."""
    texts = [block["text"] for block in heard.blocks if block["type"] == "text"]
    if "".join(texts) == heard.text:
        return list(heard.blocks)
    reasoning = [block for block in heard.blocks if block["type"] != "text"]
    return [*reasoning, {"type": "text", "text": heard.text}]
