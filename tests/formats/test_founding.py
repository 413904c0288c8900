import random
import re
import time
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from duologue.core.message import Origin
from duologue.errors import FormatError
from duologue.formats import founding
from duologue.formats.foreign import Foreign, ForeignMessage

TRANSCRIPT = Path(__file__).parents[2].parent / "shared/founding/transcript.md"

TIMES = {"started": "2025-10-26 17:12:18", "ended": "2025-10-26 17:14:42"}
NASTY = (
    "---", "### ", "### A", "### Kimi K2", "```", "~~~", " ", "  \n", "\n", "\n\n", "\r", "\r\n",
    "\n\n---\n\n", "\n---\n\n", "\n\n---\n\n### A\n\n", "\n\n---\n\n### Kimi K2\n\n",
    "\r\n\r\n---\r\n\r\n### A\r\n\r\n", "\u200b", "\ufeff", "\x85", "\x0b", "\x0c", "\x1e",
    "\u2028", "\u2029", "\x00", "\t", "[END]", "**Messages:** 3", "# A ↔ B", "x", "é", "𝄞",
)  # fmt: skip
NAMES = ("A", "Kimi K2", "sonnet-4.5", "Gemini 2.5 Pro", "a|b (.*)", " ", "\x0cÅ", "---", "#↔")

texts = st.lists(st.sampled_from(NASTY), max_size=5).map("".join)
plain_texts = texts.filter(lambda text: "### " not in text)


@st.composite
def conversations(
    draw: st.DrawFn, words: st.SearchStrategy[str] = texts, *, in_turn: bool | None = None
) -> Foreign:
    names = tuple(draw(st.lists(st.sampled_from(NAMES), min_size=2, max_size=3)))
    said = draw(st.lists(words, max_size=8))
    robin = draw(st.booleans()) if in_turn is None else in_turn
    seats = range(len(said)) if robin else draw(_seats(len(said)))
    messages = (
        ForeignMessage(names[seat % len(names)], text)
        for seat, text in zip(seats, said, strict=True)
    )
    newline = draw(st.sampled_from([{}, {"newline": "\r\n"}]))
    bom = draw(st.sampled_from([{}, {"bom": "\ufeff"}]))
    return Foreign("founding", names, tuple(messages), {**TIMES, **newline, **bom})


def _seats(size: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, 5), min_size=size, max_size=size)


def _page(*said: tuple[str, str], names: tuple[str, ...] = ("A", "B"), count: int = -1) -> str:
    """A founding file, written by hand: this must not come from the code under test."""
    head = f"# {' ↔ '.join(names)}\n\n**Started:** S\n**Ended:** E\n"
    head += f"**Messages:** {len(said) if count < 0 else count}\n\n---\n\n"
    return head + "".join(f"### {name}\n\n{text}\n\n---\n\n" for name, text in said)


def _said(page: str) -> list[tuple[str, str]]:
    foreign, _ = founding.parse(page.encode())
    assert founding.render(foreign) == page.encode()
    return [(message.author, message.text) for message in foreign.messages]


# The founding transcript itself.


@pytest.mark.skipif(not TRANSCRIPT.exists(), reason="a fresh clone has no ../shared")
def test_the_founding_transcript_comes_back_byte_for_byte_and_without_doubt() -> None:
    data = TRANSCRIPT.read_bytes()
    foreign, doubts = founding.parse(data)
    assert founding.render(foreign) == data
    assert foreign.names == ("haiku-4.5", "Kimi K2")
    assert len(foreign.messages) == 49
    assert foreign.fields == TIMES
    assert doubts == ()
    assert founding.cannot_hold(foreign) == ()
    assert foreign.messages[0].text == " "
    assert [n for n, each in enumerate(foreign.messages, 1) if not each.text] == [24, 25]


@pytest.mark.skipif(not TRANSCRIPT.exists(), reason="a fresh clone has no ../shared")
def test_the_founding_transcript_with_windows_line_ends_and_a_mark_comes_back_too() -> None:
    data = b"\xef\xbb\xbf" + TRANSCRIPT.read_bytes().replace(b"\n", b"\r\n")
    foreign, doubts = founding.parse(data)
    assert founding.render(foreign) == data
    assert (len(foreign.messages), doubts) == (49, ())


