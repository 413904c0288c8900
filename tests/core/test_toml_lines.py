import json
import re
import tomllib
from collections.abc import Iterator
from datetime import date, datetime, time
from random import Random
from typing import Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from duologue.core.toml_lines import Path, locate

keys = st.text(st.sampled_from("ab.-_ =#[]{}'\"\\\n\u200bé"), max_size=4) | st.sampled_from("abc")
strings = st.text(st.sampled_from("a =#[]{},'\"\\\n\t\u2028\u200bé"), max_size=8) | st.sampled_from(
    ["\n[a]\nb = 1\n[[c]]\n", 'x = """', "'''", '""', "''", "\\", "]", "}", "a\\\n   b"]
)
scalars = (
    strings
    | st.integers(-9, 99)
    | st.floats(allow_nan=False)
    | st.booleans()
    | st.sampled_from([date(2024, 1, 2), time(3, 4), datetime(2024, 1, 2, 3, 4)])  # noqa: DTZ001 TOML has local times
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=12,
)
documents = st.dictionaries(keys, values, max_size=5)


def _paths(value: object, path: Path = ()) -> Iterator[Path]:
    """Every path of a document that ``tomllib`` read."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, inside in value.items():
            yield from _paths(inside, (*path, key))
    if isinstance(value, list):
        for index, inside in enumerate(value):
            yield from _paths(inside, (*path, index))


class _Scribe:
    """Writes a document in a layout drawn at random, and notes the line of each path as it goes."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.text = ""
        self.lines: dict[Path, int] = {}

    def either(self, *options: str) -> str:
        return self.random.choice(options)

    def note(self, path: Path) -> None:
        self.lines.setdefault(path, self.text.count("\n") + 1)

    def key(self, key: str) -> str:
        spelt = [tomli_w.dumps({key: 0}).removesuffix(" = 0\n"), self.quoted(key)]
        if not set(key) & set("'\n"):
            spelt.append(f"'{key}'")
        return self.either(*spelt)

    def quoted(self, text: str) -> str:
        return json.dumps(text, ensure_ascii=False)

    def string(self, text: str) -> str:
        long = re.sub('"(?="")', '\\"', text.replace("\\", "\\\\")) + '"""'
        spelt = [self.quoted(text), '"""\n' + long]
        if text[:1] not in {" ", "\t", "\n"}:
            spelt.append('"""\\\n   ' + long)
        if "'''" not in text:
            spelt.append(f"'''\n{text}'''")
        if not set(text) & set("'\n"):
            spelt.append(f"'{text}'")
        return self.either(*spelt)

    def gap(self) -> None:
        self.text += self.either("", " ", "\n", "  # ] } [x] = '\n\t", '\n\n# """\n')

    def value(self, value: object, path: Path) -> None:
        if isinstance(value, list):
            self.array(value, path)
        elif isinstance(value, dict):
            self.inline(value, path)
        elif isinstance(value, str):
            self.text += self.string(value)
        else:
            self.text += tomli_w.dumps({"a": value}).removeprefix("a = ").removesuffix("\n")

    def array(self, items: list[Any], path: Path) -> None:
        self.text += "["
        for index, item in enumerate(items):
            self.text += "," if index else ""
            self.gap()
            self.note((*path, index))
            self.value(item, (*path, index))
            self.gap()
        self.text += self.either("", ",") if items else ""
        self.gap()
        self.text += "]"

    def inline(self, table: dict[str, Any], path: Path) -> None:
        self.text += "{"
        for index, (key, value) in enumerate(table.items()):
            self.text += self.either(", ", " ,") if index else " "
            self.pair((key,), value, path)
        self.text += " }"

    def pair(self, dotted: tuple[str, ...], value: object, path: Path) -> None:
        for length in range(1, len(dotted) + 1):
            self.note((*path, *dotted[:length]))
        self.text += self.either(".", " . ").join(map(self.key, dotted)) + self.either("=", " = ")
        self.value(value, (*path, *dotted))

    def body(self, table: dict[str, Any], path: Path, names: tuple[str, ...]) -> None:
        """A table's pairs, then its sub-tables: as inline, dotted, or with headers of their own."""
        later = []
        for key, value in table.items():
            if isinstance(value, dict) and value and self.random.random() < 0.3:
                for inner, inside in value.items():
                    self.pair((key, inner), inside, path)
                    self.text += self.either("\n", " # = 1\n")
            elif self.with_header(value):
                later.append((key, value))
            else:
                self.pair((key,), value, path)
                self.text += self.either("\n", " # [x]\n", "\n\n")
        for key, value in later:
            self.section(value, (*path, key), (*names, key))

    def with_header(self, value: object) -> bool:
        tables = value if isinstance(value, list) else [value]
        fit = bool(tables) and all(isinstance(table, dict) for table in tables)
        return fit and self.random.random() < 0.7

    def section(self, value: Any, path: Path, names: tuple[str, ...]) -> None:
        for index, table in enumerate(value if isinstance(value, list) else [value]):
            here = (*path, index) if isinstance(value, list) else path
            opening, closing = ("[[", "]]") if isinstance(value, list) else ("[", "]")
            self.text += self.either("", "  ", "\n# [y]\n")
            self.note(path)
            self.note(here)
            inside = self.either(".", " . ").join(map(self.key, names))
            self.text += f"{opening}{self.either('', ' ')}{inside} {closing}"
            self.text += self.either("\n", " # z\n")
            self.body(table, here, names)


