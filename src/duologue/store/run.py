"""A run: one folder that holds the record of one execution.

``experiment.toml`` says what was asked for, ``log-*.jsonl`` what happened, ``index.sqlite`` is a
cache. One process at a time writes; any number read. While one writes, ``run.spare`` keeps room for
the message in hand. This module does not know models.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import tomli_w

from duologue.core.event import Event, Record, TurnStarted
from duologue.errors import BusyError, FullError, RecordError, StoreError
from duologue.store.chain import Head, intact
from duologue.store.disk import make, sync
from duologue.store.segment import Clock, Line, Segment, now, read
from duologue.store.spare import SPARE_BYTES, Spare

SPEC_FILE = "experiment.toml"
INDEX_FILE = "index.sqlite"
_LOCK_FILE = "run.lock"
_SPARE_FILE = "run.spare"
_TRIES = 5
_TRY_SECONDS = 0.005


class Run:
    """One run's folder."""

    def __init__(self, path: Path) -> None:
        """Look at ``path``; nothing is read yet."""
        self.path = path

    @property
    def name(self) -> str:
        """The run's name: its folder's."""
        return self.path.name

    @classmethod
    def create(cls, path: Path, asked: dict[str, Any]) -> "Run":
        """Make a new run; when this returns, a power cut takes neither it nor what was asked for.

        Args:
            path: the folder to make; it must not be there.
            asked: what was asked for, written as ``experiment.toml``.

        Raises:
            StoreError: the folder is there already, or cannot be made.
        """
        spec = tomli_w.dumps(asked).encode()
        try:
            make(path)
            _write_whole(path / SPEC_FILE, spec)
        except FileExistsError as error:
            raise StoreError(
                f"there is a run named {path.name!r} already in {path.parent}: "
                "choose another --name"
            ) from error
        except OSError as error:
            raise StoreError(
                f"the run folder {path} cannot be made: {error.strerror}; give another --library"
            ) from error
        return cls(path)

    def segments(self) -> list[Path]:
        """The files of the log, in the order of their numbers."""
        found = self.path.glob("log-*.jsonl")
        return sorted(found, key=lambda path: (len(path.name), path.name))

    def records(self) -> Iterator[Record]:
        """Every readable record, segment after segment."""
        for segment in self.segments():
            yield from (line.record for line in read(segment) if line.record is not None)

    def conversation(self, conv: str) -> list[Record]:
        """The records of one conversation, in order.

        Raises:
            RecordError: one is missing, twice there, or cannot be read.
        """
        return [record for _, record in self._lines(conv)]

    def sound(self, conv: str) -> list[Record]:
        """The records of one conversation, in order, if every byte of them is as it was written.

        Raises:
            RecordError: one is missing, twice there, cannot be read, or was edited.
        """
        head, records = Head(), list[Record]()
        for line, record in self._lines(conv):
            records.append(record)
            if not intact(line.data, record, head):
                raise RecordError(
                    f"{conv}: record {record.seq} is not as it was written, so nothing is added to "
                    f"it; 'duologue verify {self.name}' names every such place"
                )
            head = Head(record.seq + 1, record.h)
        return records

    def _lines(self, conv: str) -> list[tuple[Line, Record]]:
        """The lines of one conversation and what they hold, in order."""
        found: list[tuple[Line, Record]] = []
        for segment in self.segments():
            for line in (line for line in read(segment) if line.conv == conv):
                if line.record is None:
                    place = f"{segment.name}, line {line.number}"
                    raise RecordError(f"{conv} is damaged at {place}: {line.problem}")
                found.append((line, line.record))
        found.sort(key=lambda pair: pair[1].seq)
        _refuse_gaps(conv, [record for _, record in found])
        return found

    def events(self, conv: str) -> list[Event]:
        """The facts of one conversation, in order.

        Raises:
            RecordError: one is missing, twice there, or cannot be read.
        """
        return [record.event for record in self.conversation(conv)]

    @contextmanager
    def writing(self, clock: Clock = now) -> Iterator["Log"]:
        """The run's log, open for appending by this process alone.

        Raises:
            BusyError: another process is writing to the run.
            StoreError: the log cannot be opened, or was not synced at the end.
        """
        with self._locked():
            log = Log(self, Segment(self.path / "log-1.jsonl", clock))
            refused = False
            try:
                yield log
            except StoreError:
                refused = True
                raise
            finally:
                # A refusal may hold a message's words: no second one may hide it.
                with suppress(StoreError) if refused else nullcontext():
                    log.close()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the run's lock; the system lets go of it even when the process is killed."""
        path = self.path / _LOCK_FILE
        try:
            lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise _unlocked(path, error) from error
        try:
            try:
                _seize(lock)
            except BlockingIOError as error:
                raise BusyError(_busy(self.name, lock)) from error
            except OSError as error:
                raise _unlocked(path, error) from error
            yield
        finally:
            os.close(lock)

    def busy(self) -> bool:
        """Whether a process is writing to the run now."""
        try:
            lock = os.open(self.path / _LOCK_FILE, os.O_RDONLY)
        except OSError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        else:
            return False
        finally:
            os.close(lock)


