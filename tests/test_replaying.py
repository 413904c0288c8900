"""Law 2: a log executed again yields the identical facts, and anything changed is refused."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from duologue.conversation import converse
from duologue.core.branch import branch
from duologue.core.event import (
    AttemptFailed,
    ConversationEnded,
    ConversationStarted,
    Event,
    MessageInjected,
    TurnCompleted,
    TurnStarted,
)
from duologue.core.message import Message, Origin
from duologue.core.provider import Delta
from duologue.core.spec import TurnCap
from duologue.core.state import fold
from duologue.errors import DuologueError, ReplayError
from duologue.replaying import given as inherited
from duologue.replaying import replay, settled
from recording import PAIR
from strategies import EYES, Cast, casts, facts, injections


def _again(events: Sequence[Event]) -> list[Event | Delta]:
    """What a replay shows; that it counts all facts is checked here."""
    seen: list[Event | Delta] = []
    count = asyncio.run(replay(events, seen.append, detectors=EYES))
    assert count == len(settled(events))
    return seen


async def _broken(cast: Cast, stops: list[int]) -> list[Event]:
    """A conversation that was killed after so many facts, again and again, then left to end."""
    events: list[Event] = []
    for stop in [*stops, 99]:
        left = stop
        loop = converse(cast.spec, cast.providers(), events, detectors=EYES)
        async for item in loop:
            if isinstance(item, Delta):
                continue
            events.append(item)
            left -= 1
            if not left:
                break
        await loop.aclose()
    return events


def _asked(events: Sequence[Event]) -> bool:
    return any(isinstance(event, TurnStarted) for event in events)


@given(casts(), st.lists(st.integers(1, 5), max_size=6))
def test_every_log_is_replayed_to_the_identical_facts(cast: Cast, stops: list[int]) -> None:
    events = asyncio.run(_broken(cast, stops))
    assume(_asked(events))
    seen = [item for item in _again(events) if not isinstance(item, Delta)]
    assert seen == settled(events)


@given(casts(), st.lists(st.integers(1, 5), max_size=6))
def test_what_is_settled_is_what_was_there_without_turns_that_were_begun_again(
    cast: Cast, stops: list[int]
) -> None:
    events = asyncio.run(_broken(cast, stops))
    left = settled(events)
    assert fold(left) == fold(events)
    assert not any(
        isinstance(one, TurnStarted) and isinstance(next_, TurnStarted)
        for one, next_ in pairwise(left)
    )
    assert [event for event in events if not isinstance(event, TurnStarted)] == [
        event for event in left if not isinstance(event, TurnStarted)
    ]


@st.composite
def branches(draw: st.DrawFn) -> list[Event]:
    """The facts of a branch of a branch, with words injected where they may be."""
    cast = draw(casts())
    events = asyncio.run(facts(cast.spec, cast.providers()))
    for parent in ("lusab-babad-gutih", "tugad-bojub-zonof"):
        state = fold(events)
        at = draw(st.integers(0, len(state.entries)))
        say = draw(st.none() | injections(cast.spec.names()))
        ending = tuple(r for r in cast.spec.ending if not isinstance(r, TurnCap))
        spec = replace(state.begun().spec, ending=(*ending, TurnCap(at + draw(st.integers(1, 4)))))
        seats = {name: provider.seat for name, provider in cast.providers().items()}
        history = branch(events, parent, at, spec=spec, seats=seats, say=say)
        spec = fold(history).begun().spec
        events = [*history, *asyncio.run(facts(spec, cast.providers(), history))]
    return events


@given(branches())
def test_a_branch_is_replayed_from_where_it_left_its_parent(events: list[Event]) -> None:
    first = inherited(settled(events))
    assume(_asked(settled(events)[len(first) :]))
    seen = [item for item in _again(events) if not isinstance(item, Delta)]
    assert [*first, *seen] == settled(events)


@given(casts(), st.data())
def test_a_changed_fact_is_refused_or_changes_nothing_that_was_sent(
    cast: Cast, data: st.DataObject
) -> None:
    events = asyncio.run(facts(cast.spec, cast.providers()))
    said = [place for place, event in enumerate(events) if isinstance(event, TurnCompleted)]
    assume(len(said) > 1)
    place = data.draw(st.sampled_from(said[:-1]))
    event = events[place]
    assert isinstance(event, TurnCompleted)
    other = replace(event.message, text=event.message.text + "x")
    events[place] = replace(event, message=other)
    with pytest.raises(DuologueError) as caught:
        _again(events)
    assert isinstance(caught.value, ReplayError)


async def test_a_changed_prompt_is_refused_where_it_was_sent() -> None:
    events = await PAIR.events()
    started = events[0]
    assert isinstance(started, ConversationStarted)
    seats = (replace(started.spec.participants[0], system="other"), started.spec.participants[1])
    events[0] = replace(started, spec=replace(started.spec, participants=seats))
    with pytest.raises(ReplayError, match=r"fact 3 is .*turn_started.* in the log"):
        await replay(events, lambda _: None, detectors=EYES)


async def test_a_fact_too_many_is_refused() -> None:
    events = await PAIR.events()
    late = TurnStarted(fold(events).turn, "Ada", "0" * 64)
    with pytest.raises(DuologueError):
        await replay([*events, late], lambda _: None, detectors=EYES)


async def test_a_fact_that_is_missing_is_refused() -> None:
    events = await PAIR.events()
    ended = next(place for place, event in enumerate(events) if isinstance(event, TurnCompleted))
    with pytest.raises(DuologueError):
        await replay([*events[:ended], *events[ended + 1 :]], lambda _: None, detectors=EYES)


async def test_an_ending_that_the_rules_do_not_give_is_refused() -> None:
    events = await PAIR.events()
    ended = events[-1]
    assert isinstance(ended, ConversationEnded)
    events[-1] = replace(ended, detail="because")
    with pytest.raises(ReplayError, match=r"because.* in the log, and came as .*the cap"):
        await replay(events, lambda _: None, detectors=EYES)


async def test_an_interrupted_conversation_is_replayed_as_far_as_it_came() -> None:
    events = await PAIR.events()
    for stop in range(2, len(events)):
        assert await replay(events[:stop], lambda _: None, detectors=EYES) == stop


@pytest.mark.parametrize("count", [1, 2])
async def test_where_no_model_was_asked_there_is_nothing_to_replay(count: int) -> None:
    started = (await PAIR.events())[0]
    given_ = MessageInjected(1, Message("Ada", " ", origin=Origin.OPENING))
    with pytest.raises(ReplayError, match="nothing to replay"):
        await replay([started, given_][:count], lambda _: None, detectors=EYES)


async def test_a_failed_attempt_is_replayed_as_it_failed() -> None:
    failed = AttemptFailed(2, "Bo", "rate_limit", "slow down", partial="tw", wait_s=2.5)
    events: list[Event] = [*(await PAIR.events())[:2], failed]
    ended = (await facts(PAIR.spec, PAIR.cast(), events))[0]
    assert isinstance(ended, ConversationEnded)
    events.append(ended)
    events += await facts(PAIR.spec, PAIR.cast(), events)
    seen: list[Event | Delta] = []
    assert await replay(events, seen.append, detectors=EYES) == len(events)
    assert [item for item in seen if not isinstance(item, Delta)] == events
