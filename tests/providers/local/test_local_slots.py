import asyncio
from contextlib import AsyncExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.providers.local.slots import Slot, Slots


async def once(slots: Slots, key: str) -> Slot:
    async with slots.take(key) as slot:
        return slot


async def test_a_key_keeps_its_slot_and_is_fresh_only_the_first_time() -> None:
    slots = Slots(2)
    assert await once(slots, "a") == (0, True)
    assert await once(slots, "b") == (1, True)
    assert await once(slots, "a") == (0, False)


async def test_the_slot_that_was_idle_longest_changes_hands() -> None:
    slots = Slots(2)
    for key in "aba":
        await once(slots, key)
    assert await once(slots, "c") == (1, True)
    assert await once(slots, "a") == (0, False)
    assert await once(slots, "b") == (1, True)


async def test_a_request_waits_while_its_own_slot_is_busy_though_another_is_idle() -> None:
    slots = Slots(2)
    async with slots.take("a") as mine:
        second = asyncio.create_task(once(slots, "a"))
        assert await once(slots, "b") == (1, True)
        assert not second.done()
    assert await second == (mine.number, False)


async def test_a_new_key_waits_while_every_slot_is_busy() -> None:
    slots = Slots(1)
    async with slots.take("a"):
        second = asyncio.create_task(once(slots, "b"))
        await asyncio.sleep(0)
        assert not second.done()
    assert await second == (0, True)


async def test_a_cancelled_request_gives_its_place_and_its_slot_back() -> None:
    slots = Slots(1)
    async with slots.take("a"):
        gone = asyncio.create_task(once(slots, "b"))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
    assert await once(slots, "c") == (0, True)


@given(count=st.integers(1, 3), keys=st.lists(st.sampled_from("abcde"), max_size=30))
def test_no_slot_is_ever_held_twice_and_a_slot_that_is_not_fresh_held_that_key_before(
    count: int, keys: list[str]
) -> None:
    async def scenario() -> None:
        slots = Slots(count)
        held: set[int] = set()
        last: dict[int, str] = {}

        async def visit(key: str) -> None:
            async with AsyncExitStack() as stack:
                slot = await stack.enter_async_context(slots.take(key))
                assert slot.number < count
                assert slot.number not in held
                assert slot.fresh or last[slot.number] == key
                held.add(slot.number)
                last[slot.number] = key
                await asyncio.sleep(0)
                held.remove(slot.number)

        await asyncio.gather(*(visit(key) for key in keys))

    asyncio.run(scenario())
