"""Law 6: what comes in goes out again byte for byte; what cannot go out is listed."""

import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from duologue.api import bring_in
from duologue.core.event import (
    AttemptFailed,
    ConversationEnded,
    ConversationStarted,
    EndReason,
    Event,
    MessageInjected,
)
from duologue.core.message import Message, Origin
from duologue.core.state import fold
from duologue.core.transcript import Status, transcript
from duologue.errors import FormatError
from duologue.formats import founding, jsonl
from duologue.formats.crossing import FORMATS, IMPORTED_MODEL, left_out, send_out, take_in
from duologue.formats.foreign import Foreign, ForeignMessage
from duologue.store.library import Library
from duologue.store.run import Run
from duologue.verify import verify
from recording import PAIR, TRIO, scratch, unsynced

TRANSCRIPT = Path(__file__).parents[2].parent / "shared/founding/transcript.md"
BEGAN, LAST = "2026-11-23T18:55:08.123456Z", "2026-11-23T18:59:10.000000Z"
TIMES = {"started": "2025-10-26 17:12:18", "ended": "2025-10-26 17:14:42"}

_PIECES = (
    "---", "### ", "### A", "```", " ", "  \n", "\n", "\n\n", "\r\n", "\n\n---\n\n",
    "\n\n---\n\n### A\n\n", "\n\n---\n\n### B\n\n", "\u200b", "\x85", "\u2028", "\x00", "\t", "x",
    "é", "𝄞",
)  # fmt: skip
texts = st.lists(st.sampled_from(_PIECES) | st.text(max_size=3), max_size=4).map("".join)
names = st.sampled_from(("A", "B", "A 2", "Kimi K2", "a|b", " ", "#↔", "é")) | st.text(
    min_size=1, max_size=3
)


@st.composite
def pages(draw: st.DrawFn) -> Foreign:
    """A founding conversation, self-play and odd names among them."""
    named = tuple(draw(st.lists(names, min_size=2, max_size=4)))
    said = draw(st.lists(texts, max_size=6))
    robin = (
        ForeignMessage(name, text) for name, text in zip(itertools.cycle(named), said, strict=False)
    )
    newline = draw(st.sampled_from([{}, {"newline": "\r\n"}]))
    bom = draw(st.sampled_from([{}, {"bom": "\ufeff"}]))
    return Foreign("founding", named, tuple(robin), {**TIMES, **newline, **bom})


@st.composite
def lines(draw: st.DrawFn) -> Foreign:
    """A JSONL conversation, origins and turns among it."""
    messages = st.builds(
        ForeignMessage,
        author=names,
        text=texts,
        origin=st.none() | st.sampled_from(Origin),
        turn=st.none() | st.integers(0, 2**63 - 1),
    )
    said = tuple(draw(st.lists(messages, min_size=1, max_size=6)))
    bom = draw(st.sampled_from([{}, {"bom": "\ufeff"}]))
    return Foreign("jsonl", tuple(dict.fromkeys(each.author for each in said)), said, bom)


@pytest.fixture(autouse=True, scope="module")
def _no_waiting() -> Iterator[None]:
    with unsynced():
        yield


def _file(foreign: Foreign) -> bytes:
    """The file of a conversation that has one."""
    try:
        return FORMATS[foreign.format].render(foreign)
    except FormatError:
        assume(False)  # noqa: FBT003 - hypothesis's own signature
        raise


def _out(events: Sequence[Event], form: str) -> bytes:
    return send_out(transcript(events), form, BEGAN, LAST)


def _left(events: Sequence[Event], form: str) -> tuple[str, ...]:
    return left_out(transcript(events), form, BEGAN, LAST)


# There and back.


@given(pages() | lines())
def test_import_then_export_is_the_identity(foreign: Foreign) -> None:
    data = _file(foreign)
    try:
        events = take_in(data, "file", foreign.format)
    except FormatError:
        assume(False)  # noqa: FBT003 - a page that no page of the format could be
        raise
    assert _out(events, foreign.format) == data


@given(pages() | lines())
def test_words_and_order_are_kept_and_every_origin_is_import(foreign: Foreign) -> None:
    assume(FORMATS[foreign.format].cannot_hold(foreign) == ())
    events = take_in(_file(foreign), "file", foreign.format)
    read = transcript(events)
    entries = [item.entry for item in read.spoken]
    assert [entry.message.text for entry in entries] == [each.text for each in foreign.messages]
    assert {entry.message.origin for entry in entries} <= {Origin.IMPORT}
    assert len(set(read.names)) == len(read.names) == len(foreign.names)
    assert read.status is Status.IMPORTED


