"""One file of the log: appended to by one process, read by any number.

An append is one ``write`` without a buffer of ours, so a killed process loses nothing that was
appended; a background thread syncs in groups, so a power cut loses at most 100 events or 100 ms.
This module does not know what the events mean.
"""

import fcntl
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from duologue.core.event import Event, Record
from duologue.errors import FullError, LeavingError, RecordError, StoreError
from duologue.store.chain import Head, named, seal, unseal
from duologue.store.disk import sync
from duologue.store.spare import FULL

SYNC_EVENTS = 100
SYNC_SECONDS = 0.1
_REACH = 1 << 16

Clock = Callable[[], datetime]
_sync = getattr(os, "fdatasync", os.fsync)


def now() -> datetime:
    """The time, UTC."""
    return datetime.now(UTC)


class Line(msgspec.Struct, frozen=True):
    """A line of a segment as it was found.

    Attributes:
        number: counted from 1.
        offset: of its first byte.
        data: its bytes, without the newline.
        record: what it holds; None where it is not readable.
        problem: why it is not readable.
    """

    number: int
    offset: int
    data: bytes
    record: Record | None
    problem: str | None = None

    @property
    def end(self) -> int:
        """The offset after its newline."""
        return self.offset + len(self.data) + 1

    @property
    def conv(self) -> str:
        """Whose it is, even where it is not readable; empty where that cannot be told."""
        return named(self.data) if self.record is None else self.record.conv


def read(path: Path, start: int = 0, end: int | None = None) -> Iterator[Line]:
    """Every whole line of a segment between two offsets at which lines begin.

    A last line without its newline is still being written, or torn: it is not yielded. Line
    numbers count from ``start``.

    Raises:
        StoreError: the file cannot be read.
    """
    offset = start
    try:
        with path.open("rb") as file:
            file.seek(start)
            for number, raw in enumerate(file, start=1):
                if not raw.endswith(b"\n") or (end is not None and offset >= end):
                    return
                yield _line(number, offset, raw[:-1])
                offset += len(raw)
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from error


def whose(path: Path, start: int = 0) -> Iterator[tuple[str, int, int]]:
    """Of every whole line from an offset on: whose it says it is, its offset and its size.

    Nothing else of it is read. A size does not count the newline.

    Raises:
        StoreError: the file cannot be read.
    """
    offset = start
    try:
        with path.open("rb") as file:
            file.seek(start)
            for raw in file:
                if not raw.endswith(b"\n"):
                    return
                yield named(raw), offset, len(raw) - 1
                offset += len(raw)
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from error


