"""Questions to the catalogue: a part of the list, what was said where, what a run comes to.

Newest first, a part at a time, from a key on: no answer depends on how many there are. A search
reads what is wanted, where that is little; else it looks at what holds the words, one message after
another, and stops after so many, saying how far it came. This module writes nothing.
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from typing import Any

import msgspec

from duologue.catalogue.shape import COLUMNS, LAST_KEY, TURN_BITS, Shelved, first_row, shelved
from duologue.core.ids import plain
from duologue.endings.codebook import EndState
from duologue.store.fulltext import TOKENIZE, query, shown, tokens

PART = 50
_SNIPPET_WORDS = 18
_MOST_ROWS = 250_000
_PROBES = 1_000
_FEW = 5_000
_READ_TURNS, _READ_CHARACTERS = 6_000, 1_000_000
_AT_ONCE = 500
_ONLY_WHO = "1 AND s.who = ?"
_Row = tuple[int, str, str]
_COLUMNS = ", ".join(f"c.{name}" for name in COLUMNS)


class Wanted(msgspec.Struct, frozen=True):
    """What is looked for; whatever is not given does not matter.

    Attributes:
        words: all of them stand in one message; as ``store.fulltext.query`` takes them.
        who: a participant's or a model's whole name; its case does not matter.
        pair: who spoke with whom.
        policy: how it could end.
        run: the run's name.
        state: where it stands at its end.
        since: a day, ``2026-01-31``, or a time: it began then or later.
        until: a day or a time: it began then or earlier.
        least: so many messages at the least.
        most: so many messages at the most.
    """

    words: str = ""
    who: str = ""
    pair: str = ""
    policy: str = ""
    run: str = ""
    state: EndState | None = None
    since: str = ""
    until: str = ""
    least: int | None = None
    most: int | None = None


class Hit(msgspec.Struct, frozen=True):
    """A message in which the words stand.

    Attributes:
        turn: its number.
        author: who said it.
        snippet: the words around; the found ones stand between U+E000 and U+E001.
    """

    turn: int
    author: str
    snippet: str


class Book(msgspec.Struct, frozen=True):
    """A conversation of a list.

    Attributes:
        conversation: what the list shows of it.
        hit: the last of its messages in which the words stand.
    """

    conversation: Shelved
    hit: Hit | None = None


class Part(msgspec.Struct, frozen=True):
    """A part of a list.

    Attributes:
        books: newest first.
        older: the key before which the next part begins; None at the end.
        total: how many there are in all; None where words are searched for.
        looked: whether the search stopped early, having looked at as many as it may.
    """

    books: tuple[Book, ...]
    older: int | None
    total: int | None
    looked: bool = False


def part(db: sqlite3.Connection, wanted: Wanted, before: int | None = None) -> Part:
    """The newest that are wanted, of those with a key less than ``before``."""
    key = LAST_KEY if before is None else before
    if asked := query(wanted.words):
        return _Search(db, wanted, asked, key).part()
    joined, where, values = _conditions(wanted)
    first = "s" if wanted.who else "c"
    narrow = f"WHERE {where} AND {first}.key < ? ORDER BY {first}.key DESC LIMIT ?"
    statement = f"SELECT {_COLUMNS} FROM {joined} {narrow}"  # noqa: S608 - values are bound
    found = [shelved(row) for row in db.execute(statement, (*values, key, PART + 1))]
    counted = "seated AS s" if where == _ONLY_WHO else joined
    (total,) = db.execute(f"SELECT count(*) FROM {counted} WHERE {where}", values).fetchone()  # noqa: S608
    older = found[PART - 1].key if len(found) > PART else None
    return Part(tuple(map(Book, found[:PART])), older, total)


def _conditions(wanted: Wanted) -> tuple[str, str, list[Any]]:
    """Tables, conditions and values of everything but words."""
    joined = "conversation AS c"
    tests: list[tuple[str, Any]] = []
    if wanted.who:
        joined = "seated AS s CROSS JOIN conversation AS c ON c.key = s.key"
        tests.append(("s.who = ?", wanted.who.casefold()))
    plain = {"pair": wanted.pair, "policy": wanted.policy, "run": wanted.run}
    tests += [(f"c.{name} = ?", value) for name, value in plain.items() if value]
    if wanted.state is not None:
        tests.append(("c.end_state = ?", wanted.state.value))
    if wanted.least is not None:
        tests.append(("c.turns >= ?", wanted.least))
    if wanted.most is not None:
        tests.append(("c.turns <= ?", wanted.most))
    if wanted.since:
        tests.append(("c.began >= ?", wanted.since))
    if wanted.until:
        # A day or a minute is meant as a whole: everything that begins with it is before this.
        tests.append(("c.began < ?", wanted.until + "~"))
    values = [
        value.encode(errors="ignore").decode() if isinstance(value, str) else value
        for _, value in tests
    ]
    return joined, " AND ".join(("1", *(test for test, _ in tests))), values


class _Search:
    """A search: what it has found, and the key from which on it has looked at everything."""

    def __init__(self, db: sqlite3.Connection, wanted: Wanted, asked: str, before: int) -> None:
        """Look for what is ``wanted`` and holds what is ``asked``, before a key."""
        self._db, self._wanted, self._asked, self._last = db, wanted, asked, before
        joined, self._where, self._values = _conditions(wanted)
        self._from = f"FROM {joined} WHERE {self._where}"
        self._found: dict[int, Shelved] = {}

    def part(self) -> Part:
        """The newest of it."""
        few = self._few()
        little = few is not None and sum(few.values()) <= _READ_TURNS
        ended = (little and self._read(few or ())) or self._look_up(few)
        books = self._books()
        older = None if ended and len(books) < PART else self._last
        return Part(books, older, None, looked=not ended)

    def _few(self) -> dict[int, int] | None:
        """The keys of what is wanted but for its words, newest first, each with its turns.

        None where they are many.
        """
        if self._where == "1":
            return None
        keys = f"SELECT c.key, c.turns {self._from} AND c.key < ? LIMIT ?"
        found = self._db.execute(keys, (*self._values, self._last, _FEW + 1)).fetchall()
        return dict(sorted(found, reverse=True)) if len(found) <= _FEW else None

    def _read(self, few: Iterable[int]) -> bool:
        """Read all of these; False where they hold too much, and the part is not full yet.

        Words that everybody says would be looked up a hundred thousand times for these few.
        """
        said = "SELECT rowid, author, text FROM said WHERE rowid >= ? AND rowid < ?"
        rows, left = list[_Row](), _READ_CHARACTERS
        for key in few:
            for row in self._db.execute(said, (first_row(key), first_row(key + 1))):
                rows.append(row)
                left -= len(row[2])
                if left < 0:  # of this one only a part was read
                    self._sift([each for each in rows if each[0] >= first_row(key + 1)])
                    return self._full()
            if len(rows) >= _AT_ONCE:
                self._sift(rows)
                rows.clear()
                if self._full():
                    return True
        self._sift(rows)
        return True

    def _sift(self, rows: Sequence[_Row]) -> None:
        """Take what holds the words, of whole conversations."""
        with closing(_indexed(rows)) as few:
            found = "SELECT rowid FROM said WHERE said MATCH ? ORDER BY rowid DESC"
            for (row,) in few.execute(found, (self._asked,)):
                if row >> TURN_BITS != self._last:
                    self._last = row >> TURN_BITS
                    self._take(row)
                if self._full():
                    return
        self._last = min((row >> TURN_BITS for row, _, _ in rows), default=self._last)

    def _look_up(self, few: Mapping[int, int] | None) -> bool:
        """Look at what holds the words, newest first; False where that is stopped early.

        One statement finds all of it: SQLite puts the beginning of a word together anew from all
        words that begin so whenever it is asked.
        """
        rows = (
            "SELECT rowid FROM said WHERE said MATCH ? AND rowid >= ? AND rowid < ? "
            "ORDER BY rowid DESC"
        )
        found, probed = self._db.execute(rows, (self._asked, *map(first_row, self._reach(few)))), 0
        for count, (row,) in enumerate(found):
            if (key := row >> TURN_BITS) == self._last:
                continue
            if count >= _MOST_ROWS or probed >= _PROBES:
                return False
            self._last = key
            if few is not None and key not in few:
                continue
            self._take(row)
            if self._full():
                return True
            probed += 1
        return True

    def _reach(self, few: Mapping[int, int] | None) -> tuple[int, int]:
        """The keys between which all that is wanted lies: from the first on, before the second."""
        if few is not None:
            return min(few, default=1), min(self._last, max(few, default=0) + 1)
        if self._where == "1":
            return 1, self._last
        first = "s" if self._wanted.who else "c"
        ends = f"SELECT c.key {self._from} AND c.key < ? ORDER BY {first}.key"
        low, high = (
            self._db.execute(f"{ends} {way} LIMIT 1", (*self._values, self._last)).fetchone()[0]
            for way in ("ASC", "DESC")
        )
        return low, high + 1

    def _take(self, row: int) -> None:
        """Keep the last of a conversation's messages that hold the words, if that is wanted."""
        fits = f"SELECT {_COLUMNS} {self._from} AND c.key = ?"
        if found := self._db.execute(fits, (*self._values, row >> TURN_BITS)).fetchone():
            self._found[row] = shelved(found)

    def _full(self) -> bool:
        """Whether the part is full."""
        return len(self._found) == PART

    def _books(self) -> tuple[Book, ...]:
        """What was found, with the words around."""
        hits = _hits(self._db, self._asked, list(self._found))
        return tuple(Book(found, hits.get(row)) for row, found in self._found.items())


