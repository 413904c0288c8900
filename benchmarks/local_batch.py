"""Many conversations of one local model at once: tokens a second, beside one after another.

    python benchmarks/local_batch.py --conversations 16 --turns 6

Four ways to the same number of replies of the same length, each with an engine of its own, opened
for it and closed after it:

- *at once*: all conversations together, each seat's prefix in its slot, replies in one batch;
- *one by one*: the same conversations in turn, prefixes kept;
- *naive*: in turn, and every request is read again from its first token;
- *engine alone*: the very requests of *at once*, with as long replies, put to an engine without
  the rest of duologue: no conversation, no digest, no record. What it says is thrown away; each
  conversation's next request goes out when its last one is answered, so it waits as they did.

Tokens are those that were said; seconds are the wall's, from the first request to the last reply.
Prints a Markdown table with ratios.
"""

import argparse
import asyncio
import os
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import msgspec
from local_turns import OPENING, SAMPLING, SCENE, as_long

from duologue.conversation import converse
from duologue.core.provider import Call, Completion, Delta, Provider, Seat
from duologue.core.spec import ConversationSpec, Framing, Participant, TurnCap
from duologue.providers.local.provider import LocalProvider, Options, open_local

SEATS = ("Mira", "Otto")
MODEL = "smollm2-135m"


class Counted:
    """A provider that counts what another says, and keeps what it was asked."""

    def __init__(self, inner: LocalProvider) -> None:
        self.inner = inner
        self.said = 0
        self.asked: dict[str, list[tuple[Call, int]]] = {}

    @property
    def seat(self) -> Seat:
        """The inner one's."""
        return self.inner.seat

    async def stream(self, call: Call) -> AsyncGenerator[Delta | Completion, None]:
        """Pass on, and count."""
        async with aclosing(self.inner.stream(call)) as parts:
            async for part in parts:
                if isinstance(part, Completion):
                    said = part.usage.output or 0
                    self.said += said
                    self.asked.setdefault(call.key.rpartition(SEP)[0], []).append((call, said))
                yield part

    async def aclose(self) -> None:
        """Close the inner one."""
        await self.inner.aclose()


SEP = "/"


def spec(turns: int, tokens: int, seed: int) -> ConversationSpec:
    """A conversation of the model with itself; every reply has just so many tokens."""
    extra = {**SAMPLING.extra, "ignore_eos": True}
    sampling = msgspec.structs.replace(SAMPLING, max_tokens=tokens, extra=extra)
    seats = tuple(Participant(name, MODEL, SCENE, Framing.SCRIPT, sampling) for name in SEATS)
    return ConversationSpec(seats, OPENING, ending=(TurnCap(turns + len(OPENING)),), seed=seed)


async def one(provider: Provider, asked: argparse.Namespace, number: int) -> None:
    """Hold one conversation."""
    wanted = spec(asked.turns, asked.tokens, number)
    seated = dict.fromkeys(SEATS, provider)
    async for _ in converse(wanted, seated, key=f"conversation-{number}"):
        pass


async def held(asked: argparse.Namespace, *, together: bool, reuse: bool) -> tuple[float, Counted]:
    """Hold all; the seconds, and what was said."""
    slots = len(SEATS) * (asked.conversations if together else 1)
    options = Options(asked.context, slots=slots, threads=asked.threads, reuse=reuse)
    provider = Counted(await open_local(MODEL, options))
    try:
        began = time.monotonic()
        each = (one(provider, asked, number) for number in range(asked.conversations))
        if together:
            await asyncio.gather(*each)
        else:
            for conversation in each:
                await conversation
        return time.monotonic() - began, provider
    finally:
        await provider.aclose()


async def alone(
    asked: argparse.Namespace, requests: Sequence[Sequence[tuple[Call, int]]]
) -> tuple[float, int]:
    """Put requests to an engine; the seconds, and the tokens that it said."""
    slots = len(SEATS) * asked.conversations
    engine = await open_local(MODEL, Options(asked.context, slots=slots, threads=asked.threads))
    said = 0

    async def put(calls: Sequence[tuple[Call, int]]) -> None:
        nonlocal said
        for call, tokens in calls:
            async for part in engine.stream(as_long(call, tokens)):
                if isinstance(part, Completion):
                    said += part.usage.output or 0

    try:
        began = time.monotonic()
        await asyncio.gather(*map(put, requests))
        return time.monotonic() - began, said
    finally:
        await engine.aclose()


async def compare(asked: argparse.Namespace) -> None:
    """All ways, a row each."""
    print(f"{MODEL}, threads {asked.threads or 'default'}, load {os.getloadavg()[0]:.1f}\n")
    print("| way | s | tokens | tokens/s | times one by one |\n|---|--:|--:|--:|--:|")
    seconds, counted = await held(asked, together=False, reuse=True)
    least = counted.said / seconds
    _row("one by one", seconds, counted.said, least)
    seconds, counted = await held(asked, together=False, reuse=False)
    _row("naive", seconds, counted.said, least)
    seconds, counted = await held(asked, together=True, reuse=True)
    _row("at once", seconds, counted.said, least)
    requests = list(counted.asked.values())
    speed = counted.said / seconds
    seconds, said = await alone(asked, requests)
    _row("engine alone", seconds, said, least)
    print(f"\nat once reaches {speed / (said / seconds):.0%} of the engine alone")


def _row(name: str, seconds: float, said: int, least: float) -> None:
    """A line of the table."""
    speed = said / seconds
    print(f"| {name} | {seconds:.1f} | {said} | {speed:.0f} | {speed / least:.2f} |", flush=True)


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--conversations", type=int, default=16)
    parser.add_argument("--turns", type=int, default=6, help="generated turns of each (6)")
    parser.add_argument("--tokens", type=int, default=32, help="tokens of each reply (32)")
    parser.add_argument("--context", type=int, default=2048, help="tokens of a slot (2,048)")
    parser.add_argument("--threads", type=int, help="threads of an engine; default: its own")
    asyncio.run(compare(parser.parse_args()))


if __name__ == "__main__":
    main()
