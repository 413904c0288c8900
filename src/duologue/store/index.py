"""A run's index: what there is to list and to search, in SQLite; a cache of the log.

It is brought up to date from the bytes that were appended since, and made anew when it is
missing, damaged, of another version, or when the log no longer holds the last line that it knows
(a power cut, a restored backup). This module writes nothing else.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from duologue.core.event import Record
from duologue.core.state import Entry, State, apply
from duologue.core.transcript import Status, status
from duologue.errors import RecordError
from duologue.store.fulltext import TOKENIZE, given, query, shown, tokens
from duologue.store.run import INDEX_FILE, Run
from duologue.store.segment import Line, whose

_T = TypeVar("_T")
_VERSION = 4
_SNIPPET_WORDS = 12
_MOST_TURNS = 1 << 24
_TAIL_BYTES = 64
_SCHEMA = f"""
CREATE TABLE segment (name TEXT PRIMARY KEY, size INTEGER NOT NULL, tail BLOB NOT NULL);
CREATE TABLE conversation (
    id TEXT PRIMARY KEY, names TEXT NOT NULL, models TEXT NOT NULL, messages INTEGER NOT NULL,
    began TEXT NOT NULL, last TEXT NOT NULL, status TEXT NOT NULL, reason TEXT,
    tokens INTEGER NOT NULL, parent TEXT, parent_turn INTEGER, source TEXT, problem TEXT,
    number INTEGER NOT NULL
);
CREATE VIRTUAL TABLE said USING fts5 (
    conversation UNINDEXED, turn UNINDEXED, author UNINDEXED, text, {TOKENIZE}
);
"""


_COLUMNS = (
    "id",
    "names",
    "models",
    "messages",
    "began",
    "last",
    "status",
    "reason",
    "tokens",
    "parent",
    "parent_turn",
    "source",
    "problem",
)


class Listed(msgspec.Struct, frozen=True):
    """A conversation as a list shows it.

    Attributes:
        id: its id.
        run: its run's name.
        names: the participants.
        models: their models.
        messages: how many there are.
        began: when the first record was written, UTC.
        last: when the last record was written, UTC.
        status: how far it has come.
        reason: how it ended.
        tokens: tokens generated in it.
        parent: the conversation it branched from.
        parent_turn: at which message.
        source: the foreign format it was imported from.
        problem: why it cannot be read, if it cannot.
    """

    id: str
    run: str
    names: tuple[str, ...]
    models: tuple[str, ...]
    messages: int
    began: str
    last: str
    status: Status
    reason: str | None
    tokens: int
    parent: str | None
    parent_turn: int | None
    source: str | None
    problem: str | None


class Found(msgspec.Struct, frozen=True):
    """A message that a search found.

    Attributes:
        id: its conversation.
        turn: its number there.
        author: who said it.
        snippet: the words around, the found ones between ``[`` and ``]``.
    """

    id: str
    turn: int
    author: str
    snippet: str


def listing(run: Run) -> list[Listed]:
    """Every conversation of a run, oldest first.

    Raises:
        StoreError: the log cannot be read.
    """
    statement = f"SELECT {', '.join(_COLUMNS)} FROM conversation ORDER BY began, id"  # noqa: S608
    return _ask(run, lambda db: [_listed(run, row) for row in db.execute(statement)])


def search(run: Run, words: str, limit: int = 50) -> list[Found]:
    """The messages of a run that hold all of ``words``, best first.

    Words are what ``store.fulltext.query`` takes for words.

    Raises:
        StoreError: the log cannot be read.
    """
    asked = query(words)
    if not asked:
        return []
    statement = (
        "SELECT conversation, turn, author, snippet(said, 3, '[', ']', '…', ?) "
        "FROM said WHERE said MATCH ? ORDER BY rank, conversation, turn LIMIT ?"
    )
    values = (_SNIPPET_WORDS * tokens(asked), asked, limit)
    return _ask(run, lambda db: [_found(*row) for row in db.execute(statement, values)])


def _found(conv: str, turn: int, author: str, snippet: str) -> Found:
    """A row of an answer as a value."""
    return Found(conv, turn, author, shown(snippet))


def _ask(run: Run, question: Callable[[sqlite3.Connection], _T]) -> _T:
    """The answer of the index file, once made anew if it is damaged; else of one in memory.

    In memory where the folder is read-only, the disk full, or another reader busy updating: the
    log tells the same. Values of any type can stand in a damaged file; a fault of our own is met
    again in memory, and raised.
    """
    path = run.path / INDEX_FILE
    for _ in range(2):
        try:
            return _answer(run, str(path), question)
        except (sqlite3.DatabaseError, ValueError, TypeError) as error:
            if not _damaged(error):
                break
            _forget(path)
    return _answer(run, ":memory:", question)


def _answer(run: Run, path: str, question: Callable[[sqlite3.Connection], _T]) -> _T:
    """The answer of an index at ``path``, brought up to date."""
    with closing(_updated(run, path)) as db:
        return question(db)


_UNWRITABLE = frozenset(
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


def _damaged(error: Exception) -> bool:
    """Whether the file is at fault; a row that cannot be understood is, too."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    return code & 0xFF not in _UNWRITABLE


def _forget(path: Path) -> None:
    """Delete an index and what SQLite may have left beside it, as far as that is permitted."""
    with suppress(OSError):
        path.unlink(missing_ok=True)
        path.with_name(f"{path.name}-journal").unlink(missing_ok=True)


