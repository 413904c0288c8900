"""Words that may be hostile, made fit for a terminal: every character seen, none executed.

Escapes, control and format characters become symbols (``␛``, ``<U+202E>``) in a dim style, so a
message cannot move the cursor, colour the page, turn the direction of reading, or hide something.
Joiners and variation selectors stay where scripts and emoji need them. Wrapping counts cells, not
characters. This module does not know what a message is.
"""

import re
from collections.abc import Iterator

from rich.cells import cell_len
from rich.text import Text

from duologue.core.glyphs import JOINER, pieces, symbol

SYMBOL = "dim"
"""The style of a symbol that stands for a character."""

TAB = 4
_SHOWN = 120
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_WIDE = "\u2e80-\u9fff\uac00-\ud7a3\uf900-\ufaff\uff00-\uff60"
_CLOSING = "\u3001\u3002\u300d\u300f\uff01\uff09\uff0c\uff0e\uff1a\uff1b\uff1f"
# A line may break before a word, and before a wide character that closes nothing.
_PIECE = re.compile(rf"\s+|[{_WIDE}][{_CLOSING}]*|[^\s{_WIDE}]+")


def executes(text: str) -> bool:
    """Whether a terminal would do something else with ``text`` than to show it."""
    return _CONTROL.search(text) is not None


def visible(text: str, style: str = "") -> Text:
    """``text`` with symbols for what cannot be seen; line feeds and tabs stay what they are."""
    shown = Text(style=style)
    for piece, unseen in pieces(text):
        shown.append(symbol(piece) if unseen else piece, SYMBOL if unseen else None)
    return shown


def one_line(text: str, style: str = "") -> Text:
    """``text`` on one line: line feeds and tabs are symbols too. For names, notes and details."""
    shown = Text(style=style)
    for piece in re.split(r"([\n\t])", text):
        shown.append_text(Text(symbol(piece), SYMBOL) if piece in {"\n", "\t"} else visible(piece))
    return shown


def padded(text: str, width: int) -> str:
    """``text`` with spaces after it up to so many columns; some characters take two."""
    return text + " " * (width - cell_len(text))


def spelled(text: str) -> Text:
    """A silent message, every character as a symbol; a long one is cut, and says so."""
    shown = Text(style=SYMBOL)
    for char in text[:_SHOWN]:
        shown.append(symbol(char))
    if len(text) > _SHOWN:
        shown.append(f" … and {len(text) - _SHOWN:,} more")
    return shown


def wrap(text: Text, width: int, hang: int = 0) -> list[Text]:
    """One line of text as lines of at most ``width`` cells.

    The first keeps its leading blanks; those after it are to stand ``hang`` cells further in.
    Blanks at a line's end are left out: on a screen nobody sees them.
    """
    lines = text.divide(list(_breaks(text.plain, width, max(1, width - hang))))
    for line in lines:
        line.rstrip()
    if hang:
        for line in lines[1:]:
            line.pad_left(hang)
    return list(lines)


def _breaks(plain: str, first: int, rest: int) -> Iterator[int]:
    """Where lines after the first begin, given the room on the first line and on the others."""
    column, room = 0, first
    for match in _PIECE.finditer(plain):
        piece, start = match[0], match.start()
        size = cell_len(piece)
        if piece.isspace() or column + size <= room:
            column += size
            continue
        if column:
            yield start
            column, room = 0, rest
        for end, cells in _clusters(piece) if size > room else [(len(piece), size)]:
            if column and column + cells > room:
                yield start
                column, room = 0, rest
            column += cells
            start = match.start() + end


def _clusters(piece: str) -> Iterator[tuple[int, int]]:
    """Where a long word may be cut: the end and the cells of each part that must stay whole."""
    if piece.isascii():
        yield from ((end, 1) for end in range(1, len(piece) + 1))
        return
    start = 0
    for end in range(1, len(piece) + 1):
        if end == len(piece) or _splits(piece, end):
            yield end, cell_len(piece[start:end])
            start = end


def _splits(piece: str, at: int) -> bool:
    """Whether a word may be cut before the character at ``at``."""
    tone = "\U0001f3fb" <= piece[at] <= "\U0001f3ff"
    return piece[at - 1] != JOINER and not tone and cell_len(piece[at]) > 0
