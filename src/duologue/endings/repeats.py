"""Repeats: how much of a turn has been said before, and in which earlier turn.

A text is cut at its punctuation into clauses, without regard to case, figures or markup. Two texts
are alike by the share of the later one's length that stands in clauses they have in common, so a
changed word costs one clause and no more. Every earlier turn counts, whatever the lag and whoever
spoke. In a short text that may be every clause, so where they say nothing its frame is compared
with the frames of the latest turns: the share of its runs of three words that they have in common.
This module does not know what a repetition means for the conversation.
"""

from collections.abc import Iterable
from functools import lru_cache
from itertools import repeat

import msgspec

from duologue.endings.codebook import Repeat

FRAGMENT = 10  # bytes without spaces; what is shorter ("Yes.", "I see") never counts
CLAUSE = 20  # bytes without spaces; of a long text only what is longer is looked at
LONG = 500  # bytes from which on a text is long: it has clauses enough
NEAR = 0.42  # from this likeness on a turn is a near-verbatim repetition of another
FRAME = 500  # characters up to which a text is short, and its frame is looked at
_FRAMES = 4  # the latest short turns, whose frames are remembered
_WORDS = 8  # a frame has so many words at least
_LATEST = 3  # of the earlier turns that hold a clause, so many are remembered

_CUT = b".,!?;\n"
_DROPPED = b" *_#`\"'~>-\t\r"
_FOLD = bytes(
    10 if code in _CUT
    else 48 if 48 <= code <= 57  # noqa: PLR2004 - the ASCII figures, all as 0
    else code + 32 if 65 <= code <= 90  # noqa: PLR2004 - the ASCII capitals
    else code
    for code in range(256)
)  # fmt: skip
_APART = bytes(32 if code in _CUT or code in _DROPPED else _FOLD[code] for code in range(256))
_WIDE = tuple(cut.encode() for cut in "。，！？；।")  # noqa: RUF001


class Echo(msgspec.Struct, frozen=True):
    """What a turn has in common with all that was said before it.

    Attributes:
        repeat: the earlier turn that it is most like, or None where nothing is shared.
        known: the share of its length that anyone has said before, from 0 to 1.
        near: how many of the latest are near-verbatim the same (likeness of at least ``NEAR``).
    """

    repeat: Repeat | None = None
    known: float = 0.0
    near: int = 0


_NEW = Echo()


class Said:
    """All that was said so far, as clauses. An accumulator: ``hear`` adds to it."""

    __slots__ = ("_exact", "_short", "_where", "turns")

    def __init__(self) -> None:
        self.turns = 0
        self._exact: dict[str, tuple[int, tuple[bytes, ...]]] = {}
        self._where: dict[bytes, tuple[int, ...]] = {}
        self._short: tuple[tuple[int, str], ...] = ()

    def copy(self) -> "Said":
        """A second memory of the same past, to go another way from here."""
        other = Said()
        other.turns = self.turns
        other._exact = dict(self._exact)
        other._where = dict(self._where)
        other._short = self._short
        return other

    def hear(self, text: str, least: float = 0.0) -> Echo:
        """What ``text``, the next turn, repeats; it is then remembered.

        A likeness that is sure to be under ``least`` is not worked out and counts as none. Frames
        are compared only where ``least`` is given: what takes leave has a frame that all have.
        """
        echo = self._clauses(text, least)
        if len(text) > FRAME:
            return echo
        held, self._short = self._short, (*self._short[1 - _FRAMES :], (self.turns, text))
        known = echo.repeat.likeness if echo.repeat is not None else 0.0
        return echo if known >= NEAR or not least else self._framed(text, held) or echo

    def _framed(self, text: str, held: tuple[tuple[int, str], ...]) -> Echo | None:
        """What repeats the frame of an earlier turn, or None."""
        frame = trigrams(text)
        shares = [(len(frame & trigrams(other)) / len(frame), n) for n, other in held if frame]
        near = [share for share in shares if share[0] >= NEAR]
        if not near:
            return None
        likeness, turn = max(near)
        repeated = Repeat(turn, self.turns - turn, likeness, verbatim=False)
        return Echo(repeat=repeated, known=likeness, near=len(near))

    def _clauses(self, text: str, least: float) -> Echo:
        self.turns += 1
        exact, pieces = self._exact.get(text) or (None, clauses(text))
        self._exact[text] = (self.turns, pieces)
        now = (self.turns,)
        held = [*map(self._where.setdefault, pieces, repeat(now))]
        known: dict[bytes, tuple[int, ...]] = {}
        if held.count(now) < len(held):
            known = {p: turns for p, turns in zip(pieces, held, strict=True) if turns is not now}
        elif exact is None:
            return _NEW
        return self._echo(exact, self._again(known), _size({*pieces}) or 1, least)

    def _again(self, known: dict[bytes, tuple[int, ...]]) -> dict[tuple[int, ...], int]:
        """Earlier turns -> bytes of the clauses that stand in them; from now on in this one, too.

        Clauses that are repeated together stand in the same turns, so there are few keys.
        """
        sizes: dict[tuple[int, ...], int] = {}
        for piece, turns in known.items():
            sizes[turns] = sizes.get(turns, 0) + len(piece)
        where = self._where
        later = {turns: (self.turns, *turns)[:_LATEST] for turns in sizes}
        for piece, turns in known.items():
            where[piece] = later[turns]
        return sizes

    def _echo(
        self, exact: int | None, known: dict[tuple[int, ...], int], total: int, least: float
    ) -> Echo:
        same = sum(known.values())
        if exact is None and same < least * total:
            return _NEW
        shared: dict[int, int] = {}
        for turns, size in known.items():
            for turn in turns:
                shared[turn] = shared.get(turn, 0) + size
        if exact is not None:
            shared[exact] = total
        most = max(shared.values())
        turn = exact or max(turn for turn, weight in shared.items() if weight == most)
        return Echo(
            repeat=Repeat(turn, self.turns - turn, most / total, verbatim=exact is not None),
            known=1.0 if exact is not None else same / total,
            near=sum(weight >= NEAR * total for weight in shared.values()),
        )


def _size(pieces: Iterable[bytes]) -> int:
    """The bytes in them."""
    return sum(map(len, pieces))


@lru_cache(maxsize=2 * _FRAMES)
def trigrams(text: str) -> frozenset[bytes]:
    """The runs of three words of a text, folded; none of a text of a few words."""
    words = text.encode("utf-8", "surrogatepass").translate(_APART).split()
    if len(words) < _WORDS:
        return frozenset()
    return frozenset(map(b" ".join, zip(words, words[1:], words[2:], strict=False)))


def clauses(text: str) -> tuple[bytes, ...]:
    """The clauses of a text, folded: of a long text the long ones, else all that count."""
    raw = text.encode("utf-8", "surrogatepass")
    if len(raw) != len(text) and (b"\xe3" in raw or b"\xef" in raw or b"\xe0" in raw):
        for cut in _WIDE:
            raw = raw.replace(cut, b"\n")
    pieces = raw.translate(_FOLD, _DROPPED).split()
    long = [piece for piece in pieces if len(piece) > CLAUSE] if len(raw) > LONG else []
    return tuple(long or [piece for piece in pieces if len(piece) > FRAGMENT])
