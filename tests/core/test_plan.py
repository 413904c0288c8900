"""What an experiment comes to: the crossing, the balance, ids that stay, seeds that are paired."""

from collections import Counter
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from duologue.core import plan as plans
from duologue.core.experiment import (
    Cross,
    EndingVariant,
    Experiment,
    Member,
    Said,
    Settings,
)
from duologue.core.plan import Plan, plan, replicate_seed
from duologue.core.spec import (
    EndAtSilence,
    Exit,
    Framing,
    Keep,
    Line,
    Nudge,
    Participant,
    Pass,
    RoundRobin,
    Sampling,
    Sequence,
    Shuffled,
    TurnCap,
)
from duologue.errors import ConfigurationError

TWO = Experiment(participants=("a", "b"), pairs="cross")


def keys(whole: Plan) -> list[str]:
    return [cell.key for cell in whole.cells]


def ids(whole: Plan) -> dict[tuple[str, int], str]:
    return {(each.cell.key, each.replicate): each.id for each in whole.conversations}


names = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=5, unique=True)
texts: st.SearchStrategy[Any] = st.dictionaries(
    st.sampled_from("uvwx"), st.uuids().map(str), max_size=3
)


@st.composite
def experiments(draw: st.DrawFn) -> Experiment:
    """Any sound experiment of pairs."""
    return Experiment(
        participants=tuple(draw(names)),
        pairs=draw(st.sampled_from(("all", "self"))),
        order=draw(st.sampled_from(("both", "as_given"))),
        openings=draw(texts),
        systems=draw(texts),
        scenarios=draw(texts),
        turns=draw(st.just(9) | st.lists(st.integers(1, 99), min_size=1, unique=True).map(tuple)),
        silences=draw(st.just({}) | st.just({"keep": Keep(), "end": EndAtSilence()})),
        replicates=draw(st.integers(1, 3)),
        seed=draw(st.integers(0, 9)),
    )


# The crossing.


@given(experiments())
def test_everything_is_crossed_with_everything(experiment: Experiment) -> None:
    whole = plan(experiment)
    count = len(experiment.participants)
    mixed = count * (count - 1) // 2 if experiment.pairs == "all" else 0
    seatings = count + mixed * (2 if experiment.order == "both" else 1)
    turns = 1 if isinstance(experiment.turns, int) else len(experiment.turns)
    tables = (experiment.openings, experiment.systems, experiment.scenarios, experiment.silences)
    cells = seatings * turns
    for table in tables:
        cells *= max(1, len(table))
    assert len(whole.cells) == cells
    assert len(whole.conversations) == cells * experiment.replicates
    assert len(set(keys(whole))) == cells
    assert len({each.id for each in whole.conversations}) == cells * experiment.replicates


@given(experiments())
def test_everybody_of_a_pair_speaks_first_equally_often(experiment: Experiment) -> None:
    whole = plan(replace(experiment, order="both"))
    counted = Counter((c.factors["pair"], c.factors["order"]) for c in whole.cells)
    for pair in {pair for pair, _ in counted}:
        assert len({count for (of, _), count in counted.items() if of == pair}) == 1
    for each in whole.conversations:
        assert each.cell.factors["order"] == f"{each.spec.names()[0]} first"


@given(experiments())
def test_a_plan_is_the_same_each_time(experiment: Experiment) -> None:
    assert plan(experiment) == plan(experiment)


@given(experiments())
def test_replicates_come_round_by_round(experiment: Experiment) -> None:
    whole = plan(experiment)
    numbers = [each.replicate for each in whole.conversations]
    assert numbers == sorted(numbers)
    for number in set(numbers):
        cells = [each.cell for each in whole.conversations if each.replicate == number]
        assert tuple(cells) == whole.cells


# Ids and seeds.


@given(experiments(), st.integers(1, 3))
def test_more_replicates_keep_the_ids_of_the_others(experiment: Experiment, more: int) -> None:
    before = ids(plan(experiment))
    after = ids(plan(replace(experiment, replicates=experiment.replicates + more)))
    assert before.items() <= after.items()


@given(experiments())
def test_more_cells_keep_the_ids_of_the_others(experiment: Experiment) -> None:
    before = {each.id for each in plan(experiment).conversations}
    wider = replace(
        experiment,
        participants=(*experiment.participants, "newcomer"),
        openings={"another": "What else?", **experiment.openings} if experiment.openings else {},
    )
    assert before <= {each.id for each in plan(wider).conversations}


@given(experiments())
def test_names_of_levels_and_of_the_experiment_are_no_part_of_an_id(
    experiment: Experiment,
) -> None:
    renamed = replace(
        experiment,
        name="other",
        outcome="words",
        openings={f"new {name}": text for name, text in experiment.openings.items()},
    )
    was = [each.id for each in plan(experiment).conversations]
    assert [each.id for each in plan(renamed).conversations] == was


