from pathlib import Path

import pytest
import typer
from staging import held
from typer.testing import CliRunner

from duologue.cli.app import app
from duologue.cli.completing import complete_file, complete_seat


def test_presets_come_before_the_toml_files_and_folders_that_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "her.toml").touch()
    (tmp_path / "her.md").touch()
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "two.toml").touch()
    assert [name for name, _ in complete_file("he")] == ["hello", "her.toml", "here/"]
    assert complete_file("here/t") == [("here/two.toml", "")]
    assert complete_file("nowhere/t") == []


def test_seats_are_offered_then_models_for_them(tmp_path: Path) -> None:
    held(tmp_path)
    command = typer.main.get_command(app)
    top = typer.Context(command)
    top.params = {"library": tmp_path}
    ctx = typer.Context(command, parent=top)
    ctx.params = {"id_": "play"}
    assert complete_seat(ctx, "A") == [("Ada=", "scripted:a")]
    assert [name for name, _ in complete_seat(ctx, "Ada=smol")] == ["Ada=smollm2-135m"]
    ctx.params = {"id_": "unknown"}
    assert complete_seat(ctx, "A") == []


def test_a_branch_of_an_import_lists_every_seat_and_a_command(tmp_path: Path) -> None:
    file = tmp_path / "old.jsonl"
    file.write_text('{"author": "A B", "text": "x"}\n{"author": "C", "text": "y"}\n')
    runner, library = CliRunner(), str(tmp_path / "library")
    assert (
        runner.invoke(app, ["--library", library, "import", str(file), "--name", "old"]).exit_code
        == 0
    )
    typed = ["--library", library, "branch", "old", "--at", "1", "--turns", "5"]
    told = str(runner.invoke(app, typed).exception)
    assert "'A B' and 'C'" in told
    assert told.endswith("branch old --at 1 --turns 5 --model 'A B=MODEL' --model C=MODEL")
