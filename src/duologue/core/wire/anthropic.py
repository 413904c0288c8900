"""Anthropic Messages.

The limit of tokens is required there; where none is declared the seat's own stands in, as an edit.
Caching is asked for once, at the top level: the breakpoint moves by itself, so the body only grows.
"""

from typing import Any

import msgspec

from duologue.core.event import Edit
from duologue.core.provider import Seat
from duologue.core.request import Called, Heard, Request, Tool, Wire
from duologue.core.wire.pieces import (
    Draft,
    begun,
    chosen,
    members,
    quirk,
    quoted,
    with_extra,
    written,
)
from duologue.core.wire.tools import answers

LIMIT = 4096

_NAMES = {
    "max_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "stop": "stop_sequences",
}


def _ours(block: dict[str, Any]) -> bool:
    """Whether bound reasoning came by this dialect: a block of a message's content."""
    kind, text = block.get("type"), block.get("text")
    return kind in ("thinking", "redacted_thinking") or (kind == "text" and isinstance(text, str))


class Messages(Draft):
    """``{"model", "stream", "max_tokens", …, "system", "messages": [...]}``, compact.

    The dialect has no seed.
    """

    ours = staticmethod(_ours)

    def __init__(self, seat: Seat, request: Request) -> None:
        """Begin with everything but the messages.

        Raises:
            RequestRefusedError: a field is declared twice.
        """
        super().__init__(seat, request)
        self._between = b""
        self._limit: tuple[Edit, ...] = ()
        sampling, extra = chosen(request.sampling, _NAMES), request.sampling.extra
        if "max_tokens" not in {*sampling, *extra}:
            detail = (
                f"{seat.provider} requires a limit of tokens and none is declared: {LIMIT} is sent"
            )
            self._limit = (Edit("max_tokens", detail),)
            sampling = {"max_tokens": LIMIT, **sampling}
        declared = {
            "model": seat.model,
            "stream": seat.settings.get("stream", True),
            **sampling,
            "system": request.system,
            "tools": list(map(_tool, request.tools)) or None,
        }
        caching = quirk(seat, "cache") == "automatic"
        default = {"cache_control": {"type": "ephemeral"}} if caching else {}
        head = members(with_extra(declared, extra, default, {"messages"}))
        self.put(begun(head) + b'"messages":[')

    def say(self, heard: Heard) -> None:
        """The message, and the answers to its calls."""
        self.put(self._between + _message(heard))
        self._between = b","

    def end(self, seed: int | None) -> Wire:  # noqa: ARG002 - it is not sent
        """Nothing stands after the messages."""
        return self.closed(b"]}", self._limit)


def encode(seat: Seat, request: Request) -> Wire:
    """The exact bytes of one request, from nothing.

    Raises:
        RequestRefusedError: the provider would refuse the view.
    """
    return written(Messages(seat, request))


def _tool(tool: Tool) -> dict[str, Any]:
    """A tool as it is offered."""
    schema = {"type": "object", "properties": {}}
    return {"name": tool.name, "description": tool.description, "input_schema": schema}


def _message(heard: Heard) -> bytes:
    """A message; the participant's own bound reasoning stands where it stood, unmodified.

    Its calls stand after the words, and their answers in a message after it.
    """
    role = b'{"role":' + quoted(heard.role.value) + b',"content":'
    if heard.calls:
        content = [*_content(heard), *map(_call, heard.calls)]
        return role + msgspec.json.encode(content) + b"}," + _answers(heard)
    if not heard.blocks:
        return role + quoted(heard.text) + b"}"
    return role + msgspec.json.encode(_content(heard)) + b"}"


def _content(heard: Heard) -> list[dict[str, Any]]:
    """The blocks as they came, if they hold the very words; else the words after the reasoning."""
    texts = [block["text"] for block in heard.blocks if block["type"] == "text"]
    if "".join(texts) == heard.text:
        return list(heard.blocks)
    reasoning = [block for block in heard.blocks if block["type"] != "text"]
    if heard.calls and not heard.text:
        return reasoning
    return [*reasoning, {"type": "text", "text": heard.text}]


def _call(call: Called) -> dict[str, Any]:
    """A call as it was made; its arguments are written as they came."""
    given = msgspec.Raw(call.arguments.encode())
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": given}


def _answers(heard: Heard) -> bytes:
    """What the calls of one message were answered with."""
    results = [
        {"type": "tool_result", "tool_use_id": call.id, "content": words}
        for call, words in answers(heard.calls)
    ]
    return msgspec.json.encode({"role": "user", "content": results})
