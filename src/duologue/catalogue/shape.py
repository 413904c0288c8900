"""The catalogue's tables, and the values that go in and come out.

A conversation's key is the millisecond in which it began, counted on where two began in the same;
a message's row is its conversation's key and its number. So newest first is the order in which
SQLite holds them, for lists and for what was said, and no answer has to be sorted. This module
asks nothing.
"""

import sqlite3
from typing import Any

import msgspec

from duologue.core.transcript import Status
from duologue.endings.codebook import EndState
from duologue.endings.edition import edition
from duologue.store.fulltext import LEAST, TOKENIZE

VERSION = 5
"""Of the tables and of what is put into them; whose labels these are is counted by itself."""

TURN_BITS = 20
"""A conversation's messages from 1,048,576 on are counted, but cannot be found by their words."""

LAST_VERSION = (1 << 31) - 1
LAST_KEY = (1 << (63 - TURN_BITS)) - 1

SCHEMA = f"""
CREATE TABLE segment (
    run TEXT, name TEXT, size INTEGER NOT NULL, tail BLOB NOT NULL, PRIMARY KEY (run, name)
) WITHOUT ROWID;
CREATE TABLE conversation (
    key INTEGER PRIMARY KEY, run TEXT NOT NULL, id TEXT NOT NULL, names TEXT NOT NULL,
    models TEXT NOT NULL, pair TEXT NOT NULL, policy TEXT NOT NULL, began TEXT NOT NULL,
    last TEXT NOT NULL, turns INTEGER NOT NULL, tokens INTEGER NOT NULL, spend REAL,
    status TEXT NOT NULL, reason TEXT, end_state TEXT NOT NULL, strip TEXT NOT NULL,
    first_closing INTEGER, mutual_closing INTEGER, reopenings INTEGER NOT NULL, parent TEXT,
    parent_turn INTEGER, source TEXT, problem TEXT
);
CREATE UNIQUE INDEX named ON conversation (run, id);
CREATE INDEX known ON conversation (id);
CREATE INDEX paired ON conversation (pair, key);
CREATE INDEX stood ON conversation (end_state, key);
CREATE INDEX timed ON conversation (began, key);
CREATE INDEX measured ON conversation (turns, key);
CREATE INDEX branched ON conversation (parent) WHERE parent IS NOT NULL;
CREATE TABLE place (key INTEGER PRIMARY KEY, lines BLOB NOT NULL);
CREATE TABLE seated (who TEXT, key INTEGER, PRIMARY KEY (who, key)) WITHOUT ROWID;
CREATE VIRTUAL TABLE said USING fts5 (
    author UNINDEXED, text, columnsize = 0, prefix = '{LEAST}', {TOKENIZE}
);
"""
"""Of a conversation (each with its lines in the log), of who sits in it, and of what was said.

The shortest beginnings of words, with which the most words begin, have an index. Longer ones do
without: together they would take more room than all words do.
"""

TABLES = ("segment", "conversation", "place", "seated", "said")


class Shelved(msgspec.Struct, frozen=True):
    """A conversation as a list shows it.

    Attributes:
        key: its place in the catalogue; a later one began later.
        run: its run's name.
        id: its id.
        names: the participants.
        models: their models.
        pair: who spoke with whom, as rates are grouped.
        policy: how it could end, in words.
        began: when the first record was written, UTC.
        last: when the last record was written, UTC.
        turns: messages, the opening counted.
        tokens: generated, as far as they are known.
        spend: United States dollars; None where nothing of it is known.
        status: how far it has come.
        reason: why it ended.
        end_state: where it stands by its last turns.
        strip: a letter a turn: what it does towards the end.
        first_closing: the first turn that takes leave.
        mutual_closing: the turn by which two have taken leave.
        reopenings: how often somebody started again.
        parent: the conversation that it left.
        parent_turn: after which message.
        source: the foreign format that it was imported from.
        problem: why it cannot be read to its end, if it cannot.
    """

    key: int
    run: str
    id: str
    names: tuple[str, ...]
    models: tuple[str, ...]
    pair: str
    policy: str
    began: str
    last: str
    turns: int
    tokens: int
    spend: float | None
    status: Status
    reason: str | None
    end_state: EndState
    strip: str
    first_closing: int | None
    mutual_closing: int | None
    reopenings: int
    parent: str | None
    parent_turn: int | None
    source: str | None
    problem: str | None


COLUMNS = Shelved.__struct_fields__
_LISTS = ("names", "models")


def row(shelved: Shelved) -> tuple[Any, ...]:
    """A conversation as its table holds it."""
    plain: dict[str, Any] = msgspec.to_builtins(shelved)
    plain |= {name: msgspec.json.encode(plain[name]).decode() for name in _LISTS}
    return tuple(plain[name] for name in COLUMNS)


def shelved(found: tuple[Any, ...]) -> Shelved:
    """A row of the table as a value."""
    plain = dict(zip(COLUMNS, found, strict=True))
    plain |= {name: msgspec.json.decode(plain[name]) for name in _LISTS}
    return msgspec.convert(plain, Shelved)


def first_row(key: int) -> int:
    """The row of what was said before a conversation's first message."""
    return key << TURN_BITS


def prepare(db: sqlite3.Connection) -> None:
    """Make the tables, unless they are there in this version, with labels of these detectors."""
    wanted = _version(edition())
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version == wanted:
        return
    for table in TABLES:
        db.execute(f"DROP TABLE IF EXISTS {table}")
    for statement in SCHEMA.split(";\n"):
        db.execute(statement)
    db.execute(f"PRAGMA user_version = {wanted}")


def _version(detectors: int) -> int:
    """The version of the tables filled by these detectors, as SQLite keeps it: 31 bits, not 0."""
    return (detectors ^ VERSION) % LAST_VERSION + 1
