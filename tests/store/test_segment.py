"""One file of the log: whole lines, torn tails, disks in trouble, and the syncing thread."""

import errno
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from duologue.core.event import MessageInjected
from duologue.core.message import Message
from duologue.errors import LeavingError, RecordError, StoreError
from duologue.store import segment as module
from duologue.store.chain import Head
from duologue.store.segment import SYNC_EVENTS, Line, Segment, now, read
from recording import LOG, ticking

SECONDS = 60.0  # how long a test waits for another thread before it fails


def said(text: str, turn: int = 1) -> MessageInjected:
    return MessageInjected(turn, Message("Ada", text))


def texts(path: Path) -> list[str]:
    found = []
    for line in read(path):
        assert line.record is not None, line.problem
        assert isinstance(line.record.event, MessageInjected)
        found.append(line.record.event.message.text)
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / LOG


@pytest.fixture
def segment(path: Path) -> Iterator[Segment]:
    opened = Segment(path, ticking())
    yield opened
    opened.close()


def test_a_line_is_in_the_file_when_append_returns(segment: Segment, path: Path) -> None:
    record = segment.append("lusab", said("one"), Head())
    assert [line.record for line in read(path)] == [record]
    segment.append("lusab", said("two"), Head(1, record.h))
    assert texts(path) == ["one", "two"]


def test_the_time_is_utc_with_microseconds_whatever_the_clock_says(path: Path) -> None:
    zone = timezone(timedelta(hours=5, minutes=30))
    segment = Segment(path, lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=zone))
    assert segment.append("lusab", said(""), Head()).at == "2026-01-01T21:34:05.000000Z"
    segment.close()


def test_the_clock_is_the_systems_by_default() -> None:
    assert now().tzinfo is UTC


def test_a_line_knows_where_it_stands(segment: Segment, path: Path) -> None:
    for text in ("a", "bb", "é"):
        segment.append("lusab", said(text), Head())
    lines = list(read(path))
    data = path.read_bytes()
    assert [line.number for line in lines] == [1, 2, 3]
    assert [data[line.offset : line.end] for line in lines] == [line.data + b"\n" for line in lines]
    assert next(read(path, lines[1].offset)).data == lines[1].data
    assert [line.data for line in read(path, end=lines[1].end)] == [lines[0].data, lines[1].data]
    assert list(read(path, end=0)) == []


def test_a_chain_goes_on_over_reopening(path: Path) -> None:
    before = ""
    for number in range(4):
        segment = Segment(path, ticking())
        record = segment.append("lusab", said(str(number)), Head(number, before))
        assert record.p == before
        before = record.h
        segment.close()


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 1_000_000, 3_000_000])
def test_lines_of_any_length_are_written_and_found_again(path: Path, size: int) -> None:
    for number in range(2):
        segment = Segment(path, ticking())
        segment.append("lusab", said("é" * size + str(number)), Head())
        segment.close()
    with path.open("ab") as file:
        file.write(b"x" * size)
    Segment(path).close()
    assert texts(path) == ["é" * size + "0", "é" * size + "1"]
    aside = [item.read_bytes() for item in path.parent.glob("*.torn-*")]
    assert aside == ([b"x" * size] if size else [])


def test_an_empty_file_is_a_segment_without_lines(path: Path) -> None:
    path.touch()
    assert list(read(path)) == []
    segment = Segment(path, ticking())
    assert segment.append("lusab", said("a"), Head()).p == ""
    segment.close()
    assert list(path.parent.iterdir()) == [path]


def test_a_file_with_only_a_torn_line_becomes_empty_and_the_tail_is_kept(path: Path) -> None:
    path.write_bytes(b'{"v":1,"co')
    assert list(read(path)) == []
    Segment(path).close()
    assert path.read_bytes() == b""
    assert path.with_name(f"{LOG}.torn-0").read_bytes() == b'{"v":1,"co'


