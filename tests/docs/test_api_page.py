"""Every example of docs/api.md is run, in order, and must print what stands under it."""

import re
from pathlib import Path

import pytest
from pages import DOCS

_EXAMPLE = re.compile(
    r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```$)?", re.DOTALL | re.MULTILINE
)


def test_every_example_prints_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DUOLOGUE_LIBRARY", str(tmp_path / "runs"))
    page = (DOCS / "api.md").read_text("utf-8")
    examples = _EXAMPLE.findall(page)
    assert len(examples) == page.count("```python")
    scope: dict[str, object] = {"__name__": "example"}
    for code, expected in examples:
        exec(compile(code, "docs/api.md", "exec"), scope)  # noqa: S102 - the page's own examples
        assert capsys.readouterr().out == expected
