"""A provider that asks again when asking again can help; every failed attempt is on the record.

The same bytes are sent again, after as long as the provider told us, else after a growing time
with a jitter that is drawn from the request: the same request waits the same, different ones do
not come back together. What had arrived of a broken reply stays with its attempt. It knows no wire
format, and not how requests share a pace.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from hashlib import blake2b
from random import Random

import msgspec

from duologue.core.provider import Call, Completion, Failure, Item, Provider, Seat
from duologue.core.wire import digest
from duologue.errors import (
    BrokenStreamError,
    MalformedReplyError,
    OverloadError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitError,
)
from duologue.providers.pacing import Wait

PASSING = (
    RateLimitError,
    OverloadError,
    ProviderTimeoutError,
    BrokenStreamError,
    MalformedReplyError,
)
"""What may be different the next time. Everything else is not sent again."""


class Patience(msgspec.Struct, frozen=True):
    """How often and how long.

    Attributes:
        attempts: requests for one turn at the most, the first counted.
        shortest_s: the shortest wait of our own choice, in seconds.
        longest_s: the longest wait of our own choice, in seconds.
        told_s: the longest wait that we let ourselves be told, in seconds; who tells us more is
            not asked again, rather than asked too soon.
    """

    attempts: int = 6
    shortest_s: float = 1.0
    longest_s: float = 60.0
    told_s: float = 900.0


class Retrying:
    """A provider, asked again when it fails in a way that may pass."""

    def __init__(
        self, inner: Provider, patience: Patience | None = None, *, wait: Wait = asyncio.sleep
    ) -> None:
        """Take the provider.

        Args:
            inner: who is asked.
            patience: how often and how long.
            wait: lets seconds pass; cancelling it ends the wait at once.
        """
        self._inner = inner
        self._patience = patience or Patience()
        self._wait = wait

    @property
    def seat(self) -> Seat:
        """The inner provider's."""
        return self._inner.seat

    async def stream(self, call: Call) -> AsyncGenerator[Item, None]:
        """The inner provider's answer; before it, a failure for each attempt that came to nothing.

        Raises:
            ProviderError: the last attempt failed too, or asking again cannot help.
        """
        own = waits(call, self._patience)
        while True:
            whole = False
            reply = self._inner.stream(call)
            try:
                async for item in reply:
                    whole = whole or isinstance(item, Completion)
                    yield item
            except PASSING as error:
                wait_s = next(own, None)
                told = error.wait_s
                if wait_s is None or whole or (told or 0) > self._patience.told_s:
                    raise
                failure = _failure(error)
                wait_s = wait_s if told is None else told
            else:
                return
            finally:
                await reply.aclose()
            yield failure
            await self._wait(wait_s)

    async def aclose(self) -> None:
        """Close the inner provider."""
        await self._inner.aclose()


def _failure(error: ProviderError) -> Failure:
    """An error as what is reported of an attempt that another follows."""
    return Failure(
        error.boundary, error.detail, error.partial, wait_s=error.wait_s, pace=error.pace
    )


def waits(call: Call, patience: Patience) -> Iterator[float]:
    """Our own waits between the attempts at one call, in seconds; each is drawn when it is wanted.

    Exponential with decorrelated jitter (Brooker, "Exponential Backoff And Jitter", 2015): each is
    drawn between the shortest and three times the one before. The draw depends on the request and
    its key alone.
    """
    last = patience.shortest_s
    for attempt in range(1, patience.attempts):
        chance = _chance(call, attempt)
        upper = max(patience.shortest_s, 3 * last)
        last = patience.shortest_s + chance * (upper - patience.shortest_s)
        last = min(patience.longest_s, last)
        yield last


def _chance(call: Call, attempt: int) -> float:
    """A number in [0, 1) that a request and the count of its attempts always give."""
    material = f"{digest(call.body)}/{call.key}/{attempt}".encode()
    seed = int.from_bytes(blake2b(material, digest_size=8).digest())
    return Random(seed).random()  # noqa: S311 - spreads waits; keeps no secret
