"""On which line of a TOML text each key and each item of an array stands.

``tomllib`` reads values and forgets where they stood; this module finds the places again, in a
text that ``tomllib`` has accepted. It does not judge the text, and knows no values.
"""

import re
import tomllib
from bisect import bisect_left
from collections.abc import Iterator
from typing import cast

Path = tuple[str | int, ...]
"""A place in a document: keys, and indices of arrays. ``("seats", 0, "name")``."""

_BASIC = r'"(?:[^"\\\n]|\\.)*+"'
_LITERAL = r"'[^'\n]*+'"
# A long string may hold one or two of its own quotes, and end with them: hence {3,5}. Not
# possessive: before 3.11.4 a lookahead in a possessive group loses its way (CPython gh-101955),
# and no text matches these in two ways, so there is nothing to try again.
_LONG = r'"""(?:[^"\\]|\\.|"(?!""))*"{3,5}' + r"|'''(?:[^']|'(?!''))*'{3,5}"
_PART = rf"(?:[A-Za-z0-9_-]++|{_BASIC}|{_LITERAL})"

_KEY = re.compile(rf"{_PART}(?:[ \t]*+\.[ \t]*+{_PART})*+", re.DOTALL)
_EQUALS = re.compile(r"[ \t]*=[ \t]*")
_SCALAR = re.compile(rf"{_LONG}|{_BASIC}|{_LITERAL}|[^,\]}}#\n]++", re.DOTALL)
# Nothing that separates two statements or two items tells where either stands.
_GAP = re.compile(r"(?:[ \t\n,]|#[^\n]*+)*+")
_HEADER = re.compile(r"\[{1,2}[ \t]*")
_HEADER_END = re.compile(r"[ \t]*\]{1,2}")


def locate(text: str) -> dict[Path, int]:
    """The line, counted from 1, of everything in ``text`` that has a path.

    A key stands where it is first written; a table with a header of its own, at that header; an
    item of an array, where it begins. ``text`` must be one that ``tomllib.loads`` accepts.
    """
    scan = _Scan(text.replace("\r\n", "\n"))
    scan.document()
    return scan.lines


def _parts(key: str) -> Iterator[str]:
    """The parts of a dotted key as they are meant: ``a."b.c"`` is ``a`` and ``b.c``."""
    nest: object = tomllib.loads(f"{key} = 0")
    while isinstance(nest, dict):
        ((part, nest),) = nest.items()
        yield part


class _Scan:
    """One walk over a text; ``lines`` is the outcome."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.breaks = [found.start() for found in re.finditer("\n", text)]
        self.lines: dict[Path, int] = {}
        self.newest: dict[Path, int] = {}  # the index of the last [[element]] of each array

    def line(self) -> int:
        return bisect_left(self.breaks, self.at) + 1

    def take(self, pattern: re.Pattern[str]) -> str:
        """Step over what ``pattern`` matches here; in an accepted text it always does."""
        found = cast("re.Match[str]", pattern.match(self.text, self.at))
        self.at = found.end()
        return found[0]

    def reaches(self, mark: str) -> bool:
        """Step over the gap, then over ``mark`` if it comes next; whether it did."""
        self.take(_GAP)
        came = self.text.startswith(mark, self.at)
        self.at += len(mark) * came
        return came

    def document(self) -> None:
        table: Path = ()
        self.take(_GAP)
        while self.at < len(self.text):
            if self.text.startswith("[", self.at):
                table = self.header()
            else:
                self.pair(table)
            self.take(_GAP)

    def header(self) -> Path:
        """Step over ``[table]`` or ``[[element]]``; the path of what follows."""
        line = self.line()
        many = self.take(_HEADER).startswith("[[")
        path = self.key(())
        self.take(_HEADER_END)
        if many:
            self.newest[path] = self.newest.get(path, -1) + 1
        table = self.within(path)
        self.lines[table] = line
        return table

    def pair(self, table: Path) -> None:
        path = self.key(table)
        self.take(_EQUALS)
        self.value(path)

    def key(self, path: Path) -> Path:
        """Step over a key; its path, seen from ``path``. Every part of it now has a line."""
        line = self.line()
        for part in _parts(self.take(_KEY)):
            path = (*self.within(path), part)
            self.lines.setdefault(path, line)
        return path

    def within(self, path: Path) -> Path:
        """``path``, or its newest element where it is an array of tables."""
        return (*path, self.newest[path]) if path in self.newest else path

    def value(self, path: Path) -> None:
        if self.text.startswith("[", self.at):
            self.array(path)
        elif self.text.startswith("{", self.at):
            self.inline(path)
        else:
            self.take(_SCALAR)

    def array(self, path: Path) -> None:
        self.at += 1
        index = 0
        while not self.reaches("]"):
            self.lines[(*path, index)] = self.line()
            self.value((*path, index))
            index += 1

    def inline(self, path: Path) -> None:
        self.at += 1
        while not self.reaches("}"):
            self.pair(path)
