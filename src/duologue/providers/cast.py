"""Everybody who answers in many conversations: opened when first needed, shared, closed together.

Participants of the same model, reached in the same way, share one provider, whichever conversation
they sit in; so a local model is loaded once. This module knows no conversation.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import msgspec
from msgspec.structs import replace

from duologue.core.provider import Provider
from duologue.core.spec import ConversationSpec, Framing, Participant, Sampling
from duologue.providers.registry import seated


class Cast:
    """The providers of one event loop; close it at the end."""

    def __init__(self, at_once: int = 1, alike: Mapping[str, int] | None = None) -> None:
        """Open nobody yet.

        Args:
            at_once: conversations at once; a local engine keeps a prefix for each of their seats.
            alike: how many seats of a model there are at a table at the most, by model. Without it
                the table for which a model is opened says that for all.
        """
        self._at_once = at_once
        self._alike = alike or {}
        self._opened: dict[bytes, Provider] = {}
        self._stack = AsyncExitStack()
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def of(self, spec: ConversationSpec) -> Mapping[str, Provider]:
        """Who answers for the participants of ``spec``, by name.

        Raises:
            ConfigurationError: a model is unknown or not installed, or its key is missing.
        """
        ways = {seat.name: _way(seat) for seat in spec.participants}
        async with self._lock:
            for seat in spec.participants:
                if (way := ways[seat.name]) not in self._opened:
                    here = list(ways.values()).count(way)
                    count = max(here, self._alike.get(seat.model, 0)) * self._at_once
                    self._opened[way] = await self._open(spec, seat, count)
        return {name: self._opened[way] for name, way in ways.items()}

    async def _open(self, spec: ConversationSpec, seat: Participant, count: int) -> Provider:
        """A provider for so many seats like this one."""
        alike = replace(spec, participants=(seat,) * count)
        return (await self._stack.enter_async_context(seated(alike)))[seat.name]


def seats_alike(specs: Iterable[ConversationSpec]) -> dict[str, int]:
    """How many seats of one model there are at a table at the most, by model."""
    tables = {tuple(seat.model for seat in spec.participants) for spec in specs}
    most = Counter[str]()
    for table in tables:
        most |= Counter(table)
    return dict(most)


def _way(seat: Participant) -> bytes:
    """What two participants must have in common to share a provider: how they are reached."""
    bare = replace(seat, name="-", system=None, framing=Framing.CHAT, sampling=Sampling())
    return msgspec.json.encode(replace(bare, private=()))
