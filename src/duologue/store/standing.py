"""How every conversation of a run stands, from one reading of the log and of what is appended.

A line is glanced at, not read whole: enough to say who is done, who was interrupted and where its
records stand, what was spent, and what was said last. Nothing that was said is kept. Whether the
bytes are those that were written is not asked here: who goes on with a conversation asks that, and
``duologue verify``.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from duologue.core.event import SCHEMA_VERSION, EndReason
from duologue.core.provider import Usage
from duologue.errors import StoreError
from duologue.store.chain import named
from duologue.store.run import Run

_BEGUN, _SENT = "conversation_started", "turn_started"
_SAID, _FAILED, _ENDED = "turn_completed", "attempt_failed", "conversation_ended"


class Place(NamedTuple):
    """Where a record stands.

    Attributes:
        segment: the name of its file.
        offset: of its first byte.
        size: its bytes, without the newline.
    """

    segment: str
    offset: int
    size: int


class Words(msgspec.Struct, frozen=True):
    """As much of a message as a glance takes in."""

    author: str = ""
    text: str = ""


class Fact(msgspec.Struct, frozen=True):
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


class Glance(msgspec.Struct, frozen=True):
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

    def plus(self, other: "Spend") -> "Spend":
        """Both together."""
        ours, theirs = msgspec.structs.astuple(self), msgspec.structs.astuple(other)
        return Spend(*(one + more for one, more in zip(ours, theirs, strict=True)))


def spent(fact: Fact) -> Spend | None:
    """What one outcome took; None where a fact is none. A failed attempt may not say: nothing."""
    if fact.kind not in {_SAID, _FAILED}:
        return None
    said = fact.kind == _SAID
    usage = fact.usage
    silent = usage.input is None and usage.output is None
    return Spend(
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
        now: whether it was written to since the mark (see ``Standings``).
    """

    id: str
    records: int = 0
    last: int = -1
    messages: int = 0
    reason: str | None = None
    cause: str = ""
    places: list[Place] = []
    problem: str | None = None
    now: bool = False

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
        if not self.over:
            self.places.append(place)
        fact = glance.event
        if fact.message is not None:
            self.messages = max(self.messages, fact.turn)
        if fact.kind == _FAILED:
            self.cause = fact.boundary
        if glance.seq <= self.last:
            return
        self.last = glance.seq
        self.reason = fact.reason if fact.kind == _ENDED else None
        if self.over:
            self.places = []


class Standings:
    """How all conversations of a run stand."""

    def __init__(self, run: Run, mark: Mapping[str, int] | None = None) -> None:
        """Know nothing yet; ``read_on`` reads.

        Args:
            run: whose.
            mark: by segment, how long it was at some moment; a conversation that was written to
                since is ``now``. Segments that are not in it were made since. Without it none is.
        """
        self.run = run
        self.of: dict[str, Standing] = {}
        self.spend = Spend()
        self.problems: list[str] = []
        self._mark = mark
        self._ends: dict[str, tuple[int, int]] = {}
        self._decoder = msgspec.json.Decoder(Glance)

    def read_on(self) -> Iterator[Seen]:
        """Take in every whole line that was appended since, and show it.

        Raises:
            StoreError: a segment cannot be read.
        """
        for segment in self.run.segments():
            try:
                yield from self._read(segment)
            except OSError as error:
                raise StoreError(f"{segment} cannot be read: {error.strerror}") from error

    def catch_up(self) -> "Standings":
        """Take in every whole line that was appended since."""
        for _ in self.read_on():
            pass
        return self

    def _read(self, segment: Path) -> Iterator[Seen]:
        """The new lines of one segment."""
        name = segment.name
        with segment.open("rb") as file:
            offset, number = self._ends.get(name, (0, 0))
            file.seek(offset)
            for raw in file:
                if not raw.endswith(b"\n"):
                    return
                number += 1
                place = Place(name, offset, len(raw) - 1)
                offset += len(raw)
                self._ends[name] = (offset, number)
                if glance := self._take(raw, place, number):
                    yield Seen(glance, raw)

    def _take(self, raw: bytes, place: Place, number: int) -> Glance | None:
        """Take in one line; one that cannot be read is a problem of its conversation."""
        try:
            glance = self._decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._damaged(named(raw), f"{place.segment}, line {number}: not a record: {error}")
            return None
        if glance.v != SCHEMA_VERSION:
            what = f"{place.segment}, line {number}: of version {glance.v}"
            self._damaged(glance.conv, f"{what}, which this duologue does not read")
            return None
        standing = self._standing(glance.conv)
        standing.see(glance, place)
        standing.now = standing.now or self._since(place)
        if took := spent(glance.event):
            self.spend = self.spend.plus(took)
        return glance

    def _standing(self, conv: str) -> Standing:
        """A conversation's standing, made when it is first met."""
        if conv not in self.of:
            self.of[conv] = Standing(conv)
        return self.of[conv]

    def _since(self, place: Place) -> bool:
        """Whether a place is past the mark."""
        return self._mark is not None and place.offset >= self._mark.get(place.segment, 0)

    def _damaged(self, conv: str, what: str) -> None:
        """Keep a problem, and whose it is if that can be told."""
        self.problems.append(what)
        if conv:
            standing = self._standing(conv)
            standing.problem = standing.problem or what
