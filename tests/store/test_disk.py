"""Files and folders that outlast a power cut, or are not there."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from duologue.errors import StoreError
from duologue.store.disk import make, move, sync
from duologue.store.library import Library
from duologue.store.run import Run


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of what was synced, as it is synced."""
    names, real = [], os.fsync

    def fsync(file: int) -> None:
        names.append(Path(f"/proc/self/fd/{file}").readlink().name)
        real(file)

    monkeypatch.setattr(os, "fsync", fsync)
    return names


def _refusing(code: int, after: int = 0) -> Callable[[int], None]:
    """An fsync that refuses from some call on."""
    left = [after]

    def refuse(_: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(code, os.strerror(code))

    return refuse


def test_a_new_run_its_folders_and_its_log_are_synced_before_they_are_used(
    tmp_path: Path, synced: list[str]
) -> None:
    library = Library(tmp_path / "library")
    with library.corner() as corner:
        made = corner.create("made", {"name": "run"})
        move(made.path, library.path / "run")
    run = Run(library.path / "run")
    assert synced == [tmp_path.name, "experiment.toml", "made", "library"]
    with run.writing():
        pass
    assert synced[4:] == ["run"]  # for the name of log-1.jsonl
    with run.writing():
        pass
    assert synced[5:] == []


def test_a_folder_that_is_moved_is_synced_in_its_new_place(
    tmp_path: Path, synced: list[str]
) -> None:
    make(tmp_path / "corner" / "run")
    synced.clear()
    move(tmp_path / "corner" / "run", tmp_path / "run")
    assert synced == [tmp_path.name]
    assert (tmp_path / "run").is_dir()


def test_a_folder_that_is_there_is_not_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for there in (tmp_path, tmp_path / "file"):
        with pytest.raises(FileExistsError):
            make(there)


def test_a_folder_that_a_broken_disk_cannot_keep_is_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", _refusing(errno.EIO))
    with pytest.raises(OSError, match="Input/output error"):
        make(tmp_path / "library")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP])
def test_a_folder_that_cannot_be_synced_is_left_to_its_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(os, "fsync", _refusing(code))
    sync(tmp_path)
    with Run.create(tmp_path / "run", {}).writing():
        pass


@pytest.mark.parametrize("after", range(2))
def test_a_run_that_a_broken_disk_cannot_keep_is_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    monkeypatch.setattr(os, "fsync", _refusing(errno.EIO, after))
    with pytest.raises(StoreError, match="Input/output error"):
        Run.create(tmp_path / "run", {})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_whose_new_place_a_broken_disk_cannot_keep_goes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "old")
    monkeypatch.setattr(os, "fsync", _refusing(errno.EIO))
    with pytest.raises(OSError, match="Input/output error"):
        move(tmp_path / "old", tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
