import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

import pytest

from duologue.core.provider import Call, Completion, Delta, Failure, Item, Seat
from duologue.errors import (
    BrokenStreamError,
    OverloadError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitError,
)
from duologue.providers.pacing import FIRST, OPEN, Pace, Paced, Paces, fingerprint, paces
from duologue.providers.pricing import Priced
from duologue.providers.retrying import Retrying
from duologue.providers.wrapping import wrapped
from virtual import CALL, DONE, SEAT, Acted, Virtual


def pace(clock: Virtual, first: int = 2, most: int = 64) -> Pace:
    return Pace(first=first, most=most, wait=clock.wait, now=clock.time)


async def ask(provider: Paced | Retrying | Priced, key: str = "") -> list[Item]:
    async with aclosing(provider.stream(Call(b"{}", key))) as items:
        return [item async for item in items]


async def settle() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


async def round_of(limiter: Pace, count: int, error: ProviderError | None = None) -> None:
    """So many requests at once, all answered, or all refused."""
    gate = asyncio.Event()
    inner = Acted([gate, error] if error else [gate, *DONE])
    tasks = [asyncio.create_task(ask(Paced(inner, limiter))) for _ in range(count)]
    await settle()
    gate.set()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_no_more_are_under_way_than_the_window_and_who_comes_first_goes_first() -> None:
    limiter = pace(Virtual(), most=2)
    gates = [asyncio.Event() for _ in range(5)]
    inner = Acted(*([gate, *DONE] for gate in gates))
    tasks = [asyncio.create_task(ask(Paced(inner, limiter), str(n))) for n in range(5)]
    for expected in (2, 3, 4):
        await settle()
        assert [call.key for call in inner.calls] == [str(n) for n in range(expected)]
        gates[expected - 2].set()
    for gate in gates:
        gate.set()
    await asyncio.gather(*tasks)
    assert inner.open == 0


async def test_the_window_doubles_with_each_clean_round_that_was_wanted() -> None:
    limiter = pace(Virtual())
    await round_of(limiter, 3)
    assert limiter.window == 4
    await round_of(limiter, 8)
    assert limiter.window == 8


async def test_a_window_that_nobody_fills_does_not_grow_and_none_grows_for_ever() -> None:
    limiter = pace(Virtual(), most=5)
    for _ in range(10):
        await round_of(limiter, 1)
    assert limiter.window == 2
    for _ in range(10):
        await round_of(limiter, 20)
    assert limiter.window == 5


@pytest.mark.parametrize("kind", [RateLimitError, OverloadError])
async def test_one_episode_of_refusals_cuts_once_however_many_were_under_way(
    kind: type[ProviderError],
) -> None:
    limiter = pace(Virtual(), first=16)
    await round_of(limiter, 16, kind("slow"))
    assert limiter.window == 8
    await round_of(limiter, 8, kind("slow"))
    assert limiter.window == 4


async def test_after_a_cut_the_window_grows_by_one_and_never_falls_below_one() -> None:
    limiter = pace(Virtual(), first=8)
    await round_of(limiter, 8, RateLimitError("slow"))
    await round_of(limiter, 5)
    assert limiter.window == 5
    for _ in range(9):
        await round_of(limiter, 1, RateLimitError("slow"))
    assert limiter.window == 1


async def test_who_queues_more_than_it_can_answer_in_time_is_asked_less() -> None:
    limiter = pace(Virtual(), first=8)
    await round_of(limiter, 8, ProviderTimeoutError("nothing came for 600 s"))
    assert limiter.window == 4


async def test_a_provider_that_fails_before_it_begins_keeps_nobodys_turn() -> None:
    class Broken:
        seat = SEAT

        def stream(self, call: Call) -> AsyncGenerator[Item, None]:
            raise RuntimeError(call.key)

        async def aclose(self) -> None:
            """Nothing is held."""

    limiter = pace(Virtual(), first=1)
    with pytest.raises(RuntimeError):
        await ask(Paced(Broken(), limiter))
    assert await ask(Paced(Acted(DONE), limiter))


async def test_a_late_success_of_before_the_cut_does_not_count() -> None:
    limiter = pace(Virtual(), first=2)
    old, other = await limiter.enter(), await limiter.enter()
    limiter.went_wrong(other, RateLimitError("slow"))
    limiter.leave()
    assert limiter.window == 1
    limiter.went_well(old)
    limiter.leave()
    fresh = await limiter.enter()
    waiting = asyncio.create_task(ask(Paced(Acted(DONE), limiter)))
    await settle()
    limiter.went_well(fresh)
    limiter.leave()
    await waiting
    assert limiter.window == 2


