"""A full disk: the message in hand is written, and nothing more is asked for."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from duologue.core.event import AttemptFailed, TurnCompleted, TurnStarted
from duologue.core.message import Message
from duologue.errors import FullError, StoreError
from duologue.scheduler import record
from duologue.store import segment, spare
from duologue.store.spare import SPARE_BYTES, Spare
from recording import CONV, PAIR, folder, ticking, unwatched


def _refusing(code: int) -> object:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    return refuse


def test_the_room_is_really_taken_and_let_go_of_once(tmp_path: Path) -> None:
    kept = Spare(tmp_path / "run.spare")
    for _ in range(2):
        kept.hold()
        assert kept.path.stat().st_blocks * 512 >= SPARE_BYTES
    assert (kept.release(), kept.release(), list(tmp_path.iterdir())) == (True, False, [])


def test_where_the_system_has_no_call_for_it_the_room_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spare, "_allocate", vars(spare)["_fill"])
    Spare(tmp_path / "run.spare").hold()
    assert (tmp_path / "run.spare").stat().st_size == SPARE_BYTES


def test_only_a_full_disk_is_a_reason_not_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Spare(tmp_path / "run.spare")
    monkeypatch.setattr(spare, "_allocate", _refusing(errno.EFBIG))
    kept.hold()
    monkeypatch.setattr(spare, "_allocate", _refusing(errno.ENOSPC))
    with pytest.raises(OSError, match="No space"):
        kept.hold()
    assert (kept.release(), list(tmp_path.iterdir())) == (False, [])


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_message_that_finds_the_disk_full_is_written_and_no_other_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    run, real = folder(tmp_path / "run"), os.write

    def full(file: int, data: bytes) -> int:
        if (run.path / "run.spare").exists():
            raise OSError(code, os.strerror(code))
        return real(file, data)

    with run.writing() as log:
        log.append(CONV, TurnStarted(1, "Ada", ""))
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", full)
            log.append(CONV, TurnCompleted(1, Message("Ada", "kept")))
        monkeypatch.setattr(spare, "_allocate", _refusing(code))
        with pytest.raises(FullError, match=r"1 MiB.*none was asked for.*then resume"):
            log.append(CONV, TurnStarted(2, "Bo", ""))
    assert [type(event) for event in run.events(CONV)] == [TurnStarted, TurnCompleted]


def test_a_start_does_not_use_the_room_that_is_kept_for_its_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = folder(tmp_path / "run")
    with run.writing() as log:
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", _refusing(errno.ENOSPC))
            with pytest.raises(StoreError, match="No space"):
                log.append(CONV, TurnStarted(1, "Ada", ""))
            assert (run.path / "run.spare").exists()
            with pytest.raises(StoreError, match="No space"):  # let go, and still no room
                log.append(CONV, AttemptFailed(1, "Ada", "bug", ""))
        assert not (run.path / "run.spare").exists()


async def test_the_words_of_a_message_are_not_hidden_by_a_sync_that_fails_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, real = folder(tmp_path / "run"), os.write

    def refuse(file: int, data: bytes) -> int:
        if b'"turn_completed"' in data:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(file, data)

    monkeypatch.setattr(os, "write", refuse)
    monkeypatch.setattr(segment, "_sync", _refusing(errno.EIO))
    words = pytest.raises(StoreError, match=r"These were its words:\ntwo\nlines")
    with words, run.writing(ticking()) as log:
        await record(log, CONV, PAIR.spec, PAIR.cast(), watch=unwatched)


def test_a_sync_that_fails_at_the_end_is_told_when_nothing_else_went_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = folder(tmp_path / "run")
    monkeypatch.setattr(segment, "_sync", _refusing(errno.EIO))
    with pytest.raises(StoreError, match="Input/output"), run.writing() as log:
        log.append(CONV, TurnStarted(1, "Ada", ""))


_TINY = """
import os, sys
from pathlib import Path
from duologue.core.event import TurnCompleted, TurnStarted
from duologue.core.message import Message
from duologue.errors import StoreError
from duologue.store.run import Run
run = Run.create(Path(sys.argv[1]) / "run", {})
with run.writing() as log:
    log.append("lusab", TurnStarted(1, "Ada", ""))
    try:
        with open(Path(sys.argv[1]) / "filler", "wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
    except OSError:
        pass
    log.append("lusab", TurnCompleted(1, Message("Ada", "x" * 500_000)))
    try:
        log.append("lusab", TurnStarted(2, "Bo", ""))
    except StoreError as error:
        print(len(run.events("lusab")), error)
"""


def test_on_a_really_full_disk_the_message_in_hand_is_written(tmp_path: Path) -> None:
    script = f'mount -t tmpfs -o size=4m none "{tmp_path}" && exec "$@"'
    mounts = ["unshare", "-rm", "sh", "-c", script, "sh"]
    if subprocess.run([*mounts, "true"], check=False, capture_output=True).returncode:  # noqa: S603
        pytest.skip("this system lets nobody mount a small disk")
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [*mounts, sys.executable, "-c", _TINY, str(tmp_path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("2 ")
    assert "No space left on device. There is no room to be sure of" in done.stdout