@pytest.mark.skipif(not TRANSCRIPT.exists(), reason="a fresh clone has no ../shared")
def test_the_founding_transcript_cut_at_any_byte_is_refused_or_comes_back() -> None:
    data = TRANSCRIPT.read_bytes()
    accepted = 0
    for cut in range(0, len(data), 7):
        try:
            foreign, doubts = founding.parse(data[:cut])
        except FormatError:
            continue
        accepted += 1
        assert founding.render(foreign) == data[:cut]
        assert doubts, "a file that was cut must be reported"
    assert accepted > 0


# The laws.


@given(conversations())
def test_what_the_format_can_hold_comes_back_equal_and_without_doubt(foreign: Foreign) -> None:
    losses = founding.cannot_hold(foreign)
    try:
        again = founding.parse(founding.render(foreign))
    except FormatError:
        assert losses
        return
    assert (again == (foreign, ())) == (losses == ())


@given(conversations(plain_texts))
def test_words_without_headings_are_always_held(foreign: Foreign) -> None:
    assert founding.cannot_hold(foreign) == ()
    assert founding.parse(founding.render(foreign)) == (foreign, ())


@given(conversations())
def test_every_file_that_is_accepted_comes_back_byte_for_byte(foreign: Foreign) -> None:
    page = founding.render(foreign)
    try:
        read, _ = founding.parse(page)
    except FormatError:
        return
    assert founding.render(read) == page


@given(conversations(), st.data())
def test_every_damaged_file_is_refused_or_comes_back_byte_for_byte(
    foreign: Foreign, data: st.DataObject
) -> None:
    page = founding.render(foreign)
    start = data.draw(st.integers(0, len(page)))
    stop = data.draw(st.integers(start, min(len(page), start + 12)))
    damaged = page[:start] + data.draw(texts).encode() + page[stop:]
    try:
        read, _ = founding.parse(damaged)
    except FormatError:
        return
    assert founding.render(read) == damaged


@given(conversations(in_turn=True), st.data())
def test_a_model_that_quotes_a_whole_transcript_is_read_as_it_was_or_reported(
    foreign: Foreign, data: st.DataObject
) -> None:
    assume(foreign.messages)
    at = data.draw(st.integers(0, len(foreign.messages) - 1))
    message = ForeignMessage(foreign.messages[at].author, founding.render(foreign).decode())
    messages = (*foreign.messages[:at], message, *foreign.messages[at + 1 :])
    quoting = Foreign(foreign.format, foreign.names, messages, foreign.fields)
    try:
        read, doubts = founding.parse(founding.render(quoting))
    except FormatError:
        return
    assert read == quoting or doubts


@given(st.binary(max_size=200))
def test_bytes_that_are_no_transcript_are_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        founding.parse(data)


# How words that look like the format are read.


@pytest.mark.parametrize(
    "words",
    ["", " ", "  ", "\n", "\n\n", "a\n", "\n\na", "a  \nb  ", "---", "\n---\n", "a\n\n---\n\nb",
     "\n\n---\n\n", "---\n\n", "### B", "### B\n\nx", "a\n\n---\n\n### Notes\n\nb",
     "a\n\n---\n\n### B \n\nb", "```\n\n---\n\n```", "a\r\n\r\n---\r\n\r\n### B\r\n\r\nb",
     "[END]", "\u200b", "\ufeff", "\u2028### B\u2028", "a\x85b", "a\x0cb", "\x00", "a\rb"],
)  # fmt: skip
def test_words_are_kept_to_the_byte(words: str) -> None:
    said = [("A", words), ("B", "x"), ("A", words)]
    page = _page(*said)
    assert _said(page) == said
    assert founding.parse(page.encode())[1] == ()


@pytest.mark.parametrize(
    "names",
    [("X", "X"), ("A", "B", "C"), ("sonnet-4.5", "GPT-5"), ("a.*", "a|b"), ("A", "A "), ("↔", "→"),
     ("A", "AB"), ("### A", "A"), ("\u2028", "\x85")],
)  # fmt: skip
def test_names_may_be_odd(names: tuple[str, ...]) -> None:
    said = [(name, f"words {n}") for n, name in enumerate(names * 3)]
    assert _said(_page(*said, names=names)) == said