def _write_whole(path: Path, data: bytes) -> None:
    """Write a file in a new folder, or leave neither."""
    try:
        path.write_bytes(data)
        sync(path)
        sync(path.parent)
    except OSError:
        path.unlink(missing_ok=True)
        path.parent.rmdir()
        raise


def _seize(lock: int) -> None:
    """Take the lock and write down who has it."""
    _try_to_lock(lock, _TRIES)
    os.ftruncate(lock, 0)
    os.pwrite(lock, json.dumps({"pid": os.getpid(), "since": _minute()}).encode(), 0)


def _try_to_lock(lock: int, tries: int) -> None:
    """Take the lock; a reader that asks whether the run is busy has it for some microseconds."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if tries <= 1:
            raise
        time.sleep(_TRY_SECONDS)
        _try_to_lock(lock, tries - 1)


def _unlocked(path: Path, error: OSError) -> StoreError:
    """That the lock cannot be taken, and what a person can do."""
    return StoreError(
        f"{path} cannot be written: {error.strerror}. The record is untouched; make room or give "
        "write permission, then try again"
    )


def _minute() -> str:
    """The time for a person, to the second, with its zone."""
    return datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")


def _busy(name: str, lock: int) -> str:
    """Who holds a run, as far as the lock file tells."""
    try:
        holder = json.loads(os.pread(lock, 4096, 0))
        who = f"process {holder['pid']}, since {holder['since']}"
    except (ValueError, KeyError, TypeError):
        who = "another process"
    return f"the run {name!r} is being written by {who}: wait for it, or stop it, then try again"


def _refuse_gaps(conv: str, records: list[Record]) -> None:
    """Refuse records whose numbers do not count up from 0."""
    for place, record in enumerate(records):
        if record.seq != place:
            what = "is missing" if record.seq > place else "is there twice"
            number = min(place, record.seq)
            raise RecordError(f"{conv}: record {number} {what}; 'duologue verify' names the place")


class Log:
    """The log of a run, for the one process that writes it."""

    def __init__(self, run: Run, segment: Segment) -> None:
        """Append to ``segment`` of ``run``."""
        self._run = run
        self._segment = segment
        self._spare = Spare(run.path / _SPARE_FILE)
        self._heads: dict[str, Head] = {}

    def take_up(self, conv: str) -> list[Event]:
        """The facts of a conversation that is to go on; the chain continues from them.

        Raises:
            RecordError: they are not whole, or not as they were written.
        """
        records = self._run.sound(conv)
        if records:
            self._heads[conv] = Head(len(records), records[-1].h)
        return [record.event for record in records]

    def append(self, conv: str, event: Event) -> Record:
        """Write one event; when this returns, a killed process loses it no more.

        A turn is not started before room for its message is kept; on a full disk that room is let
        go for the message, and the next turn is not started.

        Raises:
            StoreError: the disk refused; nothing of the event is in the log.
        """
        head = self._heads.get(conv, Head())
        if isinstance(event, TurnStarted):
            self._keep_room()
        try:
            record = self._segment.append(conv, event, head)
        except FullError:
            if isinstance(event, TurnStarted) or not self._spare.release():
                raise
            record = self._segment.append(conv, event, head)
        self._heads[conv] = Head(record.seq + 1, record.h)
        return record

    def _keep_room(self) -> None:
        """Keep room for the message that a turn is about to bring."""
        try:
            self._spare.hold()
        except OSError as error:
            raise FullError(
                f"{self._spare.path} cannot be written: {error.strerror}. There is no room to be "
                f"sure of recording another message ({SPARE_BYTES >> 20} MiB), so none was asked "
                "for. Everything recorded before is safe; make room, then resume"
            ) from error

    def close(self) -> None:
        """Sync and let go of the segment, and of the room that was kept."""
        self._spare.release()
        self._segment.close()
