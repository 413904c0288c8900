"""The example of docs/experiments.md is planned, and its tables are held against the code."""

from importlib import resources
from pathlib import Path

import pytest
from pages import DOCS, blocks
from typer.testing import CliRunner

from duologue.cli.app import app
from duologue.core.experiment import OUTCOMES, EndingVariant, Experiment, Said, Settings
from duologue.core.experimentfile import read
from duologue.core.plan import plan

PAGE = DOCS / "experiments.md"


def test_the_plan_of_the_example_is_what_the_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, text = blocks(PAGE, "toml")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bench.toml").write_text(text, "utf-8")
    shown = CliRunner().invoke(app, ["--library", "runs", "plan", "bench.toml"])
    assert (shown.exit_code, shown.exception) == (0, None)
    assert shown.output == blocks(PAGE, "text")[0]


def test_the_five_lines_are_an_experiment() -> None:
    five, _ = blocks(PAGE, "toml")
    assert len(five.splitlines()) == 5
    assert len(plan(read(five, "five.toml")).conversations) == 12


@pytest.mark.parametrize("kind", [Experiment, Said, Settings, EndingVariant])
def test_every_key_is_on_the_page(kind: type[Experiment | Said | Settings | EndingVariant]) -> None:
    page = PAGE.read_text("utf-8")
    for field in kind.__struct_fields__:
        assert f"`{field}`" in page or f"`{field} = " in page or field == "name", field


def test_every_outcome_is_on_the_page() -> None:
    page = PAGE.read_text("utf-8")
    for outcome, meaning in OUTCOMES.items():
        assert f"| `{outcome}` | {meaning} |\n" in page


def test_the_ready_experiments_are_as_large_as_the_page_says() -> None:
    page = PAGE.read_text("utf-8")
    for file in (resources.files("duologue") / "experiments").iterdir():
        whole = plan(read(file.read_text("utf-8"), file.name))
        row = next(line for line in page.splitlines() if line.startswith(f"| `{whole.name}` |"))
        assert row.endswith(f"| {len(whole.cells)} | {len(whole.conversations)} |")


def test_the_page_is_found_from_the_others() -> None:
    assert "(experiments.md)" in (DOCS / "README.md").read_text("utf-8")
