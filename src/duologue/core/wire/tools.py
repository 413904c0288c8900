"""Tools in a request: what can be offered to a seat, and which past calls it can be shown again.

What a dialect has no place for is left out of the view, as an edit; where that would leave a
participant without any way to do what the spec declares, the request is refused before anything is
sent. This module writes no bytes and invents no words: they are the spec's.
"""

import re
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec.structs import replace

from duologue.core.event import Edit
from duologue.core.provider import Seat
from duologue.core.request import Called, Heard, Request, Tool
from duologue.core.wire.pieces import quirk
from duologue.errors import ConfigurationError

_DIALECTS = ("anthropic", "google", "openai")
# What the id of a call may be, where there must be one.
_IDS = {"anthropic": re.compile(r"[A-Za-z0-9_-]+"), "openai": re.compile(r".+", re.DOTALL)}


def takes_tools(seat: Seat) -> bool:
    """Whether a seat's model can be offered tools.

    Where the dialect has a place for them, unless ``quirks`` say ``tools = "refused"``; elsewhere
    if they say ``tools = "accepted"``.
    """
    said = quirk(seat, "tools")
    return said == "accepted" or (seat.dialect in _DIALECTS and said != "refused")


def offered(seat: Seat, request: Request) -> tuple[tuple[Tool, ...], tuple[Edit, ...]]:
    """The tools of a request that this seat's dialect can write, and what was changed.

    Raises:
        ConfigurationError: a tool cannot be offered, and there is nothing else in its place.
    """
    if not request.tools or takes_tools(seat):
        return request.tools, ()
    _refuse_needed(seat, request)
    names = ", ".join(tool.name for tool in request.tools)
    detail = f"{seat.provider} takes no tools: {names} cannot be offered"
    return (), (Edit("tools", detail),)


def _refuse_needed(seat: Seat, request: Request) -> None:
    """A tool without which the participant could not do what the spec says it can."""
    for tool in request.tools:
        if tool.needed:
            raise ConfigurationError(
                f"{request.participant} could never call {tool.name!r}: {seat.provider}:"
                f"{seat.model} takes no tools. Give that 'exit' a 'sentinel' as well, or the seat "
                "a model that takes tools"
            )


class Past:
    """The calls of a view, from its first message on.

    Attributes:
        edits: what was changed so far.
    """

    def __init__(self, seat: Seat) -> None:
        """Begin with no calls."""
        self.edits: list[Edit] = []
        self._seat = seat
        self._count = 0
        self._ids: set[str] = set()

    def shown(self, heard: Heard, place: int) -> Heard:
        """One message with those of its calls that can be written."""
        if not heard.calls:
            return heard
        kept = []
        for call in heard.calls:
            if why := self._unfit(call):
                self._edit("call", f"a call of {call.name!r} is left out: {why}", place)
            else:
                kept.append(self._sound(call, place))
        names = {call.name for call in kept}
        blocks = tuple(block for block in heard.blocks if _called(block) in (None, *names))
        return replace(heard, calls=tuple(kept), blocks=blocks)

    def _edit(self, what: str, detail: str, place: int) -> None:
        self.edits.append(Edit(what, detail, place))

    def _unfit(self, call: Called) -> str | None:
        """Why a call cannot be shown again; None if it can."""
        if not takes_tools(self._seat):
            return f"{self._seat.provider} takes no tools"
        if call.answer is None:
            return "no such tool was offered, so nothing answers it"
        if quirk(self._seat, "past_calls") == "refused":
            return f"{self._seat.provider} refuses a conversation that goes on after one"
        return None

    def _sound(self, call: Called, place: int) -> Called:
        """A call with arguments that are an object, and a name of its own where it needs one."""
        if not _is_object(call.arguments):
            detail = f"the arguments of {call.name!r} are no JSON object: {{}} is sent instead"
            self._edit("arguments", detail, place)
            call = replace(call, arguments="{}")
        self._count += 1
        form = _IDS.get(self._seat.dialect)
        if form is None or (call.id and call.id not in self._ids and form.fullmatch(call.id)):
            self._ids.add(call.id or "")
            return call
        if call.id:
            self._edit("call_id", f"the id {call.id!r} of a call is replaced", place)
        # Nine letters and digits: what the strictest of these APIs takes.
        return replace(call, id=f"call{self._count:05d}")


def _called(block: dict[str, Any]) -> str | None:
    """The name of the tool that a block of bound reasoning calls (Google's do), if it does."""
    call = block.get("functionCall")
    return str(call.get("name")) if isinstance(call, dict) else None


def _is_object(arguments: str) -> bool:
    """Whether text is a JSON object."""
    try:
        return isinstance(msgspec.json.decode(arguments), dict)
    except (ValueError, RecursionError):
        return False


def answers(calls: Iterable[Called]) -> list[tuple[Called, str]]:
    """Each call that is left in a view, with its answer."""
    return [(call, call.answer) for call in calls if call.answer is not None]
