"""What a person types is found where it was said, in scripts with spaces and without."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given as examples
from hypothesis import settings
from hypothesis import strategies as st

from duologue.store.fulltext import LEAST, TOKENIZE, given, query, shown, tokens

ALONE = "的一是不天气很好々〇ひらがなカタカナーｶﾀ한국어ที่นี่ສະບາຍမြန်မာខ្មែរ中𠀀㐀﨑꒰🙏❤️✨👋🏽🇺🇳©"
MARKS = "。，！ \n…「」\x1f"  # noqa: RUF001 - what is tested
unspaced = st.text(st.sampled_from(ALONE + MARKS), min_size=1, max_size=40)
anything = st.text(max_size=40) | st.text(
    st.sampled_from(ALONE + MARKS + '"“”*^:+-(){}\\\0\ud800\udc80 ANDORNOTNEARtext'), max_size=40
)
words = st.text(
    st.characters(categories=("L", "M", "N"), codec="utf-8"), min_size=LEAST, max_size=12
).filter(lambda word: "\x1f" not in given(f"a{word}"))


@pytest.fixture(scope="module")
def said() -> Iterator[sqlite3.Connection]:
    """A table as both caches have it."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.execute(f"CREATE VIRTUAL TABLE said USING fts5 (text, prefix = '{LEAST}', {TOKENIZE})")
        yield db


def found(db: sqlite3.Connection, text: str, typed: str) -> str | None:
    """The snippet, if what is typed is found in what was said."""
    db.execute("DELETE FROM said")
    db.execute("INSERT INTO said VALUES (?)", (given(text),))
    if not (asked := query(typed)):
        return None
    snippet = "SELECT snippet(said, 0, '[', ']', '…', ?) FROM said WHERE said MATCH ?"
    row = db.execute(snippet, (18 * tokens(asked), asked)).fetchone()
    return row and shown(row[0])


@pytest.mark.parametrize(
    ("text", "typed", "snippet"),
    [
        # words, and the beginning of the last one
        ("the rain falls", "rain", "the [rain] falls"),
        ("the rain falls", "rai", "the [rain] falls"),
        ("the rain falls", "ra", None),
        ("it is a fish", "a", "it is [a] fish"),
        ("the rain falls", "falls rai", "the [rain] [falls]"),
        ("the rain falls", "rai falls", None),
        ("the rain falls", "rai*", "the [rain] falls"),
        ("the rain falls", "rain *", "the [rain] falls"),
        ("don't", "don't", "[don't]"),
        ("naïve", "NAIV", "[naïve]"),
        ("हिन्दी है", "हिन", "[हिन्दी] है"),
        ("हिन्दी है", "ह", None),
        # phrases
        ("the rain falls", '"rain falls"', "the [rain falls]"),
        ("the rain falls", '"falls rain"', None),
        ("the rain falls", '"rain fal"', None),
        ("the rain falls", '"rain fal', "the [rain falls]"),
        ("the rain falls", '"rai"', None),
        ("the rain falls", "“rain falls”", "the [rain falls]"),
        ("the rain falls", '"rain falls" the', "[the] [rain falls]"),
        ("the rain falls", '"rain" ""', "the [rain] falls"),
        ("the rain falls", '"', None),
        ("the rain falls", '""', None),
        ("the rain falls", '" " *', None),
        # written without spaces
        ("今天天气很好。", "天气", "今天[天气]很好。"),
        ("今天天气很好。", "气", "今天天[气]很好。"),
        ("今天天气很好。", "气天", None),
        ("今天天气很好。", "很好 今天", "[今天]天气[很好]。"),
        ("我用Python编程", "用Pyth", "我[用Python]编程"),
        ("我用Python编程", "python", "我用[Python]编程"),
        ("東京タワー", "タワ", "東京[タワ]ー"),
        ("이 학교에서", "교에", "이 학[교에]서"),
        ("สวัสดีครับ", "ครับ", "สวัสดี[ครับ]"),
        # pictures
        ("goodbye🙏✨", "🙏", "goodbye[🙏]✨"),
        ("goodbye🙏✨", "goodbye", "[goodbye]🙏✨"),
        ("love ❤️", "❤", "love [❤]️"),
        ("1️⃣ Duo™ 20°C", "1 duo 20", "[1]️⃣ [Duo]™ [20]°C"),
        # what is put in between was said
        ("他\x1f她\x1f\x1f它a\x1fb", "她", "他\x1f[她]\x1f\x1f它a\x1fb"),
        # what SQLite cannot hold
        ("before\0after \ud800 words", "words", "before\ufffdafter ? [words]"),
        ("the rain falls", "ra\udc80in\0", "the [rain] falls"),
        ("the rain falls", "\0", None),
    ],
)
def test_what_is_found_is_marked_in_what_was_said(
    said: sqlite3.Connection, text: str, typed: str, snippet: str | None
) -> None:
    assert found(said, text, typed) == snippet


def test_a_snippet_of_characters_is_about_as_long_as_one_of_words(said: sqlite3.Connection) -> None:
    assert len(found(said, "天" * 200, "天天") or "") > 50


def test_no_more_words_are_asked_for_than_sqlite_answers_quickly() -> None:
    assert query(" ".join(f"w{number}" for number in range(99))).count('"') == 2 * 32


@examples(st.data())
@settings(deadline=None)
def test_any_part_of_what_was_said_without_spaces_is_found(
    said: sqlite3.Connection, data: st.DataObject
) -> None:
    text = data.draw(unspaced)
    start = data.draw(st.integers(0, len(text) - 1))
    part = text[start : data.draw(st.integers(start + 1, len(text)))]
    if part.strip(MARKS):
        assert found(said, f"well {text}, yes", part) is not None


@examples(st.data())
@settings(deadline=None)
def test_any_beginning_of_a_word_that_was_said_is_found(
    said: sqlite3.Connection, data: st.DataObject
) -> None:
    word = data.draw(words)
    begins = word[: data.draw(st.integers(LEAST, len(word)))]
    assert found(said, f"before {word} after", begins) is not None
    assert found(said, f"天{word}气 after", begins) is not None
    assert found(said, f"before {word} after", f"after {begins}") is not None


@examples(anything, anything)
@settings(deadline=None)
def test_nothing_that_is_typed_breaks_a_search_and_a_snippet_is_what_was_said(
    said: sqlite3.Connection, text: str, typed: str
) -> None:
    snippet = found(said, text, typed)
    if snippet is not None:
        plain = snippet.replace("[", "").replace("]", "").strip("…")
        held = text.encode(errors="replace").decode().replace("\0", "\ufffd")
        assert plain in held.replace("[", "").replace("]", "")


@examples(anything)
def test_what_an_index_was_given_is_shown_as_it_was_said(text: str) -> None:
    held = text.encode(errors="replace").decode().replace("\0", "\ufffd")
    assert shown(given(text)) == held
