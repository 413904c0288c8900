from pathlib import Path

import pytest
from typer.testing import CliRunner

from duologue.api import Change, changed
from duologue.cli.app import app
from duologue.cli.asking import Options, assemble
from duologue.cli.holding import warn
from duologue.core.event import ConversationStarted
from duologue.core.spec import ConversationSpec, Line, Participant, Sampling, TurnCap
from duologue.core.state import fold

A, B = "anthropic:claude-haiku-4-5", "ollama:llama3:8b"
URL = "http://127.0.0.1:9/v1"


def test_a_seat_may_be_reached_elsewhere_and_all_may_answer_whole(tmp_path: Path) -> None:
    seats = {"a": {"model": A, "base_url": URL}, "b": {"model": B}}
    one, other = assemble(Options(seats=seats, stream=False), tmp_path).spec.participants
    assert (one.base_url, other.base_url) == (URL, None)
    assert (one.stream, other.stream) == (False, False)
    assert (one.name, other.name) == ("claude-haiku-4-5", "llama3:8b")
    assert all(seat.stream for seat in assemble(Options(seats=seats), tmp_path).spec.participants)


def test_what_a_file_declares_stands_unless_something_else_is_typed(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(
        f'[[participants]]\nname = "A"\nmodel = "{A}"\nbase_url = "{URL}"\nstream = false\n'
        f'[[participants]]\nname = "B"\nmodel = "{B}"\n'
    )
    one, other = assemble(Options(file="a.toml"), tmp_path).spec.participants
    assert (one.base_url, one.stream, other.base_url, other.stream) == (URL, False, None, True)
    typed = Options(file="a.toml", seats={"a": {"base_url": "http://h/"}})
    assert assemble(typed, tmp_path).spec.participants[0].base_url == "http://h/"


def test_the_command_line_knows_the_options(tmp_path: Path) -> None:
    words = ["run", "-a", A, "-b", B, "--base-url-a", "ftp://h", "--no-stream", "--turns", "2"]
    result = CliRunner().invoke(app, ["--library", str(tmp_path), *words])
    assert "it must begin with http:// or https://" in repr(result.exception)


def test_an_address_stays_behind_when_a_branch_asks_another_provider() -> None:
    seats = (Participant("A", A, base_url=URL), Participant("B", B))
    said = (Line("A", "one"), Line("B", "two"))
    parent = fold([ConversationStarted(ConversationSpec(seats, said, ending=(TurnCap(4),)))])
    for model, url in ((B, None), ("smollm2-135m", None), ("anthropic:claude-opus-5", URL)):
        seat = changed(parent, Change(models={"A": model}), 2).seat("A")
        assert (seat.model, seat.base_url) == (model, url)
    assert changed(parent, Change(seed=1), 2).seat("A") == seats[0]


def test_a_person_is_warned_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    warn(ConversationSpec((Participant("A", A, sampling=Sampling(seed=0)),)))
    told = capsys.readouterr()
    assert told.err == f"duologue: A: {A} ignores seed; it changes nothing\n"
    assert told.out == ""
