from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given

from duologue.cli.planning import lines
from duologue.core.event import ConversationStarted, TurnStarted
from duologue.core.experiment import Experiment, Member
from duologue.core.plan import plan as plan_experiment
from duologue.core.provider import Completion, Seat, Usage
from duologue.core.rebuild import rebuild
from duologue.core.spec import Budget, Line, Nudge, Participant, Sampling, TurnCap
from duologue.core.state import State, fold
from duologue.core.wire import digest
from duologue.errors import ConfigurationError
from duologue.estimate import (
    FRAME,
    HIGH,
    LOW,
    Guess,
    Rate,
    Share,
    estimate,
    forecast,
    named_seat,
    plan,
    planned,
    rates,
    turns,
)
from strategies import Cast, casts, facts, hold, pair
from virtual import Acted

DAY = datetime(2026, 11, 1, tzinfo=UTC)
GPT = Seat("openai", "gpt-4o", "openai", {"base_url": "https://x", "stream": False})
SEATS = {"Ada": GPT, "Ben": Seat("local", "b", "plain")}
HELLO = (Line("Ada", "x" * 90),)


def free(_seat: Seat, _usage: Usage) -> float:
    return 0.0


def dear(seat: Seat, usage: Usage) -> float | None:
    return None if seat.provider == "local" else (usage.input or 0) * 1.0


def begun(*ending: TurnCap | Budget, **changes: object) -> State:
    return fold([ConversationStarted(pair(*ending, **changes), SEATS)])


def test_everybody_reads_all_that_was_said_before() -> None:
    guess = Guess("g", 3.0, 10, full=False, cached=True)
    state = begun(TurnCap(5), opening=HELLO)
    opening = 30 + FRAME
    assert list(turns(state, guess)) == [
        ("Ben", Usage(opening, 10, cached=0)),
        ("Ada", Usage(opening + 14, 10, cached=0)),
        ("Ben", Usage(opening + 28, 10, cached=opening)),
        ("Ada", Usage(opening + 42, 10, cached=opening + 14)),
    ]


@pytest.mark.parametrize(
    ("guess", "limit", "expected"),
    [
        (LOW, None, 60),
        (LOW, 9, 9),
        (LOW, 99, 60),
        (HIGH, None, 1024),
        (HIGH, 9, 9),
        (HIGH, 4096, 4096),
    ],
)
def test_a_reply_is_as_long_as_assumed_and_never_longer_than_its_limit(
    guess: Guess, limit: int | None, expected: int
) -> None:
    assert guess.length(limit) == expected


def test_the_estimate_is_the_sum_of_its_turns_and_an_unknown_price_stays_unknown() -> None:
    state = begun(TurnCap(5), opening=HELLO)
    found = estimate(state, HIGH, dear)
    said = [usage for name, usage in turns(state, HIGH) if name == "Ada"]
    read = sum(usage.input or 0 for usage in said)
    assert found.shares["Ada"] == Share(2, read, 2048, float(read))
    assert found.shares["Ben"].usd is None
    assert found.total.usd is None
    assert found.total.turns == 4


@given(casts())
def test_the_low_end_is_never_above_the_high_end_and_speakers_are_those_who_would_speak(
    cast: Cast,
) -> None:
    started = fold([ConversationStarted(cast.spec, cast.dialects)])
    low, high = (estimate(started, guess, free).total for guess in (LOW, HIGH))
    assert low.turns == high.turns
    assert low.input <= high.input
    assert low.output <= high.output
    plain = pair(*(r for r in cast.spec.ending if isinstance(r, TurnCap)))
    spec = type(plain)(cast.spec.participants, cast.spec.opening, cast.spec.order, plain.ending[:1])
    quiet = {name: Acted([Completion("x")], seat=seat) for name, seat in cast.dialects.items()}
    spoken = [e.participant for e in hold(spec, quiet) if isinstance(e, TurnStarted)]
    bare = fold([ConversationStarted(spec, cast.dialects)])
    assert [name for name, _ in turns(bare, LOW)] == spoken


def text(spec_lines: Sequence[str]) -> str:
    return "\n".join(spec_lines)


async def test_the_first_request_is_exactly_what_is_sent() -> None:
    spec = pair(TurnCap(3), opening=HELLO, seed=3)
    found = planned(spec, {"Ada": GPT, "Ben": GPT}, free)
    cast = {name: Acted([Completion("x")], seat=GPT) for name in spec.names()}
    sent = next(rebuild(await facts(spec, cast)))
    assert found.first == sent.started.participant == "Ben"
    assert found.wire == sent.wire
    shown = text(list(lines(found)))
    assert f"{len(sent.wire.body):,} bytes, BLAKE2b-256 {digest(sent.wire.body)}" in shown
    assert "seed 3" in shown
    assert "openai:gpt-4o, dialect openai at https://x, not streamed" in shown


