"""Live text beside the log: what a model has said so far of the turn in hand, for readers to watch.

One small file a conversation, begun anew with every turn and removed at the end. It is a courtesy
and no record: nothing is rebuilt from it, a disk that refuses it stops nothing, and what a kill
leaves of it names the log's position that it belongs to, so that no reader takes it for a later
turn's.
"""

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

from duologue.core.event import Record, TurnStarted
from duologue.core.provider import Delta


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


class Live:
    """Offers the live text of one conversation."""

    def __init__(self, path: Path) -> None:
        """Write to ``path``, which is made with the first turn."""
        self._path = path
        self._file: int | None = None

    def hear(self, item: Record | Delta) -> None:
        """Take a delta, or a record: each one begins or ends what is typed."""
        with suppress(OSError):
            if isinstance(item, Delta):
                # Escaped: a delta may end on half a character, whose rest comes next.
                self._add(json.dumps([item.text, item.reasoning]).encode())
            elif isinstance(item.event, TurnStarted):
                self._begin(_Begun(item.seq, item.event.turn, item.event.participant))
            elif self._file is not None:
                os.ftruncate(self._file, 0)

    def _begin(self, begun: _Begun) -> None:
        """A turn: whatever was there goes."""
        if self._file is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
            self._file = os.open(self._path, flags, 0o644)
        os.ftruncate(self._file, 0)
        self._add(msgspec.json.encode(begun))

    def _add(self, line: bytes) -> None:
        """One line, in one write."""
        if self._file is not None:
            os.write(self._file, line + b"\n")

    def close(self) -> None:
        """Take the file away: what was said is in the log."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
            with suppress(OSError):
                self._path.unlink()


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
