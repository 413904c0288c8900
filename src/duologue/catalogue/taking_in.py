"""From the bytes that were appended to logs to the catalogue's rows, a slice at a time.

What a slice has read is committed with where it stopped, so whoever is killed, or another process,
goes on from there. A log that no longer ends where it did is read anew. This module starts nothing.
"""

import os
import sqlite3
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec

from duologue.catalogue.growing import Growing, Place
from duologue.catalogue.shape import COLUMNS, LAST_KEY, first_row, row
from duologue.errors import RecordError
from duologue.store.chain import unseal
from duologue.store.run import Run
from duologue.store.segment import Line, read

SLICE_BYTES = 8 << 20
_TAIL_BYTES = 64
_MARKS = ",".join("?" * len(COLUMNS))
_places = msgspec.msgpack.Decoder(list[Place])

Sizes = dict[str, dict[str, int]]
"""For each run the size of each segment, in bytes."""


def sizes(library: Path) -> Sizes:
    """How long every log is; one look at each file, and no byte of it is read."""
    found: Sizes = {}
    try:
        folders = [each for each in os.scandir(library) if not each.name.startswith(".")]
    except OSError:
        return {}
    for folder in folders:
        try:
            inside = list(os.scandir(folder.path))
            logs = {each.name: each.stat().st_size for each in inside if _is_log(each.name)}
        except OSError:
            continue
        if any(each.name == "experiment.toml" for each in inside):
            found[folder.name] = logs
    return found


def _is_log(name: str) -> bool:
    """Whether a file in a run's folder is a segment."""
    return name.startswith("log-") and name.endswith(".jsonl")


def known(db: sqlite3.Connection) -> Sizes:
    """How far each segment has been read."""
    found: Sizes = {}
    for run, name, size in db.execute("SELECT run, name, size FROM segment"):
        found.setdefault(run, {})[name] = size
    return found


def take_in(db: sqlite3.Connection, run: Run) -> bool:
    """Read the next slice of a run's log; whether there may be more.

    Raises:
        StoreError: the log cannot be read.
    """
    rows = db.execute("SELECT name, size, tail FROM segment WHERE run = ?", (run.name,)).fetchall()
    ends: dict[str, int] = {name: size for name, size, _ in rows}
    if any(_tail(run.path / name, size) != tail for name, size, tail in rows):
        forget(db, run.name)
        ends = {}
    grown: dict[str, Growing] = {}
    before, left = dict(ends), SLICE_BYTES
    for segment in run.segments():
        left -= _slice(db, run, segment, ends, grown, left)
    for conv, growing in grown.items():
        _enter(db, run, conv, growing)
    db.executemany(
        "INSERT OR REPLACE INTO segment VALUES (?, ?, ?, ?)",
        [(run.name, name, end, _tail(run.path / name, end)) for name, end in ends.items()],
    )
    return ends != before


def _slice(  # noqa: PLR0917 - the places where a slice leaves what it has read
    db: sqlite3.Connection,
    run: Run,
    segment: Path,
    ends: dict[str, int],
    grown: dict[str, Growing],
    left: int,
) -> int:
    """Take in lines of one segment, at most about ``left`` bytes; how many bytes they were."""
    start = ends.setdefault(segment.name, 0)
    if left <= 0:
        return 0
    for line in read(segment, start):
        ends[segment.name] = line.end
        if line.conv:
            if line.conv not in grown:
                grown[line.conv] = _as_known(db, run, line.conv)
            grown[line.conv].take(line, segment.name)
        if line.end - start >= left:
            break
    return ends[segment.name] - start


def _as_known(db: sqlite3.Connection, run: Run, conv: str) -> Growing:
    """A conversation as far as it was read before."""
    statement = "SELECT lines FROM place JOIN conversation USING (key) WHERE run = ? AND id = ?"
    found = db.execute(statement, (run.name, conv)).fetchone()
    return _again(run, _places.decode(found[0])) if found else Growing()


def _again(run: Run, places: list[Place]) -> Growing:
    """A conversation from its lines, in the order of their numbers."""
    lines = sorted(_lines(run, places), key=lambda found: found[0])
    made = Growing()
    for _, line, segment in lines:
        made.take(line, segment)
    made.muddled = False
    return made


def _lines(run: Run, places: list[Place]) -> Iterator[tuple[int, Line, str]]:
    """Lines at places, with their records' numbers; unreadable ones come last."""
    files: dict[str, int] = {}
    try:
        for segment, offset, size in places:
            if segment not in files:
                files[segment] = os.open(run.path / segment, os.O_RDONLY)
            data = os.pread(files[segment], size, offset)
            try:
                record = unseal(data)
            except RecordError as error:
                yield LAST_KEY, Line(0, offset, data, None, str(error)), segment
            else:
                yield record.seq, Line(0, offset, data, record), segment
    finally:
        for file in files.values():
            os.close(file)


def _enter(db: sqlite3.Connection, run: Run, conv: str, growing: Growing) -> None:
    """Write a conversation's rows."""
    growing = _again(run, growing.places) if growing.muddled else growing
    old = db.execute(
        "SELECT key, turns FROM conversation WHERE run = ? AND id = ?", (run.name, conv)
    ).fetchone()
    key, before = old or (_key(db, growing.began), 0)
    shelved = growing.shelved(key, run.name, conv)
    db.execute(f"INSERT OR REPLACE INTO conversation VALUES ({_MARKS})", row(shelved))  # noqa: S608
    lines = msgspec.msgpack.encode(growing.places)
    db.execute("INSERT OR REPLACE INTO place VALUES (?, ?)", (key, lines))
    who = {each.casefold() for each in (*shelved.names, *shelved.models)}
    db.executemany("INSERT OR IGNORE INTO seated VALUES (?, ?)", [(each, key) for each in who])
    db.executemany(
        "INSERT INTO said (rowid, author, text) VALUES (?, ?, ?)", growing.said(key, before)
    )


def _key(db: sqlite3.Connection, began: str) -> int:
    """The first free key from the millisecond on in which a conversation began."""
    try:
        wanted = min(max(1, int(datetime.fromisoformat(began).timestamp() * 1000)), LAST_KEY >> 1)
    except (ValueError, OverflowError):
        wanted = 1
    statement = "SELECT 1 FROM conversation WHERE key = ?"
    while db.execute(statement, (wanted,)).fetchone():
        wanted += 1
    return wanted


def forget(db: sqlite3.Connection, run: str) -> None:
    """Take out everything about a run."""
    keys = [key for (key,) in db.execute("SELECT key FROM conversation WHERE run = ?", (run,))]
    for key in keys:
        db.execute(
            "DELETE FROM said WHERE rowid BETWEEN ? AND ?", (first_row(key), first_row(key + 1) - 1)
        )
    alone = [(key,) for key in keys]
    db.executemany("DELETE FROM place WHERE key = ?", alone)
    for table in ("conversation", "segment"):
        db.execute(f"DELETE FROM {table} WHERE run = ?", (run,))  # noqa: S608 - a name above
    if keys:
        db.execute("DELETE FROM seated WHERE key NOT IN (SELECT key FROM conversation)")


def _tail(path: Path, end: int) -> bytes:
    """The last bytes before an offset, which hold the hash of the line that ends there."""
    start = max(0, end - _TAIL_BYTES)
    try:
        with path.open("rb") as file:
            file.seek(start)
            return file.read(end - start)
    except OSError:
        return b""
