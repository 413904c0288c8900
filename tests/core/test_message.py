import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.core.message import Silence, is_visible, silence
from strategies import texts


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", Silence.EMPTY),
        (" ", Silence.WHITESPACE),
        ("\n\r\n\t", Silence.WHITESPACE),
        ("\u00a0\u2003\u3000", Silence.WHITESPACE),
        ("\u2028\u2029", Silence.WHITESPACE),
        ("\u200b", Silence.INVISIBLE),
        (" \u200b\n", Silence.INVISIBLE),
        ("\ufeff", Silence.INVISIBLE),
        ("\u2060", Silence.INVISIBLE),
        ("\u3164", Silence.INVISIBLE),
        ("\uffa0", Silence.INVISIBLE),
        ("\u2800", Silence.INVISIBLE),
        ("\u200d\u200c", Silence.INVISIBLE),
        ("\ufe0f", Silence.INVISIBLE),
        ("\U000e0100", Silence.INVISIBLE),
        ("\u180b", Silence.INVISIBLE),
        ("\u180e", Silence.INVISIBLE),
        ("\u2065", Silence.INVISIBLE),
        ("\U000e0020\U000e007f", Silence.INVISIBLE),
        ("\u202e\u2066", Silence.INVISIBLE),
        ("\x00\x1b", Silence.INVISIBLE),
        ("\u00ad", Silence.INVISIBLE),
    ],
)
def test_what_leaves_no_mark_is_silent(text: str, kind: Silence) -> None:
    assert silence(text) is kind


@pytest.mark.parametrize(
    "text",
    [
        ".",
        "\u200b.\u200b",
        "…",
        "👩\u200d👩\u200d👧",
        "❤\ufe0f",
        "1\ufe0f\u20e3",
        "🏴\U000e0067\U000e0062\U000e007f",
        "🇩🇪",
        "\u0301",
        "e\u0301",
        "\u06dd",
        "\ufffd",
        "\u05d0",
        "---",
        "```",
    ],
)
def test_anything_that_can_be_seen_breaks_the_silence(text: str) -> None:
    assert silence(text) is None


@given(texts(), texts())
def test_silence_is_that_of_every_character(one: str, other: str) -> None:
    both = silence(one + other)
    assert (both is not None) == (silence(one) is not None and silence(other) is not None)


@given(st.text(st.characters(whitelist_categories=["L", "N", "P"]), min_size=1))
def test_words_are_heard_unless_their_letters_are_blanks(text: str) -> None:
    blanks = set("\u115f\u1160\u3164\uffa0")
    assert (silence(text) is None) == (not set(text) <= blanks)


@given(st.text(st.characters(categories=["Z"]), min_size=1))
def test_white_space_is_named_as_such(text: str) -> None:
    assert silence(text) is Silence.WHITESPACE
    assert not is_visible(text[0])