def test_two_tails_torn_at_the_same_place_are_both_kept(path: Path) -> None:
    for tail in (b"first", b"second"):
        path.write_bytes(tail)
        Segment(path).close()
    assert path.with_name(f"{LOG}.torn-0").read_bytes() == b"firstsecond"


@pytest.mark.parametrize("last", [b"", b"rubbish", b"\xff\xfe", b"\0\0", b'{"v":9,"conv":"lusab"}'])
def test_a_damaged_last_line_is_not_written_after(path: Path, last: bytes) -> None:
    segment = Segment(path, ticking())
    segment.append("lusab", said("a"), Head())
    segment.close()
    with path.open("ab") as file:
        file.write(last + b"\nand a torn tail")
    data = path.read_bytes()
    with pytest.raises(RecordError, match=r"log-1\.jsonl, the last line: "):
        Segment(path)
    assert path.read_bytes() == data
    assert list(path.parent.iterdir()) == [path]
    assert [line.record is None for line in read(path)] == [False, True]


def test_a_newer_log_is_left_as_it_is(path: Path) -> None:
    segment = Segment(path, ticking())
    segment.append("lusab", said("a"), Head())
    segment.close()
    path.write_bytes(path.read_bytes().replace(b'{"v":1', b'{"v":2'))
    data = path.read_bytes()
    with pytest.raises(RecordError, match=r"of version 2, .*install a newer duologue"):
        Segment(path)
    assert path.read_bytes() == data
    (line,) = read(path)
    assert line.record is None
    assert line.conv == "lusab"
    assert "version 2" in (line.problem or "")


def test_a_line_that_cannot_be_read_tells_why() -> None:
    assert Line(1, 0, b"no", None, "why").conv == ""


def test_a_file_that_is_not_there_cannot_be_read(path: Path) -> None:
    with pytest.raises(StoreError, match=r"log-1\.jsonl cannot be read: No such file"):
        list(read(path))


def test_a_folder_in_the_place_of_a_segment_is_said_to_be_one(path: Path) -> None:
    path.mkdir()
    with pytest.raises(StoreError, match="cannot be written: Is a directory"):
        Segment(path)


def test_a_tail_that_cannot_be_set_aside_stays_where_it_is(path: Path) -> None:
    path.write_bytes(b"torn")
    path.with_name(f"{LOG}.torn-0").mkdir()
    with pytest.raises(StoreError, match="cannot be written: Is a directory"):
        Segment(path)
    assert path.read_bytes() == b"torn"


# --- a disk in trouble ---------------------------------------------------------------------------


def _full_after(budget: int, real: Callable[[int, bytes], int]) -> Callable[[int, bytes], int]:
    """``os.write`` on a disk with room for ``budget`` bytes more."""
    left = budget

    def write(file: int, data: bytes) -> int:
        nonlocal left
        if left == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = real(file, data[:left])
        left -= taken
        return taken

    return write


def test_a_disk_that_fills_up_at_any_byte_leaves_whole_lines(
    segment: Segment, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = segment.append("lusab", said("kept"), Head())
    kept, head = path.read_bytes(), Head(1, record.h)
    length = len(kept) + 40
    for budget in range(length):
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", _full_after(budget, os.write))
            with pytest.raises(StoreError, match=r"No space left on device.*then resume"):
                segment.append("lusab", said("does not fit"), head)
        assert path.read_bytes() == kept
    segment.append("lusab", said("there is room again"), head)
    assert texts(path) == ["kept", "there is room again"]


def test_a_write_in_pieces_makes_one_line(
    segment: Segment, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda file, data: real(file, data[:7]))
        segment.append("lusab", said("piece by piece"), Head())
    assert texts(path) == ["piece by piece"]


def test_a_really_full_device_is_reported(path: Path) -> None:
    path.symlink_to("/dev/full")
    segment = Segment(path)
    with pytest.raises(StoreError, match="No space left on device"):
        segment.append("lusab", said("a"), Head())
    segment.close()


_LIMITED = """
import resource, signal, sys
from pathlib import Path
from duologue.core.event import MessageInjected
from duologue.core.message import Message
from duologue.errors import StoreError
from duologue.store.chain import Head
from duologue.store.segment import Segment

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
segment, head = Segment(Path(sys.argv[1])), Head()
try:
    while True:
        record = segment.append("lusab", MessageInjected(1, Message("Ada", "x" * 400)), head)
        head = Head(record.seq + 1, record.h)
except StoreError as error:
    print(head.seq, error)
segment.close()
"""


def test_a_file_at_its_real_limit_holds_whole_lines_and_all_of_them(path: Path) -> None:
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", _LIMITED, str(path)], capture_output=True, text=True, check=True
    )
    number, _, message = done.stdout.partition(" ")
    assert "File too large" in message
    assert int(number) > 5
    assert texts(path) == ["x" * 400] * int(number)
    assert path.read_bytes().endswith(b"\n")
    assert done.stderr == ""


