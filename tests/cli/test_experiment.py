"""An experiment as a person carries it out: run, status, resume, and the board that shows it."""

import io
import json
import os
import re
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console
from typed import Desk

from duologue.cli import status
from duologue.cli.board import Board
from duologue.core.plan import plan
from duologue.endings.outcome import Outcome, Spread
from duologue.scale.experiment import Execution, Wanted, execution, folder, stored_plan
from duologue.store.library import Library
from duologue.store.standing import Fact, Glance, Seen, Words
from scale_parts import scripted

EXPERIMENT = """
name = "tried"
participants = ["scripted:a.jsonl", "scripted:b.jsonl"]
pairs = "cross"
opener = " "
turns = 4
replicates = 3
"""


SEATS = ", ".join(f'{{ name = "{name}", model = "function:dear:reply" }}' for name in "AB")


@pytest.fixture
def desk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Desk:
    made = Desk(tmp_path, monkeypatch, capsys)
    (tmp_path / "tried.toml").write_text(EXPERIMENT, "utf-8")
    return made


def test_an_experiment_is_run_in_parts_and_status_says_how_it_stands(desk: Desk) -> None:
    shown = desk("run", "tried.toml", "--max-conversations", "2")
    assert shown.code == 0
    assert "2 of 6" in shown.out
    assert "resume tried" in shown.out
    status = json.loads(desk("status", "tried", "--json").out)
    assert (status["done"], status["new"], status["busy"]) == ({"max_turns": 2}, 4, False)
    assert desk("resume", "tried", "--quiet").out == "tried\n"
    assert "6 of 6 (max_turns 6)" in desk("status", "tried").out
    assert "whole" in desk("verify", "tried").out


def test_what_is_gone_on_with_can_be_a_cell_or_so_many(desk: Desk) -> None:
    one, other = "a.jsonl+b.jsonl", "b.jsonl+a.jsonl"
    assert desk("run", "tried.toml", "--max-conversations", "1", "--quiet").code == 0
    shown = desk("resume", "tried", "--only", other, "--max-conversations", "2", "--at-once", "1")
    assert shown.code == 0, shown.err
    run = Library(desk.library).runs()[0]
    planned = stored_plan(run)
    assert planned is not None
    cells = {each.id: each.cell.key for each in planned.conversations}
    held = {record.conv for record in run.records()}
    assert sorted(cells[conv] for conv in held) == [one, other, other]
    assert 'no cell "c"' in desk("resume", "tried", "--only", "c").err


def test_two_names_that_make_one_folder_are_not_one_experiment(desk: Desk) -> None:
    for file, name in (("slash.toml", "a/b"), ("line.toml", "a-b")):
        (desk.folder / file).write_text(EXPERIMENT.replace("tried", name), "utf-8")
    assert desk("run", "slash.toml", "--quiet").code == 0
    before = (desk.library / "a-b" / "experiment.toml").read_bytes()
    shown = desk("run", "line.toml", "--quiet")
    assert shown.code == 2
    assert "'a/b', and 'a-b' would have the same folder: give it another name" in shown.err
    assert (desk.library / "a-b" / "experiment.toml").read_bytes() == before
    assert desk("run", "slash.toml", "--quiet").code == 0
    assert desk("resume", "a/b", "--quiet").out == "a-b\n"
    assert "a b" in desk("resume", "a b").err


def test_the_outcome_that_was_declared_is_reckoned_at_the_end_cell_by_cell(desk: Desk) -> None:
    file = desk.library.parent / "tried.toml"
    file.write_text(f'{EXPERIMENT}outcome = "turns"\n', "utf-8")
    shown = desk("run", "tried.toml").out
    assert "outcome        turns, how many messages the conversation holds" in shown
    assert "a.jsonl+b.jsonl  n 3    4.00 [4.00, 4.00]" in shown
    assert "all cells        n 6    4.00 [4.00, 4.00]" in shown
    told = json.loads(desk("status", "tried", "--json").out)["cells"]["all cells"]
    assert (told["n"], told["spread"]["mean"]) == (6, 4)
    assert "all cells" not in desk("status", "tried", "--no-outcome").out
    file.write_text(f'{EXPERIMENT}outcome = "end_state"\n', "utf-8")
    assert "open 100 % [44, 100] (3)" in desk("run", "tried.toml").out
    file.write_text(f'{EXPERIMENT}outcome = "turn"\n', "utf-8")
    refused = desk("run", "tried.toml")
    assert refused.code == 2
    assert 'did you mean "turns"?' in refused.err


