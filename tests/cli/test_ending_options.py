"""``duologue run --ending --told --sentinel``: how it may end, typed."""

from pathlib import Path

import pytest
from typed import Desk, desk

from duologue.cli.asking import Options, assemble
from duologue.cli.completing import complete_policy
from duologue.core.policies import POLICIES
from duologue.core.spec import (
    AllOf,
    AnyOf,
    Budget,
    ConversationSpec,
    Exit,
    Pass,
    SilenceCap,
    TurnCap,
)
from duologue.core.specfile import read
from duologue.errors import ConfigurationError
from duologue.store.run import SPEC_FILE

__all__ = ["desk"]

SEATS = {"a": {"model": "scripted:a"}, "b": {"model": "scripted:b"}}
THREE = SEATS | {"c": {"model": "scripted:c"}}
TALK = (
    'told = "Write [END] to leave."\n'
    'ending = [{ kind = "any", rules = [{ kind = "max_turns", turns = 9 }, { kind = "exit" }] },'
    ' { kind = "all", rules = [{ kind = "exit" }, { kind = "max_turns", turns = 5 }] }]\n'
    '[[participants]]\nname = "A"\nmodel = "scripted:a"\n'
    '[[participants]]\nname = "B"\nmodel = "scripted:b"\n'
)


def spec(folder: Path, options: Options) -> ConversationSpec:
    return assemble(options, folder).spec


def test_whoever_only_names_models_gets_an_exit_that_is_told_and_honoured(tmp_path: Path) -> None:
    made = spec(tmp_path, Options(seats=THREE))
    assert made.ending == (TurnCap(24), Exit("[END]"), SilenceCap())
    assert made.told == POLICIES["exit"].told


def test_a_bare_run_offers_an_exit_too(tmp_path: Path) -> None:
    made = spec(tmp_path, Options())
    assert any(isinstance(rule, Exit) for rule in made.ending)
    assert "[END]" in (made.told or "")


def test_policies_that_are_typed_take_the_place_of_a_files_own(tmp_path: Path) -> None:
    (tmp_path / "talk.toml").write_text(TALK)
    made = spec(tmp_path, Options(file="talk.toml", ending=("pass", "silence")))
    assert made.ending == (TurnCap(9), Pass("[PASS]"), SilenceCap())
    assert made.told == POLICIES["pass"].told
    preset = spec(tmp_path, Options(file="founding", ending=("last-word",), budget_tokens=5))
    assert preset.ending == (TurnCap(49), *POLICIES["last-word"].ending, Budget(tokens=5))


def test_a_cap_that_is_typed_takes_the_place_of_the_one_within(tmp_path: Path) -> None:
    (tmp_path / "talk.toml").write_text(TALK)
    made = spec(tmp_path, Options(file="talk.toml", turns=4))
    assert made.ending == (TurnCap(4), AnyOf((Exit(),)), AllOf((Exit(), TurnCap(5))))


def test_what_is_told_is_a_field_of_its_own(tmp_path: Path) -> None:
    assert spec(tmp_path, Options(seats=SEATS, told="Be kind.")).told == "Be kind."
    untold = spec(tmp_path, Options(seats=SEATS, told="none", ending=("mutual",)))
    assert (untold.told, untold.ending[1:]) == (None, POLICIES["mutual"].ending)


def test_another_sentinel_reaches_the_rules_and_the_words(tmp_path: Path) -> None:
    (tmp_path / "talk.toml").write_text(TALK)
    made = spec(tmp_path, Options(file="talk.toml", sentinel="ADIEU"))
    assert made.told == "Write ADIEU to leave."
    assert made.ending == (
        AnyOf((TurnCap(9), Exit("ADIEU"))),
        AllOf((Exit("ADIEU"), TurnCap(5))),
    )
    with pytest.raises(ConfigurationError, match="--sentinel changes the line"):
        spec(tmp_path, Options(seats=SEATS, ending=("pass",), sentinel="ADIEU"))


def test_every_policy_is_typed_held_and_written_down(desk: Desk) -> None:
    for name in POLICIES:
        held = desk.run("--ending", name, "--name", name, "--turns", "3", "--quiet")
        if name == "tool":
            assert (held.code, "tool" in held.err) == (2, True)
            continue
        assert (held.code, held.err) == (0, "")
        text = (desk.library / name / SPEC_FILE).read_text("utf-8")
        asked = read(text, SPEC_FILE).spec
        assert asked.ending == (TurnCap(3), *POLICIES[name].ending)
        assert asked.told == POLICIES[name].told
        again = desk("run", str(desk.library / name / SPEC_FILE), "--name", f"{name}-2", "--quiet")
        assert again.code == 0


def test_a_policy_that_does_not_exist_is_refused_with_those_that_do(desk: Desk) -> None:
    shown = desk.run("--ending", "adieu")
    assert shown.code == 2
    assert "policies: pure, exit, mutual" in shown.err
    assert desk.folders() == []


def test_pure_is_a_policy_and_goes_with_no_other(desk: Desk) -> None:
    shown = desk.run("--pure", "--ending", "exit")
    assert shown.code == 2
    assert "leave out one of them" in shown.err


def test_what_is_told_stands_in_the_head_when_it_begins_and_when_it_is_read(desk: Desk) -> None:
    begun = desk.run("--ending", "alone", "--name", "x", "--turns", "3", "--sentinel", "ADIEU")
    read_again = desk("show", "x")
    for text in (begun.out, read_again.out):
        assert "everyone: “You may leave this conversation at any time by writing ADIEU" in text
        assert "may end       at 3 messages\n" in text
        assert "when the last has left, by ADIEU\n" in text


def test_the_shell_is_offered_policies_and_what_they_are() -> None:
    assert complete_policy("un") == [("unanimous", POLICIES["unanimous"].about)]
    assert len(complete_policy("")) == len(POLICIES)
