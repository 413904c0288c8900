"""Keep a library's catalogue: open it, ask it, and bring it up to date beside whoever asks.

One thread takes in what logs have gained; whoever asks waits for it only a moment, and is told
when there is more to come. Looking at every log costs time, so it is done again only after twice
as long: what ended a moment ago is in the next answer, and nobody who asks all the time makes it
take more than a third of it.
"""

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Lock, Thread
from typing import Any, TypeVar

from duologue.catalogue.shape import prepare
from duologue.catalogue.taking_in import Sizes, forget, known, sizes, take_in
from duologue.errors import StoreError
from duologue.store.library import Library
from duologue.store.run import Run

CATALOGUE_FILE = ".catalogue.sqlite"
WAIT_SECONDS = 0.1
PATIENCE_S = 2.0
"""How long is waited for what nobody has heard of yet."""
_REST = 2
_GOOD = 20
_BUSY_MS = 5_000
_TRIES, _TRY_S = 500, 0.01
_PREFETCHED = 1 << 30
# Every slice that is taken in, by whatever process, adds to these sizes.
_STAMP = "SELECT count(*), sum(size) FROM segment"
_T = TypeVar("_T")


class Catalogue:
    """The catalogue of one library."""

    def __init__(self, library: Library) -> None:
        """Look at ``library``; nothing is read yet."""
        self.library = library
        self._aside: TemporaryDirectory[str] | None = None
        self._lock = Lock()
        self._thread: Thread | None = None
        self._done = Event()
        self._began = self._due = 0.0
        self._problem: StoreError | None = None
        self._answers: dict[Callable[..., Any], tuple[tuple[Any, ...], float, Any]] = {}

    def ask(self, question: Callable[[sqlite3.Connection], _T]) -> _T:
        """The answer to a question, from what the logs held a moment ago."""
        self.refresh()
        try:
            with closing(self._open()) as db:
                return question(db)
        except sqlite3.DatabaseError as error:
            if not _damaged(error):
                raise StoreError(f"{self.path} cannot be read: {error}") from error
        self._begin_anew()
        self.refresh()
        with closing(self._open()) as db:
            return question(db)

    def sought(self, question: Callable[[sqlite3.Connection], _T]) -> _T:
        """The answer to a question; where that is nothing, what is new is looked for once more."""
        if found := self.ask(question):
            return found
        self.look(PATIENCE_S)
        return self.ask(question)

    def remembered(self, question: Callable[[sqlite3.Connection], _T]) -> _T:
        """The answer to a question that is asked with every page: as of the last change, or newer.

        While a catalogue grows, an answer that took long is good for twenty times as long.
        """

        def answered(db: sqlite3.Connection) -> _T:
            stamp, began = db.execute(_STAMP).fetchone(), time.monotonic()
            kept = self._answers.get(question)
            if kept is not None and (kept[0] == stamp or began < kept[1]):
                return kept[2]  # type: ignore[no-any-return] # this very question's
            answer = question(db)
            now = time.monotonic()
            self._answers[question] = (stamp, now + _GOOD * (now - began), answer)
            return answer

        return self.ask(answered)

    @property
    def path(self) -> Path:
        """The file: in the library, or where that is forbidden in a folder of its own."""
        folder = self.library.path if self._aside is None else Path(self._aside.name)
        return folder / CATALOGUE_FILE

    @property
    def reading(self) -> bool:
        """Whether logs are being taken in now, so that answers may lack something."""
        return not self._done.is_set()

    def refresh(self, wait_s: float = WAIT_SECONDS) -> bool:
        """Take in what logs have gained, unless that was just done.

        Waits until so long after that was begun: what takes longer makes one question wait, and
        not every question that is asked meanwhile.

        Returns:
            Whether that is done: else what is asked next may lack something, even if it is done
            by the time of the answer.
        """
        with self._lock:
            now = time.monotonic()
            resting = self._thread is None and now < self._due
            if not resting and self._thread is None:
                self._done.clear()
                self._began = now
                self._thread = Thread(target=self._work, name="duologue-catalogue", daemon=True)
                self._thread.start()
            left = self._began + wait_s - now
        return resting or self._done.wait(max(0.0, left))

    def prefetch(self) -> None:
        """Ask the system to read the file into memory, as much of it as is worth it."""
        with suppress(OSError, AttributeError):  # a courtesy; not every system offers it
            file = os.open(self.path, os.O_RDONLY)
            try:
                os.posix_fadvise(file, 0, _PREFETCHED, os.POSIX_FADV_WILLNEED)
            finally:
                os.close(file)

    def look(self, wait_s: float) -> None:
        """Look at every log now, rested or not; wait at most so long."""
        self._done.wait(wait_s)  # whoever is at it may have passed by what is new
        self._due = 0.0
        self.refresh(wait_s)

    def settle(self) -> None:
        """Take in everything, however long that lasts.

        Raises:
            StoreError: a log cannot be read.
        """
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join()
        self._due = 0.0
        self.refresh(wait_s=0)
        self._done.wait()
        if self._problem is not None:
            raise self._problem

    def _work(self) -> None:
        """Take in everything that is new."""
        began, looked = time.monotonic(), 0.0
        try:
            with closing(self._open()) as db:
                now = sizes(self.library.path)
                looked = time.monotonic() - began
                self._bring_up(db, now)
            self._problem = None
        except (StoreError, sqlite3.DatabaseError) as error:
            if isinstance(error, sqlite3.DatabaseError) and _damaged(error):
                self._begin_anew()
            self._problem = StoreError(str(error))
        finally:
            with self._lock:
                self._thread = None
                self._due = time.monotonic() + _REST * looked
                self._done.set()

    def _bring_up(self, db: sqlite3.Connection, now: Sizes) -> None:
        """Take in what differs, the runs that began last first."""
        before = known(db)
        for name in before.keys() - now.keys():
            with db:
                db.execute("BEGIN IMMEDIATE")
                forget(db, name)
        changed = [name for name, logs in now.items() if logs != before.get(name, {})]
        for name in sorted(changed, key=self._age):
            run = Run(self.library.path / name)
            more = True
            while more:
                with db:
                    db.execute("BEGIN IMMEDIATE")
                    more = take_in(db, run)

    def _age(self, name: str) -> float:
        """By what runs are ordered: those whose folders changed last come first."""
        try:
            return -(self.library.path / name).stat().st_mtime
        except OSError:
            return 0.0

    def _open(self) -> sqlite3.Connection:
        """A connection to the catalogue; in a folder of its own where the library is read-only."""
        path = self.path
        try:
            return _connect(path)
        except sqlite3.OperationalError as error:
            if path.parent != self.library.path or _damaged(error):
                raise
        with self._lock:  # two may find out at once
            if self._aside is None:
                self._aside = TemporaryDirectory(prefix="duologue-catalogue-")
        return _connect(self.path)

    def _begin_anew(self) -> None:
        """Delete the file and what SQLite keeps beside it: the logs hold everything."""
        for end in ("", "-wal", "-shm"):
            with suppress(OSError):
                self.path.with_name(self.path.name + end).unlink(missing_ok=True)
        self._due = 0.0


def _connect(path: Path) -> sqlite3.Connection:
    """A connection, with the tables there."""
    db = sqlite3.connect(path, timeout=_BUSY_MS / 1000, isolation_level=None)
    try:
        _share(db)
        # A power cut may take the last slices of a cache; they are read again.
        db.execute("PRAGMA synchronous = OFF")
        db.execute("PRAGMA cache_size = -65536")
        with db:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if not version:
                db.execute("BEGIN IMMEDIATE")
            prepare(db)
    except BaseException:
        db.close()
        raise
    return db


def _share(db: sqlite3.Connection) -> None:
    """Let readers and a writer not wait for each other.

    Where two open a new file at once, SQLite refuses this to one of them without waiting.
    """
    for left in reversed(range(_TRIES)):
        try:
            db.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or not left:
                raise
            time.sleep(_TRY_S)
        else:
            return


_ELSEWHERE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    }
)


def _damaged(error: sqlite3.Error) -> bool:
    """Whether the file is at fault, and not the disk or somebody else's lock."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF not in _ELSEWHERE