def _hits(db: sqlite3.Connection, asked: str, rows: list[int]) -> dict[int, Hit]:
    """What is shown of messages that hold the words.

    Found again among these few alone: among all, each would cost as much as the whole search.
    """
    marks = ",".join("?" * len(rows))
    said = db.execute(f"SELECT rowid, author, text FROM said WHERE rowid IN ({marks})", rows)  # noqa: S608
    snippets = (
        "SELECT rowid, author, snippet(said, 1, '\ue000', '\ue001', '…', ?) FROM said "
        "WHERE said MATCH ?"
    )
    with closing(_indexed(said)) as few:
        found = few.execute(snippets, (_SNIPPET_WORDS * tokens(asked), asked)).fetchall()
    last = (1 << TURN_BITS) - 1
    return {row: Hit(row & last, author, shown(snippet)) for row, author, snippet in found}


def _indexed(rows: Iterable[_Row]) -> sqlite3.Connection:
    """A full-text index of some messages alone."""
    few = sqlite3.connect(":memory:")
    few.execute(f"CREATE VIRTUAL TABLE said USING fts5 (author UNINDEXED, text, {TOKENIZE})")
    few.executemany("INSERT INTO said (rowid, author, text) VALUES (?, ?, ?)", rows)
    return few


class Choices(msgspec.Struct, frozen=True):
    """What there is to filter by.

    Attributes:
        who: participants and models, those in most conversations first.
        pairs: who spoke with whom, the most frequent first.
        conversations: how many there are in all.
    """

    who: tuple[str, ...]
    pairs: tuple[str, ...]
    conversations: int


