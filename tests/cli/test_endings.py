"""``duologue endings``: strips, arcs, rates, and what machines get."""

import csv
import io
import json
import re

import pytest
from typed import Desk, desk

from duologue.cli.endings import in_words, ruler
from duologue.endings.arc import arc
from duologue.endings.codebook import Annotation, Label, Repeat

__all__ = ["desk"]

TALK = '"Tell me what you make of the tides, and of the moon that pulls them."'
BYE = '"Goodbye, my friend. Thank you for this conversation. Farewell!"'


def parting(desk: Desk) -> None:
    """Scripts of two who talk, take leave, and fall silent; Ada's first line is the opener's."""
    desk.script("a.jsonl", '""', TALK, BYE, '""', '"."')
    desk.script("b.jsonl", '"The moon is a slow hand on the water; it lifts."', BYE, '"—"')


def test_a_conversation_is_one_line_with_its_end_state(desk: Desk) -> None:
    parting(desk)
    name = desk.held(turns=7)
    shown = desk("endings")
    line = next(line for line in shown.out.splitlines() if line.startswith(name))
    strip = line.removeprefix(name).split()[0]
    assert strip == "'··CCt_"
    assert "(max_turns)" in line


def test_one_conversation_also_gets_its_arc_in_words(desk: Desk) -> None:
    parting(desk)
    name = desk.held(turns=7)
    out = desk("endings", name).out
    assert "first closing at 4, mutual at 5, then 2 more turns and 1 character" in out


def test_rates_come_with_n_and_an_interval_by_pair_and_policy(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    parting(desk)
    desk.held("one", turns=7)
    desk.held("two", turns=7)
    monkeypatch.setenv("COLUMNS", "160")
    wide = desk("endings").out
    assert "scripted:a.jsonl × scripted:b.jsonl" in wide
    assert re.search(r"could end +n +closed +mutual closing +re-opened +first closing", wide)
    assert re.search(
        r"at 7 messages.* 2 +100 \[34, 100\] +100 \[34, 100\] +0 \[0, 66\] +turn 4", wide
    )
    monkeypatch.setenv("COLUMNS", "60")  # too narrow for a table
    narrow = desk("endings").out
    assert "at 7 messages · when the first leaves, by [END]" in narrow
    assert "  mutual closing: 100 [34, 100], 2 of 2\n" in narrow


def test_machines_get_everything_as_json_and_a_row_each_as_csv(desk: Desk) -> None:
    parting(desk)
    name = desk.held(turns=7)
    (line,) = desk("endings", "--json").out.splitlines()
    plain = json.loads(line)
    assert (plain["id"], plain["arc"]["mutual_closing"]) == (name, 5)
    assert [one["label"] for one in plain["annotations"]][3:] == [
        *("closing", "closing", "token", "silence"),
    ]
    (row,) = csv.DictReader(io.StringIO(desk("endings", "--csv").out))
    assert (row["id"], row["turns"], row["first_closing"]) == (name, "7", "4")


def test_both_forms_for_machines_at_once_are_refused(desk: Desk) -> None:
    shown = desk("endings", "--json", "--csv")
    assert shown.code == 2
    assert "leave one out" in shown.err


def test_a_file_is_read_without_being_imported(desk: Desk) -> None:
    file = desk.folder / "said.jsonl"
    lines = [{"author": "A", "text": "Hello there."}, {"author": "B", "text": ""}]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    shown = desk("endings", str(file))
    assert (shown.code, shown.err) == (0, "")
    assert "·_" in shown.out
    assert desk.folders() == []


def test_a_judge_stands_beside_the_labels_and_is_on_the_record(desk: Desk) -> None:
    parting(desk)
    name = desk.held(turns=3)
    desk.script("judge.jsonl", json.dumps("1 talk\n2 talk\n3 closing"))
    judged = desk("endings", name, "--judge", "scripted:judge.jsonl")
    assert judged.err == f"scripted:judge.jsonl reads {name}\n"
    out = judged.out
    assert re.search(r"··C  scripted:judge.jsonl: same label 1 of 2, kappa 0.\d\d", out)
    again = desk("endings", name, "--judge", "scripted:judge.jsonl", "--json").out
    verdict = json.loads(again)["judge"]
    assert verdict["labels"] == ["talk", "talk", "closing"]
    assert verdict["record"] in out  # it was not asked twice
    judged = desk("--library", str(desk.library / "judged"), "show", verdict["record"])
    assert "3 closing" in judged.out


def test_a_judge_who_leaves_turns_out_is_said_to_have_done_so(desk: Desk) -> None:
    name = desk.held(turns=3)
    desk.script("judge.jsonl", json.dumps("I would rather not."))
    out = desk("endings", name, "--judge", "scripted:judge.jsonl").out
    assert "???" in out
    assert "same label 0 of 0, 3 not labelled" in out


def test_where_a_line_is_too_long_for_the_terminal_cells_stand_in_numbered_rows(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    parting(desk)
    desk.script("judge.jsonl", '"1 talk"')
    name = desk.held(turns=7)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "24")
    out = re.sub(
        r"\x1b\[[0-9;]*m", "", desk("endings", name, "--judge", "scripted:judge.jsonl").out
    )
    lines = out.splitlines()
    assert f"{name}  closed  (max_turns)" in lines
    assert lines[1:3] == [
        "    1  '··CCt_",
        "  first closing at 4, mutual at 5, then 2 more turns and 1 character",
    ]
    assert "    1  ·??????" in lines


def test_an_empty_library_says_what_to_type(desk: Desk) -> None:
    assert "'duologue run' holds a first conversation" in desk("endings").out


def test_the_ruler_counts_in_tens() -> None:
    assert ruler(21) == "1       10        20"
    assert ruler(3) == "1"


def test_an_arc_reads_as_sentences() -> None:
    def turn(number: int, label: Label, repeat: Repeat | None = None) -> Annotation:
        leaves = label is Label.CLOSING
        return Annotation(number, "AB"[number % 2], label, leaves=leaves, repeat=repeat)

    said = [
        turn(1, Label.TALK),
        turn(2, Label.CLOSING),
        turn(3, Label.REOPENING),
        turn(4, Label.LOOP, Repeat(2, 2, 1.0, verbatim=True)),
        turn(5, Label.LOOP, Repeat(3, 2, 0.9, verbatim=False)),
        turn(6, Label.LOOP, Repeat(4, 2, 1.0, verbatim=True)),
    ]
    assert in_words(arc(said)) == [
        "first closing at 2, never mutual",
        "re-opened at 3 by B, after closing",
        "turns 4-6 repeat, period 2, near-verbatim",
        "first collapse at 4",
    ]
    assert in_words(arc(said[:1])) == ["nobody took leave"]


def test_of_many_loops_the_first_are_told_and_how_many_more() -> None:
    def pair(first: int) -> list[Annotation]:
        again = Repeat(1, first - 1, 1.0, verbatim=True)
        return [Annotation(turn, "A", Label.LOOP, repeat=again) for turn in (first, first + 1)]

    said = [turn for first in range(2, 42, 2) for turn in pair(first)]
    lines = in_words(arc([Annotation(1, "A", Label.TALK), *said]))
    assert len(lines) == 11
    assert lines[9] == "and 12 more loops: --json has all"
