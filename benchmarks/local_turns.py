"""Time per turn of a long conversation on the two local models, with and without prefix reuse.

    python benchmarks/local_turns.py --turns 40 --every 5

The conversation is held once, each participant's prefix kept in its slot. Every so many turns
the very same request is also put to a second engine of the same model that keeps nothing, and
which says as many tokens: that is what a naive loop pays. Prints a Markdown table.
"""

import argparse
import asyncio
import os
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import msgspec

from duologue.conversation import converse
from duologue.core.event import TurnCompleted
from duologue.core.provider import Call, Completion, Delta, Provider, Seat
from duologue.core.spec import ConversationSpec, Framing, Line, Participant, Sampling, TurnCap
from duologue.providers.local.models import DEFAULT_PAIR
from duologue.providers.local.provider import LocalProvider, Options, open_local

SCENE = (
    "Four in the morning. Mira, an astronomer on her way home, and Otto, a baker, share the first "
    "warm loaf on the back step of his bakery."
)
OPENING = (
    Line("Otto", "You look tired, Mira. Did the stars keep you up again?"),
    Line("Mira", "One of them did. Its light left home before anybody had ever baked bread."),
)
SAMPLING = Sampling(
    temperature=0.8,
    top_p=1.0,
    max_tokens=96,
    extra={
        "min_p": 0.1,
        "top_k": 0,
        "repeat_penalty": 1.08,
        "repeat_last_n": 512,
        "dry_multiplier": 0.8,
        "dry_base": 1.75,
        "dry_allowed_length": 2,
        "dry_penalty_last_n": 4096,
    },
)


class Overheard:
    """A provider that remembers the last request and reply of another."""

    def __init__(self, inner: LocalProvider) -> None:
        self.inner = inner
        self.call = Call(b"")
        self.done = Completion("")

    @property
    def seat(self) -> Seat:
        """The inner one's."""
        return self.inner.seat

    async def stream(self, call: Call) -> AsyncGenerator[Delta | Completion, None]:
        """Pass on, and remember."""
        self.call = call
        async with aclosing(self.inner.stream(call)) as parts:
            async for part in parts:
                if isinstance(part, Completion):
                    self.done = part
                yield part

    async def aclose(self) -> None:
        """Close the inner one."""
        await self.inner.aclose()


def spec(names: tuple[str, str], turns: int, seed: int) -> ConversationSpec:
    """The conversation to be timed; ``turns`` are generated, the opening comes on top."""
    seats = tuple(
        Participant(name, model, SCENE, Framing.SCRIPT, SAMPLING)
        for name, model in zip(("Mira", "Otto"), names, strict=True)
    )
    ending = (TurnCap(turns + len(OPENING)),)
    return ConversationSpec(seats, OPENING, ending=ending, seed=seed)


def as_long(call: Call, tokens: int) -> Call:
    """The same request, answered with exactly so many tokens."""
    body: dict[str, Any] = msgspec.json.decode(call.body)
    sampling = body["sampling"] | {"max_tokens": max(1, tokens), "stop": []}
    sampling["extra"] = sampling.get("extra", {}) | {"ignore_eos": True}
    return Call(msgspec.json.encode(body | {"sampling": sampling}), call.key)


async def naive_s(provider: LocalProvider, call: Call) -> float:
    """Seconds that a request takes an engine that has kept nothing."""
    began = time.monotonic()
    async for _ in provider.stream(call):
        pass
    return time.monotonic() - began


def resident_mb(provider: LocalProvider) -> float:
    """Resident memory of an engine's process, in megabytes."""
    status = Path(f"/proc/{provider.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1000


async def timed(names: tuple[str, str], asked: argparse.Namespace) -> None:
    """Hold the conversation and print a row a turn."""
    options = Options(slots=1, threads=asked.threads)
    fast = [Overheard(await open_local(name, options)) for name in names]
    bare = msgspec.structs.replace(options, reuse=False)
    slow = [await open_local(name, bare) for name in names]
    seated: dict[str, Provider] = dict(zip(("Mira", "Otto"), fast, strict=True))
    print(f"{' with '.join(names)}; threads {asked.threads}; load {os.getloadavg()[0]:.1f}\n")
    print("| turn | model | view, tokens | read again | said | s | s, naive | RSS, MB |")
    print("|--:|:--|--:|--:|--:|--:|--:|--:|")
    turn = 0
    try:
        async for item in converse(spec(names, asked.turns, asked.seed), seated, key="benchmark"):
            if not isinstance(item, TurnCompleted):
                continue
            turn += 1
            at = ("Mira", "Otto").index(item.message.author)
            await _row(turn, fast[at], slow[at] if turn % asked.every == 0 else None)
    finally:
        for engine in (*(one.inner for one in fast), *slow):
            await engine.aclose()
    print(f"\nload afterwards {os.getloadavg()[0]:.1f}")


async def _row(turn: int, fast: Overheard, slow: LocalProvider | None) -> None:
    """One turn's row; with the naive engine's time where it is asked."""
    usage = fast.done.usage
    read, cached, said = usage.input or 0, usage.cached or 0, usage.output or 0
    naive = f"{await naive_s(slow, as_long(fast.call, said)):.2f}" if slow else ""
    print(
        f"| {turn} | {fast.seat.model} | {read} | {read - cached} | {said} "
        f"| {fast.done.seconds:.2f} | {naive} | {resident_mb(fast.inner):.0f} |",
        flush=True,
    )


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--turns", type=int, default=40, help="generated turns (40)")
    parser.add_argument("--every", type=int, default=5, help="naive every so many turns (5)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the conversation (1)")
    parser.add_argument("--threads", type=int, default=1, help="threads of each engine (1)")
    parser.add_argument("--models", nargs=2, default=DEFAULT_PAIR, metavar="MODEL")
    asked = parser.parse_args()
    first, second = asked.models
    asyncio.run(timed((first, second), asked))


if __name__ == "__main__":
    main()