def test_eighty_ends_are_eighty_messages() -> None:
    said = [("AB"[n % 2], "[END]") for n in range(80)]
    assert _said(_page(*said)) == said


def test_one_quoted_heading_is_found_by_the_order_of_speakers() -> None:
    quote = "you wrote:\n\n---\n\n### A\n\nhello"
    page = _page(("A", quote), ("B", "no"), ("A", "yes"), ("B", "end"))
    foreign, doubts = founding.parse(page.encode())
    assert [each.text for each in foreign.messages] == [quote, "no", "yes", "end"]
    # Which of the first two `### A` is the heading cannot be doubted: the first line must be one.
    (doubt,) = doubts
    assert doubt.settled
    assert page.splitlines()[doubt.line - 1] == "### A"
    assert "words of message 1" in doubt.detail


def test_a_quoted_exchange_in_a_code_fence_is_read_as_words() -> None:
    quote = "look:\n\n```\nx\n\n---\n\n### B\n\nhi\n\n---\n\n### A\n\nho\n```"
    said = [("A", "go"), ("B", "yes"), ("A", quote), ("B", "no"), ("A", "end")]
    page = _page(*said)
    foreign, doubts = founding.parse(page.encode())
    assert [(each.author, each.text) for each in foreign.messages] == said
    assert [(page.split("\n")[doubt.line - 1], doubt.settled) for doubt in doubts] == [
        ("### B", True),
        ("### A", True),
    ]


def test_a_quoted_exchange_in_the_open_is_reported_at_every_line_that_could_be_a_heading() -> None:
    quote = "look:\n\n---\n\n### B\n\nhi\n\n---\n\n### A\n\nho"
    page = _page(("A", quote), ("B", "no"), ("A", "end"))
    foreign, doubts = founding.parse(page.encode())
    assert founding.render(foreign) == page.encode()
    assert [each.author for each in foreign.messages] == ["A", "B", "A"]
    assert [each.text for each in foreign.messages][:2] == ["look:", "hi"]
    headings = [n for n, line in enumerate(page.split("\n"), 1) if line.startswith("### ")]
    assert [doubt.line for doubt in doubts] == headings[1:]
    assert not any(doubt.settled for doubt in doubts)
    assert f"begin at line {headings[3]}" in doubts[0].detail


def test_a_speaker_who_speaks_twice_does_not_upset_the_reading() -> None:
    quote = "he said\n\n---\n\n### B\n\nhi"
    page = _page(("A", "1"), ("A", "2"), ("B", quote), ("A", "4"))
    foreign, doubts = founding.parse(page.encode())
    assert len(foreign.messages) == 4
    assert founding.render(foreign) == page.encode()
    assert {doubt.line for doubt in doubts} == {15, 21, 27}


def test_three_seats_are_read_in_their_round() -> None:
    quote = "x\n\n---\n\n### A\n\ny"
    said = [("A", "1"), ("B", quote), ("C", "3"), ("A", "4")]
    page = _page(*said, names=("A", "B", "C"))
    foreign, doubts = founding.parse(page.encode())
    assert [(each.author, each.text) for each in foreign.messages] == said
    assert [doubt.settled for doubt in doubts] == [True]


def test_self_play_with_a_quoted_heading_is_in_doubt() -> None:
    page = _page(("X", "1\n\n---\n\n### X\n\n2"), ("X", "3"), names=("X", "X"))
    foreign, doubts = founding.parse(page.encode())
    assert [each.text for each in foreign.messages] == ["1", "2\n\n---\n\n### X\n\n3"]
    assert [doubt.settled for doubt in doubts] == [False, False]


def test_words_that_begin_with_a_separator_cannot_be_a_message_of_their_own() -> None:
    said = [("A", "---\n\n### B\n\nx"), ("B", "y")]
    page = _page(*said)
    assert _said(page) == said
    assert [doubt.settled for doubt in founding.parse(page.encode())[1]] == [True]


