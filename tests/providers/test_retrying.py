import asyncio
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.core.event import AttemptFailed, TurnCompleted, TurnStarted
from duologue.core.message import Message
from duologue.core.provider import Call, Completion, Delta, Failure, Item, Provider
from duologue.core.spec import Participant, TurnCap
from duologue.errors import (
    AuthenticationError,
    BrokenStreamError,
    ConfigurationError,
    ContextFullError,
    MalformedReplyError,
    OverloadError,
    ProviderBugError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitError,
    ReplayError,
    RequestRefusedError,
)
from duologue.providers.retrying import PASSING, Patience, Retrying, waits
from strategies import facts, pair
from virtual import CALL, DONE, Acted, Virtual


async def streamed(provider: Provider, call: Call = CALL) -> list[Item]:
    async with aclosing(provider.stream(call)) as items:
        return [item async for item in items]


async def tried(clock: Virtual, inner: Acted, patience: Patience | None = None) -> list[Item]:
    """All that comes, in virtual time."""
    task = asyncio.create_task(streamed(Retrying(inner, patience, wait=clock.wait)))
    await clock.run(task)
    return task.result()


@pytest.mark.parametrize("kind", PASSING)
async def test_what_may_pass_is_a_failure_and_is_asked_for_again(
    kind: type[ProviderError],
) -> None:
    inner = Acted([Delta("par"), kind("busy", partial="part")], DONE)
    assert await tried(Virtual(), inner) == [
        Delta("par"),
        Failure(kind.boundary, "busy", "part"),
        Completion("done"),
    ]
    assert inner.calls == [CALL, CALL]
    assert inner.open == 0


@pytest.mark.parametrize(
    "error",
    [
        AuthenticationError("no"),
        RequestRefusedError("no"),
        ContextFullError("no"),
        ProviderBugError("no"),
        ConfigurationError("no"),
        ReplayError("no"),
        ValueError("no"),
    ],
)
async def test_what_cannot_pass_is_never_asked_for_again(error: Exception) -> None:
    inner, clock = Acted([error], DONE), Virtual()
    with pytest.raises(type(error)):
        await tried(clock, inner)
    assert (len(inner.calls), clock.waited) == (1, [])


@pytest.mark.parametrize("told", [0.0, 0.25, 7.0, 900.0])
async def test_a_wait_that_the_provider_told_us_is_kept_to_exactly(told: float) -> None:
    clock = Virtual()
    items = await tried(clock, Acted([RateLimitError("slow", wait_s=told)], DONE))
    assert items[0] == Failure("rate_limit", "slow", wait_s=told)
    assert clock.waited == [told]


async def test_who_tells_us_to_wait_for_ever_is_not_asked_too_soon_but_not_at_all() -> None:
    clock = Virtual()
    with pytest.raises(RateLimitError):
        await tried(clock, Acted([RateLimitError("slow", wait_s=901.0)], DONE))
    assert clock.waited == []


async def test_after_the_last_attempt_the_error_goes_on() -> None:
    inner, clock = Acted([OverloadError("busy")]), Virtual()
    items: list[Item] = []

    async def listen() -> None:
        async with aclosing(Retrying(inner, Patience(3), wait=clock.wait).stream(CALL)) as all_:
            async for item in all_:
                items.append(item)  # noqa: PERF401 - what came before the error matters

    task = asyncio.create_task(listen())
    await clock.run(task)
    with pytest.raises(OverloadError):
        task.result()
    assert items == [Failure("overload", "busy")] * 2
    assert clock.waited == list(waits(CALL, Patience(3)))
    assert len(inner.calls) == 3


async def test_a_reply_that_was_whole_is_never_asked_for_again() -> None:
    inner = Acted([Completion("one"), BrokenStreamError("late")], DONE)
    with pytest.raises(BrokenStreamError):
        await tried(Virtual(), inner)
    assert len(inner.calls) == 1


async def test_a_wait_ends_at_once_when_it_is_cancelled() -> None:
    inner = Acted([OverloadError("busy")])
    task = asyncio.create_task(streamed(Retrying(inner, Patience(shortest_s=3600, longest_s=3600))))
    for _ in range(20):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (len(inner.calls), inner.open) == (1, 0)


async def test_closing_in_mid_reply_closes_the_inner_stream() -> None:
    inner = Acted([Delta("a"), Delta("b")])
    async with aclosing(Retrying(inner).stream(CALL)) as items:
        assert await anext(items) == Delta("a")
        assert inner.open == 1
    assert inner.open == 0


async def test_a_wrapper_is_who_it_wraps() -> None:
    inner = Acted(DONE)
    outer = Retrying(inner)
    assert outer.seat is inner.seat
    await outer.aclose()
    assert inner.closed


@given(st.binary(), st.text(max_size=9), st.integers(1, 40))
def test_our_own_waits_depend_on_the_request_alone_and_stay_within_bounds(
    body: bytes, key: str, attempts: int
) -> None:
    patience = Patience(attempts, shortest_s=0.5, longest_s=20.0)
    call = Call(body, key)
    drawn = list(waits(call, patience))
    assert drawn == list(waits(call, patience))
    assert len(drawn) == attempts - 1
    last = 0.5
    for wait in drawn:
        assert 0.5 <= wait <= min(20.0, 3 * last)
        last = wait


def test_requests_that_fail_together_do_not_come_back_together() -> None:
    first = {next(waits(Call(b"{}", f"{number}/Ada"), Patience(2))) for number in range(100)}
    assert len(first) == 100


async def test_every_attempt_of_a_turn_is_on_the_record_and_no_partial_text_in_a_message() -> None:
    clock = Virtual()
    broken = [Delta("Hel"), Delta("hm", reasoning=True), BrokenStreamError("cut")]
    late = [MalformedReplyError("what", partial="?!")]
    inner = Acted(broken, late, [ProviderTimeoutError("60 s")], [Delta("He"), Completion("Hello")])
    spec = pair(TurnCap(1), participants=(Participant("Ada", "m"),))
    ada = Retrying(inner, wait=clock.wait)
    inner.seat = type(inner.seat)("odd", "m")
    task = asyncio.create_task(facts(spec, {"Ada": ada}))
    await clock.run(task)
    events = task.result()[1:-1]
    assert [e.partial for e in events if isinstance(e, AttemptFailed)] == ["Hel", "?!", ""]
    assert all(e.again for e in events if isinstance(e, AttemptFailed))
    starts = [e for e in events if isinstance(e, TurnStarted)]
    assert len(starts) == 4
    assert len(set(starts)) == 1
    assert events[-1] == TurnCompleted(1, Message("Ada", "Hello"))
