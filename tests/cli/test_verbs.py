"""Every verb, as it is typed."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from typed import Desk, desk

from duologue.core.spec import (
    ConversationSpec,
    Exit,
    Labels,
    Sequence,
    Shuffled,
    SilenceCap,
    TurnCap,
)
from duologue.core.specfile import read
from duologue.providers import listening
from duologue.store.library import Library
from duologue.store.run import SPEC_FILE

__all__ = ["desk"]

FOUNDING = (
    "# A ↔ B\n\n**Started:** 2025-10-26 17:12:18\n**Ended:** 2025-10-26 17:14:42\n"
    "**Messages:** 2\n\n---\n\n### A\n\n \n\n---\n\n### B\n\nthe answer\n\n---\n\n"
)


def _asked(desk: Desk, name: str = "talk") -> ConversationSpec:
    """What the run's own file says was asked for."""
    return read((desk.library / name / SPEC_FILE).read_text("utf-8"), SPEC_FILE).spec


def test_a_conversation_is_shown_with_how_it_ended_and_what_to_type_next(desk: Desk) -> None:
    shown = desk.run("--name", "talk", "--turns", "5", "--opener", " ")
    assert (shown.code, shown.err) == (0, "")
    assert "Ada ↔ Ben" in shown.out
    assert re.search(r"1\s+Ada\s+\[opening: given, not generated\]", shown.out)
    assert "cut: the token limit" in shown.out
    assert "max_turns: the cap of 5 messages" in shown.out
    for verb in ("show", "branch", "export"):
        assert re.search(rf"duologue .*{verb} \w{{5}}-\w{{5}}-\w{{5}}", shown.out)
    assert str(desk.library / "talk") in shown.out


def test_quiet_prints_only_the_id_and_json_only_the_log(desk: Desk) -> None:
    quiet = desk.run("--name", "q", "--turns", "3", "--quiet")
    assert re.fullmatch(r"\w{5}-\w{5}-\w{5}\n", quiet.out)
    lines = desk.run("--name", "j", "--turns", "3", "--json")
    assert lines.out == (desk.library / "j" / "log-1.jsonl").read_text("utf-8")


def test_what_is_typed_is_what_is_recorded(desk: Desk) -> None:
    (desk.folder / "prompt.txt").write_text("Be brief.\n", "utf-8")
    shown = desk.run(
        *("--name", "talk", "--turns", "4", "--first", "Ben", "--seed", "7", "--quiet"),
        *("--system", "prompt.txt", "--system-b", "Be long.", "--temperature", "0.5"),
        *("--temperature-b", "0", "--max-tokens", "9", "--opener", "hi", "--opener-by", "Cy"),
    )  # fmt: skip
    assert shown.code == 0
    spec = _asked(desk)
    ada, ben = spec.participants
    assert (ada.system, ben.system) == ("Be brief.", "Be long.")
    assert (ada.sampling.temperature, ben.sampling.temperature) == (0.5, 0.0)
    assert (ada.sampling.max_tokens, ben.sampling.max_tokens) == (9, 9)
    assert [(line.author, line.text) for line in spec.opening] == [("Cy", "hi")]
    assert spec.seed == 7
    assert spec.labels is Labels.AUTO
    assert spec.ending == (TurnCap(4), Exit("[END]"), SilenceCap())


def test_a_seed_that_was_left_to_chance_is_recorded(desk: Desk) -> None:
    desk.held()
    assert isinstance(_asked(desk).seed, int)


def test_pure_tells_nothing_and_ends_at_the_cap(desk: Desk) -> None:
    desk.run("--name", "talk", "--turns", "3", "--pure", "--quiet")
    spec = _asked(desk)
    assert (spec.told, spec.ending) == (None, (TurnCap(3),))


@pytest.mark.parametrize(
    ("typed", "order"),
    [("Ada,Ben,Ada", Sequence(("Ada", "Ben", "Ada"))), ("shuffled", Shuffled(3))],
)
def test_orders_can_be_typed(desk: Desk, typed: str, order: object) -> None:
    desk.run("--name", "talk", "--turns", "4", "--order", typed, "--seed", "3", "--quiet")
    assert _asked(desk).order == order


def test_three_seats_and_self_play_get_names_of_their_own(desk: Desk) -> None:
    model = "scripted:a.jsonl"
    shown = desk("run", "-a", model, "-b", model, "-c", model, "--name", "talk", "--turns", "4",
                 "--quiet")  # fmt: skip
    assert shown.code == 0
    seats = _asked(desk).participants
    assert [seat.name for seat in seats] == ["a.jsonl", "a.jsonl 2", "a.jsonl 3"]