@pytest.mark.parametrize(
    ("mean", "low", "high", "told"),
    [
        (12345.678, 9000.0, 15691.4, "12,345.68 [9,000.00, 15,691.40]"),
        (1.5, 0.25, 2.75, "1.50 [0.25, 2.75]"),
        (0.25, 0.0, 0.5, "0.250 [0.000, 0.500]"),
        (0.00042, 0.0001, 0.0012, "0.000420 [0.000100, 0.001200]"),
        (0.0, 0.0, 0.0, "0.000 [0.000, 0.000]"),
        (0.00042, None, None, "0.000420"),
    ],
)
def test_a_mean_has_three_figures_however_small_and_separators_however_large(
    mean: float, low: float | None, high: float | None, told: str
) -> None:
    spread = Spread(mean, 2, 2, low, high)
    assert status.figures(Outcome("words", 2, spread)) == told


def test_what_would_take_long_is_reckoned_when_it_is_asked_for(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "_QUICK", 3)
    file = desk.library.parent / "tried.toml"
    file.write_text(f'{EXPERIMENT}outcome = "collapse"\n', "utf-8")
    assert "status tried --outcome" in desk("run", "tried.toml").out
    assert "all cells        n 6    none has it" in desk("status", "tried", "--outcome").out


def test_an_experiment_is_one_row_of_the_list_and_can_be_unfolded(desk: Desk) -> None:
    desk.held("alone", 3)
    desk("run", "tried.toml", "--max-conversations", "2", "--workers", "1")
    rows = [line.split("\t") for line in desk("list").out.splitlines()]
    assert [(row[0], row[2], row[3]) for row in rows[1:]] == [("tried", "8", "2 ended")]
    assert rows[1][4] == "a.jsonl ↔ b.jsonl, b.jsonl ↔ a.jsonl"
    assert len(desk("list", "--all").out.splitlines()) == 3
    assert len(desk("list", "--json").out.splitlines()) == 3


