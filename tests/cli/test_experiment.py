"""An experiment as a person carries it out: run, status, resume, and the board that shows it."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from typed import Desk

from duologue.cli.board import Board
from duologue.core.plan import plan
from duologue.scale.experiment import Execution, Wanted, execution, folder
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


def test_the_log_can_be_printed_as_it_is_written(desk: Desk) -> None:
    printed = desk("run", "tried.toml", "--json", "--workers", "1").out
    assert printed == (desk.library / "tried" / "log-1.jsonl").read_text("utf-8")


def test_options_are_for_an_experiment_or_for_a_conversation(desk: Desk) -> None:
    refused = desk("run", "tried.toml", "--turns", "9")
    assert refused.code == 2
    assert "--turns" in refused.err
    refused = desk("run", "hello", "--workers", "2")
    assert refused.code == 2
    assert "--workers" in refused.err


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
    assert "0 of 6" in text
    assert "overload 1" in text
    assert f"{first.spec.seat(name).model} 7" in text
    assert f"{name} 2  Good ␛[31mbye" in text