def choices(db: sqlite3.Connection, most: int = 60) -> Choices:
    """The most frequent values of the filters."""
    who = "SELECT who FROM seated GROUP BY who ORDER BY count(*) DESC, who LIMIT ?"
    pairs = "SELECT pair FROM conversation GROUP BY pair ORDER BY count(*) DESC, pair LIMIT ?"
    (total,) = db.execute("SELECT count(*) FROM conversation").fetchone()
    return Choices(
        tuple(name for (name,) in db.execute(who, (most,))),
        tuple(name for (name,) in db.execute(pairs, (most,))),
        total,
    )


class Facts(msgspec.Struct, frozen=True):
    """What a grid is made of: as much of a conversation as is counted.

    Attributes:
        id: which.
        pair: who spoke with whom.
        policy: how it could end.
        status: how far it has come.
        end_state: where it stands.
        turns: messages.
        spend: United States dollars, where known.
        tokens: generated.
        mutual_closing: the turn by which two have taken leave.
        first_closing: the first turn that takes leave.
        reopenings: how often somebody started again.
    """

    id: str
    pair: str
    policy: str
    status: str
    end_state: EndState
    turns: int
    spend: float | None
    tokens: int
    mutual_closing: int | None
    first_closing: int | None
    reopenings: int


def facts(db: sqlite3.Connection, run: str) -> list[Facts]:
    """What is counted of each conversation of a run."""
    statement = f"SELECT {', '.join(Facts.__struct_fields__)} FROM conversation WHERE run = ?"  # noqa: S608
    kinds = {state.value: state for state in EndState}
    return [
        Facts(id_, pair, policy, status, kinds[state], *rest)
        for id_, pair, policy, status, state, *rest in db.execute(statement, (run,))
    ]