@given(experiments())
def test_another_seed_makes_other_conversations(experiment: Experiment) -> None:
    other = plan(replace(experiment, seed=experiment.seed + 1))
    assert not {each.id for each in plan(experiment).conversations} & {
        each.id for each in other.conversations
    }


@given(experiments())
def test_seeds_are_paired_across_cells_and_differ_between_replicates(
    experiment: Experiment,
) -> None:
    seeds: dict[int, set[int | None]] = {}
    for each in plan(experiment).conversations:
        seeds.setdefault(each.replicate, set()).add(each.spec.seed)
    for number, found in seeds.items():
        assert found == {replicate_seed(number, experiment.seed)}
    assert len(set().union(*seeds.values())) == experiment.replicates


PINNED = ["giroj-bapak-hotog", "majot-muguv-sogip"]


def test_ids_stay_what_they_are_from_version_to_version() -> None:
    whole = plan(replace(TWO, opener=" ", turns=49, seed=7))
    assert [each.id for each in whole.conversations] == PINNED


def test_two_ids_that_are_the_same_by_chance_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "ID_BYTES", 2)
    with pytest.raises(ConfigurationError, match="same id, by chance: choose another seed"):
        plan(replace(TWO, replicates=2000))


# Who sits together.


@pytest.mark.parametrize(
    ("pairs", "order", "expected"),
    [
        ("all", "both", ["a+a", "a+b", "b+a", "a+c", "c+a", "b+b", "b+c", "c+b", "c+c"]),
        ("all", "as_given", ["a+a", "a+b", "a+c", "b+b", "b+c", "c+c"]),
        ("cross", "both", ["a+b", "b+a", "a+c", "c+a", "b+c", "c+b"]),
        ("self", "both", ["a+a", "b+b", "c+c"]),
        (Cross(cross=(("a",), ("b", "c"))), "as_given", ["a+b", "a+c"]),
        (Cross(cross=(("a", "b"), ("b", "a"))), "both", ["a+b", "b+a", "a+a", "b+b"]),
        (Cross(cross=(("a", "b"), ("b", "a"))), "as_given", ["a+b", "a+a", "b+b", "b+a"]),
        ((("c", "a"),), "both", ["c+a", "a+c"]),
        ((("c", "a"), ("a", "c")), "as_given", ["c+a", "a+c"]),
        ((("a", "b", "c"),), "both", ["a+b+c", "b+c+a", "c+a+b"]),
        ((("a", "a", "b"),), "both", ["a+a+b", "a+b+a", "b+a+a"]),
    ],
)
def test_who_sits_together(pairs: object, order: str, expected: list[str]) -> None:
    experiment = Experiment(participants=("a", "b", "c"), pairs=pairs, order=order)  # type: ignore[arg-type]
    assert sorted(keys(plan(experiment))) == sorted(expected)


def test_one_with_itself_has_two_names_and_no_second_order() -> None:
    (one,) = plan(Experiment(participants=("x:a",), pairs="all")).conversations
    assert one.spec.names() == ("a", "a 2")
    assert {seat.model for seat in one.spec.participants} == {"x:a"}
    assert one.cell.factors == {"pair": "a+a", "order": "a first"}


def test_a_second_name_is_nobody_elses() -> None:
    pool = ("a", Member(model="m", name="a 2"))
    whole = plan(Experiment(participants=pool, pairs="self"))
    assert [each.spec.names() for each in whole.conversations] == [
        ("a", "a 3"),
        ("a 2", "a 2 2"),
    ]


def test_with_three_at_a_table_each_is_first_once_under_its_own_name() -> None:
    whole = plan(Experiment(participants=("a", "b"), pairs=(("a", "a", "b"),)))
    assert [cell.factors["order"] for cell in whole.cells] == [
        "a first",
        "a 2 first",
        "b first",
    ]
    assert [each.spec.names() for each in whole.conversations] == [
        ("a", "a 2", "b"),
        ("a 2", "b", "a"),
        ("b", "a", "a 2"),
    ]


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("smol", "smol"),
        ("openai:gpt-4o", "gpt-4o"),
        ("openrouter:moonshotai/kimi-k2", "kimi-k2"),
        ("ollama:qwen3:8b", "qwen3:8b"),
        ("/models/x.gguf", "x.gguf"),
        ("human", "human"),
        ("human:", "human:"),
    ],
)
def test_a_name_is_the_last_part_of_a_model(model: str, name: str) -> None:
    (one,) = plan(Experiment(participants=(model,), pairs="self")).conversations
    assert one.spec.names()[0] == name


