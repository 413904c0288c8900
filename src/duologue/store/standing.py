"""How every conversation of a run stands, from one reading of the log and of what is appended.

A line is glanced at, not read whole: enough to say who is done, who was interrupted and where its
records stand, what was spent, and what was said last. Nothing that was said is kept. Whether the
bytes are those that were written is not asked here: who goes on with a conversation asks that, and
``duologue verify``.

What was glanced at once need not be again: ``standings.bin`` beside the log remembers it, with how
long each segment was and the BLAKE2b of all those bytes. It is a cache, never trusted over the log:
where one byte that it covers is not as it was, it is forgotten. Delete it and it comes back.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from hashlib import blake2b
from operator import add
from pathlib import Path
from typing import NamedTuple, TypeAlias

import msgspec

from duologue.core.event import SCHEMA_VERSION, EndReason
from duologue.core.provider import Usage
from duologue.errors import StoreError
from duologue.store.chain import named
from duologue.store.run import Run

_BEGUN, _SENT = "conversation_started", "turn_started"
_SAID, _FAILED, _ENDED = "turn_completed", "attempt_failed", "conversation_ended"
_OUTCOMES = frozenset({_SAID, _FAILED})


MEMORY = "standings.bin"
"""The file beside the log that remembers how all stood."""

_FORM = 3
_PIECE = 1 << 20
_SEAL = 32
_PART = 8
WORTH = 1 << 24
"""How many new bytes of log are worth remembering, or an eighth of the log if that is more."""


Amounts: TypeAlias = tuple[int, int, int, int, float, float, int, int]
"""What one outcome took, in the order of ``Spend``."""

Place: TypeAlias = tuple[str, int, int]
"""Where a record stands: its segment's name, its first byte's offset, its bytes but the newline."""


class Words(msgspec.Struct, frozen=True, gc=False):
    """As much of a message as a glance takes in."""

    author: str = ""
    text: str = ""


class Fact(msgspec.Struct, frozen=True, gc=False):
    """As much of an event as a glance takes in; what an event does not have stays empty."""

    kind: str
    turn: int = 0
    participant: str = ""
    message: Words | None = None
    usage: Usage = Usage()
    cost: float | None = None
    seconds: float | None = None
    pace: int | None = None
    boundary: str = ""
    reason: str | None = None
    detail: str | None = None


class Glance(msgspec.Struct, frozen=True, gc=False):
    """As much of a record as a glance takes in."""

    v: int
    conv: str
    seq: int
    event: Fact


class Seen(NamedTuple):
    """A line that was glanced at.

    Attributes:
        glance: what was seen.
        raw: its bytes, with the newline.
    """

    glance: Glance
    raw: bytes


class Spend(msgspec.Struct, frozen=True):
    """What outcomes took, all together.

    Attributes:
        turns: messages that models made.
        failed: attempts that came to nothing.
        input: tokens read.
        output: tokens generated.
        usd: United States dollars, as far as prices are known.
        seconds: of the models' own time.
        uncounted: replies that do not say their tokens.
        unpriced: replies whose price is not known.
    """

    turns: int = 0
    failed: int = 0
    input: int = 0
    output: int = 0
    usd: float = 0.0
    seconds: float = 0.0
    uncounted: int = 0
    unpriced: int = 0


class Dearest(msgspec.Struct, frozen=True):
    """The most that any one outcome took, of each kind by itself.

    Attributes:
        tokens: read and generated.
        usd: United States dollars, as far as prices are known.
        seconds: of a model's own time.
    """

    tokens: int = 0
    usd: float = 0.0
    seconds: float = 0.0


def spent(fact: Fact) -> Spend | None:
    """What one outcome took; None where a fact is none. A failed attempt may not say: nothing."""
    return Spend(*_amounts(fact)) if fact.kind in _OUTCOMES else None


def _amounts(fact: Fact) -> Amounts:
    """What one outcome took, in the order of ``Spend``; a plain tuple, for there are millions."""
    said = fact.kind == _SAID
    usage = fact.usage
    silent = usage.input is None and usage.output is None
    return (
        int(said),
        int(not said),
        usage.input or 0,
        usage.output or 0,
        fact.cost or 0.0,
        fact.seconds or 0.0,
        int(said and silent),
        int(said and fact.cost is None),
    )


class Standing(msgspec.Struct):
    """How one conversation stands.

    Attributes:
        id: its id.
        records: how many of its records were seen.
        last: the highest number among them.
        messages: the number of its last message, the opening not counted before the first turn.
        reason: why it ended; None while it is open.
        cause: what crossed its last failed attempt.
        places: where its records stand; kept only while it may go on.
        problem: why it cannot be read, if it cannot.
    """

    id: str
    records: int = 0
    last: int = -1
    messages: int = 0
    reason: str | None = None
    cause: str = ""
    places: list[Place] = []
    problem: str | None = None

    @property
    def failed(self) -> bool:
        """Whether it ended because something broke: it can be tried again."""
        return self.reason == EndReason.ERROR.value

    @property
    def over(self) -> bool:
        """Whether it came to an end that stands."""
        return self.reason is not None and not self.failed

    @property
    def damage(self) -> str | None:
        """Why it cannot go on, if it cannot."""
        if self.problem is None and self.records != self.last + 1:
            return "records are missing, or there twice"
        return self.problem

    def see(self, glance: Glance, place: Place) -> None:
        """Take in one of its records; those of other segments may come in any order."""
        self.records += 1
        fact = glance.event
        if self.reason is None or self.failed:
            self.places.append(place)
        if fact.turn > self.messages and fact.message is not None:
            self.messages = fact.turn
        if glance.seq > self.last:
            self.last, self.reason = glance.seq, None
            if fact.kind == _ENDED:
                self._ended(fact.reason)
        if fact.boundary:
            self.cause = fact.boundary

    def _ended(self, reason: str | None) -> None:
        """It came to an end; where that stands, nothing goes on from its places."""
        self.reason = reason
        if self.over:
            self.places = []


class Covered(msgspec.Struct, frozen=True):
    """As much of a segment as is remembered.

    Attributes:
        size: its bytes, whole lines.
        lines: how many.
        digest: BLAKE2b-256 of these bytes.
    """

    size: int
    lines: int
    digest: bytes


class Remembered(msgspec.Struct, frozen=True):
    """How all stood at some moment, and of which bytes that was read.

    Attributes:
        form: of this file.
        schema: of the records.
        segments: what it was read of, by segment.
        standings: of every conversation.
        spend: what outcomes took.
        dearest: the most that one of them took.
        unfinished: turns that were begun and came to nothing.
        problems: lines that could not be read.
    """

    form: int
    schema: int
    segments: dict[str, Covered]
    standings: list[Standing]
    spend: Spend
    dearest: Dearest
    unfinished: int
    problems: list[str]


class Standings:
    """How all conversations of a run stand.

    Attributes:
        run: whose.
        of: each conversation's standing, by id.
        problems: lines that could not be read.
        dearest: the most that one outcome took.
        unfinished: turns that were begun and have no outcome on record: in flight, or lost.
    """

    def __init__(self, run: Run, mark: Mapping[str, int] | None = None) -> None:
        """Know nothing yet; ``read_on`` reads.

        Args:
            run: whose.
            mark: by segment, how long it was at some moment; a conversation that was written to
                since is at work. Segments that are not in it were made since. Without it none is.
        """
        self.run = run
        self.of: dict[str, Standing] = {}
        self.problems: list[str] = []
        self._took: list[float] = list(msgspec.structs.astuple(Spend()))
        self.dearest = Dearest()
        self.unfinished = 0
        self._mark = mark
        self._ends: dict[str, tuple[int, int]] = {}
        self._hashed: dict[str, _Hashed] = {}
        self._remembered = 0
        self._decoder = msgspec.json.Decoder(Glance)

    @property
    def spend(self) -> Spend:
        """What all outcomes took."""
        return Spend(*self._took)  # type: ignore[arg-type] # whole numbers stay whole

    def at_work(self, standing: Standing) -> bool:
        """Whether a conversation that is open was written to since the mark."""
        if self._mark is None:
            return False
        return any(at >= self._mark.get(segment, 0) for segment, at, _ in standing.places)

    def read_on(self) -> Iterator[Seen]:
        """Take in every whole line that was appended since, and show it.

        Raises:
            StoreError: a segment cannot be read.
        """
        for glance, raw in self._new():
            yield Seen(glance, raw)

    def catch_up(self) -> "Standings":
        """Take in every whole line that was appended since; first, whatever is remembered.

        Raises:
            StoreError: a segment cannot be read.
        """
        if not self._ends:
            self._recall()
        deque(self._new(), maxlen=0)
        return self

    def _new(self) -> Iterator[tuple[Glance, bytes]]:
        """The new lines of all segments."""
        for segment in self.run.segments():
            try:
                yield from self._read(segment)
            except OSError as error:
                raise StoreError(f"{segment} cannot be read: {error.strerror}") from error

    def _read(self, segment: Path) -> Iterator[tuple[Glance, bytes]]:
        """The new lines of one segment."""
        name = segment.name
        offset, number = self._ends.get(name, (0, 0))
        if segment.stat().st_size <= offset:
            return
        with segment.open("rb", buffering=_PIECE) as file:
            file.seek(offset)
            try:
                for raw in file:
                    if not raw.endswith(b"\n"):
                        return
                    place, offset, number = offset, offset + len(raw), number + 1
                    if glance := self._take(raw, (name, place, len(raw) - 1), number):
                        yield glance, raw
            finally:
                self._ends[name] = (offset, number)

    def _take(self, raw: bytes, place: Place, number: int) -> Glance | None:
        """Take in one line; one that cannot be read is a problem of its conversation."""
        try:
            glance = self._decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._damaged(named(raw), f"{place[0]}, line {number}: not a record: {error}")
            return None
        if glance.v != SCHEMA_VERSION:
            what = f"{place[0]}, line {number}: of version {glance.v}"
            self._damaged(glance.conv, f"{what}, which this duologue does not read")
            return None
        if (standing := self.of.get(glance.conv)) is None:
            standing = self.of[glance.conv] = Standing(glance.conv)
        standing.see(glance, place)
        if glance.event.kind == _SENT:
            self.unfinished += 1
        elif glance.event.kind in _OUTCOMES:
            self.unfinished -= 1
            self._count(_amounts(glance.event))
        return glance

    def _count(self, took: Amounts) -> None:
        """Add what one outcome took; dearer ones are few."""
        self._took = list(map(add, self._took, took))
        _, _, read, said, usd, seconds, _, _ = took
        top = self.dearest
        if read + said > top.tokens or usd > top.usd or seconds > top.seconds:
            self.dearest = Dearest(
                max(read + said, top.tokens), max(usd, top.usd), max(seconds, top.seconds)
            )

    def _damaged(self, conv: str, what: str) -> None:
        """Keep a problem, and whose it is if that can be told."""
        self.problems.append(what)
        if conv:
            standing = self.of.setdefault(conv, Standing(conv))
            standing.problem = standing.problem or what

    # What was read before.

    def remember(self) -> None:
        """Write down how all stands, if much is new; only whoever holds the run does so.

        Nothing rests on it: where it cannot be written, all is read again the next time.
        """
        read = sum(end for end, _ in self._ends.values())
        if read - self._remembered < max(WORTH, self._remembered // _PART):
            return
        self._remembered = read
        body = msgspec.msgpack.encode(self._now())
        new = self.run.path / f".{MEMORY}"
        with suppress(OSError):
            new.write_bytes(blake2b(body, digest_size=_SEAL).digest() + body)
            new.replace(self.run.path / MEMORY)

    def _now(self) -> Remembered:
        """How all stands now, and of which bytes that was read."""
        segments = {}
        for name, (end, lines) in self._ends.items():
            hashed = self._hashed.setdefault(name, _Hashed())
            hashed.go_on(self.run.path / name, end)
            segments[name] = Covered(end, lines, hashed.digest())
        known = list(self.of.values())
        return Remembered(
            _FORM,
            SCHEMA_VERSION,
            segments,
            known,
            self.spend,
            self.dearest,
            self.unfinished,
            self.problems,
        )

    def _recall(self) -> None:
        """Begin with what is remembered, if every byte that it was read of is as it was."""
        found = _remembered(self.run.path / MEMORY)
        if found is None:
            return
        hashed = {name: _Hashed() for name in found.segments}
        for name, covered in found.segments.items():
            if not hashed[name].go_on(self.run.path / name, covered.size):
                return
            if hashed[name].digest() != covered.digest:
                return
        self.of = {standing.id: standing for standing in found.standings}
        self.problems = found.problems
        self._took = list(msgspec.structs.astuple(found.spend))
        self.dearest = found.dearest
        self.unfinished = found.unfinished
        self._ends = {name: (each.size, each.lines) for name, each in found.segments.items()}
        self._hashed = hashed
        self._remembered = sum(end for end, _ in self._ends.values())


class _Hashed:
    """The beginning of a file, hashed as far as was asked."""

    def __init__(self) -> None:
        self._hash = blake2b(digest_size=_SEAL)
        self._at = 0

    def go_on(self, path: Path, end: int) -> bool:
        """Hash on to an offset; whether the file is as long as that."""
        with suppress(OSError), path.open("rb", buffering=0) as file:
            file.seek(self._at)
            while self._at < end and (piece := file.read(min(_PIECE, end - self._at))):
                self._hash.update(piece)
                self._at += len(piece)
        return self._at == end

    def digest(self) -> bytes:
        """Of all so far."""
        return self._hash.digest()


def _remembered(path: Path) -> Remembered | None:
    """What a file remembers; None where there is none, or it is not as it was written."""
    try:
        data = path.read_bytes()
        body = data[_SEAL:]
        if blake2b(body, digest_size=_SEAL).digest() != data[:_SEAL]:
            return None
        found = msgspec.msgpack.decode(body, type=Remembered)
    except (OSError, msgspec.DecodeError):
        return None
    return found if (found.form, found.schema) == (_FORM, SCHEMA_VERSION) else None
