"""A run: one folder that holds the record of one execution.

``experiment.toml`` says what was asked for, ``log-*.jsonl`` what happened, ``index.sqlite`` is a
cache. One process at a time writes, or one with its workers, each to a segment of its own; any
number read. While one writes, ``run.spare`` keeps room for the message in hand. This module does
not know models.
"""

import fcntl
import itertools
import json
import os
import re
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import tomli_w

from duologue.core.event import Event, Record, TurnStarted
from duologue.errors import BusyError, FullError, LeavingError, RecordError, StoreError
from duologue.store.chain import Head, intact
from duologue.store.disk import sync
from duologue.store.live import Live, Ration, live_path
from duologue.store.segment import Clock, Line, Segment, now, read, read_at
from duologue.store.spare import SPARE_BYTES, Spare

SPEC_FILE = "experiment.toml"
INDEX_FILE = "index.sqlite"
_LOCK_FILE = "run.lock"
_SPARE_FILE = "run.spare"
_LOCK_BYTES = 1 << 16
_TRIES = 5
_TRY_SECONDS = 0.005

Places = Sequence[tuple[str, int, int]]
"""Lines by their segment's name, offset and size without the newline."""


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
        """Make a new run; when this returns, a power cut takes nothing out of it.

        It is made where nobody looks; its place in the library is what outlasts a power cut.

        Args:
            path: the folder to make; it must not be there.
            asked: what was asked for, written as ``experiment.toml``.

        Raises:
            StoreError: the folder is there already, or cannot be made.
        """
        spec = tomli_w.dumps(asked).encode()
        try:
            path.mkdir(parents=True)
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

    def lines(self) -> Iterator[Line]:
        """Every line, segment after segment."""
        for segment in self.segments():
            yield from read(segment)

    def records(self) -> Iterator[Record]:
        """Every readable record, segment after segment."""
        return (line.record for line in self.lines() if line.record is not None)

    def conversation(self, conv: str) -> list[Record]:
        """The records of one conversation, in order.

        Raises:
            RecordError: one is missing, twice there, or cannot be read.
        """
        return [record for _, record in self._lines(conv)]

    def sound(self, conv: str, places: Places | None = None) -> list[Record]:
        """The records of one conversation, in order, if every byte of them is as it was written.

        Args:
            conv: whose.
            places: segment, offset and size of each of its lines, where they are known; without
                them the whole log is searched.

        Raises:
            RecordError: one is missing, twice there, cannot be read, or was edited.
        """
        lines = self._lines(conv) if places is None else self._placed(conv, places)
        return self._unedited(conv, lines)

    def gathered(self, conv: str, lines: Iterable[Line]) -> list[Record]:
        """The records of one conversation, in order, from all of its lines, in whatever order.

        Raises:
            RecordError: one is missing, twice there, cannot be read, or was edited.
        """
        found: list[tuple[Line, Record]] = []
        for line in lines:
            if line.record is None:
                raise RecordError(
                    f"{conv} is damaged: {line.problem}; 'duologue verify {self.name}' names every "
                    "such place"
                )
            found.append((line, line.record))
        return self._unedited(conv, _ordered(conv, found))

    def _unedited(self, conv: str, lines: Iterable[tuple[Line, Record]]) -> list[Record]:
        """The records in these lines, if every byte is as it was written."""
        head, records = Head(), list[Record]()
        for line, record in lines:
            records.append(record)
            if not intact(line.data, record, head):
                raise RecordError(
                    f"{conv}: record {record.seq} is not as it was written; 'duologue verify "
                    f"{self.name}' names every such place"
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
        return _ordered(conv, found)

    def _placed(self, conv: str, places: Places) -> list[tuple[Line, Record]]:
        """The lines at these places and what they hold, in order."""
        found: list[tuple[Line, Record]] = []
        for line in self.lines_at(places):
            if line.record is None or line.conv != conv:
                why = line.problem or f"the line is of {line.conv}"
                raise RecordError(f"{conv} is damaged at byte {line.offset} of its segment: {why}")
            found.append((line, line.record))
        return _ordered(conv, found)

    def lines_at(self, places: Places) -> Iterator[Line]:
        """The lines at these places, segment by segment."""
        by_segment: dict[str, list[tuple[int, int]]] = {}
        for name, offset, size in places:
            by_segment.setdefault(name, []).append((offset, size))
        for name, where in by_segment.items():
            yield from read_at(self.path / name, where)

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
        with self.held(), self.appending(1, clock) as log:
            yield log

    @contextmanager
    def appending(self, number: int, clock: Clock = now) -> Iterator["Log"]:
        """One segment, open for appending; the run's lock is held by the caller, or for it.

        Args:
            number: the segment's; no other process appends to it.
            clock: what stamps the records.

        Raises:
            StoreError: the segment cannot be opened, or was not synced at the end.
        """
        log = Log(self, Segment(self.segment(number), clock), _spare(number))
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

    def segment(self, number: int) -> Path:
        """The file of a segment."""
        return self.path / f"log-{number}.jsonl"

    @contextmanager
    def held(self) -> Iterator[int]:
        """Hold the run's lock; the system lets go of it even when the process is killed.

        Yields:
            int: the lock's file descriptor. A process that inherits it holds the lock, too: it is
            free when the last of them has gone.

        Raises:
            LeavingError: whoever held the run has gone, and its workers finish their turns.
            BusyError: another process is writing to the run.
            StoreError: the lock cannot be taken.
        """
        path = self.path / _LOCK_FILE
        try:
            lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise _unlocked(path, error) from error
        try:
            try:
                _seize(lock, self.lengths())
            except BlockingIOError as error:
                raise _busy(self.name, lock) from error
            except OSError as error:
                raise _unlocked(path, error) from error
            yield lock
        finally:
            os.close(lock)

    def mended(self, count: int) -> tuple[list[int], list[str]]:
        """Numbers of segments that can be appended to, and what is wrong with those that cannot.

        Every segment's torn tail is set aside, and all that is whole is synced: what goes on in
        another segment must not outlast what it goes on from. A segment whose last line is damaged
        is left as it is, for its readers, and another one is used. The caller holds the lock.

        Args:
            count: how many are wanted; new ones count on from those that are there.

        Raises:
            LeavingError: a worker without a parent still appends to one.
            StoreError: the disk refused.
        """
        numbers, wrong = list[int](), list[str]()
        there = [path for path in self.segments() if _number(path)]
        for path in there:
            try:
                self.settle(_number(path))
                numbers.append(_number(path))
            except RecordError as error:
                wrong.append(str(error))
        following = itertools.count(1 + max(map(_number, there), default=0))
        numbers += itertools.islice(following, max(0, count - len(numbers)))
        return numbers[:count], wrong

    def settle(self, number: int) -> None:
        """Set a segment's torn tail aside, and sync it; nobody appends to it.

        Raises:
            LeavingError: somebody still does.
            RecordError: its last line is damaged.
            StoreError: the disk refused.
        """
        path = self.segment(number)
        Segment(path).close()
        try:
            sync(path)
        except OSError as error:
            raise StoreError(f"{path} cannot be synced: {error.strerror}") from error

    def lengths(self) -> dict[str, int]:
        """How long each segment is, in bytes, by its name."""
        return {segment.name: segment.stat().st_size for segment in self.segments()}

    def mark(self) -> dict[str, int] | None:
        """How long each segment was when whoever writes the run now began; None if nobody does."""
        if not self.busy():
            return None
        try:
            holder = json.loads((self.path / _LOCK_FILE).read_bytes())
            return {str(name): int(size) for name, size in holder["began_at"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def holder(self) -> str:
        """What the lock says of who holds the run, as it is written; empty where there is none."""
        try:
            return (self.path / _LOCK_FILE).read_text("utf-8", errors="replace")
        except OSError:
            return ""

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


def _seize(lock: int, lengths: dict[str, int]) -> None:
    """Take the lock and write down who has it, and how long the log was then."""
    _try_to_lock(lock, _TRIES)
    host = socket.gethostname()
    holder = {"pid": os.getpid(), "host": host, "since": _minute(), "began_at": lengths}
    os.ftruncate(lock, 0)
    os.pwrite(lock, json.dumps(holder).encode(), 0)


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


def _busy(name: str, lock: int) -> BusyError:
    """Who holds a run, as far as the lock file tells."""
    try:
        holder = json.loads(os.pread(lock, _LOCK_BYTES, 0))
        pid, who = int(holder["pid"]), f"process {holder['pid']}, since {holder['since']}"
        there = str(holder.get("host", socket.gethostname()))
    except (ValueError, KeyError, TypeError, AttributeError):
        pid, who, there = None, "another process", ""
    if there and there != socket.gethostname():
        who, pid = f"{who}, on {there}", None
    if pid is not None and not _alive(pid):
        return LeavingError(
            f"the run {name!r} was being written by {who}, which is gone; its workers finish their "
            "turns: try again in a moment"
        )
    return BusyError(
        f"the run {name!r} is being written by {who}: wait for it, or stop it, then try again"
    )


def _alive(pid: int) -> bool:
    """Whether there is a process of that number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _number(segment: Path) -> int:
    """The number of a segment."""
    found = re.fullmatch(r"log-(\d+)\.jsonl", segment.name)
    return int(found[1]) if found else 0


def _spare(number: int) -> str:
    """The file that keeps room for a segment's writer."""
    return _SPARE_FILE if number == 1 else f"run-{number}.spare"


def _ordered(conv: str, found: list[tuple[Line, Record]]) -> list[tuple[Line, Record]]:
    """Lines in the order of their records' numbers, which must count up from 0."""
    found.sort(key=lambda pair: pair[1].seq)
    _refuse_gaps(conv, [record for _, record in found])
    return found


def _refuse_gaps(conv: str, records: list[Record]) -> None:
    """Refuse records whose numbers do not count up from 0."""
    for place, record in enumerate(records):
        if record.seq != place:
            what = "is missing" if record.seq > place else "is there twice"
            number = min(place, record.seq)
            raise RecordError(f"{conv}: record {number} {what}; 'duologue verify' names the place")


class Log:
    """The log of a run, for the one process that writes it."""

    def __init__(self, run: Run, segment: Segment, spare: str = _SPARE_FILE) -> None:
        """Append to ``segment`` of ``run``; keep room in the file ``spare``."""
        self._run = run
        self._segment = segment
        self._spare = Spare(run.path / spare)
        self._heads: dict[str, Head] = {}
        self._ration = Ration()

    def take_up(self, conv: str, places: Places | None = None) -> list[Event]:
        """The facts of a conversation that is to go on; the chain continues from them.

        Args:
            conv: which.
            places: where its lines stand, as for ``Run.sound``.

        Raises:
            RecordError: they are not whole, or not as they were written.
        """
        records = self._run.sound(conv, places)
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

    def live(self, conv: str) -> Live:
        """Where the live text of a conversation is offered to readers."""
        return Live(live_path(self._run.path, conv), self._ration)

    def close(self) -> None:
        """Sync and let go of the segment, and of the room that was kept."""
        self._spare.release()
        self._segment.close()
