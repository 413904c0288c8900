"""A run's folder: its lock, its log, what is read back of it, and what is refused."""

import errno
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from duologue.errors import BusyError, RecordError, StoreError
from duologue.store import run as module
from duologue.store.run import SPEC_FILE, Run
from recording import CONV, OTHER, PAIR, TRIO, folder, interleave, log_of, ticking, write

LOCK = "run.lock"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return folder(tmp_path / "run")


@contextmanager
def unwritable() -> Iterator[Path]:
    """A folder that this process may read and not write, whoever it is."""
    with TemporaryDirectory() as name:
        path, user = Path(name), os.geteuid()
        path.chmod(0o755)
        try:
            yield path
        finally:
            os.seteuid(user)
            for item in (path, *path.rglob("*")):
                if item.is_dir():
                    item.chmod(0o755)


def close_to_writers(path: Path) -> None:
    """Take away every right to write; root has them all, so root becomes nobody for a while."""
    for item in (*path.rglob("*"), path):
        item.chmod(0o555 if item.is_dir() else 0o444)
    if os.geteuid() == 0:
        os.seteuid(65534)


# --- making one ----------------------------------------------------------------------------------


def test_a_new_run_says_what_was_asked_for(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "library" / "Zoë's run", {"name": "é", "seats": [{"a": 1}]})
    assert run.name == "Zoë's run"
    assert tomllib.loads((run.path / SPEC_FILE).read_text("utf-8")) == {
        "name": "é",
        "seats": [{"a": 1}],
    }
    assert run.segments() == []
    assert list(run.records()) == []


def test_a_second_run_of_one_name_is_refused_and_the_first_untouched(run: Run) -> None:
    before = (run.path / SPEC_FILE).read_bytes()
    with pytest.raises(StoreError, match=r"a run named 'run' already in .*another --name"):
        Run.create(run.path, {"name": "second"})
    assert (run.path / SPEC_FILE).read_bytes() == before


def test_a_run_cannot_be_made_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be made: Not a directory; give another --library"):
        Run.create(tmp_path / "file" / "run", {})


def test_a_run_cannot_be_made_where_nobody_may_write() -> None:
    with unwritable() as path:
        close_to_writers(path)
        with pytest.raises(StoreError, match="cannot be made: Permission denied"):
            Run.create(path / "run", {})


def test_a_disk_full_while_a_run_is_made_leaves_no_half_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, _data: bytes) -> int:
        path.touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(StoreError, match="No space left on device"):
            Run.create(tmp_path / "run", {})
    assert list(tmp_path.iterdir()) == []
    Run.create(tmp_path / "run", {})


# --- writing -------------------------------------------------------------------------------------


async def test_conversations_may_lie_interleaved_in_one_log(run: Run) -> None:
    pair, trio = await PAIR.events(), await TRIO.events()
    interleave(run, {CONV: pair, OTHER: trio})
    assert run.events(CONV) == pair
    assert run.events(OTHER) == trio
    assert [record.conv for record in run.records()][:4] == [CONV, OTHER, CONV, OTHER]
    assert run.events("hupop") == []


async def test_an_append_gives_the_record_that_is_read_back(run: Run) -> None:
    (first, *_) = await PAIR.events()
    with run.writing(ticking()) as log:
        record = log.append(CONV, first)
    assert run.conversation(CONV) == [record]
    assert record.at.endswith("Z")


async def test_the_time_is_the_systems_by_default(run: Run) -> None:
    (first, *_) = await PAIR.events()
    with run.writing() as log:
        at = log.append(CONV, first).at
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", at)


async def test_what_is_taken_up_goes_on_where_it_stopped(run: Run) -> None:
    events = await PAIR.events()
    for event in events:
        write(run, CONV, [event])
    assert run.events(CONV) == events
    with run.writing() as log:
        assert log.take_up(CONV) == events
        assert log.take_up(OTHER) == []


async def test_an_error_in_the_middle_of_writing_closes_log_and_lock(run: Run) -> None:
    with pytest.raises(ZeroDivisionError), run.writing():
        raise ZeroDivisionError
    with run.writing():
        assert run.busy()


def test_segments_come_in_the_order_of_their_numbers(run: Run) -> None:
    for number in (10, 2, 1, 9):
        (run.path / f"log-{number}.jsonl").touch()
    (run.path / "log-1.jsonl.torn-0").touch()
    assert [path.name for path in run.segments()] == [
        f"log-{number}.jsonl" for number in (1, 2, 9, 10)
    ]


# --- reading what is not whole -------------------------------------------------------------------


async def _lines(run: Run) -> list[bytes]:
    interleave(run, {CONV: await PAIR.events(), OTHER: await TRIO.events()})
    return log_of(run).read_bytes().splitlines(keepends=True)


async def test_a_missing_record_is_named(run: Run) -> None:
    lines = await _lines(run)
    log_of(run).write_bytes(b"".join(lines[:4] + lines[5:]))
    with pytest.raises(RecordError, match=rf"{CONV}: record 2 is missing; 'duologue verify'"):
        run.events(CONV)
    assert len(run.events(OTHER)) == len(await TRIO.events())


async def test_a_doubled_record_is_named(run: Run) -> None:
    lines = await _lines(run)
    log_of(run).write_bytes(b"".join(lines[:5] + lines[4:]))
    with pytest.raises(RecordError, match=rf"{CONV}: record 2 is there twice"):
        run.events(CONV)