# --- syncing -------------------------------------------------------------------------------------


class FakeSync:
    """A disk whose syncs last until they are let go, and fail when told to."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()
        self.calls = 0
        self.error: OSError | None = None

    def __call__(self, _file: int) -> None:
        self.calls += 1
        self.begun.release()
        assert self.gate.wait(SECONDS)
        if self.error:
            raise self.error

    def wait(self) -> bool:
        """Until one more sync has begun."""
        return self.begun.acquire(timeout=SECONDS)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> FakeSync:
    fake = FakeSync()
    monkeypatch.setattr(module, "_sync", fake)
    monkeypatch.setattr(module, "SYNC_SECONDS", 3600.0)
    return fake


def test_a_full_group_is_synced_at_once_and_a_smaller_one_at_the_end(
    disk: FakeSync, path: Path
) -> None:
    disk.gate.clear()
    segment = Segment(path, ticking())
    for _ in range(SYNC_EVENTS - 1):
        segment.append("lusab", said("a"), Head())
    assert disk.calls == 0
    segment.append("lusab", said("a"), Head())
    assert disk.wait()
    for _ in range(3):  # nobody waits for a sync in progress
        segment.append("lusab", said("b"), Head())
    assert disk.calls == 1
    disk.gate.set()
    segment.close()
    assert disk.calls == 2


def test_a_single_event_is_synced_without_company_when_its_time_is_up(
    disk: FakeSync, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SYNC_SECONDS", 0.0)
    segment = Segment(path, ticking())
    segment.append("lusab", said("a"), Head())
    assert disk.wait()
    segment.close()
    assert disk.calls == 1


def test_a_segment_to_which_nothing_was_written_is_not_synced(disk: FakeSync, path: Path) -> None:
    Segment(path).close()
    assert disk.calls == 0


def test_a_failed_sync_is_raised_when_the_segment_is_closed(disk: FakeSync, path: Path) -> None:
    disk.error = OSError(errno.EIO, os.strerror(errno.EIO))
    segment = Segment(path, ticking())
    segment.append("lusab", said("a"), Head())
    with pytest.raises(StoreError, match=r"log-1\.jsonl cannot be written: Input/output error"):
        segment.close()
    assert texts(path) == ["a"]


def test_after_a_failed_sync_nothing_more_is_written(
    disk: FakeSync, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SYNC_SECONDS", 0.0)
    disk.error = OSError(errno.EIO, os.strerror(errno.EIO))
    segment = Segment(path, ticking())
    written = iter(range(1_000_000))
    with pytest.raises(StoreError, match="Input/output error"):
        deque((segment.append("lusab", said("a"), Head()) for _ in written), maxlen=0)
    with pytest.raises(StoreError, match="Input/output error"):
        segment.append("lusab", said("a"), Head())
    with pytest.raises(StoreError, match="Input/output error"):
        segment.close()
    assert len(texts(path)) == next(written) - 1 >= 1


def test_two_never_append_to_one_segment(path: Path) -> None:
    first = Segment(path)
    with pytest.raises(LeavingError, match="still being appended to"):
        Segment(path)
    first.append("c", said("mine"), Head())
    first.close()
    assert texts(path) == ["mine"]
