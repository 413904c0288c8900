"""The dialect of providers that have no wire of their own: the request itself, as JSON.

Scripted, function and human providers are sent this. Keys stand in a fixed order, the messages
last but for the seed, so that a body begins with the body before it.
"""

import msgspec

from duologue.core.provider import Seat
from duologue.core.request import Request, Wire


def encode(seat: Seat, request: Request) -> Wire:
    """``{"model", "participant", "system", "sampling", "messages": [...], "seed"}``, compact.

    Tools, where any are offered, stand before the messages.
    """
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
    messages = b",".join(msgspec.json.encode(message) for message in request.messages)
    grown = head[:-1] + b',"messages":[' + messages
    return Wire(grown + b'],"seed":' + msgspec.json.encode(request.seed) + b"}", len(grown))