def test_a_plan_tells_edits_budgets_and_what_it_does_not_know() -> None:
    quirks = {"quirks": {"silence": "refused"}}
    strict = Seat("openai", "gpt-4o", "openai", quirks)
    spec = pair(
        Budget(usd=0.5, tokens=5), TurnCap(4), opening=(Line("Ada", " "),), stand_in="…", told="Hi."
    )
    shown = text(list(lines(planned(spec, {"Ada": strict, "Ben": strict}, lambda *_: 9.0))))
    assert "edited view: stand_in" in shown
    assert "the budget of $0.5 would end the high case before the cap" in shown
    assert "the budget of 5 tokens would end the high case before the cap" in shown
    assert "\n  Hi.\n" in shown
    unknown = text(list(lines(planned(spec, {"Ada": strict, "Ben": strict}, lambda *_: None))))
    assert "the price of openai:gpt-4o (Ada) is not known" in unknown
    assert "a price is not known: the budget ends the run after its first such turn" in unknown
    roomy = pair(Budget(usd=99.0, tokens=10**9), TurnCap(4), opening=HELLO)
    calm = text(list(lines(planned(roomy, {"Ada": strict, "Ben": strict}, lambda *_: 1.0))))
    assert "would end" not in calm
    assert "Everyone is told\n  nothing" in calm


def test_what_is_over_before_it_begins_asks_nobody() -> None:
    found = planned(pair(TurnCap(1), opening=HELLO), SEATS, free)
    assert (found.first, found.wire) == (None, None)
    assert "Nobody would be asked" in text(list(lines(found)))
    assert found.high.total == Share()


def test_what_cannot_be_asked_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="Ada cannot be asked"):
        planned(pair(silence=Nudge("x")), {"Ada": GPT, "Ben": GPT}, free)


async def test_a_plan_needs_no_key_and_no_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    script = tmp_path / "s.jsonl"
    script.write_text('"hello"\n')
    seats = (
        Participant("Ada", f"scripted:{script}"),
        Participant("Ben", "anthropic:claude-haiku-4-5", sampling=Sampling(max_tokens=100)),
    )
    spec = pair(TurnCap(5), participants=seats, opening=HELLO)
    found = await plan(spec, DAY)
    assert found.seats["Ben"].dialect == "anthropic"
    assert found.high.shares["Ada"].usd == 0.0
    ben = found.high.shares["Ben"]
    assert ben.output == 200
    assert ben.usd == pytest.approx((ben.input * 1.0 + ben.output * 5.0) / 1e6)
    low = found.low.shares["Ben"].usd
    assert low is not None
    assert ben.usd is not None
    assert 0 < low < ben.usd
    assert (await plan(spec)).seats == found.seats


# Experiments.


def test_a_forecast_counts_every_replicate_of_every_cell() -> None:
    experiment = Experiment(
        participants=("scripted:a", Member(model="openai:gpt-4o", name="gpt")),
        pairs="cross",
        opener="x" * 90,
        turns=(3, 5),
        replicates=3,
    )
    whole = plan_experiment(experiment)
    found = forecast(whole, dear, {})
    assert [each.cell for each in found.cells] == list(whole.cells)
    assert [each.conversations for each in found.cells] == [3] * 4
    for each in found.cells:
        one = next(held.spec for held in whole.conversations if held.cell == each.cell)
        seats = {seat.name: named_seat(seat) for seat in one.participants}
        state = fold([ConversationStarted(one, seats)])
        assert each.low == estimate(state, LOW, dear).total.times(3)
        assert each.high == estimate(state, HIGH, dear).total.times(3)
    assert found.low.turns == 3 * 2 * (2 + 4)
    by_model = [span.high for span in found.models]
    assert by_model[0].plus(by_model[1]) == found.high


def test_time_is_known_when_every_model_has_been_measured() -> None:
    experiment = Experiment(participants=("openai:gpt-4o", "human"), pairs="cross", turns=3)
    whole = plan_experiment(experiment)
    unknown = forecast(whole, free, {})
    assert unknown.seconds() is None
    measured = {("openai", "gpt-4o"): Rate(2, 6.0, 3)}
    found = forecast(whole, free, measured)
    gpt = next(span for span in found.models if span.seat.provider == "openai")
    assert found.seconds() == (gpt.low.output * 2.0, gpt.high.output * 2.0)


def test_a_price_that_is_not_known_stays_so() -> None:
    assert Share(1, 2, 3, None).times(4) == Share(4, 8, 12, None)


async def test_rates_are_read_off_what_was_measured() -> None:
    spec = pair(TurnCap(4), opening=HELLO)
    timed = [
        [Completion("one", usage=Usage(output=10), seconds=2.0)],
        [Completion("not timed", usage=Usage(output=20))],
    ]
    cast = {name: Acted(*timed, seat=GPT) for name in spec.names()}
    found = rates([await facts(spec, cast)])
    assert found == {("openai", "gpt-4o"): Rate(2, 4.0, 20)}
    assert found["openai", "gpt-4o"].per_token == 0.2
    assert Rate().per_token is None
    assert rates([]) == {}
