import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.core.provider import Completion, Delta, Finish, Seat
from duologue.errors import BrokenStreamError, MalformedReplyError, OverloadError
from duologue.providers.openai import OpenAI
from duologue.providers.reading import Reading

EVENTS, JSON = "text/event-stream", "application/json; charset=utf-8"
LIVE = (
    'data: {"choices":[{"delta":{"reasoning":"Hm."}}]}\n\n: ping\n\n'
    'data: {"choices":[{"delta":{"content":"Zoë "}}]}\r\n\r\n'
    'data: {"choices":[{"delta":{"content":"👩!"},"finish_reason":"stop"}]}\n\n'
    "data: [DONE]\n\n"
).encode()
HALF = LIVE[: LIVE.rindex(b'data: {"')]
MESSAGE = {"content": "Zoë 👩!", "reasoning": "Hm."}
WHOLE = json.dumps({"choices": [{"message": MESSAGE, "finish_reason": "stop"}]}).encode()


def read(
    *parts: bytes, kind: str = EVENTS, stream: bool = True
) -> tuple[list[Delta], Completion, Reading]:
    ticks = iter(range(1, 10**6))
    seat = Seat("openai", "m", "openai", {"stream": stream})
    reading = Reading(seat, OpenAI(), kind, lambda: float(next(ticks)))
    items = [delta for part in parts for delta in reading.feed(part)]
    last = list(reading.end())
    (reply,) = (item for item in last if isinstance(item, Completion))
    return [*items, *(item for item in last if isinstance(item, Delta))], reply, reading


@given(st.lists(st.integers(0, len(LIVE))))
def test_a_stream_means_the_same_however_it_is_cut(places: list[int]) -> None:
    at = sorted({0, len(LIVE), *places})
    deltas, reply, reading = read(*(LIVE[one:two] for one, two in pairwise(at)))
    assert deltas == [Delta("Hm.", reasoning=True), Delta("Zoë "), Delta("👩!")]
    assert (reply.text, reply.reasoning, reply.finish) == ("Zoë 👩!", "Hm.", Finish.STOP)
    assert reading.said == ["Zoë ", "👩!"]


@pytest.mark.parametrize("kind", [EVENTS, JSON, "text/plain", ""])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("blank", [b"", b"\n  \r\n", b"\xef\xbb\xbf"])
def test_a_body_that_is_whole_is_whole_whatever_was_asked_for_and_declared(
    blank: bytes, kind: str, *, stream: bool
) -> None:
    deltas, reply, _ = read(blank, WHOLE[:9], WHOLE[9:], kind=kind, stream=stream)
    assert deltas == [Delta("Hm.", reasoning=True), Delta("Zoë 👩!")]
    assert (reply.text, reply.first_token_s, reply.seconds) == ("Zoë 👩!", None, 3.0)


@pytest.mark.parametrize(("kind", "stream"), [("text/plain", True), (JSON, True), (EVENTS, False)])
def test_events_are_events_where_they_were_asked_for_or_declared(
    kind: str, *, stream: bool
) -> None:
    assert read(LIVE, kind=kind, stream=stream)[1].text == "Zoë 👩!"


def test_timings_are_those_of_the_first_delta_and_of_the_end_of_the_reply() -> None:
    first, second, third = LIVE.partition(b": ping\n\n")
    _, reply, _ = read(first, second, third[:60], third[60:], b": late\n\n")
    assert (reply.first_token_s, reply.seconds) == (2.0, 5.0)


def test_a_silent_body_has_no_deltas() -> None:
    body = b'{"choices":[{"message":{"content":null},"finish_reason":"stop"}]}'
    assert read(body)[0] == []


def test_a_page_of_a_gateway_is_malformed_and_named_by_its_type() -> None:
    page = b"<!doctype html><p>Sign in</p>"
    with pytest.raises(MalformedReplyError, match=r"no event came.*Sign in.*text/html"):
        read(page, kind="text/html")
    with pytest.raises(MalformedReplyError, match=r"cannot be understood.*Sign in.*not given"):
        read(page, kind="", stream=False)


def test_a_malformed_reply_of_the_right_type_needs_no_mention_of_it() -> None:
    for kind in (EVENTS, JSON):
        with pytest.raises(MalformedReplyError) as malformed:
            read(b"{", kind=kind)
        assert "content type" not in malformed.value.detail


@pytest.mark.parametrize("parts", [[], [b""], [b"\n \n"], [b": PROCESSING\n\n"]])
def test_a_stream_that_ends_before_it_begins_is_broken(parts: list[bytes]) -> None:
    with pytest.raises(BrokenStreamError):
        read(*parts)


def test_an_empty_body_is_malformed() -> None:
    with pytest.raises(MalformedReplyError):
        read(kind=JSON, stream=False)


def test_an_error_hidden_in_a_line_that_is_no_event_is_told() -> None:
    with pytest.raises(BrokenStreamError, match="among the events stood 'error: no memory'") as cut:
        read(HALF + b"error: no memory\n")
    assert cut.value.partial == "Zoë "


def test_an_event_that_lacks_its_last_line_end_is_heard() -> None:
    deltas, reply, _ = read(b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}')
    assert (deltas, reply.text) == ([Delta("a")], "a")


def test_an_error_in_the_middle_keeps_what_was_said() -> None:
    with pytest.raises(OverloadError, match="gone") as gone:
        read(HALF + b'data: {"error":{"message":"gone"}}\n\n')
    assert gone.value.partial == "Zoë "
