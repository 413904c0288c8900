"""OpenAI-compatible chat completions, as spoken by most hosted and self-served models.

The messages stand after everything that stays the same, the turn's seed after them, so that one
body begins with the body before it and a provider's prefix cache can be used. Where a provider
routes by a key of ours (``prompt_cache_key``, ``session_id``), the catalogue's quirks name it.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from duologue.core.provider import Seat
from duologue.core.request import Called, Heard, Request, Tool, Wire
from duologue.core.wire.pieces import (
    Draft,
    begun,
    chosen,
    ended,
    members,
    present,
    quirk,
    quoted,
    with_extra,
    written,
)
from duologue.core.wire.tools import answers

_NAMES = {"temperature": "temperature", "top_p": "top_p", "stop": "stop"}


def _ours(block: dict[str, Any]) -> bool:
    """Whether bound reasoning came by this dialect: a field of a message, and its value."""
    return block.keys() == {"field", "value"} and isinstance(block["field"], str)


class Chat(Draft):
    """``{"model", "stream", …, "messages": [...], "seed"}``, compact."""

    ours = staticmethod(_ours)

    def __init__(self, seat: Seat, request: Request) -> None:
        """Begin with everything but the messages and the seed.

        Args:
            seat: ``settings`` holds ``stream`` and the provider's ``quirks``.
            request: the view.

        Raises:
            RequestRefusedError: a field is declared twice.
        """
        super().__init__(seat, request)
        self._between = b""
        head = members(_head(seat, request, {"messages", *self._seed(request.seed)}))
        self.put(begun(head) + b'"messages":[')
        if request.system is not None:
            self._put(_plain(quirk(seat, "system_role") or "system", request.system))

    def say(self, heard: Heard) -> None:
        """The message, and the answers to its calls."""
        self._put(_message(self.seat, heard))

    def end(self, seed: int | None) -> Wire:
        """The seed stands last, under the name that the provider has for it."""
        return self.closed(b"]" + ended(members(self._seed(seed))))

    def _put(self, message: bytes) -> None:
        """One more member of the list."""
        self.put(self._between + message)
        self._between = b","

    def _seed(self, seed: int | None) -> dict[str, Any]:
        """The seed as a field; nothing for none."""
        return present({quirk(self.seat, "seed") or "seed": seed})


def encode(seat: Seat, request: Request) -> Wire:
    """The exact bytes of one request, from nothing.

    Raises:
        RequestRefusedError: the provider would refuse the view.
    """
    return written(Chat(seat, request))


def _head(seat: Seat, request: Request, taken: Iterable[str]) -> dict[str, object]:
    """Everything but the messages and the seed, in order."""
    stream = seat.settings.get("stream", True)
    asks_usage = stream and quirk(seat, "stream_usage") != "refused"
    route = quirk(seat, "route")
    limit = quirk(seat, "limit") or "max_tokens"
    sampling = chosen(request.sampling, {**_NAMES, "max_tokens": limit})
    return with_extra(
        {
            "model": seat.model,
            "stream": stream,
            **sampling,
            "tools": list(map(_tool, request.tools)) or None,
        },
        request.sampling.extra,
        {
            "stream_options": {"include_usage": True} if asks_usage else None,
            **({route: request.key} if route else {}),
        },
        taken,
    )


def reasoning_back(seat: Seat, *, calls: bool) -> str | None:
    """The field in which a provider wants a turn's reasoning back; some only beside a call."""
    field: str | None = quirk(seat, "reasoning_back")
    return field or (quirk(seat, "reasoning_with_calls") if calls else None)


def _plain(role: str, text: str) -> bytes:
    """A message of a role and words."""
    return b'{"role":%b,"content":%b}' % (quoted(role), quoted(text))


def _tool(tool: Tool) -> dict[str, Any]:
    """A tool as it is offered."""
    return {
        "type": "function",
        "function": {
            "name": tool.name,
            "description": tool.description,
            "parameters": {"type": "object", "properties": {}},
        },
    }


def _message(seat: Seat, heard: Heard) -> bytes:
    """A message, with the participant's own bound reasoning where the provider wants it back.

    Its calls stand in it, and each one's answer is a message after it.
    """
    plain = _plain(heard.role.value, heard.text)
    if not heard.calls and not heard.blocks:
        return plain
    if heard.calls and not heard.text:
        plain = b'{"role":' + quoted(heard.role.value) + b',"content":null}'
    wanted = reasoning_back(seat, calls=bool(heard.calls))
    more: dict[str, Any] = {"tool_calls": list(map(_call, heard.calls))} if heard.calls else {}
    more |= {block["field"]: block["value"] for block in heard.blocks if block["field"] == wanted}
    said = plain if not more else plain[:-1] + b"," + members(more) + b"}"
    return b",".join((said, *(_answer(call, words) for call, words in answers(heard.calls))))


def _call(call: Called) -> dict[str, Any]:
    """A call as it was made."""
    called = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": called}


def _answer(call: Called, words: str) -> bytes:
    """What a call was answered with."""
    return msgspec.json.encode({"role": "tool", "tool_call_id": call.id, "content": words})