def test_a_file_holds_all_of_it_and_options_change_it(desk: Desk) -> None:
    (desk.folder / "talk.toml").write_text(
        'name = "talk"\nturns = 3\nopener = " "\n'
        '[[participants]]\nname = "Ada"\nmodel = "scripted:a.jsonl"\n'
        '[[participants]]\nname = "Ben"\nmodel = "scripted:b.jsonl"\n',
        "utf-8",
    )
    assert desk("run", "talk.toml", "--quiet").code == 0
    assert desk("run", "talk.toml", "--quiet", "--name", "other", "--turns", "5").code == 0
    assert _asked(desk, "other").ending == (TurnCap(5),)
    again = desk("run", str(desk.library / "talk" / SPEC_FILE), "--name", "again", "--quiet")
    assert again.code == 0
    assert _asked(desk, "again") == _asked(desk)


def test_a_name_with_separators_is_one_folder_and_finds_its_run(desk: Desk) -> None:
    conv = desk.held("a/../b c")
    assert desk.folders() == ["a-..-b-c"]
    assert desk("verify", "a/../b c").code == 0
    assert conv in desk("show", "a/../b c", "--json").out


def test_the_list_tells_what_there_is_and_who_said_what(desk: Desk) -> None:
    assert "nothing in" in desk("list").out
    conv = desk.held()
    fields = desk("list").out.rstrip("\n").split("\t")
    assert (fields[0], fields[2:]) == (conv, ["5", "max_turns", "Ada ↔ Ben", "talk"])
    item = json.loads(desk("list", "--json").out)
    assert (item["id"], item["names"], item["run"]) == (conv, ["Ada", "Ben"], "talk")
    assert re.fullmatch(
        rf"{conv} +\d+  Ada: two \[words\]\n", desk("list", "--search", "words").out
    )
    hit = json.loads(desk("list", "--search", "words", "--json").out)
    assert (hit["id"], hit["author"]) == (conv, "Ada")
    assert desk("list", "--search", "never").out == "nobody said 'never'\n"


def test_verify_tells_what_it_proved_and_where_the_first_fault_is(desk: Desk) -> None:
    conv = desk.held()
    proved = desk("verify", "talk")
    assert proved.code == 0
    assert "12 lines have the hash that was written with them" not in proved.err
    assert re.search(r"requests +4 bodies \(\d+ bytes\)", proved.out)
    assert re.search(rf"head +{conv} [0-9a-f]{{32}}  5 messages, ended: max_turns\n", proved.out)
    assert "experiment.toml asks for what the log says" in proved.out
    assert proved.out.endswith("\nthe record is whole\n")
    assert desk("verify", str(desk.library / "talk")).out == proved.out
    assert json.loads(desk("verify", conv[:3], "--json").out)["faults"] == []
    log = desk.library / "talk" / "log-1.jsonl"
    log.write_bytes(log.read_bytes().replace(b"eins", b"EINS", 1))
    faulty = desk("verify", "talk")
    assert faulty.code == 3
    assert re.search(r"duologue: .*talk: log-1\.jsonl, line \d+: the bytes of record", faulty.err)
    assert "FAULT" in faulty.out


def test_verify_names_an_edited_a_missing_and_an_empty_record(desk: Desk) -> None:
    desk.held()
    asked, log = desk.library / "talk" / SPEC_FILE, desk.library / "talk" / "log-1.jsonl"
    text = asked.read_text("utf-8")
    asked.write_text(text.replace('name = "Ada"', 'name = "Eve"'), "utf-8")
    edited = desk("verify", "talk")
    assert edited.code == 3
    assert re.search(r'experiment\.toml, line \d+: participants\[0\]\.name is "Eve"', edited.err)
    assert edited.out.endswith("\n1 fault\n")
    asked.unlink()
    missing = desk("verify", "talk")
    assert (missing.code, "experiment.toml: it is missing" in missing.err) == (3, True)
    asked.write_text(text, "utf-8")
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:-1]))
    cut = desk("verify", "talk")
    assert (cut.code, "5 messages, no ending on record" in cut.out) == (0, True)
    assert "whole" not in cut.out
    assert "only a head noted earlier can tell" in cut.out
    log.write_bytes(b"".join([*lines[:3], *lines[4:]]))
    assert "? messages, ended: max_turns" in desk("verify", "talk").out
    log.write_bytes(b"")
    empty = desk("verify", "talk", "--json")
    assert empty.code == 3
    (fault,) = json.loads(empty.out)["faults"]
    assert fault["what"].startswith("nothing is recorded")


def test_replay_makes_every_fact_again(desk: Desk) -> None:
    conv = desk.held()
    shown = desk("replay", "talk")
    assert (shown.code, shown.err) == (0, "")
    assert re.match(rf"{conv}: \d+ facts came out as they are recorded", shown.out)


def test_a_branch_goes_on_from_where_it_left_with_what_was_changed(desk: Desk) -> None:
    conv = desk.held()
    shown = desk("branch", conv, "--at", "3", "--say", "stop", "--as", "Cy", "--turns", "6",
                 "--model", "Ben=scripted:a.jsonl", "--name", "other", "--seed", "5")  # fmt: skip
    assert (shown.code, shown.err) == (0, "")
    assert f"goes on after message 3 of {conv}" in shown.out
    assert "[injected: a person's words]" in shown.out
    spec = _asked(desk, "other")
    assert spec.seed == 5
    assert desk("verify", "other").code == 0
    assert desk("replay", "other").code == 0
    assert "⑂" in desk("list").out


