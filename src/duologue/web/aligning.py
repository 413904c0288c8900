"""Which message of one conversation stands beside which of another.

What both say in the same words stands in one row. Between two such places messages are paired so
that those that are most alike meet; where nothing is alike, one after another in their order. It
makes pairs of places and knows nothing else of a conversation.
"""

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import chain, takewhile, zip_longest

import msgspec

MOST_TURNS = 4_000
"""Longer ones are paired place by place."""

_MOST_CELLS = 10_000
_WORD = re.compile(r"\w+")
_LEAST_ALIKE = 0.25
_PAIRED, _STRANGER = 0.001, -0.002

Said = tuple[str, str]
"""Author and words."""


class Pair(msgspec.Struct, frozen=True):
    """A row.

    Attributes:
        left: the place of the left one's message, from 0; None where it has none here.
        right: the right one's.
    """

    left: int | None
    right: int | None


class Aligned(msgspec.Struct, frozen=True):
    """Two conversations, row by row.

    Attributes:
        pairs: every message of both, once, in order.
        by_place: whether they were too long for more than pairing them place by place.
    """

    pairs: tuple[Pair, ...]
    by_place: bool = False


def align(left: Sequence[Said], right: Sequence[Said]) -> Aligned:
    """Lay two conversations side by side."""
    if max(len(left), len(right)) > MOST_TURNS:
        return Aligned(tuple(_by_place(range(len(left)), range(len(right)))), by_place=True)
    # What both begin with is no search: it can be long, and be said again later.
    same = sum(
        1 for _ in takewhile(lambda both: both[0] == both[1], zip(left, right, strict=False))
    )
    ours, theirs = [text for _, text in left[same:]], [text for _, text in right[same:]]
    blocks = SequenceMatcher(None, ours, theirs).get_opcodes()
    rest = (
        _equal(same + i, same + j, to - i)
        if tag == "equal"
        else _between(left, right, range(same + i, same + to), range(same + j, same + until))
        for tag, i, to, j, until in blocks
    )
    return Aligned(tuple(chain(_equal(0, 0, same), *rest)))


def _equal(left: int, right: int, count: int) -> Iterator[Pair]:
    """Messages with the same words."""
    return (Pair(left + place, right + place) for place in range(count))


def _by_place(left: range, right: range) -> Iterator[Pair]:
    """One after another."""
    return (Pair(one, other) for one, other in zip_longest(left, right))


def _between(
    left: Sequence[Said], right: Sequence[Said], ours: range, theirs: range
) -> Iterator[Pair]:
    """Messages in other words: the pairing, in order, in which most is alike."""
    if not ours or not theirs or len(ours) * len(theirs) > _MOST_CELLS:
        return _by_place(ours, theirs)
    known = {author for author, _ in left} & {author for author, _ in right}
    words = [_words(left[place]) for place in ours], [_words(right[place]) for place in theirs]
    strangers = (
        [left[place][0] not in known for place in ours],
        [right[place][0] not in known for place in theirs],
    )
    likeness = [
        [
            _alike(one, other, stranger=strange != foreign)
            for other, foreign in zip(words[1], strangers[1], strict=True)
        ]
        for one, strange in zip(words[0], strangers[0], strict=True)
    ]
    return _walked(_best(likeness), likeness, ours.start, theirs.start)


def _words(said: Said) -> frozenset[str]:
    """The words of a message, each once."""
    return frozenset(_WORD.findall(said[1].casefold()))


def _alike(one: frozenset[str], other: frozenset[str], *, stranger: bool) -> float:
    """What a pair is worth: the share of words in common (Jaccard), where that says anything.

    Somebody who speaks in one conversation only is better left alone.
    """
    share = len(one & other) / max(1, len(one | other))
    return (share if share >= _LEAST_ALIKE else 0.0) + (_STRANGER if stranger else _PAIRED)


def _best(likeness: Sequence[Sequence[float]]) -> list[list[float]]:
    """For the messages from each place on: the most that their pairs can be worth."""
    rows, columns = len(likeness), len(likeness[0])
    best = [[0.0] * (columns + 1) for _ in range(rows + 1)]
    for row in reversed(range(rows)):
        here, below, alike = best[row], best[row + 1], likeness[row]
        for column in reversed(range(columns)):
            here[column] = max(alike[column] + below[column + 1], below[column], here[column + 1])
    return best


def _walked(
    best: Sequence[Sequence[float]], likeness: Sequence[Sequence[float]], left: int, right: int
) -> Iterator[Pair]:
    """The pairing that is worth the most; of equals the one that pairs first."""
    row = column = 0
    while row < len(likeness) and column < len(likeness[0]):
        if best[row][column] == likeness[row][column] + best[row + 1][column + 1]:
            yield Pair(left + row, right + column)
            row, column = row + 1, column + 1
        elif best[row][column] == best[row + 1][column]:
            yield Pair(left + row, None)
            row += 1
        else:
            yield Pair(None, right + column)
            column += 1
    yield from (Pair(left + place, None) for place in range(row, len(likeness)))
    yield from (Pair(None, right + place) for place in range(column, len(likeness[0])))
