"""Google generateContent.

The model stands in the address, not in the body. Neighbours of one role are refused by the API,
so they become parts of one content, as an edit: no word is changed. What differs from turn to turn
(the seed) stands after the contents.
"""

from collections.abc import Iterable
from itertools import groupby
from typing import Any

import msgspec

from duologue.core.event import Edit
from duologue.core.provider import Seat
from duologue.core.request import Heard, Request, Role, Wire
from duologue.core.wire.pieces import (
    body,
    chosen,
    members,
    present,
    quoted,
    voiced,
    with_extra,
)
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
    runs = [list(run) for _, run in groupby(heard, key=lambda item: item.role)]
    if len(runs) < len(heard):
        detail = f"{seat.provider} refuses neighbours of one role: they are parts of one content"
        edits = (*edits, Edit("joined", detail))
    told = None if request.system is None else {"parts": [{"text": request.system}]}
    system = present({"systemInstruction": told})
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


def _ours(block: dict[str, Any]) -> bool:
    """Whether bound reasoning came by this dialect: a signed part, or words between such."""
    text = block.get("text", "")
    return isinstance(text, str) and (
        isinstance(block.get("thoughtSignature"), str) or block.keys() == {"text"}
    )


def _content(run: list[Heard]) -> bytes:
    """One content: what one side said before the other answered."""
    parts = b",".join(part for heard in run for part in _parts(heard))
    return b'{"role":' + _ROLES[run[0].role] + b',"parts":[' + parts + b"]}"


def _parts(heard: Heard) -> list[bytes]:
    """The parts as they came, if they hold the very words; else the words after the reasoning."""
    texts = [block.get("text", "") for block in heard.blocks if not block.get("thought")]
    if heard.blocks and "".join(texts) == heard.text:
        return [msgspec.json.encode(block) for block in heard.blocks]
    bound = [block for block in heard.blocks if block.get("thought") or not block.get("text")]
    return [*map(msgspec.json.encode, bound), b'{"text":' + quoted(heard.text) + b"}"]
