"""What a reply cost, in United States dollars, at the price of the day on which it was asked for.

Prices are those of the ``genai-prices`` package that is installed, read offline; it is imported
when the first price is looked up. A price that is not known is None, never a guess; what runs on
this machine costs nothing. This module reads no reply and keeps no budget.
"""

from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime

from msgspec.structs import replace

from duologue.core.provider import Call, Completion, Item, Provider, Seat, Usage

Today = Callable[[], datetime]
"""The present moment, with a time zone."""

SPOKEN = frozenset({"human", "scripted"})
"""Providers that are no models: nothing is tokenised and nothing is paid."""
HERE = SPOKEN | {"llama.cpp", "lmstudio", "local", "ollama", "vllm"}
"""Providers that run on a machine of one's own: no price is asked for a token."""
_NAMES = {"moonshot": "moonshotai", "xai": "x-ai"}
"""Our names of providers where the price list has others."""


def _today() -> datetime:
    """The present moment."""
    return datetime.now(UTC)


def price(seat: Seat, usage: Usage, at: datetime, served: str | None = None) -> float | None:
    """Dollars for a reply; None where the model, its price or the tokens are not known.

    Args:
        seat: who was asked.
        usage: what the provider counted; cached tokens have their own price, where there is one,
            and reasoning is part of the output.
        at: when it was asked.
        served: the model that really answered; if the list has no price for it, the seat's model.
    """
    if seat.provider in HERE:
        return 0.0
    if usage.input is None or usage.output is None:
        return None
    for model in dict.fromkeys(name for name in (served, seat.model) if name):
        found = _listed(_NAMES.get(seat.provider, seat.provider), model, usage, at)
        if found is not None:
            return found
    return None


def _listed(provider: str, model: str, usage: Usage, at: datetime) -> float | None:
    """What the price list says, if it knows exactly this provider."""
    from genai_prices import Usage as Counted  # noqa: PLC0415 - a quarter of a second
    from genai_prices import calc_price  # noqa: PLC0415
    from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415

    if all(known.id != provider for known in get_snapshot().providers):
        return None  # the list would take a name that only looks like one of its own
    try:
        counted = Counted(
            input_tokens=usage.input,
            cache_read_tokens=usage.cached or 0,
            cache_write_tokens=usage.written or 0,
            output_tokens=usage.output,
            output_reasoning_tokens=usage.reasoning or 0,
        )
        found = calc_price(counted, model, provider_id=provider, genai_request_timestamp=at)
    except (LookupError, ValueError):  # no such model, or counts that cannot be
        return None
    return float(found.total_price)


class Priced:
    """A provider whose replies say what they cost."""

    def __init__(self, inner: Provider, today: Today = _today) -> None:
        """Take the provider and a clock."""
        self._inner = inner
        self._today = today

    @property
    def seat(self) -> Seat:
        """The inner provider's."""
        return self._inner.seat

    async def stream(self, call: Call) -> AsyncGenerator[Item, None]:
        """The inner provider's answer, the completion with its cost where that is known."""
        reply, at = self._inner.stream(call), self._today()
        try:
            async for item in reply:
                yield self._priced(item, at) if isinstance(item, Completion) else item
        finally:
            await reply.aclose()

    def _priced(self, reply: Completion, at: datetime) -> Completion:
        """A reply with its cost; one that a provider priced itself stays as it is."""
        if self.seat.provider in SPOKEN and reply.usage == Usage():
            reply = replace(reply, usage=Usage(input=0, output=0))
        if reply.cost is not None:
            return reply
        return replace(reply, cost=price(self.seat, reply.usage, at, reply.served))

    async def aclose(self) -> None:
        """Close the inner provider."""
        await self._inner.aclose()
