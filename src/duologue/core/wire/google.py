"""Google generateContent.

The model stands in the address, not in the body. Neighbours of one role are refused by the API,
so they become parts of one content, as an edit: no word is changed. What differs from turn to turn
(the seed) stands after the contents.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

import msgspec

from duologue.core.event import Edit
from duologue.core.provider import Seat
from duologue.core.request import Called, Heard, Request, Role, Tool, Wire
from duologue.core.wire.pieces import (
    body,
    chosen,
    members,
    present,
    quoted,
    voiced,
    with_extra,
)
from duologue.core.wire.tools import answers
from duologue.errors import RequestRefusedError

_ROLES = {Role.OWN: b'"model"', Role.OTHER: b'"user"'}
_NAMES = {
    "temperature": "temperature",
    "top_p": "topP",
    "max_tokens": "maxOutputTokens",
    "stop": "stopSequences",
}


def encode(seat: Seat, request: Request) -> Wire:
    """``{"systemInstruction", "contents": [...], "generationConfig": {...}}``, compact.

    ``sampling.extra`` stands beside ``contents``; a ``generationConfig`` in it is joined with what
    is declared, so ``{"generationConfig": {"thinkingConfig": ...}, "safetySettings": [...]}``.

    Raises:
        RequestRefusedError: the provider would refuse the view.
    """
    heard, edits = voiced(seat, request, _ours)
    sides = [side for item in heard for side in _sides(item)]
    runs = [list(run) for _, run in groupby(sides, key=lambda side: side[0])]
    if len(runs) < len(sides):
        detail = f"{seat.provider} refuses neighbours of one role: they are parts of one content"
        edits = (*edits, Edit("joined", detail))
    told = None if request.system is None else {"parts": [{"text": request.system}]}
    offered = [{"functionDeclarations": list(map(_tool, request.tools))}] if request.tools else None
    system = present({"systemInstruction": told, "tools": offered})
    head, tail = members(system), members(_tail(request, {"contents", *system}))
    contents = b'"contents":[' + b",".join(_content(run) for run in runs)
    open_end = len(contents) - len(b"]}")
    before = len(b"{") + (len(head) + len(b",") if head else 0)
    return Wire(body(head, contents + b"]", tail), before + open_end, edits)


def _tail(request: Request, taken: Iterable[str]) -> dict[str, Any]:
    """Everything but the system's words and the contents."""
    extra = dict(request.sampling.extra)
    within = extra.pop("generationConfig", {})
    if not isinstance(within, dict):
        raise RequestRefusedError("'generationConfig' in 'extra' must be a table")
    declared = {**chosen(request.sampling, _NAMES), "seed": request.seed}
    config = with_extra(declared, within)
    return with_extra({"generationConfig": config or None}, extra, taken=taken)


def _tool(tool: Tool) -> dict[str, str]:
    """A tool as it is offered; the API refuses parameters that are an empty object."""
    return {"name": tool.name, "description": tool.description}


def _ours(block: dict[str, Any]) -> bool:
    """Whether bound reasoning came by this dialect: a signed part, words or calls beside it."""
    text = block.get("text", "")
    return isinstance(text, str) and (
        isinstance(block.get("thoughtSignature"), str)
        or block.keys() == {"text"}
        or "functionCall" in block
    )


_Side = tuple[Role, list[bytes]]


def _sides(heard: Heard) -> Iterator[_Side]:
    """The parts of a message, and the answers to its calls as parts of the other side."""
    yield heard.role, _parts(heard)
    if heard.calls:
        yield Role.OTHER, [_answer(call, words) for call, words in answers(heard.calls)]


def _content(run: list[_Side]) -> bytes:
    """One content: what one side said before the other answered."""
    parts = b",".join(part for _, parts in run for part in parts)
    return b'{"role":' + _ROLES[run[0][0]] + b',"parts":[' + parts + b"]}"


def _parts(heard: Heard) -> list[bytes]:
    """The parts as they came, if they hold the very words; else the words after the reasoning.

    A call that came among such parts is one of them, with its signature.
    """
    blocks = heard.blocks
    among = any("functionCall" in block for block in blocks)
    calls = [] if among else list(map(_call, heard.calls))
    texts = [block.get("text", "") for block in blocks if not block.get("thought")]
    if blocks and "".join(texts) == heard.text:
        said = [msgspec.json.encode(block) for block in blocks]
    else:
        bound = [block for block in blocks if block.get("thought") or not block.get("text")]
        words = [b'{"text":' + quoted(heard.text) + b"}"] if heard.text or not heard.calls else []
        said = [*map(msgspec.json.encode, bound), *words]
    return [*said, *calls]


def _call(call: Called) -> bytes:
    """A call as it was made; its arguments are written as they came."""
    given = msgspec.Raw(call.arguments.encode())
    called = present({"id": call.id, "name": call.name, "args": given})
    return msgspec.json.encode({"functionCall": called})


def _answer(call: Called, words: str) -> bytes:
    """What a call was answered with."""
    given = present({"id": call.id, "name": call.name, "response": {"output": words}})
    return msgspec.json.encode({"functionResponse": given})
