"""Which of the engine's slots holds whose prefix: a key keeps its slot as long as it can.

A slot is one sequence of the engine's cache. When there are more keys than slots, the slot that
has been idle longest changes hands. This module knows no engine: it hands out numbers.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import NamedTuple


class Slot(NamedTuple):
    """A slot for the time of one request.

    Attributes:
        number: the engine's number for it, from 0.
        fresh: whether it held another key's prefix, or nothing, before.
    """

    number: int
    fresh: bool


class Slots:
    """Hands out ``count`` slots, one request a slot."""

    def __init__(self, count: int) -> None:
        self._free = list(range(count))
        # Key to slot, the longest idle first.
        self._held: OrderedDict[str, int] = OrderedDict()
        self._busy: set[int] = set()
        self._waiting: list[asyncio.Future[None]] = []

    @asynccontextmanager
    async def take(self, key: str) -> AsyncGenerator[Slot, None]:
        """The slot of ``key`` until the block is left; waits while there is none."""
        while (slot := self._find(key)) is None:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            await turn
        self._held[key] = slot.number
        self._busy.add(slot.number)
        try:
            yield slot
        finally:
            self._busy.discard(slot.number)
            self._held.move_to_end(key)
            self._wake()

    def _find(self, key: str) -> Slot | None:
        """A slot that ``key`` can have now: its own, an unused one, or the longest idle one."""
        own = self._held.get(key)
        if own is not None:
            return None if own in self._busy else Slot(own, fresh=False)
        if self._free:
            return Slot(self._free.pop(0), fresh=True)
        idle = (other for other, number in self._held.items() if number not in self._busy)
        if (loser := next(idle, None)) is None:
            return None
        return Slot(self._held.pop(loser), fresh=True)

    def _wake(self) -> None:
        """Let everyone who waits look again; those who were cancelled have gone."""
        waiting, self._waiting = self._waiting, []
        for turn in waiting:
            if not turn.done():
                turn.set_result(None)
