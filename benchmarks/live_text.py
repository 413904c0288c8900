"""What live text costs: conversations held with it and without it, in turn.

    python benchmarks/live_text.py [CONVERSATIONS] [TIMES]

Holds scripted conversations in one process, as a worker does, 100 at once, and prints how many
turns a second there were: scripts that answer at once, and scripts whose 40 words come over a
second.
"""

import asyncio
import statistics
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from duologue.core.event import Record
from duologue.core.ids import speakable
from duologue.core.provider import Call, Completion, Delta, Provider
from duologue.core.spec import ConversationSpec, Participant, TurnCap
from duologue.providers.scripted import Scripted
from duologue.scheduler import Holding, Lease, Outcome, Room, Switch
from duologue.store.library import Library
from duologue.store.live import Live

AT_ONCE = 100
TURNS = 10
REPLIES = ("word " * 40, "other words " * 20)
WORDS = 40
OVER_S = 1.0


class Slow:
    """A script whose words come one by one."""

    def __init__(self, name: str) -> None:
        """Say what scripts say."""
        self._script = Scripted(REPLIES, name)
        self.seat = self._script.seat

    async def stream(self, call: Call) -> AsyncGenerator[Delta | Completion, None]:
        """Say it word by word."""
        async for item in self._script.stream(call):
            if isinstance(item, Delta):
                await asyncio.sleep(OVER_S / WORDS)
            yield item

    async def aclose(self) -> None:
        """Nothing is open."""


class Mute(Live):
    """Live text that is not offered."""

    def hear(self, item: Record | Delta) -> None:
        """Do nothing."""


async def held(folder: Path, count: int, cast: dict[str, Provider]) -> tuple[float, float]:
    """Hold so many conversations: seconds by the clock, and of the processor."""
    spec = ConversationSpec(
        (Participant("Ada", "scripted:a"), Participant("Ben", "scripted:b")),
        ending=(TurnCap(TURNS),),
    )

    async def leases() -> AsyncIterator[Lease]:
        for number in range(count):
            yield Lease(speakable(number.to_bytes(6, "big")), spec)

    async def providers(_spec: ConversationSpec) -> dict[str, Provider]:
        return cast

    async def done(_outcome: Outcome) -> None:
        """Nothing is told."""

    began, spent = time.perf_counter(), time.process_time()
    with Library(folder).create("play", {"name": "play"}).writing() as log:
        room = Room(AT_ONCE, lambda: False)
        await Holding(log, providers, room, gate=Switch()).all(leases(), done)
    return time.perf_counter() - began, time.process_time() - spent


def measured(count: int, cast: dict[str, Provider], *, offered: bool) -> tuple[float, float]:
    """One go, in a folder of its own."""
    with TemporaryDirectory() as folder:
        if offered:
            return asyncio.run(held(Path(folder), count, cast))
        with patch("duologue.store.run.Live", Mute):
            return asyncio.run(held(Path(folder), count, cast))


def main(count: int = 500, times: int = 7) -> None:
    """Measure both kinds of scripts, with and without, in turn."""
    at_once: dict[str, Provider] = {name: Scripted(REPLIES, name) for name in ("Ada", "Ben")}
    slow: dict[str, Provider] = {name: Slow(name) for name in ("Ada", "Ben")}
    for what, many, cast in (("at once", count, at_once), ("word by word", AT_ONCE, slow)):
        found: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
        for _ in range(times):
            for offered, goes in found.items():
                goes.append(measured(many, cast, offered=offered))
        for offered, goes in found.items():
            clock, spent = (statistics.median(each) for each in zip(*goes, strict=True))
            turns = many * TURNS
            print(
                f"{what:13}{'offered' if offered else 'mute':9}{turns / clock:6.0f} turns/s, "
                f"{spent / turns * 1e6:5.0f} us of the processor a turn; "
                f"{min(goes)[0]:.2f} to {max(goes)[0]:.2f} s",
                flush=True,
            )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