async def test_a_damaged_line_is_named_to_whom_it_concerns(run: Run) -> None:
    lines = await _lines(run)
    lines[4] = lines[4].replace(b'"seq"', b'"\xffeq"')
    log_of(run).write_bytes(b"".join(lines))
    with pytest.raises(RecordError, match=rf"{CONV} is damaged at log-1\.jsonl, line 5: not a rec"):
        run.events(CONV)
    assert run.events(OTHER) == await TRIO.events()


async def test_a_newer_log_is_refused_for_reading_and_writing_and_left_alone(run: Run) -> None:
    lines = await _lines(run)
    data = b"".join(line.replace(b'{"v":1', b'{"v":2') for line in lines) + b"torn"
    log_of(run).write_bytes(data)
    with pytest.raises(RecordError, match=r"version 2, .*install a newer duologue"):
        run.events(CONV)
    with pytest.raises(RecordError, match=r"version 2, .*install a newer duologue"), run.writing():
        pass
    assert log_of(run).read_bytes() == data
    assert not list(run.path.glob("*.torn-*"))
    assert not run.busy()


# --- the lock ------------------------------------------------------------------------------------


def test_a_second_writer_is_told_who_writes_and_since_when(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_TRY_SECONDS", 0)
    says = rf"'run' is being written by process {os.getpid()}, since \d{{4}}-\d\d-\d\d \d\d:\d\d"
    with run.writing():
        with pytest.raises(BusyError, match=says), Run(run.path).writing():
            pass
        assert run.busy()
    assert not run.busy()


@pytest.mark.parametrize("left", [b"", b"rubbish", b"[]", b'{"pid":1}', b"\xff"])
def test_a_lock_that_does_not_say_whose_it_is_still_holds(
    run: Run, left: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_TRY_SECONDS", 0)
    with run.writing():
        (run.path / LOCK).write_bytes(left)
        with pytest.raises(BusyError, match="written by another process"), run.writing():
            pass


def test_a_second_writer_is_told_on_which_machine_the_first_one_is(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_TRY_SECONDS", 0)
    with run.writing():
        told = '{"pid": 1, "since": "noon", "host": "another-machine", "began_at": {}}'
        (run.path / LOCK).write_text(told)
        says = "written by process 1, since noon, on another-machine"
        with pytest.raises(BusyError, match=says), run.writing():
            pass
        assert run.holder() == told
    (run.path / LOCK).unlink()
    assert run.holder() == ""


def test_a_reader_who_only_asks_does_not_keep_a_writer_out(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with run.writing():
        pass
    asking = os.open(run.path / LOCK, os.O_RDONLY)
    fcntl.flock(asking, fcntl.LOCK_SH)
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        fcntl.flock(asking, fcntl.LOCK_UN)

    monkeypatch.setattr(time, "sleep", wait)
    with run.writing():
        assert len(waits) == 1
    os.close(asking)


def test_a_run_never_written_is_not_busy(run: Run) -> None:
    assert not run.busy()
    assert not (run.path / LOCK).exists()


_HOLDER = """
import sys
from pathlib import Path
from duologue.store.run import Run
with Run(Path(sys.argv[1])).writing():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.kill
def test_the_lock_of_a_killed_process_is_free(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TRY_SECONDS", 0)
    with subprocess.Popen(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", _HOLDER, str(run.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert run.busy()
        with pytest.raises(BusyError, match=f"process {holder.pid}, since"), run.writing():
            pass
        holder.send_signal(signal.SIGKILL)
        assert holder.wait() == -signal.SIGKILL
    assert not run.busy()
    with run.writing():
        assert json.loads((run.path / LOCK).read_bytes())["pid"] == os.getpid()


def test_a_lock_in_a_folder_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    says = r"run\.lock cannot be written: No such file"
    with pytest.raises(StoreError, match=says), Run(tmp_path / "gone").writing():
        pass


def test_a_disk_too_full_for_the_lock_is_said_to_be(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_given: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    says = r"run\.lock cannot be written: No space left on device.*try again"
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(StoreError, match=says), run.writing():
            pass
    assert not run.busy()


async def test_a_read_only_run_is_read_and_not_written() -> None:
    events = await PAIR.events()
    with unwritable() as path:
        run = folder(path / "run")
        write(run, CONV, events)
        before = log_of(run).read_bytes()
        close_to_writers(path)
        assert run.events(CONV) == events
        assert not run.busy()
        with pytest.raises(StoreError, match=r"Permission denied.*write permission"), run.writing():
            pass
        assert log_of(run).read_bytes() == before


async def test_readers_see_whole_lines_only_while_somebody_writes(run: Run) -> None:
    events = await PAIR.events()
    done = threading.Event()
    wrong: list[int] = []

    def look() -> None:
        while not done.is_set():
            found = run.events(CONV)
            if found != events[: len(found)]:
                wrong.append(len(found))

    reader = threading.Thread(target=look)
    reader.start()
    with run.writing(ticking()) as log:
        for event in events:
            log.append(CONV, event)
    done.set()
    reader.join()
    assert wrong == []
    assert run.events(CONV) == events


async def test_nothing_is_added_to_a_conversation_whose_record_was_edited(run: Run) -> None:
    write(run, CONV, await PAIR.events())
    lines = log_of(run).read_bytes()
    log_of(run).write_bytes(lines.replace(b"quoted", b"quoter", 1))
    assert len(run.events(CONV)) > 1
    says = r"record \d+ is not as it was written.*duologue verify"
    with run.writing() as log, pytest.raises(RecordError, match=says):
        log.take_up(CONV)
    assert log_of(run).read_bytes() == lines.replace(b"quoted", b"quoter", 1)
