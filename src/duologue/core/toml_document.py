"""A TOML text that was read, and errors about it that say where to look and what to do.

This module knows TOML's syntax errors and how a place in a document is spelt. It does not know
what a document should hold, nor where its text comes from: a file's name is for messages only.
"""

import json
import math
import re
import tomllib
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

import msgspec

from duologue.core.toml_lines import Path, locate
from duologue.errors import SpecError

TOP = "at the top level, above the first [table]"
"""Where a key of the whole document is to be written."""


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong.

    Attributes:
        path: where in the document.
        text: what is wrong there and what would be right, in one line.
    """

    path: Path
    text: str


class Document(msgspec.Struct, frozen=True):
    """A text that is TOML, and where everything stands in it.

    Attributes:
        where: the file's name, for messages.
        data: what ``tomllib`` read.
        lines: the line of each path, counted from 1.
    """

    where: str
    data: dict[str, Any]
    lines: dict[Path, int]

    def error(self, faults: Iterable[Fault]) -> SpecError:
        """All ``faults`` as one error, a line each, in the order of the file."""
        ordered = sorted(faults, key=lambda fault: self.lines.get(fault.path, math.inf))
        return SpecError("\n".join(f"{self.place(fault.path)}: {fault.text}" for fault in ordered))

    def place(self, path: Path) -> str:
        """``my.toml, line 7``; the file's name alone where ``path`` is not in the file."""
        line = self.lines.get(path)
        return self.where if line is None else f"{self.where}, line {line}"


def parse(text: str, where: str) -> Document:
    """The document that ``text`` is. A byte order mark at its beginning is not part of it.

    Raises:
        SpecError: it is not TOML; the message shows the line and points at the column.
    """
    # A line end is added so that a fault of the last line is told as of that line.
    text = text.removeprefix("\ufeff") + "\n"
    try:
        return Document(where, tomllib.loads(text), locate(text))
    except ValueError as error:
        raise SpecError(_syntax(str(error), text, where)) from error
    except RecursionError as error:
        raise SpecError(f"{where}: arrays or tables are nested too deeply to be read") from error


def quoted(text: str) -> str:
    """``text`` as a TOML string on one line; whatever cannot be seen is escaped."""
    spelt = json.dumps(text, ensure_ascii=False)
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in spelt)


def spelt(path: Path) -> str:
    """A path as a person writes it: ``participants[0].sampling``."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{_spelt_key(step)}" for step in path)
    return "".join(steps).removeprefix(".")


def nearest(word: str, known: Iterable[str]) -> str | None:
    """A question after the known word that is closest to a wrong one, if one is close at all.

    A word is close to another that begins with it, or that has most of its letters in its order.
    """
    words = list(known)
    begun = [each for each in words if len(word) >= _TELLING and each.startswith(word)]
    close = begun or get_close_matches(word, words, n=1, cutoff=_NEAR)
    return f"did you mean {quoted(close[0])}?" if close else None


# Less than this of two words in common, and one is no slip of the other ("nope", "openai": 0.6).
_NEAR = 0.65
_TELLING = 3  # letters from which on the beginning of a word tells which is meant


def _spelt_key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else quoted(key)


# What tomllib says, and what most often lies behind it.
_REMEDIES = {
    "Invalid value": "text needs quotes, and true and false are written small",
    "Cannot overwrite a value": "this key is given twice",
    "Cannot declare": "a [table] is opened once; several of a kind are each a [[table]]",
    "Unescaped '\\' in a string": r"write \\, or put the text in single quotes",
    "Illegal character '\\n'": 'the string is not closed; one of several lines needs """',
    "Invalid statement": "a line is a [table], a key = value or a # comment",
    "Expected '=' after a key": "a line is a [table], a key = value or a # comment",
}
_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_WIDTH = 72  # columns of an offending line that are shown


def _syntax(told: str, text: str, where: str) -> str:
    """What ``tomllib`` told, with a remedy if there is one, and the line itself."""
    what = _PLACE.sub("", told)
    found = _PLACE.search(told)
    if found is None:
        return f"{where}: {what}"
    if found[1] is None:
        return f"{where}, at its end: {what}; a string, an array or a table above is not closed"
    remedies = [remedy for known, remedy in _REMEDIES.items() if what.startswith(known)]
    what = "; ".join([what, *remedies])
    line, column = int(found[1]), int(found[2])
    source = text.replace("\r\n", "\n").split("\n")[line - 1]
    return f"{where}, line {line}, column {column}: {what}\n{_excerpt(source, line, column)}"


def _excerpt(source: str, line: int, column: int) -> str:
    """The part of a line around a column, and under it a mark at that column."""
    label = f"{line:>6} | "
    start = max(0, column - _WIDTH)
    drawn = "".join(char if char.isprintable() else " " for char in source[start : start + _WIDTH])
    return f"{label}{drawn}\n{' ' * (len(label) + column - 1 - start)}^"