@given(pages() | lines())
def test_an_imported_file_lives_in_the_library_and_comes_out_of_it(foreign: Foreign) -> None:
    data = _file(foreign)
    assume(_reads(data, foreign.format))
    with scratch() as run:
        file = run.path / "talk"
        file.write_bytes(data)
        recorded = bring_in(Library(run.path / "runs"), file, form=foreign.format)
        kept = Run(recorded.folder)
        records = kept.conversation(recorded.id)
        read = transcript(record.event for record in records)
        stamps = (records[0].at, records[-1].at)
        assert send_out(read, foreign.format, *stamps) == data
        assert verify(kept).faults == ()


def _reads(data: bytes, form: str) -> bool:
    try:
        FORMATS[form].parse(data)
    except FormatError:
        return False
    return True


@pytest.mark.skipif(not TRANSCRIPT.exists(), reason="a fresh clone has no ../shared")
def test_the_founding_transcript_comes_back_byte_for_byte() -> None:
    data = TRANSCRIPT.read_bytes()
    events = take_in(data, "transcript.md")
    assert _out(events, "founding") == data
    assert _left(events, "founding") == ("who made the words: 49 import",)


# Speakers.


def test_self_play_gets_a_seat_for_each_speaker_and_goes_out_under_one_name() -> None:
    said = (ForeignMessage("A", "one"), ForeignMessage("A", "two"), ForeignMessage("A", "three"))
    data = founding.render(Foreign("founding", ("A", "A"), said, TIMES))
    events = take_in(data, "file")
    read = transcript(events)
    assert read.names == ("A", "A 2")
    assert [item.entry.message.author for item in read.spoken] == ["A", "A 2", "A"]
    source = read.state.begun().source
    assert source is not None
    assert source.notes[-1] == (
        "'A' names more than one speaker; its messages are given to them in turn"
    )
    assert _out(events, "founding") == data


def test_a_second_seat_takes_no_name_that_a_third_has() -> None:
    said = (ForeignMessage("A", "one"),)
    data = founding.render(Foreign("founding", ("A", "A", "A 2"), said, TIMES))
    assert transcript(take_in(data, "file")).names == ("A", "A 3", "A 2")


def test_nobody_knows_which_models_spoke() -> None:
    started = take_in(b'{"author": "A", "text": ""}\n', "talk.jsonl")[0]
    assert isinstance(started, ConversationStarted)
    assert [seat.model for seat in started.spec.participants] == [IMPORTED_MODEL]
    assert started.seats == {}


def test_an_import_ends_with_its_file() -> None:
    ended = take_in(b'{"author": "A", "text": ""}\n', "talk.jsonl")[-1]
    assert ended == ConversationEnded(
        EndReason.IMPORT, detail="the jsonl file ends here; why is not known"
    )


# Origins.


def test_origins_and_turns_of_a_jsonl_file_go_out_as_they_came() -> None:
    data = (
        b'{"author": "A", "text": " ", "origin": "opening", "turn": 7}\n'
        b'{"author": "B", "text": "hi", "origin": "model"}\n'
        b'{"author": "A", "text": "?"}\n'
        b'{"author": "A", "text": "!", "turn": 0}\n'
    )
    events = take_in(data, "talk.jsonl")
    assert _out(events, "jsonl") == data
    read = transcript(events)
    assert {item.entry.message.origin for item in read.spoken} == {Origin.IMPORT}


async def test_a_held_conversation_goes_out_as_jsonl_with_its_origins() -> None:
    events = await PAIR.events()
    out = [json.loads(line) for line in _out(events, "jsonl").splitlines()]
    entries = fold(events).entries
    assert [line["origin"] for line in out] == ["opening", "model", "model", "model"]
    assert [(line["author"], line["text"]) for line in out] == [
        (entry.message.author, entry.message.text) for entry in entries
    ]