@given(documents, st.randoms(use_true_random=False))
def test_every_path_is_on_the_line_on_which_it_was_written(
    document: dict[str, Any], random: Random
) -> None:
    scribe = _Scribe(random)
    scribe.body(document, (), ())
    assert tomllib.loads(scribe.text) == document
    assert locate(scribe.text) == scribe.lines
    assert locate(scribe.text.replace("\n", "\r\n")) == scribe.lines


@given(documents)
def test_in_what_tomli_w_writes_every_located_line_holds_its_key(document: dict[str, Any]) -> None:
    text = tomli_w.dumps(document)
    located = locate(text)
    assert set(located) == set(_paths(document))
    rows = text.split("\n")
    for path, line in located.items():
        if isinstance(path[-1], str):
            assert tomli_w.dumps({path[-1]: 0}).removesuffix(" = 0\n") in rows[line - 1]


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ("a.b = 1\n\n[c.d]\nx = 1\n[c]\ny = 1", ("c",), 5),
        ("a.b = 1\n\n[c.d]\nx = 1\n[c]\ny = 1", ("c", "d"), 3),
        ("[[a]]\n[a.b]\n[[a]]\n[a.b]\nc = 1", ("a", 1, "b", "c"), 5),
        ("[[a]]\n[[a.b]]\n[[a.b]]\nc = 1", ("a", 0, "b", 1, "c"), 4),
        ("[[a]]\n[[a]]\n", ("a",), 1),
        ("a = [[[1],\n[2]]]", ("a", 0, 1, 0), 2),
        ('a = """\nb = 1"""""\nb = 2', ("b",), 3),
        ('a = """\\"""\nb = 1"""\nb = 2', ("b",), 3),
        ("a = '''\nb = 1'''''\nb = 2", ("b",), 3),
        ('a = """"b = 1"""\nb = 2', ("b",), 2),
        ('a = ""\n"" = 1', ("",), 2),
        ("a = 1979-05-27 07:32:00.5Z # x\n3.14 = 0", ("3", "14"), 2),
        ('a = "\x85\u2028"\nb = 1', ("b",), 2),
    ],
)
def test_hard_places_are_found(text: str, path: Path, line: int) -> None:
    tomllib.loads(text)
    assert locate(text)[path] == line


def test_a_long_text_is_scanned_in_one_pass() -> None:
    text = "".join(f"[[a]]\nb{n} = ['''\n{'x' * 50}\n''']\n" for n in range(3000))
    assert locate(text)[("a", 2999, "b2999", 0)] == 2999 * 4 + 2
