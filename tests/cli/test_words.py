import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text

from duologue.cli.words import executes, one_line, spelled, visible, wrap
from duologue.core.glyphs import symbol
from strategies import texts

FAMILY = "👩\u200d👩\u200d👧"
DANGEROUS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

anything = st.text(max_size=60) | texts()


@given(anything)
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    assert not DANGEROUS.search(visible(text).plain)
    assert not executes(visible(text).plain)
    assert not re.search(r"[\n\t]", one_line(text).plain)


@given(anything)
def test_every_character_stands_in_its_order_as_itself_or_as_its_symbol(text: str) -> None:
    rest = visible(text).plain
    for char in text:
        mine = char if rest.startswith(char) else symbol(char)
        assert rest.startswith(mine)
        rest = rest[len(mine) :]
    assert rest == ""


@pytest.mark.parametrize(
    ("char", "expected"),
    [
        ("\x1b", "␛"), ("\x00", "␀"), ("\x7f", "␡"), ("\r", "␍"), ("\x9b", "<U+009B>"),
        ("\u202e", "<U+202E>"), ("\u200b", "<U+200B>"), ("\u2028", "<U+2028>"),
        ("\U000e0041", "<U+E0041>"), ("\u3164", "<U+3164>"), ("\ufeff", "<U+FEFF>"),
    ],
)  # fmt: skip
def test_what_cannot_be_seen_has_a_dim_symbol(char: str, expected: str) -> None:
    text = visible(f"a{char}b")
    assert text.plain == f"a{expected}b"
    assert [span.style for span in text.spans] == ["dim"]


@pytest.mark.parametrize(
    "text",
    [
        FAMILY,
        "🏳\ufe0f\u200d🌈",
        "❤\ufe0f",
        "\u0645\u06cc\u200c\u062e\u0648",
        "plain",
        "e\u0301",
        "tab\tnew\nline",
    ],
)
def test_what_does_its_proper_work_stays(text: str) -> None:
    assert visible(text).plain == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\u200db", "a<U+200D>b"),
        ("a\u200d", "a<U+200D>"),
        ("\u200d👩", "<U+200D>👩"),
        ("a\u200d👩", "a<U+200D>👩"),
        ("\ufe0fa", "<U+FE0F>a"),
        ("❤\ufe0f\ufe0f", "❤\ufe0f<U+FE0F>"),
    ],
)
def test_what_hides_where_it_has_no_work_is_shown(text: str, expected: str) -> None:
    assert visible(text).plain == expected


def test_a_name_cannot_break_the_line() -> None:
    assert one_line("A\n\x1b[2J\tB", "bold").plain == "A␊␛[2J␉B"


def test_a_silence_is_spelled_and_a_long_one_says_what_is_left_out() -> None:
    assert spelled(" \n\t\u200b\xa0").plain == "␠␊␉<U+200B><U+00A0>"
    assert spelled(" " * 1120).plain == "␠" * 120 + " … and 1,000 more"


@given(anything.filter(lambda text: "\n" not in text), st.integers(2, 40), st.integers(0, 4))
def test_wrapped_lines_fit_and_hold_every_word(text: str, width: int, hang: int) -> None:
    line = visible(text)
    line.expand_tabs(4)
    lines = wrap(line.copy(), width, min(hang, width // 2))
    together = "".join(part.plain for part in lines)
    assert re.sub(r"\s", "", together) == re.sub(r"\s", "", line.plain)
    for part in lines:
        assert part.cell_len <= width or _whole(part.plain.strip())


def _whole(part: str) -> bool:
    """Whether nothing of it can be put on another line: one cluster, or a row of joined ones."""
    return "\u200d" in part or sum(cell_len(char) > 0 for char in part) <= 1


def test_a_line_breaks_between_words_and_hangs() -> None:
    lines = wrap(Text("the glint unmoors from utility"), 12, 2)
    assert [line.plain for line in lines] == ["the glint", "  unmoors", "  from", "  utility"]


def test_wide_characters_break_anywhere_but_before_a_closing_mark() -> None:
    lines = wrap(Text("日本語の文章です。次"), 8)
    assert [line.plain for line in lines] == ["日本語の", "文章で", "す。次"]


def test_a_word_longer_than_the_line_is_cut_between_clusters() -> None:
    long = [line.plain for line in wrap(Text("ab " + "x" * 12), 5)]
    assert long == ["ab", "xxxxx", "xxxxx", "xx"]
    accented = [line.plain for line in wrap(Text("e\u0301" * 3), 2)]
    assert accented == ["e\u0301" * 2, "e\u0301"]


def test_a_tower_of_marks_stays_whole() -> None:
    tower = "e" + "\u0301" * 500
    assert [line.plain for line in wrap(Text(f"{tower}{tower}{tower}"), 2)] == [tower * 2, tower]
