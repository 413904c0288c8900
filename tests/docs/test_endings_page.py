"""docs/endings.md is run, and its table of policies is what the code says."""

import re
from pathlib import Path

import pytest
from pages import DOCS

from duologue.core.policies import POLICIES

_EXAMPLE = re.compile(
    r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```$)?", re.DOTALL | re.MULTILINE
)
PAGE = DOCS / "endings.md"


def test_every_policy_stands_in_the_table_with_its_words() -> None:
    page = PAGE.read_text("utf-8")
    for name, policy in POLICIES.items():
        told = "nothing" if policy.told is None else f"“{policy.told}”"
        assert f"| `{name}` | {policy.about} | {told} |\n" in page


def test_every_example_of_endings_prints_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DUOLOGUE_LIBRARY", str(tmp_path / "runs"))
    page = PAGE.read_text("utf-8")
    examples = _EXAMPLE.findall(page)
    assert len(examples) == page.count("```python") == 2
    scope: dict[str, object] = {"__name__": "example"}
    for code, expected in examples:
        exec(compile(code, "docs/endings.md", "exec"), scope)  # noqa: S102 - the page's own
        assert capsys.readouterr().out == expected
