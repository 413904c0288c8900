from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.providers.dialect import ServerEvent
from duologue.providers.sse import Decoder


def events(*parts: bytes) -> list[ServerEvent]:
    decoder = Decoder()
    heard = [event for part in parts for event in decoder.feed(part)]
    return [*heard, *decoder.close()]


def cut(data: bytes, places: list[int]) -> list[bytes]:
    at = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[one:two] for one, two in pairwise(at)] or [b""]


STREAM = (
    "\ufeff: PROCESSING\n\n:\nevent: ping\ndata: {}\n\nretry: 3\nid: 7\n\n"
    "data: Zoë 👩\ndata:  two\ndata\n\nevent: named\n\ndata:x\n\nerror: odd\n\n"
).encode()
HEARD = [
    ServerEvent("ping", b"{}"),
    ServerEvent("", "Zoë 👩\n two\n".encode()),
    ServerEvent("", b"x"),
]


def test_fields_comments_and_empty_lines_mean_what_the_standard_says() -> None:
    assert events(STREAM) == HEARD


@given(st.lists(st.integers(0, 10**6)), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_the_events_are_the_same_however_the_bytes_are_cut_and_the_lines_end(
    places: list[int], end: bytes
) -> None:
    assert events(*cut(STREAM.replace(b"\n", end), places)) == HEARD


@given(st.lists(st.binary(max_size=9)))
def test_any_bytes_are_taken_and_a_cut_changes_nothing(parts: list[bytes]) -> None:
    assert events(*parts) == events(b"".join(parts))


def test_an_event_is_heard_as_soon_as_its_empty_line_has_come() -> None:
    decoder = Decoder()
    assert list(decoder.feed(b"data: a\r")) == []
    assert list(decoder.feed(b"\n\r")) == [ServerEvent("", b"a")]
    assert list(decoder.feed(b"")) == []
    assert list(decoder.feed(b"\ndata: b\n\n")) == [ServerEvent("", b"b")]


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_an_event_without_its_empty_line_counts_at_the_end(end: bytes) -> None:
    assert events(b"data: [DONE]" + end) == [ServerEvent("", b"[DONE]")]


def test_a_byte_order_mark_counts_only_at_the_beginning() -> None:
    assert events(b"\xef", b"\xbb", b"\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\n") == [
        ServerEvent("", b"a")
    ]


def test_the_first_line_that_is_no_event_is_remembered_and_not_for_ever_long() -> None:
    decoder = Decoder()
    list(decoder.feed(b"data: a\n\n<html>" + b"x" * 1000 + b"\n<body>\n"))
    assert decoder.foreign == (b"<html>" + b"x" * 1000)[:500]


def test_two_million_bytes_in_one_line_that_come_seven_at_a_time_cost_little() -> None:
    data = b"data: " + b"x" * 2_000_000 + b"\n\n"  # quadratic cost would copy 300 gigabytes
    parts = [data[at : at + 7] for at in range(0, len(data), 7)]
    assert events(*parts) == [ServerEvent("", data[6:-2])]
