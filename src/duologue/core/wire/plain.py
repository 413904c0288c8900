"""The dialect of providers that have no wire of their own: the request itself, as JSON.

Scripted, function and human providers are sent this. Keys stand in a fixed order, the messages
last but for the seed, so that a body begins with the body before it.
"""

import msgspec

from duologue.core.provider import Seat
from duologue.core.request import Heard, Request, Wire
from duologue.core.wire.pieces import Draft


class Plain(Draft):
    """``{"model", "participant", "system", "sampling", "messages": [...], "seed"}``, compact.

    Tools, where any are offered, stand before the messages.
    """

    voiced = False

    def __init__(self, seat: Seat, request: Request) -> None:
        """Begin with everything but the messages and the seed."""
        super().__init__(seat, request)
        tools = [{"name": tool.name, "description": tool.description} for tool in request.tools]
        head = msgspec.json.encode(
            {
                "model": seat.model,
                "participant": request.participant,
                "system": request.system,
                "sampling": request.sampling,
                **({"tools": tools} if tools else {}),
            }
        )
        self.put(head[:-1] + b',"messages":[')
        self._between = b""

    def say(self, heard: Heard) -> None:
        """The message as it is."""
        self.put(self._between + msgspec.json.encode(heard))
        self._between = b","

    def end(self, seed: int | None) -> Wire:
        """The seed stands last."""
        return self.closed(b'],"seed":' + msgspec.json.encode(seed) + b"}")
