"""Google generateContent.

The model stands in the address, not in the body. Neighbours of one role are refused by the API,
so they become parts of one content, as an edit: no word is changed. What differs from turn to turn
(the seed) stands after the contents.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec.structs import replace

from duologue.core.event import Edit
from duologue.core.provider import Seat
from duologue.core.request import Called, Heard, Request, Role, Tool, Wire
from duologue.core.wire.pieces import (
    Draft,
    begun,
    chosen,
    ended,
    members,
    present,
    quoted,
    with_extra,
    written,
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


def _ours(block: dict[str, Any]) -> bool:
    """Whether bound reasoning came by this dialect: a signed part, words or calls beside it."""
    text = block.get("text", "")
    return isinstance(text, str) and (
        isinstance(block.get("thoughtSignature"), str)
        or block.keys() == {"text"}
        or "functionCall" in block
    )


class Contents(Draft):
    """``{"systemInstruction", "contents": [...], "generationConfig": {...}}``, compact.

    ``sampling.extra`` stands beside ``contents``; a ``generationConfig`` in it is joined with what
    is declared, so ``{"generationConfig": {"thinkingConfig": ...}, "safetySettings": [...]}``.
    """

    ours = staticmethod(_ours)

    def __init__(self, seat: Seat, request: Request) -> None:
        """Begin with the system's words and the tools."""
        super().__init__(seat, request)
        self._side: Role | None = None
        self._between = b""
        self._joined: tuple[Edit, ...] = ()
        told = None if request.system is None else {"parts": [{"text": request.system}]}
        offered = list(map(_tool, request.tools))
        tools = [{"functionDeclarations": offered}] if offered else None
        self._system = present({"systemInstruction": told, "tools": tools})
        self.put(begun(members(self._system)) + b'"contents":[')

    def say(self, heard: Heard) -> None:
        """The parts of a message, and the answers to its calls as parts of the other side.

        A content is what one side said before the other answered; the last one stays open.
        """
        for side, parts in _sides(heard):
            if side is self._side:
                self._join()
            else:
                self._turn(side)
            for part in parts:
                self.put(self._between + part)
                self._between = b","

    def _turn(self, side: Role) -> None:
        """Close the other side's content, and open this side's."""
        before = b"" if self._side is None else b"]},"
        self.put(before + b'{"role":' + _ROLES[side] + b',"parts":[')
        self._side, self._between = side, b""

    def _join(self) -> None:
        """Go on with the same side's content, on the record."""
        who = self.seat.provider
        detail = f"{who} refuses neighbours of one role: they are parts of one content"
        self._joined = (Edit("joined", detail),)

    def end(self, seed: int | None) -> Wire:
        """What differs from turn to turn stands after the contents."""
        tail = _tail(replace(self.request, seed=seed), {"contents", *self._system})
        return self.closed(b"]}]" + ended(members(tail)), self._joined)


def encode(seat: Seat, request: Request) -> Wire:
    """The exact bytes of one request, from nothing.

    Raises:
        RequestRefusedError: the provider would refuse the view.
    """
    return written(Contents(seat, request))


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


_Side = tuple[Role, list[bytes]]


def _sides(heard: Heard) -> Iterator[_Side]:
    """The parts of a message, and the answers to its calls as parts of the other side."""
    yield heard.role, _parts(heard)
    if heard.calls:
        yield Role.OTHER, [_answer(call, words) for call, words in answers(heard.calls)]


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