def test_from_one_format_to_another_keeps_the_words() -> None:
    data = b'{"author": "A", "text": " "}\n{"author": "B", "text": "hi", "origin": "model"}\n'
    page = _out(take_in(data, "talk.jsonl"), "founding")
    again = transcript(take_in(page, "talk.md"))
    assert [item.entry.message.text for item in again.spoken] == [" ", "hi"]
    assert b"**Started:** 2026-11-23 18:55:08\n**Ended:** 2026-11-23 18:59:10\n" in page
    back = _out(take_in(page, "talk.md"), "jsonl")
    assert back == (
        b'{"author": "A", "text": " ", "origin": "import"}\n'
        b'{"author": "B", "text": "hi", "origin": "import"}\n'
    )


# What is left out.


async def test_what_a_founding_file_cannot_hold_of_a_held_conversation_is_listed() -> None:
    assert _left(await PAIR.events(), "founding") == (
        "who made the words: 3 model, 1 opening",
        "what each model was sent: 3 requests, and their digests",
        "tokens, timings and finish reasons of 3 turns",
        "models, prompts, sampling, order, endings, and whether anybody was told",
        "how the conversation ended",
        "when each message was written",
        "the reasoning before 1 messages",
    )


async def test_jsonl_holds_origins_and_the_rest_is_listed() -> None:
    left = _left(await TRIO.events(), "jsonl")
    assert not any("who made the words" in line for line in left)
    assert any("what each model was sent" in line for line in left)


async def test_what_everybody_was_told_and_who_left_is_listed_word_for_word() -> None:
    begun, *rest = await TRIO.events()
    assert isinstance(begun, ConversationStarted)
    told = replace(begun, spec=replace(begun.spec, told="Write [END] to leave."))
    left = _left([told, *rest], "jsonl")
    assert "what everybody was told: 'Write [END] to leave.'" in left
    assert "that participants left 3 times and passed 0 times, and how" in left


async def test_failed_attempts_that_stay_behind_are_listed() -> None:
    events = await PAIR.events()
    failed = AttemptFailed(2, "Bo", "overload", "busy")
    assert "1 failed attempts" in _left([*events[:2], failed], "jsonl")


def test_what_was_heard_by_some_only_is_listed() -> None:
    events = take_in(b'{"author": "A", "text": "x"}\n{"author": "B", "text": "y"}\n', "t.jsonl")
    started = events[0]
    private = MessageInjected(1, Message("A", "x", origin=Origin.HUMAN, seen_by=("B",)))
    assert any("seen by some only" in line for line in _left([started, private], "jsonl"))
    assert any("seen by some only" in line for line in _left([started, private], "founding"))


def test_an_import_that_goes_out_in_its_own_format_loses_nothing_of_its_file() -> None:
    data = b'{"author": "A", "text": " ", "origin": "opening"}\n'
    assert _left(take_in(data, "t.jsonl"), "jsonl") == ()


def test_names_that_a_page_cannot_hold_are_refused_with_a_reason() -> None:
    events = take_in(b'{"author": "A\\nB", "text": "x"}\n', "t.jsonl")
    with pytest.raises(FormatError, match="A"):
        _out(events, "founding")
    assert _left(events, "founding")


# Recognising.


@pytest.mark.parametrize(
    ("data", "form"),
    [
        (b'{"author": "A", "text": "x"}\n', jsonl.FORMAT),
        (b'\xef\xbb\xbf{"author": "A", "text": "x"}\n', jsonl.FORMAT),
        (founding.render(Foreign("founding", ("A", "B"), (), TIMES)), founding.FORMAT),
        (founding.render(Foreign("founding", ("A", "B"), (), {**TIMES, "bom": "\ufeff"})),
         founding.FORMAT),
    ],
)  # fmt: skip
def test_a_file_is_known_by_how_it_begins(data: bytes, form: str) -> None:
    started = take_in(data, "file")[0]
    assert isinstance(started, ConversationStarted)
    assert started.source is not None
    assert started.source.format == form


@given(st.binary(max_size=40))
def test_any_other_file_is_refused_with_what_is_known(data: bytes) -> None:
    assume(not data.lstrip(b"\xef\xbb\xbf \r\n").startswith((b"{", b"# ")))
    with pytest.raises(FormatError, match=r"line 1: this looks like none .*--from"):
        take_in(data, "f.bin")


@given(st.binary(max_size=60), st.sampled_from(sorted(FORMATS)))
def test_any_bytes_are_refused_by_name_or_come_back(data: bytes, form: str) -> None:
    try:
        events = take_in(data, "f.bin", form)
    except FormatError:
        return
    assert len(_out(events, form)) > 0
