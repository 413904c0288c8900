"""A line of its own is an act, a mention is none: the table of ``docs/endings.md``."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.core.acts import acts, says
from strategies import texts

SENTINEL = "[END]"
ACTS = [
    "[END]",
    "  [end]  ",
    "   [End]",
    "*[End]*",
    "**[END]**",
    "***[END]***",
    "_[END]_",
    "** [END] **",
    "[END].",
    "[END]!",
    "**[END].**",
    "**[END]**.",
    "[END]…",
    "[END]。",
    "goodbye\n[END]",
    "[END]\nwait, one more thing",
    "goodbye\r\n[END]\r\n",
    "goodbye\r[END]\rbye",
    "\n\n[END]\n\n",
    "\u200b[END]\u200b",
    "\ufeff[END]",
    "\u200e[END]\u200f",
    "\u202b[END]\u202c",
    "\u2066*[END]*\u2069",
    "\u00a0\u00a0\u00a0\u00a0[END]",
    "\u3000[END]",
    "```\ncode\n```\n[END]",
    "````\n```\n````\n[END]",
    "~~~\n```\n~~~\n[END]",
    "```\ncode\n`````  \n[END]",
    "``` x ``` is code in a line\n[END]",
    "> quoted\n\n[END]",
    "> quoted\n[END]",
    "``\n[END]",
    "- one\n- two\n[END]",
]
MENTIONS = [
    "",
    "END",
    "(END)",
    "[END]?",
    "[END]:",
    "[END],",
    "`[END]`",
    '"[END]"',
    "“[END]”",
    "'[END]'",
    "«[END]»",
    "「[END]」",
    "([END])",
    "[END] [END]",
    "I could write [END] now",
    "[END] is what I would write",
    "# [END]",
    "### [END]",
    "- [END]",
    "* [END]",
    "1. [END]",
    "| [END] |",
    "Ada: [END]",
    "> [END]",
    "  > [END]",
    ">[END]",
    "> > [END]",
    "\u200b> [END]",
    "    [END]",
    "\t[END]",
    "   \t[END]",
    "```\n[END]\n```",
    "```text\n[END]\n```\nfin",
    "~~~\n[END]\n~~~",
    "~~~ a`b\n[END]\n~~~",
    "```\n[END]",
    "~~~\n```\n[END]\n",
    "````\n```\n[END]\n```\n````",
    "```\n~~~\n[END]\n~~~\n```",
    "```\n``` not closed\n[END]\n```",
    "```\n    ```\n[END]\n```",
    "  ```\r\n[END]\r\n  ```\r\n",
    "```\r[END]\r```",
    "[EN\nD]",
    "[E\u200bND]",
    "[\u202eDNE]",
    "\uff3bEND\uff3d",
]


@pytest.mark.parametrize("text", ACTS)
def test_a_sentinel_on_a_line_of_its_own_is_an_act(text: str) -> None:
    assert acts(text, SENTINEL)


@pytest.mark.parametrize("text", MENTIONS)
def test_a_sentinel_that_is_quoted_or_mentioned_is_none(text: str) -> None:
    assert not acts(text, SENTINEL)


@pytest.mark.parametrize(
    "sentinel", ["**over**", "__END__", "_", "***", "Straße", " bye ", "...", "Over.", "❤\ufe0f"]
)
def test_a_sentinel_is_found_as_it_was_declared(sentinel: str) -> None:
    assert acts(f"well\n{sentinel}", sentinel)
    assert acts(sentinel.upper(), sentinel)
    assert not acts("well\n\nthen", sentinel)


def test_a_letter_is_the_same_however_it_is_composed() -> None:
    assert acts("caf\u00e9", "cafe\u0301")


@given(texts(), texts())
def test_plain_lines_around_a_sentinel_do_not_matter(before: str, after: str) -> None:
    quiet = before.replace("`", "").replace("~", "")
    assert acts(f"{quiet}\n{SENTINEL}\n{after}", SENTINEL)


@given(texts())
def test_inside_a_fence_that_the_text_cannot_close_nothing_is_an_act(text: str) -> None:
    fence = "`" * (text.count("`") + 3)
    assert not acts(f"{fence}\n{text}\n{SENTINEL}\n{text}\n{fence}", SENTINEL)


@given(texts(), st.sampled_from(["> ", "    ", "so ", "- ", "# ", "“"]))
def test_no_line_with_something_before_it_is_an_act(text: str, before: str) -> None:
    whole = f"{text}\n{SENTINEL}".replace("\r", "\n")
    lines = "\n".join(before + line for line in whole.split("\n"))
    assert not acts(lines, SENTINEL)


UNSEEN = st.text(st.sampled_from("\u200b\u200e\u200f\u202a\u202c\u2066\u2069\ufeff\u00a0"))


@given(UNSEEN, UNSEEN, st.sampled_from(["", "*", "**", "_"]), st.sampled_from(["", ".", "!"]))
def test_what_cannot_be_seen_around_a_sentinel_changes_nothing(
    before: str, after: str, emphasis: str, stop: str
) -> None:
    assert acts(f"bye\n{before}{emphasis}{SENTINEL}{emphasis}{stop}{after}", SENTINEL)


@pytest.mark.parametrize(
    "text",
    [
        "this conversation is over",
        "So: This   Conversation\nis OVER!",
        "**This conversation is over.**",
        '"Well", I said; this conversation is over.',
        "He said “no”: this conversation is over",
    ],
)
def test_a_phrase_is_said_wherever_it_stands_in_ones_own_words(text: str) -> None:
    assert says(text, "this conversation is over")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "this conversation is overdue",
        'I could say "this conversation is over"',
        "“This conversation is over” is a phrase",
        "`this conversation is over`",
        "> this conversation is over",
        "```\nthis conversation is over\n```",
        "    this conversation is over",
        "this conversation `is` over",
    ],
)
def test_a_phrase_that_is_quoted_or_part_of_a_word_is_not_said(text: str) -> None:
    assert not says(text, "this conversation is over")
