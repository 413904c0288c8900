"""A provider that misbehaves on request, in three wire dialects, on loopback.

``server`` speaks HTTP/1.1, ``dialects`` and its three neighbours the providers' JSON and events,
``scenarios`` the misbehaviours. It knows nothing of duologue: what a client makes of it is the
client's business, and what the server really said stands in ``Exchange.truth``.
"""

from .parts import Frame, Pause, Reply, Truth
from .scenarios import SCENARIOS
from .server import Exchange, Held, HostileServer, Script

__all__ = [
    "SCENARIOS",
    "Exchange",
    "Frame",
    "Held",
    "HostileServer",
    "Pause",
    "Reply",
    "Script",
    "Truth",
]
