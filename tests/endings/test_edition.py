"""Which detectors these are: another number for other rules, words or weights."""

import shutil
from pathlib import Path

import pytest

from duologue import endings
from duologue.endings.edition import edition, edition_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    installed = Path(endings.__file__).parent
    return Path(shutil.copytree(installed, tmp_path / "endings"))


@pytest.mark.parametrize("name", ["lexicon.toml", "weights.toml", "annotate.py", "signs.py"])
def test_whatever_is_changed_makes_another_edition(folder: Path, name: str) -> None:
    assert edition_of(folder) == edition()
    with (folder / name).open("a", encoding="utf-8") as file:
        file.write("\n")
    assert edition_of(folder) != edition()


def test_what_compiling_leaves_behind_makes_none(folder: Path) -> None:
    (folder / "__pycache__").mkdir(exist_ok=True)
    (folder / "__pycache__" / "more.pyc").touch()
    assert edition_of(folder) == edition()
