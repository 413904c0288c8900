"""Two conversations side by side, aligned turn by turn, differences marked.

A branch and its parent, two replicates, the same opening with the seats swapped, or any two.
"""

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

import msgspec
from starlette.requests import Request

from duologue.core.transcript import Mark, Spoken
from duologue.endings.codebook import Label
from duologue.errors import ConfigurationError
from duologue.web.answering import Answer, Page, Parameter, number
from duologue.web.readings import Reading
from duologue.web.shelf import DRAWING, given
from duologue.web.turns import COLOURS, GRAVE, STATES, WORDS, Head, head

ROWS = 60
_TOKENS = 400
_ALIKE = 0.5
_TOKEN = re.compile(r"\w+|\s+|[^\w\s]")


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
    """The same turn of both.

    Attributes:
        turn: its number.
        same: whether author and words are the same.
        left: the left one's message, if it has one.
        right: the right one's.
    """

    turn: int
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
        rows: a part of the turns.
        newer: ``from`` of the part before; None at the beginning.
        older: ``from`` of the next part; None at the end.
    """

    left: Head
    right: Head
    fork: int | None
    common: int
    rows: tuple[Row, ...]
    newer: int | None
    older: int | None


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
    common = _common(left.transcript.spoken, right.transcript.spoken)
    first = number(request, "from") or max(1, common)
    longest = max(len(left.transcript.spoken), len(right.transcript.spoken))
    last = min(longest, first + ROWS - 1)
    page = Compared(
        head(left),
        head(right),
        _fork(left, right),
        common,
        tuple(_row(left, right, turn) for turn in range(first, last + 1)),
        max(1, first - ROWS) if first > 1 else None,
        last + 1 if last < longest else None,
    )
    more = {**DRAWING, "label_words": WORDS, "state_words": STATES, "grave": GRAVE}
    return Answer("compare.html", page, f"{left.id} and {right.id}", more=more)


def _common(left: Sequence[Spoken], right: Sequence[Spoken]) -> int:
    """How many messages at the beginning are the same."""
    pairs = zip(left, right, strict=False)
    return next(
        (place for place, (one, other) in enumerate(pairs) if not _same(one, other)),
        min(len(left), len(right)),
    )


def _same(one: Spoken, other: Spoken) -> bool:
    """Whether two messages are by the same author and in the same words."""
    said, told = one.entry.message, other.entry.message
    return (said.author, said.text) == (told.author, told.text)


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


def _row(left: Reading, right: Reading, turn: int) -> Row:
    """One turn of both."""
    one, other = _said(left, turn), _said(right, turn)
    if one is None or other is None:
        return Row(turn, same=False, left=one, right=other)
    if (one.author, one.text) == (other.author, other.text):
        return Row(turn, same=True, left=one, right=other)
    ours, theirs = pieces(one.text, other.text)
    return Row(
        turn,
        same=False,
        left=msgspec.structs.replace(one, pieces=ours),
        right=msgspec.structs.replace(other, pieces=theirs),
    )


def _said(reading: Reading, turn: int) -> Said | None:
    """One side's message."""
    if turn > len(reading.transcript.spoken):
        return None
    spoken = reading.transcript.spoken[turn - 1]
    author = spoken.entry.message.author
    colour = reading.transcript.names.index(author) % COLOURS
    label = reading.annotations[turn - 1].label
    return Said(turn, author, colour, spoken.entry.message.text, label, spoken.marks)


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
        Parameter("from", "the first turn that is shown", {"type": "integer", "minimum": 1}),
    ),
)