def test_an_experiment_goes_on_within_a_budget(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = desk.library.parent
    (folder / "dear.py").write_text(
        "from duologue.core.provider import Completion, Usage\n"
        "def reply(view): return Completion('so', usage=Usage(6, 4))\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{folder}:{os.environ.get('PYTHONPATH', '')}")
    text = EXPERIMENT.replace('"scripted:a.jsonl", "scripted:b.jsonl"', SEATS)
    (folder / "tried.toml").write_text(text, "utf-8")
    assert desk("run", "tried.toml", "--max-conversations", "1").code == 0
    stopped = desk("resume", "tried", "--budget-tokens", "65", "--workers", "1")
    assert "the budget is reached" in stopped.err
    assert "resume tried --budget-tokens 65   # goes on, with a higher limit or none" in stopped.out
    assert json.loads(desk("status", "tried", "--json").out)["spend"]["turns"] == 6
    refused = desk("resume", "tried", "--budget-usd", "0")
    assert (refused.code, "more than 0" in refused.err) == (2, True)
    desk.held("x", 3)
    refused = desk("resume", "x", "--budget-tokens", "5")
    assert (refused.code, "for an experiment" in refused.err) == (2, True)


def test_what_broke_can_be_read_and_is_tried_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = desk.library.parent
    (folder / "moody.py").write_text(
        "from pathlib import Path\n"
        "def reply(view):\n"
        "    if Path('mood').exists():\n"
        "        raise RuntimeError('not in the mood')\n"
        "    return 'so'\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{folder}:{os.environ.get('PYTHONPATH', '')}")
    text = EXPERIMENT.replace('"scripted:a.jsonl", "scripted:b.jsonl"', SEATS)
    (folder / "tried.toml").write_text(text.replace("dear:", "moody:"), "utf-8")
    (folder / "mood").touch()
    shown = desk("run", "tried.toml", "--max-conversations", "2")
    assert (shown.code, "2 (bug 2)\n" in shown.out) == (1, True)
    told = re.search(r"show (\S+)   # bug, for instance\n", shown.out)
    assert told is not None
    assert "not in the mood" in desk("show", told[1]).out
    assert json.loads(desk("status", "tried", "--json").out)["broken"] == {"bug": told[1]}
    assert desk("run", "tried.toml", "--quiet").code == 1
    assert "resume tried --retry-failed   # tries" in desk("status", "tried").out
    (folder / "mood").unlink()
    again = desk("resume", "tried", "--retry-failed")
    assert again.code == 0
    assert "for instance" not in again.out


def test_what_carries_workers_is_this_machine_or_ray(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = desk("run", "tried.toml", "--on", "slurm")
    assert (refused.code, "--on ray" in refused.err) == (2, True)
    refused = desk("run", "tried.toml", "--on", "ray=ray://far:10001")
    assert (refused.code, "Ray Client" in refused.err) == (2, True)
    monkeypatch.setitem(sys.modules, "ray", None)
    refused = desk("run", "tried.toml", "--on", "ray")
    assert (refused.code, 'pip install "duologue[ray]"' in refused.err) == (2, True)


def test_a_library_that_is_no_folder_is_refused_and_says_where_a_run_can_be(desk: Desk) -> None:
    refused = desk("--library", "s3://bucket/runs", "run", "tried.toml")
    assert (refused.code, "all machines share" in refused.err) == (2, True)
    assert "copy the finished run to s3" in refused.err
    assert not Path("s3:").exists()


def test_a_library_can_be_named_by_the_url_of_its_folder(desk: Desk) -> None:
    assert desk("--library", f"file://{desk.library}", "run", "tried.toml", "-q").code == 0
    assert "6 of 6" in desk("--library", f"FILE:{desk.library}", "status", "tried").out
    refused = desk("--library", "file://shared/runs", "list")
    assert (refused.code, "file:///its/path" in refused.err) == (2, True)


def test_the_log_can_be_printed_as_it_is_written(desk: Desk) -> None:
    printed = desk("run", "tried.toml", "--json", "--workers", "1").out
    assert printed == (desk.library / "tried" / "log-1.jsonl").read_text("utf-8")


def test_options_are_for_an_experiment_or_for_a_conversation(desk: Desk) -> None:
    refused = desk("run", "tried.toml", "--turns", "9")
    assert refused.code == 2
    assert "--turns" in refused.err
    assert "duologue: -a changes" in desk("run", "tried.toml", "-a", "hello").err
    assert "duologue: --name-a changes" in desk("run", "tried.toml", "--name-a", "Ada").err
    refused = desk("run", "hello", "--workers", "2")
    assert refused.code == 2
    assert "--workers" in refused.err


def test_flipped_bytes_in_what_has_ended_are_named_and_all_else_is_told(desk: Desk) -> None:
    text = (desk.folder / "tried.toml").read_text("utf-8") + 'outcome = "turns"\n'
    (desk.folder / "tried.toml").write_text(text, "utf-8")
    assert desk("run", "tried.toml", "--workers", "1").code == 0
    log = desk.library / "tried" / "log-1.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    said = [at for at, line in enumerate(lines) if b'"turn_completed"' in line]
    edited, broken = said[0], said[-1]
    words = json.loads(lines[edited])["event"]["message"]["text"].encode()
    lines[edited] = lines[edited].replace(words, b"x" * len(words))
    lines[broken] = b"\0" + lines[broken][1:]
    log.write_bytes(b"".join(lines))
    convs = [json.loads(lines[at][1:].join((b"{", b"")))["conv"] for at in (edited, broken)]
    for shown in (desk("status", "tried"), desk("run", "tried.toml")):
        assert f"{convs[0]}: record" in shown.out
        assert f"{convs[1]}: log-1.jsonl, line {broken + 1}: not a record" in shown.out
        assert "done           5 of 6" in shown.out
        assert "all cells" in shown.out
        assert " n 4 " in shown.out
    assert shown.code == 1
    quiet = desk("run", "tried.toml", "--quiet")
    assert (quiet.code, quiet.out) == (1, "tried\n")
    assert f"{convs[1]} cannot go on: log-1.jsonl, line {broken + 1}" in quiet.err
    endings = desk("endings", "tried", "--json")
    assert (endings.code, len(endings.out.splitlines())) == (3, 4)
    assert all(f"left out: {conv}" in endings.err for conv in convs)


@pytest.mark.parametrize("manner", [(), ("--quiet",), ("--json",)])
def test_an_edited_record_has_the_same_exit_code_however_little_is_shown(
    desk: Desk, manner: tuple[str, ...]
) -> None:
    text = (desk.folder / "tried.toml").read_text("utf-8") + 'outcome = "turns"\n'
    (desk.folder / "tried.toml").write_text(text, "utf-8")
    assert desk("run", "tried.toml", "--workers", "1").code == 0
    log = desk.library / "tried" / "log-1.jsonl"
    lines = log.read_bytes().splitlines()
    record = next(json.loads(line) for line in lines if b'"turn_completed"' in line)
    words = record["event"]["message"]["text"].encode()
    log.write_bytes(log.read_bytes().replace(words, b"x" * len(words), 1))
    shown = desk("run", "tried.toml", *manner)
    assert shown.code == 1
    assert f"{record['conv']}: record" in (shown.err if manner else shown.out)


@pytest.mark.parametrize(("lines", "more"), [(1, ""), (3, ", and 2 more such")])
def test_endings_name_a_line_that_is_nobodys_and_leave_nothing_out(
    desk: Desk, lines: int, more: str
) -> None:
    assert desk("run", "tried.toml", "--workers", "1").code == 0
    log = desk.library / "tried" / "log-1.jsonl"
    count = log.read_bytes().count(b"\n")
    with log.open("ab") as file:
        file.write(b"\xffnothing that was ever a record\n" * lines)
    shown = desk("endings", "tried", "--json")
    assert (shown.code, len(shown.out.splitlines())) == (3, 6)
    assert "left out" not in shown.err
    place = f"log-1.jsonl, line {count + 1}: not a record"
    assert f"tried: a line of which it cannot be told whose it is ({place}" in shown.err
    assert f"){more}: the conversations are described without it" in shown.err


def test_of_many_damaged_conversations_a_few_are_named(desk: Desk) -> None:
    assert desk("run", "tried.toml", "--workers", "1").code == 0
    log = desk.library / "tried" / "log-1.jsonl"
    log.write_bytes(log.read_bytes().replace(b'"kind":"turn_started"', b'"kind";"turn_started"'))
    shown = desk("status", "tried")
    assert shown.out.count("\ndamaged ") == 5
    assert "and 13 more: 'duologue verify tried' names every place" in shown.out


def test_what_an_edited_experiment_no_longer_asks_for_is_counted_apart(desk: Desk) -> None:
    desk("run", "tried.toml", "--quiet", "--max-conversations", "4")
    file = desk.folder / "tried.toml"
    file.write_text(EXPERIMENT.replace('" "', '"Hi."').replace("3", "1"), "utf-8")
    shown = desk("run", "tried.toml").out
    assert "\ndone           2 of 2 (max_turns 2)\n" in shown
    assert "\nbesides        4 that the experiment no longer asks for\n" in shown
    assert "next " not in shown


def test_columns_stand_under_each_other_whatever_the_cells_are_called(desk: Desk) -> None:
    file = desk.folder / "tried.toml"
    file.write_text(
        f'{EXPERIMENT}outcome = "turns"\nopenings = {{ "中文" = "a", ab = "b" }}', "utf-8"
    )
    text = file.read_text("utf-8").replace('opener = " "\n', "")
    file.write_text(text, "utf-8")
    for shown, mark in ((desk("plan", "tried.toml"), "3"), (desk("run", "tried.toml"), "n 3")):
        rows = [line for line in shown.out.splitlines() if line.strip().startswith("a.jsonl+b")]
        assert len({cell_len(line[: line.rindex(f" {mark} ")]) for line in rows}) == 1


def test_a_single_conversation_has_a_status_too(desk: Desk) -> None:
    desk.held("x", 3)
    assert "done           1 (" in desk("status", "x").out


def _board(held: Execution, out: io.StringIO) -> Board:
    times = iter(range(1000))
    console = Console(file=out, force_terminal=True, width=70, height=30)
    return Board(held, console=console, clock=lambda: float(next(times)))


def test_the_board_shows_how_far_how_fast_and_what_was_said_last(tmp_path: Path) -> None:
    experiment = scripted(tmp_path)
    run = folder(Library(tmp_path / "runs"), experiment)
    first = plan(experiment).conversations[0]
    with execution(run, plan(experiment), Wanted(workers=1)) as held:
        board = _board(held, io.StringIO())
        name = first.spec.names()[0]
        said = Fact("turn_completed", 2, message=Words(name, "Good \x1b[31mbye"), pace=7)
        board.see(Seen(Glance(1, first.id, 2, said), b""))
        board.see(Seen(Glance(1, first.id, 3, Fact("attempt_failed", boundary="overload")), b""))
        board.look()
        text = "\n".join(line.plain for line in board.lines())
        board.look()
        slower = "\n".join(line.plain for line in board.lines())
    assert "· 1.0/s ·" in text
    assert re.search(r"· \d\d\.0/min ·", slower)
    assert "0 of 6" in text
    assert "overload 1" in text
    assert f"{first.spec.seat(name).model} 7 · requests at once" in text
    assert f"{name} 2  Good ␛[31mbye" in text


def test_the_time_left_is_that_of_what_is_to_be_held_now(tmp_path: Path) -> None:
    experiment = scripted(tmp_path)
    run = folder(Library(tmp_path / "runs"), experiment)
    first = plan(experiment).conversations[0]
    said = Fact("turn_completed", 1, message=Words(first.spec.names()[0], "Hi."))
    for most, left in ((None, "0:24"), (2, "0:08")):
        with execution(run, plan(experiment), Wanted(workers=1, most=most)) as held:
            board = _board(held, io.StringIO())
            board.see(Seen(Glance(1, first.id, 1, said), b""))
            board.look()
            assert [*board.lines()][2].plain.endswith(f" 0 of 24 · 1.0/s · {left} left")


def test_a_narrow_terminal_keeps_the_numbers_and_shortens_the_bars(tmp_path: Path) -> None:
    experiment = scripted(tmp_path)
    run = folder(Library(tmp_path / "runs"), experiment)
    with execution(run, plan(experiment), Wanted(workers=1)) as held:
        board = _board(held, io.StringIO())
        wide, narrow = ([line.plain for line in board.lines(width)] for width in (100, 45))
    assert wide[1].count("░") == 30
    assert narrow[1].count("░") == 11
    assert narrow[1].endswith(" 0 of 6 · 0 running")


def test_where_no_board_is_drawn_a_line_a_minute_says_how_far_it_is(tmp_path: Path) -> None:
    experiment, out = scripted(tmp_path), io.StringIO()
    run = folder(Library(tmp_path / "runs"), experiment)
    with execution(run, plan(experiment), Wanted(workers=1)) as held:
        times = iter((0.0, 59.0, 60.0, 61.0))
        board = Board(held, console=Console(file=out, width=70), clock=lambda: next(times))
        for _ in range(3):
            board.look()
    assert out.getvalue() == "… conversations 0 of 6 · 0 running; messages 0 of 24\n"


def test_where_no_board_is_drawn_it_is_said_once_that_all_is_stopping(tmp_path: Path) -> None:
    experiment, out = scripted(tmp_path), io.StringIO()
    run = folder(Library(tmp_path / "runs"), experiment)
    with execution(run, plan(experiment), Wanted(workers=1)) as held:
        board = Board(held, console=Console(file=out, width=70))
        for _ in range(2):
            board.look()
            held.interrupt()
        board.look()
    assert out.getvalue() == "… stopping after the turns in flight; Ctrl-C again: at once\n"