def runs(db: sqlite3.Connection, most: int = 200) -> list[tuple[str, int, str]]:
    """Runs with how many conversations they hold and when the last of them began; newest first."""
    statement = (
        "SELECT run, count(*), max(began) FROM conversation GROUP BY run "
        "ORDER BY max(key) DESC LIMIT ?"
    )
    return db.execute(statement, (most,)).fetchall()


def family(db: sqlite3.Connection, conv: str, most: int = 2_000) -> tuple[str, list[Shelved]]:
    """The root of a conversation's tree, and every conversation of the tree, oldest first.

    A parent that is not in the library is the root, and is not among them.
    """
    root, seen = conv, {conv}
    while row := db.execute(
        "SELECT parent FROM conversation WHERE id = ? AND parent IS NOT NULL", (root,)
    ).fetchone():
        if row[0] in seen:
            break
        root = row[0]
        seen.add(root)
    kin = "SELECT ? UNION SELECT c.id FROM conversation AS c JOIN kin ON c.parent = kin.id"
    chosen = "c.id IN (SELECT id FROM kin) ORDER BY c.key LIMIT ?"
    tree = (
        f"WITH RECURSIVE kin(id) AS ({kin}) SELECT {_COLUMNS} FROM conversation AS c WHERE {chosen}"  # noqa: S608
    )
    return root, [shelved(row) for row in db.execute(tree, (root, most))]


class Where(msgspec.Struct, frozen=True):
    """Where a conversation's lines stand, as far as its run has been read.

    Attributes:
        run: the run's name.
        id: the conversation's id.
        places: its lines: segment, offset, size without the newline.
        ends: by segment, how far it has been read; later lines are in none of ``places``.
    """

    run: str
    id: str
    places: tuple[tuple[str, int, int], ...]
    ends: dict[str, int]


_SOME = 6
_QUINT = 5


def answering(db: sqlite3.Connection, name: str) -> list[tuple[str, str]]:
    """Runs and ids of conversations that a name means; a few of them where they are many.

    A whole id counts before the name of a run, and that before the beginning of an id.
    """
    begins = _hyphenated(name)
    asked = (
        ("id = ?", (begins,)),
        ("run = ?", (name.encode(errors="ignore").decode(),)),
        ("id >= ? AND id < ?", (begins, begins + "~")),
    )
    for test, values in asked if begins else ():
        statement = f"SELECT run, id FROM conversation WHERE {test} ORDER BY id LIMIT ?"  # noqa: S608
        if found := db.execute(statement, (*values, _SOME)).fetchall():
            return found
    return []


def _hyphenated(name: str) -> str:
    """An id, or the beginning of one, as ids are written; case and hyphens do not matter."""
    letters = plain(name).encode(errors="ignore").decode()
    return "-".join(letters[at : at + _QUINT] for at in range(0, len(letters), _QUINT))


def where(db: sqlite3.Connection, run: str, conv: str) -> Where | None:
    """Where the lines of a conversation stand; None for one that is not known yet."""
    db.execute("BEGIN")  # both answers from the same moment
    try:
        found = db.execute(
            "SELECT lines FROM place JOIN conversation USING (key) WHERE run = ? AND id = ?",
            (run, conv),
        ).fetchone()
        ends = db.execute("SELECT name, size FROM segment WHERE run = ?", (run,)).fetchall()
    finally:
        db.execute("COMMIT")
    if found is None:
        return None
    return Where(run, conv, _places.decode(found[0]), dict(ends))


_places = msgspec.msgpack.Decoder(tuple[tuple[str, int, int], ...])


def among(db: sqlite3.Connection, run: str, convs: Sequence[str]) -> list[Shelved]:
    """Some conversations of a run, newest first."""
    marks = ",".join("?" * len(convs))
    statement = (
        f"SELECT {_COLUMNS} FROM conversation AS c WHERE c.run = ? AND c.id IN ({marks}) "  # noqa: S608
        "ORDER BY c.key DESC"
    )
    return [shelved(row) for row in db.execute(statement, (run, *convs))]
