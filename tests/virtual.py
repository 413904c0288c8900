"""Time that passes only when somebody waits, and a provider that does as it is told."""

import asyncio
import heapq
from collections.abc import AsyncGenerator, Sequence
from itertools import count
from typing import Any

from duologue.core.provider import Call, Completion, Item, Seat

SEAT = Seat("openai", "gpt-4o", "openai", {"base_url": "x"})
CALL = Call(b"{}", "conv/Ada")


class Virtual:
    """A clock and its waits; when nothing else can go on, the next wait is over."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waited: list[float] = []
        self._due: list[tuple[float, int, asyncio.Event]] = []
        self._count = count()

    def time(self) -> float:
        return self.now

    async def wait(self, seconds: float) -> None:
        self.waited.append(seconds)
        over = asyncio.Event()
        heapq.heappush(self._due, (self.now + seconds, next(self._count), over))
        await over.wait()

    async def run(self, *tasks: "asyncio.Task[Any]") -> None:
        """Let time pass until all tasks are done."""
        while not all(task.done() for task in tasks):
            for _ in range(20):
                await asyncio.sleep(0)
            if self._due and not all(task.done() for task in tasks):
                self.now, _, over = heapq.heappop(self._due)
                over.set()


class Acted:
    """Answers call after call with what it was given; a list of items each, exceptions raised."""

    def __init__(self, *replies: Sequence[Any], seat: Seat = SEAT) -> None:
        self.seat = seat
        self.replies = list(replies)
        self.calls: list[Call] = []
        self.open = 0
        self.closed = False

    async def stream(self, call: Call) -> AsyncGenerator[Item, None]:
        items = self.replies[min(len(self.calls), len(self.replies) - 1)]
        self.calls.append(call)
        self.open += 1
        try:
            for item in items:
                if isinstance(item, BaseException):
                    raise item
                if isinstance(item, asyncio.Event):
                    await item.wait()
                    continue
                yield item
        finally:
            self.open -= 1

    async def aclose(self) -> None:
        self.closed = True


DONE = [Completion("done")]
