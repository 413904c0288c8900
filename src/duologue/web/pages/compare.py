"""Two conversations side by side, message by message, differences marked.

A branch and its parent, two replicates, the same opening with the seats swapped, or any two. Which
message stands beside which is decided in ``duologue.web.aligning``.
"""

import re
from collections.abc import Iterator
from difflib import SequenceMatcher

import msgspec
from starlette.requests import Request

from duologue.core.transcript import Mark
from duologue.endings.codebook import Label
from duologue.errors import ConfigurationError
from duologue.web.aligning import Pair, align
from duologue.web.answering import Answer, Page, Parameter, number
from duologue.web.readings import Reading
from duologue.web.shelf import DRAWING, given
from duologue.web.turns import GRAVE, STATES, WORDS, Head, colours, head

ROWS = 60
_TOKENS = 1_200
_ALIKE = 0.4
# White space goes with the word before it: alone it would be half of all that two have in common.
_TOKEN = re.compile(r"\w+\s*|[^\w\s]\s*|\s+")


class Piece(msgspec.Struct, frozen=True):
    """A stretch of a message.

    Attributes:
        text: the words.
        differs: whether the other conversation's message does not have them there.
    """

    text: str
    differs: bool


class Said(msgspec.Struct, frozen=True):
    """A message of one side.

    Attributes:
        turn: its number.
        author: who said it.
        colour: the number of the author's colour.
        text: the words, exactly.
        label: what it does towards the end.
        marks: what must not be missed.
        pieces: the words again, differing ones apart; empty where the two have little in common.
    """

    turn: int
    author: str
    colour: int
    text: str
    label: Label
    marks: tuple[Mark, ...]
    pieces: tuple[Piece, ...] = ()


class Row(msgspec.Struct, frozen=True):
    """A message of each side, or of one alone.

    Attributes:
        row: its number.
        same: whether author and words are the same.
        left: the left one's message, if one stands here.
        right: the right one's.
    """

    row: int
    same: bool
    left: Said | None
    right: Said | None


class Compared(msgspec.Struct, frozen=True):
    """Two conversations.

    Attributes:
        left: what is to be said of the left one.
        right: of the right one.
        fork: the last message that one has inherited from the other, or both from a third.
        common: so many messages at the beginning are the same.
        rows: a part of the two, from message to message.
        newer: ``from`` of the part before; None at the beginning.
        older: ``from`` of the next part; None at the end.
        by_place: whether the two are too long to be laid side by side by what they say: then the
            same turn of both stands in one row.
    """

    left: Head
    right: Head
    fork: int | None
    common: int
    rows: tuple[Row, ...]
    newer: int | None
    older: int | None
    by_place: bool


def compare(request: Request) -> Answer:
    """Two conversations, from a turn on: by default from the last that they have in common.

    Raises:
        ConfigurationError: one of the two is not named.
        UnknownIdError: a name is nobody's.
    """
    names = [given(request, side) for side in ("left", "right")]
    if not all(names):
        raise ConfigurationError("name two conversations: /compare?left=ID&right=ID")
    left, right = (request.app.state.readings.read(name) for name in names)
    told = [[item.entry.message for item in each.transcript.spoken] for each in (left, right)]
    aligned = align(*([(one.author, one.text) for one in each] for each in told))
    common = next(
        (place for place, pair in enumerate(aligned.pairs) if not _same(left, right, pair)),
        len(aligned.pairs),
    )
    first = number(request, "from") or max(1, common)
    last = min(len(aligned.pairs), first + ROWS - 1)
    shown = aligned.pairs[first - 1 : last]
    # Whoever speaks in both has one colour, also where the seats are swapped.
    painted = colours(tuple(dict.fromkeys((*left.transcript.names, *right.transcript.names))))
    page = Compared(
        _above(left, painted),
        _above(right, painted),
        _fork(left, right),
        common,
        tuple(
            _row(place, _said(left, pair.left, painted), _said(right, pair.right, painted))
            for place, pair in enumerate(shown, first)
        ),
        max(1, first - ROWS) if first > 1 else None,
        last + 1 if last < len(aligned.pairs) else None,
        aligned.by_place,
    )
    more = {**DRAWING, "label_words": WORDS, "state_words": STATES, "grave": GRAVE}
    return Answer("compare.html", page, f"{left.id} and {right.id}", more=more)


def _same(left: Reading, right: Reading, pair: Pair) -> bool:
    """Whether two messages are by the same author and in the same words."""
    if pair.left is None or pair.right is None:
        return False
    one = left.transcript.spoken[pair.left].entry.message
    other = right.transcript.spoken[pair.right].entry.message
    return (one.author, one.text) == (other.author, other.text)


def _fork(left: Reading, right: Reading) -> int | None:
    """The last message that was inherited from the same conversation."""
    forks = [reading.transcript.state.begun().fork for reading in (left, right)]
    for reading, fork in zip((right, left), forks, strict=True):
        if fork is not None and fork.conversation == reading.id:
            return fork.turn
    one, other = forks
    if one is None or other is None or one.conversation != other.conversation:
        return None
    return min(one.turn, other.turn)


def _above(reading: Reading, painted: dict[str, int]) -> Head:
    """What stands above one side, in the colours of both."""
    made = head(reading)
    names = tuple(msgspec.structs.replace(each, colour=painted[each.name]) for each in made.names)
    return msgspec.structs.replace(made, names=names)


def _row(row: int, one: Said | None, other: Said | None) -> Row:
    """One message of each."""
    if one is None or other is None:
        return Row(row, same=False, left=one, right=other)
    if (one.author, one.text) == (other.author, other.text):
        return Row(row, same=True, left=one, right=other)
    ours, theirs = pieces(one.text, other.text)
    return Row(
        row,
        same=False,
        left=msgspec.structs.replace(one, pieces=ours),
        right=msgspec.structs.replace(other, pieces=theirs),
    )


def _said(reading: Reading, place: int | None, painted: dict[str, int]) -> Said | None:
    """One side's message."""
    if place is None:
        return None
    spoken = reading.transcript.spoken[place]
    author, label = spoken.entry.message.author, reading.annotations[place].label
    return Said(place + 1, author, painted[author], spoken.entry.message.text, label, spoken.marks)


def pieces(one: str, other: str) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    """Two messages cut where they differ; nothing where they are long or have little in common."""
    ours, theirs = _TOKEN.findall(one), _TOKEN.findall(other)
    if max(len(ours), len(theirs)) > _TOKENS:
        return (), ()
    matcher = SequenceMatcher(None, ours, theirs, autojunk=False)
    if matcher.quick_ratio() < _ALIKE or matcher.ratio() < _ALIKE:
        return (), ()
    steps = matcher.get_opcodes()
    mine = _pieces(ours, [(tag, start, end) for tag, start, end, _, _ in steps])
    return tuple(mine), tuple(
        _pieces(theirs, [(tag, start, end) for tag, _, _, start, end in steps])
    )


def _pieces(tokens: list[str], steps: list[tuple[str, int, int]]) -> Iterator[Piece]:
    """Stretches of one side."""
    for tag, start, end in steps:
        if start < end:
            yield Piece("".join(tokens[start:end]), tag != "equal")


PAGE = Page(
    "/compare",
    compare,
    Compared,
    "Two conversations side by side",
    (
        Parameter("left", "a conversation's id, or the beginning of one"),
        Parameter("right", "another's"),
        Parameter("from", "the first row that is shown", {"type": "integer", "minimum": 1}),
    ),
)