async def test_what_is_no_refusal_cuts_nothing() -> None:
    limiter = pace(Virtual(), first=4)
    await round_of(limiter, 4, BrokenStreamError("cut"))
    assert limiter.window == 4


async def test_a_wait_that_one_was_told_is_kept_by_everybody() -> None:
    clock = Virtual()
    limiter = pace(clock, first=4)
    with suppress(RateLimitError):
        await ask(Paced(Acted([RateLimitError("slow", wait_s=30)]), limiter))
    inner = Acted(DONE)
    tasks = [asyncio.create_task(ask(Paced(inner, limiter))) for _ in range(2)]
    await settle()
    assert inner.calls == []
    await clock.run(*tasks)
    assert (clock.now, len(inner.calls)) == (30.0, 2)
    assert clock.waited == [30.0]


async def test_who_gives_up_while_waiting_holds_nobody_back() -> None:
    limiter = pace(Virtual(), first=1)
    gate = asyncio.Event()
    inner = Acted([gate, *DONE], DONE)
    tasks = [asyncio.create_task(ask(Paced(inner, limiter), str(n))) for n in range(4)]
    await settle()
    tasks[1].cancel()
    tasks[2].cancel()
    await settle()
    gate.set()
    await tasks[0]
    await tasks[3]
    assert [call.key for call in inner.calls] == ["0", "3"]


async def test_closing_in_mid_reply_gives_the_turn_back() -> None:
    limiter = pace(Virtual(), first=1)
    inner = Acted([Delta("a"), Delta("b")])
    async with aclosing(Paced(inner, limiter).stream(CALL)) as items:
        assert await anext(items) == Delta("a")
    assert inner.open == 0
    assert await ask(Paced(Acted(DONE), limiter)) == [Completion("done", pace=1)]


async def test_the_pace_is_on_every_reply_and_on_every_failure() -> None:
    clock = Virtual()
    inner = Acted([RateLimitError("slow", wait_s=5)], [Delta("x"), *DONE])
    outer = Retrying(Paced(inner, pace(clock, first=4)), wait=clock.wait)
    task = asyncio.create_task(ask(outer))
    await clock.run(task)
    assert task.result() == [
        Failure("rate_limit", "slow", wait_s=5, pace=4),
        Delta("x"),
        Completion("done", pace=2),
    ]
    assert clock.now == 5.0


async def test_each_provider_address_key_and_model_has_its_own_pace() -> None:
    own = Paces()
    elsewhere = Seat("openai", "gpt-4o", "openai", {"base_url": "y"})
    other = Seat("openai", "gpt-5", "openai", {"base_url": "x"})
    found = [own.of(SEAT, "k"), own.of(SEAT, "l"), own.of(SEAT, None)]
    found += [own.of(elsewhere, "k"), own.of(other, "k")]
    assert len(set(found)) == 5
    assert own.of(SEAT, "k") is found[0]


async def test_only_what_is_behind_a_key_is_asked_slowly_at_first() -> None:
    own = Paces()
    own.share(2, lambda _whom, _seconds: None)
    assert own.of(SEAT, "k").window == FIRST // 2
    assert own.of(SEAT, None).window == OPEN // 2


async def test_all_that_runs_in_one_event_loop_shares_its_paces() -> None:
    assert paces() is paces()
    loop = asyncio.new_event_loop()
    try:
        there = await asyncio.to_thread(loop.run_until_complete, _paces())
    finally:
        loop.close()
    assert there is not paces()


async def _paces() -> Paces:
    return paces()


def test_a_fingerprint_tells_keys_apart_and_gives_none_away() -> None:
    assert fingerprint(None) == ""
    assert fingerprint("sk-1") == fingerprint("sk-1") != fingerprint("sk-2")
    assert "sk-1" not in fingerprint("sk-1")


async def test_everything_around_a_provider_is_put_there_in_one_order() -> None:
    inner = Acted([RateLimitError("slow", wait_s=0)], DONE)
    outer = wrapped(inner, "sk-1")
    assert isinstance(outer, Priced)
    items = await ask(outer)
    assert items == [
        Failure("rate_limit", "slow", wait_s=0, pace=4),
        Completion("done", pace=2),
    ]
    assert outer.seat is inner.seat
    await outer.aclose()
    assert inner.closed


async def test_what_runs_here_is_asked_once_and_without_a_pace() -> None:
    inner = Acted([BrokenStreamError("gone")], seat=Seat("local", "tiny", "gguf"))
    with pytest.raises(BrokenStreamError):
        await ask(wrapped(inner))  # type: ignore[arg-type] # any provider streams
    assert len(inner.calls) == 1