def _updated(run: Run, path: str) -> sqlite3.Connection:
    """A connection to an index at ``path`` that knows all of the log."""
    db = sqlite3.connect(path, timeout=1, isolation_level=None)
    try:
        db.execute("BEGIN IMMEDIATE")
        _prepare(db)
        _catch_up(db, run)
        db.execute("COMMIT")
    except BaseException:
        db.close()
        raise
    return db


def _prepare(db: sqlite3.Connection) -> None:
    """Make the tables, unless they are there in this version."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version == _VERSION:
        return
    for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        if not name.startswith(("sqlite_", "said_")):
            db.execute(f'DROP TABLE "{name}"')
    for statement in _SCHEMA.split(";"):
        db.execute(statement)
    db.execute(f"PRAGMA user_version = {_VERSION}")


def _catch_up(db: sqlite3.Connection, run: Run) -> None:
    """Read what was appended since; everything again, if that is not all that changed."""
    rows = db.execute("SELECT name, size, tail FROM segment").fetchall()
    known: dict[str, int] = {name: size for name, size, _ in rows}
    if any(_tail(run.path / name, size) != tail for name, size, tail in rows):
        for table in ("segment", "conversation", "said"):
            db.execute(f"DELETE FROM {table}")  # noqa: S608 - the names stand above
        known = {}
    touched, ends = _touched(run, known)
    for conv, places in _places(run, touched).items():
        _enter(db, conv, list(run.lines_at(places)))
    ended = [(name, end, _tail(run.path / name, end)) for name, end in ends.items()]
    db.executemany("INSERT OR REPLACE INTO segment VALUES (?, ?, ?)", ended)


def _tail(path: Path, end: int) -> bytes:
    """The last bytes before an offset, which hold the hash of the line that ends there."""
    start = max(0, end - _TAIL_BYTES)
    try:
        with path.open("rb") as file:
            file.seek(start)
            return file.read(end - start)
    except OSError:
        return b""


def _touched(run: Run, known: dict[str, int]) -> tuple[set[str], dict[str, int]]:
    """Which conversations the new lines belong to, and where each segment's last line ends."""
    touched: set[str] = set()
    ends = dict(known)
    for segment in run.segments():
        for conv, offset, size in whose(segment, known.get(segment.name, 0)):
            ends[segment.name] = offset + size + 1
            touched.add(conv)
    return touched - {""}, ends


def _places(run: Run, touched: set[str]) -> dict[str, list[tuple[str, int, int]]]:
    """Where all lines of the touched conversations stand; they are read one after the other.

    So that a run of very many is not held in memory at once.
    """
    places: dict[str, list[tuple[str, int, int]]] = {conv: [] for conv in touched}
    for segment in run.segments() if touched else ():
        for conv, offset, size in whose(segment):
            if conv in places:
                places[conv].append((segment.name, offset, size))
    return places


def _enter(db: sqlite3.Connection, conv: str, lines: list[Line]) -> None:
    """Write a conversation's rows anew."""
    found = (line.record for line in lines if line.record is not None)
    records = sorted(found, key=lambda record: record.seq)
    damage = next((line.problem for line in lines if line.record is None), None)
    state, break_off = _as_far(records)
    number = _number(db, conv)
    first = number * _MOST_TURNS  # a search finds text; only by its row a text is found again
    db.execute("DELETE FROM said WHERE rowid BETWEEN ? AND ?", (first, first + _MOST_TURNS - 1))
    db.executemany(
        "INSERT INTO said (rowid, conversation, turn, author, text) VALUES (?, ?, ?, ?, ?)",
        [
            (first + item.turn, conv, item.turn, item.message.author, given(item.message.text))
            for item in state.entries
        ],
    )
    row = (conv, *_row(state, records), damage or break_off, number)
    db.execute(f"INSERT OR REPLACE INTO conversation VALUES ({','.join('?' * len(row))})", row)  # noqa: S608


def _number(db: sqlite3.Connection, conv: str) -> int:
    """The number of a conversation's rows: its own if it has one, else the next."""
    own = db.execute("SELECT number FROM conversation WHERE id = ?", (conv,)).fetchone()
    if own is None:
        own = db.execute("SELECT coalesce(max(rowid), 0) + 1 FROM conversation").fetchone()
    return int(own[0])


def _as_far(records: Iterable[Record]) -> tuple[State, str | None]:
    """The state as far as the records can be followed, and why no further."""
    state = State()
    for record in records:
        try:
            state = apply(state, record.event)
        except RecordError as error:
            return state, str(error)
    return state, None


def _row(state: State, records: list[Record]) -> tuple[object, ...]:
    """What the list shows of a conversation, in the order of the table's columns."""
    started = state.started
    seats = started.spec.participants if started else ()
    fork = started.fork if started else None
    return (
        json.dumps([seat.name for seat in seats]),
        json.dumps([seat.model for seat in seats]),
        len(state.entries),
        records[0].at if records else "",
        records[-1].at if records else "",
        status(state).value,
        state.ended.reason.value if state.ended else None,
        sum(_generated(item) for item in state.entries),
        fork.conversation if fork else None,
        fork.turn if fork else None,
        started.source.format if started and started.source else None,
    )


def _generated(entry: Entry) -> int:
    """Tokens generated for one message, as far as they are known."""
    return (entry.completed.usage.output or 0) if entry.completed else 0


def _listed(run: Run, row: tuple[object, ...]) -> Listed:
    """A row of the table as a value."""
    fields = dict(zip(_COLUMNS, row, strict=True))
    fields |= {"run": run.name}
    fields |= {name: json.loads(str(fields[name])) for name in ("names", "models")}
    return msgspec.convert(fields, Listed)