# How a seat is run: its own, its model's, everybody's; then the levels.


def test_what_is_nearer_to_a_participant_counts() -> None:
    experiment = Experiment(
        participants=(
            Member(
                model="m", name="own", system="mine", stream=False, sampling=Sampling(top_p=0.5)
            ),
            Member(model="m", name="plain"),
            "other",
        ),
        pairs=(("own", "plain"), ("own", "other")),
        order="as_given",
        system="everybody's",
        sampling=Sampling(temperature=0.1, max_tokens=7, extra={"x": 1, "y": 1}),
        settings=(
            Settings(models=("m",), system="model's", sampling=Sampling(temperature=0.2)),
            Settings(
                models=("m",),
                framing=Framing.SCRIPT,
                sampling=Sampling(temperature=0.3, extra={"y": 2}),
            ),
        ),
    )
    first, second = (each.spec.participants for each in plan(experiment).conversations)
    common = {"temperature": 0.3, "max_tokens": 7, "extra": {"x": 1, "y": 2}}
    assert first[0] == Participant(
        "own",
        "m",
        "mine",
        Framing.SCRIPT,
        Sampling(top_p=0.5, **common),  # type: ignore[arg-type]
        stream=False,
    )
    assert first[1].system == "model's"
    assert first[1].sampling == Sampling(**common)  # type: ignore[arg-type]
    assert second[1].system == "everybody's"
    assert second[1].framing == Framing.CHAT
    assert second[1].sampling.temperature == 0.1


def test_what_is_said_once_holds_everywhere() -> None:
    experiment = replace(
        TWO,
        opener=("Hi.", "Ho.", Said(text="It rains.", author="Stage", origin="scenario")),
        scenario="Night.",
        private=(Line("x", "own"),),
        told="Leave with [END].",
        ending=(Exit(),),
        turns=9,
        silence=Nudge("Go on."),
        stand_in="…",
        keep_last=4,
        share_reasoning=True,
    )
    for each in plan(experiment).conversations:
        spec = each.spec
        first, second = spec.names()
        assert spec.opening == (
            Line(first, "Hi."),
            Line(second, "Ho."),
            Line("Stage", "It rains.", "scenario"),
        )
        assert spec.order == RoundRobin()
        assert spec.ending == (Exit(), TurnCap(9))
        assert (spec.told, spec.silence, spec.stand_in) == (
            "Leave with [END].",
            Nudge("Go on."),
            "…",
        )
        assert (spec.keep_last, spec.share_reasoning) == (4, True)
        for seat in spec.participants:
            assert seat.private == (Line("Scenario", "Night.", "scenario"), Line("x", "own"))


def test_levels_change_what_they_say_and_nothing_else() -> None:
    experiment = replace(
        TWO,
        order="as_given",
        sampling=Sampling(temperature=1.0, max_tokens=5),
        participants=(Member(model="a", system="kept"), "b"),
        systems={"none": "", "seats": ("one", ""), "names": {"b": "bee"}},
        scenarios={"one": ("", "You are late.")},
        samplings={
            "cold": Sampling(temperature=0.0),
            "mixed": (Sampling(), Sampling(temperature=0.5)),
        },
        openings={"second": (Said(text="Well?", seat=2),), "space": " "},
        turns=(4, 8),
        ending=(Exit("[BYE]"),),
        endings={"plain": EndingVariant(), "exit": EndingVariant(rules=(Exit(),), told="Go.")},
        silences={"keep": Keep(), "end": EndAtSilence()},
    )
    found = {tuple(e.cell.factors.values()): e.spec for e in plan(experiment).conversations}
    assert len(found) == 3 * 2 * 2 * 2 * 2 * 2
    assert set(next(iter(plan(experiment).cells)).factors) == {
        "pair",
        "order",
        "opening",
        "system",
        "scenario",
        "sampling",
        "turns",
        "ending",
        "silence",
    }
    for (_, _, opening, system, _, sampling, turns, ending, silence), spec in found.items():
        author = {"second": "b", "space": "a"}[opening]
        assert [line.author for line in spec.opening] == [author]
        assert [seat.system for seat in spec.participants] == {
            "none": [None, None],
            "seats": ["one", None],
            "names": ["kept", "bee"],
        }[system]
        assert [len(seat.private) for seat in spec.participants] == [0, 1]
        assert [seat.sampling.temperature for seat in spec.participants] == {
            "cold": [0.0, 0.0],
            "mixed": [1.0, 0.5],
        }[sampling]
        assert {seat.sampling.max_tokens for seat in spec.participants} == {5}
        ways = () if ending == "plain" else (Exit(),)
        assert spec.ending == (*ways, Exit("[BYE]"), TurnCap(int(turns)))
        assert spec.told == (None if ending == "plain" else "Go.")
        assert spec.silence == {"keep": Keep(), "end": EndAtSilence()}[silence]


