"""Live text beside the log: what a model has said so far of the turn in hand, for readers to watch.

One small file a conversation, while it speaks: begun anew with every turn, gone when the turn is in
the log. It is written only for a reply that takes a while, and then now and then, so a reply that
is there at once touches no file, and no file is kept open. It is a courtesy and no record: nothing
is rebuilt from it, a disk that refuses it stops nothing, and what a kill leaves of it names the
log's position that it belongs to, so that no reader takes it for a later turn's.
"""

import json
import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from math import inf
from pathlib import Path

import msgspec

from duologue.core.event import Record, TurnStarted
from duologue.core.provider import Delta

EVERY_S = 0.1
"""A reply that is there sooner is not offered; one that takes longer is offered so often."""

SHARE = 0.05
"""So much of a process's time goes into offering, at the most."""


class _Begun(msgspec.Struct, frozen=True):
    """The first line.

    Attributes:
        seq: the number of the record that started the turn.
        turn: the turn.
        participant: who speaks.
    """

    seq: int
    turn: int
    participant: str


class Typed(msgspec.Struct, frozen=True):
    """What has been said so far of the turn in hand.

    Attributes:
        seq: the number of the record that started it.
        turn: its number.
        participant: who speaks.
        text: the words so far.
        reasoning: what was thought so far.
    """

    seq: int
    turn: int
    participant: str
    text: str
    reasoning: str


def live_path(folder: Path, conv: str) -> Path:
    """Where the live text of a conversation is, while there is any."""
    return folder / f"live-{conv}.jsonl"


class Ration:
    """What a process may spend on live text, however many speak and however slow the disk is.

    After an offer that took some time, nobody's text is offered for so long that its share of the
    time is kept.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, share: float = SHARE) -> None:
        """Measure by ``clock``, in seconds; spend so great a ``share`` of the time at the most."""
        self.clock = clock
        self._rest = (1 - share) / share
        self._free = 0.0

    def allows(self, now: float) -> bool:
        """Whether something may be offered."""
        return now >= self._free

    def took(self, began: float) -> None:
        """Something was offered since ``began``."""
        now = self.clock()
        self._free = now + (now - began) * self._rest


class Live:
    """Offers the live text of one conversation."""

    def __init__(self, path: Path, ration: Ration) -> None:
        """Write to ``path``, as often as ``ration`` allows it to all that share it."""
        self._path = path
        self._ration = ration
        self._clock = ration.clock
        self._started: Record | None = None
        self._lines: list[bytes] = []
        self._words: list[str] = []
        self._thinks = False
        self._due = 0.0
        self._there = True  # perhaps, left behind by a kill
        self.close()

    def hear(self, item: Record | Delta) -> None:
        """Take a delta, or a record: each one begins or ends what is typed."""
        if isinstance(item, Delta):
            if self._due == inf:
                return
            if item.reasoning is not self._thinks:
                self._fold()
                self._thinks = item.reasoning
            self._words.append(item.text)
            now = self._clock()
            if now >= self._due and self._ration.allows(now):
                self._offer(now)
            return
        self.close()
        if isinstance(item.event, TurnStarted):
            self._started = item
            self._due = self._clock() + EVERY_S

    def _fold(self) -> None:
        """The words that were heard become a line."""
        if self._words:
            # Escaped: a delta may end on half a character, whose rest comes next.
            line = json.dumps(["".join(self._words), self._thinks])
            self._lines.append(line.encode() + b"\n")
            self._words.clear()

    def _offer(self, now: float) -> None:
        """What was heard since the last offer, in one write."""
        self._fold()
        first = [] if self._there else [_first(self._started)]
        data = b"".join((*first, *self._lines))
        self._lines.clear()
        self._due = now + EVERY_S
        flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if self._there else os.O_TRUNC)
        try:
            file = os.open(self._path, flags, 0o644)
            self._there = True
            try:
                os.write(file, data)
            finally:
                os.close(file)
        except OSError:
            self._due = inf  # not asked again in this turn: what follows would have no beginning
        self._ration.took(now)

    def close(self) -> None:
        """Take the file away: what was said is in the log."""
        self._words.clear()
        self._lines.clear()
        if self._there:
            self._there = False
            with suppress(OSError):
                self._path.unlink()


def _first(started: Record | None) -> bytes:
    """The line that says which turn is in hand; nothing for words that belong to none."""
    if started is None or not isinstance(started.event, TurnStarted):
        return b""
    begun = _Begun(started.seq, started.event.turn, started.event.participant)
    return msgspec.json.encode(begun) + b"\n"


def typed(path: Path) -> Typed | None:
    """What has been said so far, or None; half a line is waited for."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    lines = data.split(b"\n")[:-1]
    try:
        if not lines:
            return None
        begun = msgspec.json.decode(lines[0], type=_Begun)
        deltas = [Delta(*msgspec.convert(json.loads(line), tuple[str, bool])) for line in lines[1:]]
    except ValueError:
        return None  # begun anew while it was being read: the next look will do
    return Typed(
        begun.seq,
        begun.turn,
        begun.participant,
        _whole(each.text for each in deltas if not each.reasoning),
        _whole(each.text for each in deltas if each.reasoning),
    )


def _whole(pieces: Iterable[str]) -> str:
    """The pieces as one text: halves of a character joined, one that is still alone as �."""
    text = "".join(pieces)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