def test_headings_that_share_a_blank_line_are_not_both_headings() -> None:
    page = _page(("A", "1"), ("B", "2"))
    squeezed = page.replace("### A\n\n1\n\n---", "### A\n\n---")
    with pytest.raises(FormatError, match="overlap"):
        founding.parse(squeezed.encode())


# The header and the end.


def test_unknown_header_lines_are_kept_in_place() -> None:
    page = _page(("A", "1"), ("B", "2")).replace(
        "**Ended:**", "**Duration:** 2 min\n**System:** none\n**Ended:**"
    )
    foreign, doubts = founding.parse(page.encode())
    assert founding.render(foreign) == page.encode()
    assert doubts == ()
    assert "**Duration:** 2 min" in foreign.fields["header"]
    assert (foreign.fields["started"], foreign.fields["ended"]) == ("S", "E")


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("**Ended:** E", "**Ended:** E\nby hand", 5),
        ("**Ended:** E", "**Ended:** E\n**Ended:** F", 5),
    ],
)
def test_odd_header_lines_are_kept_and_reported(old: str, new: str, line: int) -> None:
    page = _page(("A", "1")).replace(old, new)
    foreign, doubts = founding.parse(page.encode())
    assert founding.render(foreign) == page.encode()
    assert [doubt.line for doubt in doubts] == [line]


@pytest.mark.parametrize("end", ["\n\n---\n", "\n\n---", "\n\n---\n\n\n", "\n\n--", "\n", ""])
def test_an_odd_end_is_kept_and_reported(end: str) -> None:
    page = _page(("A", "1"), ("B", "2")).removesuffix("\n\n---\n\n") + end
    foreign, (doubt,) = founding.parse(page.encode())
    assert founding.render(foreign) == page.encode()
    assert doubt.settled == end.startswith("\n\n---")
    assert foreign.messages[-1].text == ("2" if doubt.settled else f"2{end}")


def test_a_conversation_in_which_nothing_was_said_is_held() -> None:
    page = _page()
    assert _said(page) == []


# What is refused.


@pytest.mark.parametrize(
    ("page", "line", "words"),
    [
        ("", 1, "expected a title"),
        ("hello", 1, "expected a title like `# A ↔ B`, found 'hello'"),
        ("# A\n\n---\n\n", 1, "expected a title"),
        ("# A ↔ \n\n---\n\n", 1, "expected a title"),
        ("# A ↔ B", 1, "the header has no end"),
        ("# A ↔ B\n\n**Started:** S\n", 4, "the header has no end"),
        (_page(("A", "1")).replace("**Started:** S\n", ""), 5, r"without a `\*\*Started:\*\*"),
        (_page(("A", "1")).replace("**Ended:** E\n", ""), 5, r"without a `\*\*Ended:\*\*"),
        (_page(("A", "1")).replace("**Messages:** 1\n", ""), 5, r"without a `\*\*Messages:\*\*"),
        (_page(("A", "1")).replace("1\n", "one\n", 1), 5, "in digits, found 'one'"),
        (_page(("A", "1")).replace("1\n", f"{'9' * 5000}\n", 1), 5, "in digits"),
        (_page(("A", "1")).replace("### A", "### Anna"), 9, "expected the first message"),
        (_page(("A", "1"), count=0), 9, "counts 0 messages"),
        (_page(count=2), 9, "expected the first message"),
        (_page(("A", "1"), ("B", "2"), count=3), 15, "counts 3 messages, but only 2 are found"),
        (
            _page(("A", "1"), ("B", "2")).replace("### B\n", "### B \n"),
            9,
            "almost a heading, .*: line 15",
        ),
    ],
)
def test_a_wrong_file_is_refused_with_its_line_and_what_was_expected(
    page: str, line: int, words: str
) -> None:
    with pytest.raises(FormatError, match=words) as caught:
        founding.parse(page.encode())
    assert caught.value.line == line


def test_a_file_that_is_not_utf8_is_refused_with_the_byte() -> None:
    data = _page(("A", "1")).encode().replace(b"### A", b"##\xff A")
    where = data.index(b"\xff")
    with pytest.raises(FormatError, match=rf"line 9: byte {where} \(0xff\) is not") as caught:
        founding.parse(data)
    assert caught.value.line == 9