def test_export_and_import_are_each_other_s_inverse(desk: Desk) -> None:
    (desk.folder / "t.md").write_text(FOUNDING, "utf-8")
    shown = desk("import", "t.md", "--name", "old")
    assert re.match(r"\w{5}-\w{5}-\w{5}  2 messages  A ↔ B  .*old\n", shown.out)
    assert (shown.code, shown.err) == (0, "")
    out = desk("export", "old", "--out", "back.md")
    assert (out.code, out.out) == (0, "")
    assert (desk.folder / "back.md").read_text("utf-8") == FOUNDING
    assert desk("verify", "old").code == 0


def test_export_lists_what_the_format_cannot_hold(desk: Desk) -> None:
    desk.held()
    shown = desk("export", "talk", "--to", "founding")
    assert shown.out.startswith("# Ada ↔ Ben\n\n**Started:** ")
    assert "not in the founding file: who made the words: 4 model, 1 opening" in shown.err
    lines = desk("export", "talk", "--to", "jsonl").out.splitlines()
    assert json.loads(lines[0]) == {"author": "Ada", "text": " ", "origin": "opening"}


def test_doubts_about_how_to_read_a_file_are_told(desk: Desk) -> None:
    twice = FOUNDING.replace("the answer", "the answer\n\n---\n\n### A\n\nor not")
    (desk.folder / "t.md").write_text(twice, "utf-8")
    shown = desk("import", "t.md")
    assert shown.code == 0
    assert re.search(r"^t\.md, line \d+: ", shown.err, re.MULTILINE)


def test_models_are_listed_with_their_licences(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "listening", lambda _asked: {})
    shown = desk("models")
    assert shown.code == 0
    assert re.search(r"smollm2-135m +\d.* Apache-2\.0 ", shown.out)


def test_the_version_is_told(desk: Desk) -> None:
    assert re.fullmatch(r"duologue \d+\.\d+\.\d+\n", desk("--version").out)


@pytest.mark.parametrize(
    ("words", "place", "offered"),
    [
        ("duologue re", 1, {"resume", "replay"}),
        ("duologue run -a q", 3, {"qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b"}),
        ("duologue run -b scr", 3, {"scripted:"}),
        ("duologue export x --to f", 4, {"founding"}),
        ("duologue models --fetch smo", 3, {"smollm2-135m"}),
        ("duologue show ", 2, {"ID"}),
        ("duologue --library library show ", 4, {"ID"}),
    ],
)
def test_the_tab_key_offers_verbs_ids_models_and_formats(
    desk: Desk, words: str, place: int, offered: set[str]
) -> None:
    conv = desk.held()
    process = desk.start(
        env={
            "_DUOLOGUE_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(place),
        }
    )
    out, _ = process.communicate(timeout=120)
    assert set(out.decode().split()) == {conv if each == "ID" else each for each in offered}


def test_a_damaged_library_does_not_spoil_the_line_that_is_typed(desk: Desk) -> None:
    desk.held()
    (desk.library / "talk" / "log-1.jsonl").write_bytes(b"\xff\n")
    process = desk.start(
        env={"_DUOLOGUE_COMPLETE": "complete_bash", "COMP_WORDS": "duologue show ",
             "COMP_CWORD": "2"}
    )  # fmt: skip
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, b"")
    assert b"Traceback" not in out


def test_resume_goes_on_where_a_log_stops(desk: Desk) -> None:
    conv = desk.held()
    log = desk.library / "talk" / "log-1.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:5]) + lines[5][:40])
    shown = desk("resume", conv[:7])
    assert (shown.code, shown.err) == (0, "")
    assert f"of {conv}" in shown.out
    assert "torn" in desk("verify", "talk").out
    told = [
        line["text"]
        for line in map(json.loads, desk("export", "talk", "--to", "jsonl").out.splitlines())
    ]
    assert told == [" ", "eins", "two words", "zwei", ""]


def test_a_run_killed_before_its_first_record_begins_when_it_is_resumed(desk: Desk) -> None:
    desk.held("whole")
    run = Library(desk.library).create("early", {})
    asked = (desk.library / "whole" / SPEC_FILE).read_text("utf-8").replace("whole", "early")
    (run.path / SPEC_FILE).write_text(asked, "utf-8")
    assert desk("resume", "early", "--quiet").code == 0
    assert (
        desk("export", "early", "--to", "jsonl").out == desk("export", "whole", "--to", "jsonl").out
    )


def test_python_dash_m_is_the_program(desk: Desk) -> None:
    process = desk.start("--version", stdin=subprocess.DEVNULL)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, b"")
    assert out.startswith(b"duologue ")
    assert Path(desk.folder).exists()