def read_at(path: Path, places: Iterable[tuple[int, int]]) -> Iterator[Line]:
    """The lines at these offsets, so long without their newlines; their numbers are not known: 0.

    Raises:
        StoreError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            for offset, size in places:
                file.seek(offset)
                yield _line(0, offset, file.read(size))
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from error


def _line(number: int, offset: int, data: bytes) -> Line:
    """A line, and what it holds or why it holds nothing."""
    try:
        return Line(number, offset, data, unseal(data))
    except RecordError as error:
        return Line(number, offset, data, None, str(error))


class Segment:
    """The end of one file of the log, open for appending."""

    def __init__(self, path: Path, clock: Clock = now) -> None:
        """Open ``path``, made if it is not there; a torn tail is set aside in a file beside it.

        Raises:
            StoreError: it cannot be opened or mended.
            LeavingError: another process still appends to it.
            RecordError: its last line is damaged, or of a newer version.
        """
        self.path = path
        self._clock = clock
        new = not path.exists()
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise _disk(path, error) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if new:
                sync(path.parent)
            self._before, self._size = _mend(path, self._file)
        except BlockingIOError as error:
            os.close(self._file)
            raise LeavingError(f"{path} is still being appended to by a worker: wait") from error
        except OSError as error:
            os.close(self._file)
            raise _disk(path, error) from error
        except RecordError as error:
            os.close(self._file)
            raise RecordError(f"{path}, the last line: {error}") from error
        self._syncer = _Syncer(self._file)

    def append(self, conv: str, event: Event, head: Head) -> Record:
        """Write one event as the next of its conversation.

        Raises:
            FullError: the disk is full; the file ends with the record before, whole.
            StoreError: the disk refused; the file ends with the record before, whole.
        """
        at = self._clock().astimezone(UTC).isoformat(timespec="microseconds")
        line, record = seal(conv, event, at.replace("+00:00", "Z"), head, before=self._before)
        try:
            self._syncer.check()
            self._write(line)
        except OSError as error:
            raise _disk(self.path, error) from error
        self._before = record.h
        self._syncer.wrote()
        return record

    def _write(self, line: bytes) -> None:
        """One whole line or, when the disk refuses, none of it."""
        written = os.write(self._file, line)
        try:
            while written < len(line):
                written += os.write(self._file, line[written:])
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(line)

    def close(self) -> None:
        """Sync what is left and let go of the file.

        Raises:
            StoreError: the last events could not be synced.
        """
        try:
            self._syncer.close()
            self._syncer.check()
        except OSError as error:
            raise _disk(self.path, error) from error
        finally:
            os.close(self._file)


def _disk(path: Path, error: OSError) -> StoreError:
    """What the disk said, and what a person can do."""
    kind = FullError if error.errno in FULL else StoreError
    return kind(
        f"{path} cannot be written: {error.strerror}. Everything recorded before is safe; make "
        "room or give write permission, then resume"
    )


def _mend(path: Path, file: int) -> tuple[str, int]:
    """Set a torn tail aside; the hash of the last record, and the offset of its end.

    Only bytes after the last newline are torn: a whole line that cannot be read was not left by
    a kill, and is not ours to move.
    """
    size = os.fstat(file).st_size
    last, end = _last_line(file, size)
    before = unseal(last).h if end else ""
    if end < size:
        _set_aside(path, file, end, size)
    return before, end


def _last_line(file: int, size: int) -> tuple[bytes, int]:
    """The last whole line without its newline, and the offset after it; ``(b"", 0)`` for none."""
    reach = _REACH
    while True:
        start = max(0, size - reach)
        tail = os.pread(file, size - start, start)
        newline = tail.rfind(b"\n")
        before = tail.rfind(b"\n", 0, max(newline, 0))
        if start == 0 or before >= 0:
            return tail[before + 1 : max(newline, 0)], start + newline + 1
        reach *= 4


def _set_aside(path: Path, file: int, end: int, size: int) -> None:
    """Copy the bytes from ``end`` on into ``NAME.torn-END`` and cut them off."""
    aside = path.with_name(f"{path.name}.torn-{end}")
    with aside.open("ab") as kept:
        kept.write(os.pread(file, size - end, end))
        kept.flush()
        _sync(kept.fileno())
    os.ftruncate(file, end)


class _Syncer:
    """A thread that syncs a file a short while after it was written to.

    In a thread because a sync can take milliseconds and the loop has replies to read meanwhile;
    in groups because a sync for each event would cost more than everything else together.
    """

    def __init__(self, file: int) -> None:
        self._file = file
        self._wake = threading.Condition()
        self._waiting = 0
        self._closing = False
        self._failure: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="duologue-sync", daemon=True)
        self._thread.start()

    def wrote(self) -> None:
        """Say that one more event waits to be synced."""
        with self._wake:
            self._waiting += 1
            if self._waiting in {1, SYNC_EVENTS}:
                self._wake.notify()

    def check(self) -> None:
        """Raise what the disk said to an earlier sync, if it complained."""
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """Sync what waits, then end."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()

    def _run(self) -> None:
        """Sync groups until closed."""
        while self._gather():
            try:
                _sync(self._file)
            except OSError as error:
                self._failure = error

    def _gather(self) -> bool:
        """Wait for a group; False when there is none and there will be none."""
        with self._wake:
            self._wake.wait_for(lambda: self._waiting or self._closing)
            self._wake.wait_for(self._full, timeout=SYNC_SECONDS)
            group, self._waiting = self._waiting, 0
            return group > 0

    def _full(self) -> bool:
        """Whether a group need not wait any longer."""
        return self._closing or self._waiting >= SYNC_EVENTS