def test_more_candidates_than_can_be_compared_are_refused() -> None:
    page = _page(*[("AB"[n % 2], "x") for n in range(4000)], count=2000)
    with pytest.raises(FormatError, match="counts 2000 messages, but from here on 4000 places"):
        founding.parse(page.encode())


# What cannot be held.


def _foreign(*said: ForeignMessage, names: tuple[str, ...] = ("A", "B"), **more: str) -> Foreign:
    return Foreign("founding", names, said, TIMES | more)


@pytest.mark.parametrize(
    ("foreign", "words"),
    [
        (Foreign("founding", ("A", "B"), (), {"ended": ""}), "started` is missing"),
        (_foreign(names=("A",)), "do not come back from the title"),
        (_foreign(names=("A", "")), "do not come back from the title"),
        (_foreign(names=("A ↔ C", "B")), "do not come back from the title"),
        (_foreign(names=("A", "B\n")), "do not come back from the title"),
        (_foreign(names=("A", "B\r")), "do not come back from the title"),
        (_foreign(names=("A", "\ud800")), "do not come back from the title"),
        (_foreign(ForeignMessage("C", "1")), "message 1 is by 'C'"),
        (_foreign(ForeignMessage("A", "\ud800")), "message 1 holds half of a surrogate"),
        (_foreign(end="\udfff"), "field `end` holds half"),
        (_foreign(bom="x"), "field `bom` is not a byte order mark"),
        (_foreign(newline="\r"), "field `newline` is neither"),
        (_foreign(header="\n"), "field `header` is not a header"),
        (_foreign(header="**Started:** S\n**Ended:** E\n**Messages:** 7\n"), "another number"),
    ],
)
def test_what_no_file_can_hold_is_refused_and_named(foreign: Foreign, words: str) -> None:
    assert any(words in loss for loss in founding.cannot_hold(foreign))
    with pytest.raises(FormatError, match=re.escape(words)):
        founding.render(foreign)


@pytest.mark.parametrize(
    ("foreign", "words"),
    [
        (_foreign(ForeignMessage("A", "1", origin=Origin.OPENING)), "the origin of 1 messages"),
        (_foreign(ForeignMessage("A", "1"), ForeignMessage("B", "1", turn=2)), "with message 2"),
        (_foreign(seed="1"), "field `seed` has no place"),
        (Foreign("jsonl", ("A", "B"), (), TIMES), "from the format `jsonl`"),
        (_foreign(newline="\n"), "field `newline` would be read otherwise"),
        (_foreign(end="x"), "field `end` would be read otherwise"),
        (_foreign(ForeignMessage("A", "1"), end="x"), "the last message may be cut short"),
        (_foreign(ForeignMessage("A", "1"), started="\n---\n\n"), "would be refused when read"),
        (
            _foreign(started="S\n**Ended:** E\n**Messages:** 1\n---\n\n### A\n\n"),
            "0 messages would be read as 1",
        ),
        (_foreign(ForeignMessage("A", "1\n\n---\n\n### B\n\n2")), "as words of message 1"),
        (
            _foreign(
                ForeignMessage("A", "1\n\n---\n\n### B\n\n2\n\n---\n\n### A\n\n3"),
                ForeignMessage("B", "4"),
            ),
            "from message 1 on, the file would be read otherwise",
        ),
    ],
)
def test_what_a_file_would_lose_is_named(foreign: Foreign, words: str) -> None:
    assert any(words in loss for loss in founding.cannot_hold(foreign))


# Speed.


def _seconds(page: str) -> float:
    data = page.encode()
    start = time.process_time()
    founding.parse(data)
    return time.process_time() - start


def test_ten_thousand_messages_are_read_in_well_under_a_second() -> None:
    words = "\n\n---\n\n".join(["some words of a message"] * 20)
    said = [("AB"[n % 2], words) for n in range(10_000)]
    assert _seconds(_page(*said)) < 1


def test_a_thousand_quoted_headings_in_a_short_conversation_are_read_in_time() -> None:
    rng = random.Random(1)  # noqa: S311 (which headings, not a secret)
    said = [(rng.choice("AB"), "x") for _ in range(1050)]
    assert _seconds(_page(*said, count=49)) < 5
