from pathlib import Path

import pytest
from typer.testing import CliRunner

from duologue.cli.app import app
from duologue.cli.asking import Options, assemble
from duologue.core.spec import Budget, TurnCap
from duologue.errors import ConfigurationError
from duologue.store.library import Library

SEATS = {"a": {"model": "scripted:a.jsonl"}, "b": {"model": "scripted:b.jsonl"}}


def budgets(options: Options, folder: Path) -> list[Budget]:
    ending = assemble(options, folder).spec.ending
    return [rule for rule in ending if isinstance(rule, Budget)]


def test_a_budget_that_is_typed_is_a_rule_of_the_conversation(tmp_path: Path) -> None:
    assert budgets(Options(seats=SEATS), tmp_path) == []
    typed = Options(seats=SEATS, budget_usd=0.5, budget_tokens=9, budget_minutes=1.5)
    assert budgets(typed, tmp_path) == [Budget(tokens=9, usd=0.5, minutes=1.5)]


def test_a_budget_that_is_typed_changes_the_files_and_stays_in_a_pure_run(tmp_path: Path) -> None:
    file = tmp_path / "talk.toml"
    file.write_text(
        '[[participants]]\nname = "A"\nmodel = "scripted:a"\n'
        '[[ending]]\nkind = "max_turns"\nturns = 9\n'
        '[[ending]]\nkind = "budget"\ntokens = 7\nusd = 2.0\n'
    )
    named = Options(file="talk.toml", budget_usd=0.5)
    assert budgets(named, tmp_path) == [Budget(tokens=7, usd=0.5)]
    pure = assemble(Options(file="talk.toml", budget_usd=0.5, ending=("pure",)), tmp_path).spec
    assert pure.ending == (TurnCap(9), Budget(tokens=7, usd=0.5))
    assert budgets(Options(file="talk.toml", ending=("pure",)), tmp_path) == []


@pytest.mark.parametrize("typed", [0.0, -1.0, float("nan"), float("inf")])
def test_a_budget_that_is_no_amount_is_refused(tmp_path: Path, typed: float) -> None:
    with pytest.raises(ConfigurationError):
        assemble(Options(seats=SEATS, budget_usd=typed), tmp_path)


def test_a_dry_run_shows_what_would_be_sent_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jsonl").write_text('"a"\n')
    library = tmp_path / "library"
    typed = ["-a", "scripted:a.jsonl", "-b", "openai:gpt-4o", "--opener", "a\x1bb", "--dry-run"]
    done = CliRunner().invoke(
        app, ["--library", str(library), "run", *typed, "--budget-tokens", "10", "--no-stream"]
    )
    assert done.exit_code == 0, done.output
    assert "Nothing was sent, and nothing was spent." in done.output
    assert '"stream": false' in done.output
    assert '{"kind":"budget","tokens":10}' in done.output
    assert "\x1b" not in done.output
    assert Library(library).listing() == []


def test_a_run_ends_before_its_budget_is_spent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        (tmp_path / f"{name}.jsonl").write_text('"hello"\n')
    typed = ["-a", "scripted:a.jsonl", "-b", "scripted:b.jsonl", "--turns", "4", "--quiet"]
    done = CliRunner().invoke(
        app, ["--library", str(tmp_path / "l"), "run", *typed, "--budget-usd", "0.01"]
    )
    assert done.exit_code == 0, done.output
    [item] = Library(tmp_path / "l").listing()
    assert item.reason == "max_turns"  # scripts cost nothing, and say so