# What is left out, and what cannot be.


@given(st.data())
def test_a_rule_leaves_out_what_it_names_and_nothing_else(data: st.DataObject) -> None:
    wide = replace(TWO, turns=(2, 4, 6), openings={"x": "1", "y": "2"})
    turns = data.draw(st.lists(st.sampled_from(("2", "4", "6")), min_size=1, unique=True))
    opening = data.draw(st.sampled_from("xy"))
    rule = {"turns": tuple(turns), "opening": opening}
    left = plan(replace(wide, exclude=(rule,)))
    gone = [
        cell
        for cell in plan(wide).cells
        if cell.factors["turns"] in turns and cell.factors["opening"] == opening
    ]
    assert set(keys(left)) == set(keys(plan(wide))) - {cell.key for cell in gone}
    assert len(gone) == 2 * len(turns)


def test_a_fault_of_an_experiment_made_by_a_program_names_its_place() -> None:
    with pytest.raises(ConfigurationError, match=r"exclude\[0\]\.turn: the factor"):
        plan(replace(TWO, exclude=({"turn": "2"},)))


def test_a_spec_that_cannot_be_held_names_its_cell() -> None:
    varied = {"x": EndingVariant(rules=(Pass("[END]"),))}
    with pytest.raises(ConfigurationError, match=r"in the cell a\+b/x: '\[END\]' would be"):
        plan(replace(TWO, ending=(Exit(),), endings=varied))


def test_cells_of_one_name_are_refused() -> None:
    pool = ("a+b", "c", "a", "b+c")
    apart = "that of order 'a\\+b first' and that of order 'a first': give a participant or"
    with pytest.raises(ConfigurationError, match=rf"two cells would be called a\+b\+c, {apart}"):
        plan(Experiment(participants=pool, pairs=(("a+b", "c"), ("a", "b+c"))))
    scenes = {"c": "hm", "b/c": "hx"}
    apart = "that of system 'a/b', scenario 'c' and that of system 'a', scenario 'b/c': "
    with pytest.raises(ConfigurationError, match=rf"called a\+b/a/b/c, {apart}"):
        plan(replace(TWO, systems={"a/b": "1", "a": "2"}, scenarios=scenes))


def test_levels_that_come_to_the_same_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"a\+b/x and a\+b/y are the same conversation"):
        plan(replace(TWO, systems={"x": "same", "y": ("same", "same")}))


def test_a_pair_is_named_alike_whoever_speaks_first() -> None:
    for one, other in combinations(plan(TWO).cells, 2):
        assert one.factors["pair"] == other.factors["pair"] == "a+b"


# Who speaks when.


def test_turn_orders_are_a_factor_and_a_shuffled_one_is_drawn_from_the_replicate() -> None:
    ways = {"round": "round_robin", "drawn": "shuffled", "first twice": (1, 1, 2)}
    experiment = replace(TWO, order="as_given", turn_orders=ways, replicates=2)
    whole = plan(experiment)
    assert keys(whole) == ["a+b/round", "a+b/drawn", "a+b/first twice"]
    found = [each.spec.order for each in whole.conversations]
    seeds = [replicate_seed(number, 0) for number in (1, 2)]
    often = Sequence(("a", "a", "b"))
    assert found == [
        RoundRobin(),
        Shuffled(seeds[0]),
        often,
        RoundRobin(),
        Shuffled(seeds[1]),
        often,
    ]


def test_a_turn_order_for_all_is_by_seat_whoever_speaks_first() -> None:
    whole = plan(replace(TWO, turn_order=(1, 2, 2)))
    assert [each.spec.order for each in whole.conversations] == [
        Sequence(("a", "b", "b")),
        Sequence(("b", "a", "a")),
    ]


def test_a_seed_leaves_the_ids_of_a_shuffled_order_that_more_replicates_add_to() -> None:
    once, twice = (plan(replace(TWO, turn_order="shuffled", replicates=n)) for n in (1, 2))
    assert ids(once).items() <= ids(twice).items()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"turn_order": (1, 3)}, "there is no seat 3, but 2 seats"),
        ({"turn_orders": {"x": (2, 3)}}, "there is no seat 3, but 2 seats"),
        ({"turn_order": "shuffled", "turn_orders": {"x": "shuffled"}}, "keep one of them"),
        ({"turn_orders": {"x": "shuffled", "y": "shuffled"}}, "the same as"),
    ],
)
def test_a_turn_order_that_fits_no_table_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        plan(replace(TWO, **wrong))
