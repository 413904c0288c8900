"""What is handed to the ``llm`` package for one turn: the plain dialect, without silence.

``llm`` and its plug-ins drop empty text or send what an API refuses, as they please; so silence is
refused here, or replaced as declared, as an edit. What ``llm`` makes of it is not known here.
"""

from typing import Any

from msgspec.structs import replace

from duologue.core.provider import Seat
from duologue.core.request import Request, Wire
from duologue.core.wire import plain
from duologue.core.wire.pieces import voiced


def encode(seat: Seat, request: Request) -> Wire:
    """As ``plain``.

    Raises:
        RequestRefusedError: a turn is silent and nothing stands in for it, or there is nothing
            to answer.
    """
    heard, edits = voiced(seat, request, _ours)
    wire = plain.encode(seat, replace(request, messages=heard))
    return Wire(wire.body, wire.stable, edits)


def _ours(block: dict[str, Any]) -> bool:
    """Whether bound reasoning is a part as ``llm`` writes it."""
    return block.get("type") == "reasoning"
