"""What duologue itself costs: CPU a message of one conversation, beside a bare loop's.

    PYTHONPATH=src python benchmarks/harness/one.py                   # 50 messages
    PYTHONPATH=src python benchmarks/harness/one.py --messages 400    # and by quarters

Both talk to ``server.py``, which answers at once from a process of its own. duologue's way is its
real one: ``duologue.hold`` makes a run's folder, writes and syncs the log, chains its hashes,
offers the live text, reads the transcript back. The bare loop is ``bare.py``. Rounds alternate; a
disturbance falls on both. What is counted is this process's CPU, all threads, imports apart; the
table shows medians of the rounds and the median of their ratios.

By quarters: a request grows with its conversation, whoever sends it. What is duologue's own is
what it needs more than a loop that sends the very same bytes, made beforehand.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import msgspec
from bare import OPENER, SEATS, plain, sent, session
from server import WORDS, running

from duologue import Library, Participant, hold
from duologue.core.event import Record, TurnCompleted
from duologue.core.provider import Delta
from duologue.core.rebuild import rebuild
from duologue.core.spec import ConversationSpec, Line, TurnCap
from duologue.core.specfile import Asked

QUARTERS = 4


class Ticks:
    """CPU seconds of this process at each message."""

    def __init__(self) -> None:
        self.began = time.process_time()
        self.at = [self.began]

    def seen(self) -> None:
        """One more message."""
        self.at.append(time.process_time())

    def whole(self) -> float:
        """Milliseconds a message, from before the first request to now."""
        return (time.process_time() - self.began) / (len(self.at) - 1) * 1e3

    def quarters(self) -> list[float]:
        """Milliseconds a message in each quarter."""
        count = (len(self.at) - 1) // QUARTERS
        ends = [self.at[count * n] for n in range(QUARTERS + 1)]
        return [(end - begin) / count * 1e3 for begin, end in pairwise(ends)]


def spec(base: str, messages: int, *, stream: bool) -> ConversationSpec:
    """Two hosted seats and an opener."""
    seats = (Participant(name, "vllm:fake", base_url=base, stream=stream) for name in SEATS)
    return ConversationSpec(
        participants=tuple(seats),
        opening=(Line(author=SEATS[0], text=OPENER),),
        ending=(TurnCap(messages),),
    )


async def ours(base: str, messages: int, folder: Path, *, stream: bool) -> tuple[Ticks, Path]:
    """One conversation by duologue, recorded; and its run's folder."""
    ticks = Ticks()

    def watch(item: Record | Delta) -> None:
        if isinstance(item, Record) and isinstance(item.event, TurnCompleted):
            ticks.seen()

    asked = Asked(None, spec(base, messages, stream=stream))
    recorded = await hold(asked, Library(folder), watch=watch)
    if len(recorded.transcript.spoken) != messages:
        raise SystemExit(f"duologue held {len(recorded.transcript.spoken)} messages")
    return ticks, recorded.folder


async def theirs(
    base: str, hold_one: Callable[..., object], *arguments: object, stream: bool
) -> Ticks:
    """One conversation by a bare loop."""
    ticks = Ticks()
    async with session() as http:
        await hold_one(http, base, *arguments, stream=stream, seen=ticks.seen)  # type: ignore[misc]
    return ticks


def bodies(folder: Path) -> list[bytes]:
    """The requests of the one conversation in a run's folder, as they were sent."""
    records = [
        msgspec.json.decode(line, type=Record)
        for line in (folder / "log-1.jsonl").read_bytes().splitlines()
    ]
    return [again.wire.body for again in rebuild(record.event for record in records)]


def compare(base: str, messages: int, rounds: int, *, stream: bool) -> None:
    """Both, in turn, round by round; prints a table."""
    mode = "streaming" if stream else "whole"
    own, bare, floor = list[Ticks](), list[Ticks](), list[Ticks]()
    whole: list[tuple[float, float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        _, first = asyncio.run(ours(base, messages, Path(folder), stream=stream))  # warm
        made = bodies(first)
        size = (first / "log-1.jsonl").stat().st_size
        for _ in range(rounds):
            ticks, _ = asyncio.run(ours(base, messages, Path(folder), stream=stream))
            took = ticks.whole()
            plainly = asyncio.run(theirs(base, plain, messages, stream=stream))
            bare_took = plainly.whole()
            below = asyncio.run(theirs(base, sent, made, stream=stream))
            whole.append((took, bare_took, below.whole()))
            own.append(ticks)
            bare.append(plainly)
            floor.append(below)
    mine, their, least = (statistics.median(column) for column in zip(*whole, strict=True))
    ratio = statistics.median(a / b for a, b, _ in whole)
    print(
        f"{mode:>9}, {messages} messages: duologue {mine:.3f} ms, bare loop {their:.3f} ms, "
        f"ratio {ratio:.2f}; the same bytes sent by nobody {least:.3f} ms; "
        f"log {size / messages:,.0f} bytes a message",
        flush=True,
    )
    if messages >= 100:  # noqa: PLR2004 - quarters of less are noise
        for name, ticks in (("duologue", own), ("bare loop", bare), ("same bytes", floor)):
            print(f"{'':>11}{name:>10} by quarters, ms:", _row(_quarters(ticks)))
        apart = [a - b for a, b in zip(_quarters(own), _quarters(floor), strict=True)]
        print(f"{'':>11}{'own cost':>10} by quarters, ms:", _row(apart), end="; ")
        print(f"last / first {apart[-1] / apart[0]:.2f}", flush=True)


def _quarters(rounds: list[Ticks]) -> list[float]:
    """Medians over the rounds."""
    return [statistics.median(each) for each in zip(*(t.quarters() for t in rounds), strict=True)]


def _row(values: list[float]) -> str:
    """Numbers in a row."""
    return "  ".join(f"{value:.3f}" for value in values)


def main() -> None:
    """Compare in both modes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--words", type=int, default=WORDS)
    given = parser.parse_args()
    with running(words=given.words) as base:
        for stream in (True, False):
            compare(base, given.messages, given.rounds, stream=stream)


if __name__ == "__main__":
    main()
