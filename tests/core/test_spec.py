from typing import Any

import msgspec
import pytest
from hypothesis import given

from duologue.core.spec import (
    After,
    AllOf,
    AnyOf,
    ConversationSpec,
    Detector,
    Ending,
    Exit,
    ExitRule,
    Framing,
    Line,
    Participant,
    Pass,
    RoundRobin,
    Sampling,
    Sequence,
    Shuffled,
    SilenceCap,
    StopPhrase,
    TurnCap,
    bound,
    capped,
    check,
)
from duologue.errors import ConfigurationError
from strategies import pair, specs

ADA, BEN = Participant("Ada", "a"), Participant("Ben", "b")


@given(specs())
def test_a_spec_that_makes_sense_is_returned_as_it_is(spec: ConversationSpec) -> None:
    assert check(spec) == spec


@given(specs())
def test_a_spec_survives_its_record(spec: ConversationSpec) -> None:
    assert msgspec.json.decode(msgspec.json.encode(spec), type=ConversationSpec) == spec


def test_a_seat_is_found_by_its_name() -> None:
    assert pair().names() == ("Ada", "Ben")
    assert pair().seat("Ben").model == "scripted:b"
    with pytest.raises(KeyError, match="Cy"):
        pair().seat("Cy")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (pair(participants=(ADA, ADA)), "two participants are named 'Ada'.*'Ada 2'"),
        (pair(order=RoundRobin("Cy")), "the order names 'Cy', but the participants are Ada, Ben"),
        (pair(order=Sequence(("Ada", "Cy"))), "the order names 'Cy'"),
        (ConversationSpec((ADA,), ending=(SilenceCap(),)), "nothing bounds the conversation"),
        (ConversationSpec((ADA,), ending=()), "nothing bounds"),
        (pair(Exit(" ")), "cannot stand on a line"),
        (pair(Exit("\u200b")), "cannot stand on a line"),
        (pair(Exit("good\nbye")), "cannot stand on a line"),
        (pair(Exit("good\rbye")), "cannot stand on a line"),
        (pair(Exit(phrase="good\nbye")), "the phrase .* cannot stand on a line"),
        (pair(Pass(" ")), r"the token ' ' cannot stand .*\[PASS\]"),
        (pair(AnyOf((Exit(" "),))), "cannot stand on a line"),
        (pair(Exit("[x]"), Pass("[X]")), "an exit and a pass at once"),
        (pair(AllOf((Exit("[PASS]"), TurnCap(3))), Pass()), "an exit and a pass at once"),
        (pair(Exit(rule=ExitRule.MUTUAL, after=After.ALONE)), "says nothing there"),
        (pair(Exit(rule=ExitRule.MUTUAL, after=After.LAST_WORD)), "says nothing there"),
        (pair(Exit(rule=ExitRule.UNANIMOUS, after=After.LAST_WORD)), "says nothing there"),
        (pair(AllOf((AnyOf((Exit(after=After.ALONE),)),))), "could leave nobody to speak"),
        (ConversationSpec((ADA,), ending=(AllOf((TurnCap(3), Exit())),)), "nothing bounds"),
        (ConversationSpec((ADA,), ending=(AnyOf((Exit(), SilenceCap())),)), "nothing bounds"),
    ],
)
def test_what_does_not_fit_together_is_named(spec: ConversationSpec, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        check(spec)


NOT_ORIGIN: Any = "model"
NOT_FRAMING: Any = "loud"


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (pair(participants=()), "length >= 1"),
        (pair(TurnCap(0)), "`int` >= 1"),
        (pair(SilenceCap(0)), "`int` >= 1"),
        (pair(Exit(within=0)), "`int` >= 1"),
        (pair(Exit("")), "length >= 1"),
        (pair(StopPhrase("")), "length >= 1"),
        (pair(AnyOf(())), "length >= 1"),
        (pair(AllOf(())), "length >= 1"),
        (pair(Detector("")), "length >= 1"),
        (pair(Exit(tool="a b")), "regex"),
        (pair(order=Sequence(())), "length >= 1"),
        (pair(opening=(Line("Ada", "x", NOT_ORIGIN),)), "Invalid enum value 'model'"),
        (pair(participants=(Participant("A", "m", framing=NOT_FRAMING),)), "loud"),
        (pair(participants=(Participant("A", "m", sampling=Sampling(top_p=2.0)),)), "<= 1"),
        (pair(seed="x"), "Expected `int"),
        (pair(told="\ud83d"), "surrogates not allowed"),
        (
            pair(participants=(Participant("A", "m", sampling=Sampling(extra={"x": print})),)),
            "unsupported",
        ),
    ],
)
def test_a_program_is_held_to_what_a_file_is_held_to(spec: ConversationSpec, words: str) -> None:
    with pytest.raises(ConfigurationError, match=f"spec is not valid: .*{words}"):
        check(spec)


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=float("nan")),
        Sampling(temperature=float("inf")),
        Sampling(extra={"stop": ("a", "b")}),
        Sampling(extra={"bias": {1: 2}}),
    ],
)
def test_what_would_be_recorded_as_something_else_is_refused(sampling: Sampling) -> None:
    spec = pair(participants=(Participant("Ada", "m", sampling=sampling),))
    with pytest.raises(ConfigurationError, match="cannot be recorded exactly"):
        check(spec)


@pytest.mark.parametrize(
    ("ending", "most"),
    [
        ((TurnCap(5), TurnCap(3)), 3),
        ((AnyOf((Exit(), TurnCap(4))),), 4),
        ((AllOf((TurnCap(4), TurnCap(6))), TurnCap(9)), 6),
        ((AllOf((AnyOf((TurnCap(4), Exit())), TurnCap(2))),), 4),
        ((AllOf((Exit(), TurnCap(2))), TurnCap(8)), 8),
        ((Exit(), Pass(), Detector("x")), None),
    ],
)
def test_what_bounds_a_conversation_is_found_through_compositions(
    ending: tuple[Ending, ...], most: int | None
) -> None:
    assert bound(ending) == most


def test_another_cap_takes_the_place_of_every_cap_that_ends_alone() -> None:
    both = AllOf((TurnCap(4), Exit()))
    ending = (TurnCap(9), AnyOf((TurnCap(5), Exit())), both, AnyOf((TurnCap(3),)))
    assert capped(ending, 7) == (TurnCap(7), AnyOf((Exit(),)), both)


def test_the_usual_line_holds_where_no_other_way_is_declared() -> None:
    assert (Exit().line, Exit("x").line, Exit(phrase="x").line) == ("[END]", "x", None)
    assert (Pass().line, Pass("x", silent=True).line, Pass(silent=True).line) == (
        "[PASS]",
        "x",
        None,
    )


def test_unknown_keys_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field `temprature`"):
        msgspec.json.decode(b'{"temprature": 1}', type=Sampling)


def test_defaults_are_not_written() -> None:
    assert msgspec.json.encode(Participant("Ada", "m")) == b'{"name":"Ada","model":"m"}'
    assert msgspec.json.encode(pair(order=Shuffled(3)).order) == b'{"kind":"shuffled","seed":3}'
    assert msgspec.json.encode(Framing.SCRIPT) == b'"script"'


@pytest.mark.parametrize("name", ["", " ", "\u200b", "Ada\nBen:", "two\u2028lines"])
def test_a_name_that_cannot_be_read_as_one_line_is_refused(name: str) -> None:
    spec = ConversationSpec((Participant(name, "scripted:x"),))
    with pytest.raises(ConfigurationError, match="one visible line"):
        check(spec)
