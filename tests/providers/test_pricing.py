import subprocess
import sys
from contextlib import aclosing
from datetime import UTC, datetime

import pytest

from duologue.core.provider import Completion, Delta, Item, Seat, Usage
from duologue.providers.pricing import Priced, price
from virtual import CALL, Acted

DAY = datetime(2026, 11, 1, tzinfo=UTC)
MILLION = 1_000_000


def hosted(provider: str, model: str) -> Seat:
    return Seat(provider, model, "openai")


HAIKU = hosted("anthropic", "claude-haiku-4-5")
GPT = hosted("openai", "gpt-4o")


@pytest.mark.parametrize(
    ("seat", "usage", "dollars"),
    [
        (HAIKU, Usage(MILLION, 0), 1.00),
        (HAIKU, Usage(0, MILLION), 5.00),
        (HAIKU, Usage(MILLION, 0, cached=MILLION), 0.10),
        (HAIKU, Usage(MILLION, 0, written=MILLION), 1.25),
        (HAIKU, Usage(MILLION, 0, cached=MILLION // 2), 0.55),
        (GPT, Usage(0, MILLION, reasoning=MILLION // 2), 10.0),
        (hosted("moonshot", "kimi-k2-0905-preview"), Usage(MILLION, 0), 0.60),
        (hosted("xai", "grok-4"), Usage(MILLION, 0), 3.0),
    ],
)
def test_tokens_have_the_price_of_their_kind(seat: Seat, usage: Usage, dollars: float) -> None:
    assert price(seat, usage, DAY) == pytest.approx(dollars)


@pytest.mark.parametrize("name", ["local", "ollama", "vllm", "llama.cpp", "lmstudio", "scripted"])
def test_what_runs_on_a_machine_of_ones_own_costs_nothing(name: str) -> None:
    assert price(hosted(name, "gpt-4o"), Usage(), DAY) == 0.0


@pytest.mark.parametrize(
    ("seat", "usage"),
    [
        (hosted("openai", "gpt-99"), Usage(1, 1)),
        (hosted("my-openai", "gpt-4o"), Usage(1, 1)),
        (GPT, Usage()),
        (GPT, Usage(input=1)),
        (GPT, Usage(output=1)),
        (GPT, Usage(10, 1, cached=20)),
        (GPT, Usage(-1, 1)),
    ],
)
def test_what_is_not_known_has_no_price(seat: Seat, usage: Usage) -> None:
    assert price(seat, usage, DAY) is None


def test_the_model_that_answered_is_paid_for_and_the_one_that_was_asked_if_it_is_not_listed() -> (
    None
):
    usage = Usage(MILLION, 0)
    assert price(HAIKU, usage, DAY, "claude-opus-4-1") == pytest.approx(15.0)
    assert price(HAIKU, usage, DAY, "no-such-model") == pytest.approx(1.0)


def test_the_price_is_that_of_the_day() -> None:
    days = [datetime(year, 1, 15, tzinfo=UTC) for year in (2025, 2026)]
    paid = [price(hosted("openai", "o3"), Usage(MILLION, 0), day) for day in days]
    assert paid == [pytest.approx(10.0), pytest.approx(2.0)]


async def priced(inner: Acted) -> list[Item]:
    provider = Priced(inner, lambda: DAY)
    assert provider.seat is inner.seat
    async with aclosing(provider.stream(CALL)) as items:
        found = [item async for item in items]
    await provider.aclose()
    assert inner.closed
    return found


async def test_a_reply_says_what_it_cost() -> None:
    reply = Completion("hi", usage=Usage(MILLION, 0))
    assert await priced(Acted([Delta("h"), reply], seat=HAIKU)) == [
        Delta("h"),
        Completion("hi", usage=Usage(MILLION, 0), cost=1.0),
    ]


async def test_a_provider_that_knows_its_price_is_believed() -> None:
    reply = Completion("hi", usage=Usage(1, 1), cost=0.5)
    assert await priced(Acted([reply], seat=HAIKU)) == [reply]


async def test_who_is_no_model_reads_and_says_no_tokens_and_costs_nothing() -> None:
    [reply] = await priced(Acted([Completion("hi")], seat=Seat("scripted", "s")))
    assert reply == Completion("hi", usage=Usage(0, 0), cost=0.0)


async def test_the_clock_is_read_if_none_is_given() -> None:
    async with aclosing(Priced(Acted([Completion("", usage=Usage(1, 1))])).stream(CALL)) as items:
        [reply] = [item async for item in items]
    assert isinstance(reply, Completion)
    assert reply.cost is not None


def test_the_price_list_is_imported_when_a_price_is_looked_up_and_not_before() -> None:
    code = "import sys, duologue.providers.wrapping; sys.exit('genai_prices' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=False)  # noqa: S603 - our own line
    assert done.returncode == 0
