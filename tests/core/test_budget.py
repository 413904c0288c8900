"""Budgets: in tokens, money and minutes, whatever the replies take."""

from collections.abc import AsyncGenerator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from duologue.core.branch import branch
from duologue.core.event import AttemptFailed, ConversationEnded, EndReason, Event, TurnCompleted
from duologue.core.provider import Call, Completion, Item, Provider, Seat, Usage
from duologue.core.spec import Budget, ConversationSpec, Resend, TurnCap
from duologue.core.state import fold
from strategies import hold, pair

Outcome = TurnCompleted | AttemptFailed
UNITS = ("tokens", "usd", "minutes")


class Dear:
    """Replies, some of them silent, that take what they are told to take; by place in the talk."""

    def __init__(self, replies: Sequence[Completion]) -> None:
        self.seat = Seat("odd", "dear")
        self.replies = list(replies)
        self.said = 0

    async def stream(self, _call: Call) -> AsyncGenerator[Item, None]:
        self.said += 1
        yield self.replies[(self.said - 1) % len(self.replies)]

    async def aclose(self) -> None:
        """Nothing is held."""


def taken(outcome: Outcome, unit: str) -> float:
    if unit == "tokens":
        return (outcome.usage.input or 0) + (outcome.usage.output or 0)
    return (outcome.cost or 0.0) if unit == "usd" else (outcome.seconds or 0.0) / 60


def outcomes(events: Sequence[Event]) -> list[Outcome]:
    return [event for event in events if isinstance(event, Outcome)]


REPLIES = st.lists(
    st.builds(
        Completion,
        st.sampled_from(["a", "b", "", " "]),
        usage=st.builds(Usage, input=st.integers(0, 50), output=st.integers(0, 50)),
        cost=st.floats(0, 2),
        seconds=st.floats(0, 200),
    ),
    min_size=1,
    max_size=6,
)
LIMITS = st.builds(
    Budget,
    tokens=st.none() | st.integers(1, 400),
    usd=st.none() | st.floats(0.01, 20),
    minutes=st.none() | st.floats(0.01, 20),
)


def spec_of(budget: Budget) -> ConversationSpec:
    return pair(budget, TurnCap(12), silence=Resend(2))


@given(LIMITS, REPLIES, st.data())
def test_a_budget_is_never_overrun_by_more_than_one_turn_resumed_or_not(
    budget: Budget, replies: list[Completion], data: st.DataObject
) -> None:
    spec = spec_of(budget)
    dear = Dear(replies)
    cast: dict[str, Provider] = {"Ada": dear, "Ben": dear}
    events = hold(spec, cast)
    cut = data.draw(st.integers(1, len(events)))
    events = [*events[:cut], *hold(spec, cast, events[:cut])]
    own = outcomes(events)
    for unit in UNITS:
        limit = getattr(budget, unit)
        spent = [taken(outcome, unit) for outcome in own]
        if limit is not None and spent:
            assert sum(spent[:-1]) <= limit
    ended = fold(events).ended
    assert ended is not None
    assert ended.reason in (EndReason.BUDGET, EndReason.MAX_TURNS)
    if ended.reason is EndReason.BUDGET:
        sums = {unit: [taken(outcome, unit) for outcome in own] for unit in UNITS}
        limits = {unit: getattr(budget, unit) or float("inf") for unit in UNITS}
        assert any(sum(sums[unit]) + max(sums[unit]) > limits[unit] for unit in UNITS)


@given(st.sampled_from(UNITS), REPLIES)
def test_a_branch_counts_only_what_it_took_itself(unit: str, replies: list[Completion]) -> None:
    free = pair(TurnCap(6))
    parent = hold(free, {"Ada": Dear(replies), "Ben": Dear(replies)})
    limit = max(1, sum(round(taken(outcome, unit)) for outcome in outcomes(parent)))
    spec = pair(replace(Budget(), **{unit: limit}), TurnCap(12))
    seats = {name: Dear(replies).seat for name in spec.names()}
    history = branch(parent, "p", 6, spec=spec, seats=seats)
    cheap = Completion("x", usage=Usage(0, 0), cost=0.0, seconds=0.0)
    events = [*history, *hold(spec, {"Ada": Dear([cheap]), "Ben": Dear([cheap])}, history)]
    ended = fold(events).ended
    assert ended is not None
    assert ended.reason is EndReason.MAX_TURNS


@pytest.mark.parametrize(
    ("budget", "detail"),
    [
        (Budget(tokens=10), "8 of 10 tokens are spent"),
        (Budget(usd=0.25), "0.2 of 0.25 USD are spent"),
        (
            Budget(minutes=1.5),
            "1 of 1.5 minutes are spent",
        ),
    ],
)
def test_an_ending_by_budget_says_what_is_spent(budget: Budget, detail: str) -> None:
    reply = Completion("hi", usage=Usage(6, 2), cost=0.2, seconds=60.0)
    events = hold(pair(budget), {"Ada": Dear([reply]), "Ben": Dear([reply])})
    more = "; the next turn could need more than is left"
    assert events[-1] == ConversationEnded(EndReason.BUDGET, detail=detail + more)
    assert len(fold(events).entries) == 1


@pytest.mark.parametrize("budget", [Budget(tokens=1000), Budget(usd=9.0)])
def test_what_a_reply_took_must_be_known_where_it_is_limited(budget: Budget) -> None:
    events = hold(pair(budget), {"Ada": Dear([Completion("hi")]), "Ben": Dear([Completion("ho")])})
    ended = events[-1]
    assert isinstance(ended, ConversationEnded)
    assert ended.reason is EndReason.BUDGET
    assert "not known, so the budget cannot be kept" in (ended.detail or "")
    assert len(fold(events).entries) == 1


def test_a_failed_attempt_that_does_not_say_what_it_took_took_nothing() -> None:
    silent, spoken = Completion(""), Completion("hi", usage=Usage(1, None), cost=0.0)
    spec = pair(Budget(tokens=100, usd=1.0), TurnCap(2), silence=Resend())
    events = hold(spec, {"Ada": Dear([silent, spoken]), "Ben": Dear([spoken])})
    assert events[-1] == ConversationEnded(EndReason.MAX_TURNS, detail="the cap of 2 messages")
