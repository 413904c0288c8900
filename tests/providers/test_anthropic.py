"""Anthropic's replies and errors, event by event; nothing here touches a socket."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.core.provider import Completion, Delta, Finish, Seat, ToolCall, Usage
from duologue.core.request import Heard, Role
from duologue.core.wire import encode
from duologue.errors import (
    AuthenticationError,
    BrokenStreamError,
    ContentFilterError,
    ContextFullError,
    MalformedReplyError,
    OverloadError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitError,
    RequestRefusedError,
)
from duologue.providers.anthropic import Anthropic
from duologue.providers.dialect import Reader, ServerEvent
from wire_views import TALK, read, request

DIALECT = Anthropic()
SEAT = Seat("anthropic", "claude-x", "anthropic")
TEXT = {"type": "text", "text": ""}
THINKING = {"type": "thinking", "thinking": "", "signature": ""}
SEALED = {"type": "redacted_thinking", "data": "c2VhbGVk"}


def event(kind: str, **fields: Any) -> ServerEvent:
    return ServerEvent(kind, json.dumps({"type": kind, **fields}).encode())


def start(**fields: Any) -> ServerEvent:
    usage = {"input_tokens": 3, "cache_read_input_tokens": 40, "cache_creation_input_tokens": 5}
    message = {"model": "claude-x-1", "content": [], "usage": {**usage, "output_tokens": 1}}
    return event("message_start", message=message | fields)


def begins(place: int, block: dict[str, Any]) -> ServerEvent:
    return event("content_block_start", index=place, content_block=block)


def more(place: int, kind: str, **fields: Any) -> ServerEvent:
    return event("content_block_delta", index=place, delta={"type": kind, **fields})


def text(place: int, *pieces: str) -> list[ServerEvent]:
    return [begins(place, TEXT), *(more(place, "text_delta", text=piece) for piece in pieces)]


def end(reason: str | None = "end_turn", **fields: Any) -> list[ServerEvent]:
    delta = {"stop_reason": reason, "stop_sequence": None, **fields}
    return [event("message_delta", delta=delta, usage={"output_tokens": 9}), event("message_stop")]


def told(*events: ServerEvent) -> tuple[Reader, list[Delta]]:
    reader = DIALECT.reader(SEAT)
    return reader, [delta for one in events for delta in reader.feed(one)]


def reply(*events: ServerEvent) -> Completion:
    reader, _ = told(*events)
    assert reader.done
    return reader.completion()


def whole(**fields: Any) -> Completion:
    body = {"type": "message", "content": [], "stop_reason": "end_turn"} | fields
    return DIALECT.whole(SEAT, json.dumps(body).encode())


def failed(*events: ServerEvent) -> ProviderError:
    with pytest.raises(ProviderError) as found:
        told(*events)[0].completion()
    return found.value


def test_the_address_holds_the_version_once() -> None:
    for base, path in (
        ("https://a", "/v1/messages"),
        ("https://a/v1", "/messages"),
        ("https://a/v1/", "/messages"),
    ):
        assert DIALECT.path(Seat("a", "m", "anthropic", {"base_url": base})) == path
    assert DIALECT.path(SEAT) == "/v1/messages"


def test_the_key_stands_in_its_header_beside_the_version() -> None:
    version = {"anthropic-version": "2023-06-01"}
    assert DIALECT.headers("k") == {"x-api-key": "k", **version}
    assert DIALECT.headers(None) == version


def test_words_come_as_they_are_made_and_cached_tokens_are_input() -> None:
    reader, deltas = told(start(), event("ping"), *text(0, "Hel", "", "lo"))
    assert deltas == [Delta("Hel"), Delta("lo")]
    assert not reader.done
    deltas = [delta for one in end() for delta in reader.feed(one)]
    assert (deltas, reader.done) == ([], True)
    assert reader.completion() == Completion(
        "Hello",
        finish_raw="end_turn",
        usage=Usage(48, 9, cached=40, written=5),
        served="claude-x-1",
    )


def test_what_is_not_said_again_at_the_end_still_holds() -> None:
    late = event("message_delta", delta={"stop_reason": None}, usage={"output_tokens": 11})
    one = reply(start(), *text(0, "a"), end("max_tokens")[0], late, event("message_stop"))
    assert (one.finish, one.usage) == (Finish.LENGTH, Usage(48, 11, cached=40, written=5))


def test_tokens_are_not_guessed() -> None:
    assert whole().usage == Usage()
    assert whole(usage={"cache_read_input_tokens": 4}).usage == Usage(cached=4)
    thought = {"output_tokens": 9, "output_tokens_details": {"thinking_tokens": 7}}
    assert whole(usage={"input_tokens": 2, **thought}).usage == Usage(2, 9, reasoning=7)


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", Finish.STOP),
        ("stop_sequence", Finish.STOP),
        ("max_tokens", Finish.LENGTH),
        ("refusal", Finish.REFUSAL),
        ("model_context_window_exceeded", Finish.CONTEXT_FULL),
        ("pause_turn", Finish.UNKNOWN),
        ("tool_use", Finish.CALL),
        ("something new", Finish.UNKNOWN),
    ],
)
def test_why_it_stopped_is_told_in_our_words_and_theirs(reason: str, finish: Finish) -> None:
    for one in (reply(start(), *text(0, "a"), *end(reason)), whole(stop_reason=reason)):
        assert (one.finish, one.finish_raw) == (finish, reason)


def test_a_reply_without_blocks_is_a_silent_turn() -> None:
    assert reply(start(), *end()).text == whole().text == ""


@pytest.mark.parametrize(
    ("details", "detail"),
    [
        ({"type": "refusal", "category": "cyber", "explanation": "No."}, "cyber: No."),
        ({"category": "bio", "explanation": None}, "bio"),
        ({"category": None}, None),
        (None, None),
    ],
)
def test_a_refusal_keeps_its_category_and_what_had_been_said(details: Any, detail: Any) -> None:
    streamed = reply(start(), *text(0, "Well"), *end("refusal", stop_details=details))
    assert (streamed.text, streamed.finish, streamed.detail) == ("Well", Finish.REFUSAL, detail)
    assert whole(stop_reason="refusal", stop_details=details).detail == detail


def test_thinking_is_kept_apart_and_its_blocks_as_they_came() -> None:
    thinking = {**THINKING, "new": None}
    reader, deltas = told(
        start(),
        begins(0, thinking),
        more(0, "thinking_delta", thinking="h"),
        more(0, "thinking_delta", thinking="m"),
        more(0, "signature_delta", signature="c2ln"),
        begins(1, SEALED),
        *text(2, "ho"),
        *end(),
    )
    assert deltas == [Delta("h", reasoning=True), Delta("m", reasoning=True), Delta("ho")]
    made = {**thinking, "thinking": "hm", "signature": "c2ln"}
    streamed = reader.completion()
    assert (streamed.text, streamed.reasoning) == ("ho", "hm")
    assert streamed.blocks == (made, SEALED)
    at_once = whole(content=[made, SEALED, {"type": "text", "text": "ho"}])
    assert (at_once.text, at_once.reasoning, at_once.blocks) == ("ho", "hm", (made, SEALED))


def test_thinking_that_only_has_a_signature_is_given_back_with_its_empty_text() -> None:
    bare = {"type": "thinking"}
    signed = more(0, "signature_delta", signature="c2ln")
    one = reply(start(), begins(0, bare), signed, *end())
    assert one.blocks == ({"type": "thinking", "thinking": "", "signature": "c2ln"},)
    assert one.reasoning is None


def test_thinking_between_words_is_kept_with_the_words_around_it() -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
    content = [{"type": "text", "text": "h"}, thought, {"type": "text", "text": "o"}]
    one = whole(content=[*content, {"type": "text", "text": ""}])
    assert (one.text, one.blocks) == ("ho", tuple(content))
    own = Heard(Role.OWN, "Ada", one.text, one.blocks)
    sent = read(encode(SEAT, request(TALK[0], own, TALK[2])).body)
    assert sent["messages"][1]["content"] == content


def test_words_alone_are_bound_to_nothing() -> None:
    assert (
        whole(content=[{"type": "text", "text": "h"}, {"type": "text", "text": "o"}]).blocks == ()
    )


def test_two_thoughts_are_told_apart() -> None:
    thoughts = [{"type": "thinking", "thinking": one, "signature": "s"} for one in ("a", "b")]
    assert whole(content=thoughts).reasoning == "a\n\nb"


def test_what_is_neither_words_nor_thoughts_is_named() -> None:
    tool = {"type": "server_tool_use", "name": "x", "input": {}, "text": 1}
    one = reply(
        start(),
        begins(0, tool),
        more(0, "input_json_delta", partial_json="{}"),
        *text(1, "ho"),
        more(1, "citations_delta", citation={}),
        event("content_block_stop", index=1),
        event("new_event"),
        *end("tool_use"),
    )
    assert one.text == "ho"
    assert one.detail == "beside the words it sent server_tool_use, citations_delta, new_event"


CALL = {"type": "tool_use", "id": "toolu_1", "name": "leave", "input": {}}


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1))
def test_a_call_is_assembled_from_its_pieces_to_the_character(pieces: list[str]) -> None:
    crumbs = ("", *pieces, "")
    one = reply(
        start(),
        *text(0, "Good", "bye."),
        begins(1, CALL),
        *(more(1, "input_json_delta", partial_json=crumb) for crumb in crumbs),
        event("content_block_stop", index=1),
        *end("tool_use"),
    )
    assert (one.text, one.finish, one.finish_raw) == ("Goodbye.", Finish.CALL, "tool_use")
    assert one.calls == (ToolCall("leave", "".join(pieces), "toolu_1"),)
    assert (one.detail, one.blocks) == (None, ())


def test_a_call_without_words_is_an_empty_text() -> None:
    called = CALL | {"input": {"why": "né", "n": [1]}}
    one = whole(content=[THINKING | {"signature": "s"}, called], stop_reason="tool_use")
    assert (one.text, one.finish) == ("", Finish.CALL)
    assert one.calls == (ToolCall("leave", '{"why":"né","n":[1]}', "toolu_1"),)
    assert [block["type"] for block in one.blocks] == ["thinking"]


def test_calls_that_go_on_in_turn_are_told_apart_and_none_is_hidden() -> None:
    other = CALL | {"id": None, "name": "never_offered"}
    one = reply(
        start(),
        begins(0, CALL),
        begins(1, other),
        more(1, "input_json_delta", partial_json="[1"),
        more(0, "input_json_delta", partial_json='{"a":'),
        more(0, "text_delta", text="?"),
        more(0, "input_json_delta", partial_json="2}"),
        *end("end_turn"),
    )
    assert one.calls == (ToolCall("leave", '{"a":2}', "toolu_1"), ToolCall("never_offered", "[1"))
    assert (one.finish, one.finish_raw) == (Finish.CALL, "end_turn")
    assert one.detail == "beside the words it sent text_delta"


def test_a_stream_that_breaks_off_in_a_call_says_what_was_called() -> None:
    reader, _ = told(start(), begins(0, CALL), more(0, "input_json_delta", partial_json='{"a'))
    with pytest.raises(BrokenStreamError, match=r"while it called .*leave.*\{\"a'"):
        reader.completion()


@pytest.mark.parametrize("wrong", [{"name": None}, {"name": 7}])
def test_a_call_that_names_no_tool_is_malformed(wrong: dict[str, Any]) -> None:
    with pytest.raises(MalformedReplyError, match="does not name its tool"):
        told(start(), begins(0, CALL | wrong))


def test_a_piece_of_a_call_that_is_no_text_is_malformed() -> None:
    with pytest.raises(MalformedReplyError, match="partial_json is not a text but None"):
        told(start(), begins(0, CALL), more(0, "input_json_delta", partial_json=None))


def test_words_that_come_with_a_blocks_start_count() -> None:
    _, deltas = told(start(), begins(0, {"type": "text", "text": "Hi"}))
    assert deltas == [Delta("Hi")]


def test_what_comes_after_the_end_changes_nothing() -> None:
    assert reply(start(), *text(0, "a"), *end(), ServerEvent("", b"[DONE]")).text == "a"


def test_a_block_that_begins_twice_loses_no_words() -> None:
    assert reply(start(), *text(0, "a"), *text(0, "a"), *end()).text == "aa"


def test_the_name_of_an_event_counts_where_its_data_has_no_type() -> None:
    stop = ServerEvent("message_stop", b"{}")
    assert reply(start(), *text(0, "a"), *end()[:1], stop).text == "a"


@pytest.mark.parametrize("until", [0, 1, 3, -1])
def test_a_stream_that_ends_before_its_end_is_broken(until: int) -> None:
    events = [start(), *text(0, "Hel", "lo"), *end()]
    error = failed(*events[:until])
    assert isinstance(error, BrokenStreamError)
    assert error.partial == {0: "", 1: "", 3: "Hel", -1: "Hello"}[until]


def test_a_reply_that_does_not_say_why_it_ended_is_malformed() -> None:
    error = failed(start(), *text(0, "a"), event("message_stop"))
    assert (error.boundary, error.partial) == ("malformed_reply", "a")
    with pytest.raises(MalformedReplyError, match="why it ended") as found:
        whole(stop_reason=None, content=[{"type": "text", "text": "a"}])
    assert found.value.partial == "a"


@pytest.mark.parametrize(
    "wrong",
    [
        ServerEvent("content_block_delta", b'{"type":"content_block_de'),
        ServerEvent("content_block_delta", b'{"type":"\xff"}'),
        ServerEvent("", b"[1]"),
        ServerEvent("", b"[" * 200_000),
        ServerEvent("", b'{"type":7}'),
        more(0, "text_delta"),
        more(7, "text_delta", text="?"),
        event("content_block_delta", index="0", delta={}),
        event("content_block_delta", index=0),
        begins(1, {"type": "text"}),
        begins(1, {"type": "thinking", "thinking": 1}),
        event("content_block_start", index=1, content_block=None),
        event("message_delta", delta=None),
        event("message_delta", delta={"stop_reason": 1}),
        event("message_delta", delta={}, usage={"output_tokens": "9"}),
        event("message_start", message={"content": None}),
        event("error", error="?"),
    ],
)
def test_what_cannot_be_understood_is_malformed_and_keeps_what_came_before(
    wrong: ServerEvent,
) -> None:
    error = failed(start(), *text(0, "Hel"), wrong)
    assert isinstance(error, MalformedReplyError)
    assert error.partial == "Hel"


def test_null_where_the_words_stand_is_no_words() -> None:
    begun = [event("message_start", message={"content": [{"type": "text", "text": None}]})]
    body = b'{"content":[{"type":"text","text":null}],"stop_reason":"end_turn"}'
    for one in (reply(*begun, more(0, "text_delta", text=None), *end()), DIALECT.whole(SEAT, body)):
        assert (one.text, one.finish) == ("", Finish.STOP)


def test_what_a_filter_held_back_is_named_so() -> None:
    told = "Output blocked by content filtering policy"
    error = failed(start(), *text(0, "Hel"), event("error", error={
        "type": "invalid_request_error", "message": told}))  # fmt: skip
    assert (type(error), error.partial) == (ContentFilterError, "Hel")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"null",
        b'{"type":"message","content":[',
        b'{"type":"message","stop_reason":"end_turn"}',
        b'{"content":null,"stop_reason":"end_turn"}',
        b'{"content":[null],"stop_reason":"end_turn"}',
        b'{"content":[{"type":"text","text":"\xff"}],"stop_reason":"end_turn"}',
        b'{"content":[],"stop_reason":"end_turn","usage":[]}',
        b'{"type":"error","error":null}',
    ],
)
def test_a_body_that_cannot_be_understood_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedReplyError):
        DIALECT.whole(SEAT, body)


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["type", "content", "text", "thinking", "error", "usage", "delta", "index",
                         "content_block", "message", "stop_reason", "model"]),
        inner | st.sampled_from(["text", "thinking", "message_start", "content_block_start"]),
        max_size=6,
    ),
    max_leaves=12,
))  # fmt: skip
def test_whatever_comes_is_a_reply_or_an_error_of_ours(value: Any) -> None:
    data = json.dumps(value).encode()
    with suppress(ProviderError):
        DIALECT.whole(SEAT, data)
    with suppress(ProviderError):
        told(start(), ServerEvent("", data))[0].completion()
    assert isinstance(DIALECT.classify(400, {}, data), ProviderError)


def test_half_a_character_may_be_made_whole_by_the_next_event() -> None:
    assert reply(start(), *text(0, "\ud83d", "\ude00"), *end()).text == "\U0001f600"
    assert reply(start(), *text(0, "\ud83d"), *end()).text == "\ud83d"


OVERLOADED = {"type": "overloaded_error", "message": "Overloaded"}


def test_an_error_in_a_stream_keeps_what_had_been_said() -> None:
    for wrong in (event("error", error=OVERLOADED), ServerEvent("", b'{"error":{"message":"?"}}')):
        error = failed(start(), *text(0, "Hel"), wrong)
        assert error.partial == "Hel"
    error = failed(start(), event("error", error=OVERLOADED))
    assert isinstance(error, OverloadError)
    assert error.detail == "200: Overloaded [overloaded_error]"


def test_an_error_in_a_good_reply_is_an_error() -> None:
    for body in ({"type": "error", "error": OVERLOADED}, {"error": OVERLOADED}):
        with pytest.raises(OverloadError):
            DIALECT.whole(SEAT, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("status", "kind", "message", "error", "says"),
    [
        (401, "authentication_error", "invalid x-api-key", AuthenticationError, "check the key"),
        (403, "permission_error", "no", AuthenticationError, "check the key"),
        (404, "not_found_error", "model: x", RequestRefusedError, "model's name"),
        (402, "billing_error", "pay", RequestRefusedError, "cannot pay"),
        (413, "request_too_large", "big", RequestRefusedError, "big"),
        (429, "rate_limit_error", "slow", RateLimitError, "slow"),
        (529, "overloaded_error", "Overloaded", OverloadError, "529"),
        (500, "api_error", "oh", OverloadError, "oh"),
        (504, "timeout_error", "late", ProviderTimeoutError, "late"),
        (400, "invalid_request_error", "bad", RequestRefusedError, "bad"),
        (
            400,
            "invalid_request_error",
            "prompt is too long: 9 tokens > 8 maximum",
            ContextFullError,
            "9 tokens",
        ),
        (
            400,
            "invalid_request_error",
            "input length and `max_tokens` exceed context limit: 9 + 9 > 8",
            ContextFullError,
            "9 + 9",
        ),
        (
            400,
            "invalid_request_error",
            "messages.1.content.0: The block is bound to a different conversation",
            RequestRefusedError,
            "branch from before",
        ),
        (
            400,
            "invalid_request_error",
            "Invalid `signature` in `thinking` block",
            RequestRefusedError,
            "branch from before",
        ),
        (418, "teapot_error", "", RequestRefusedError, "nothing was said"),
    ],
)
def test_an_error_is_classified_by_its_type_and_words(
    status: int, kind: str, message: str, error: type[ProviderError], *, says: str
) -> None:
    body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "r"}
    found = DIALECT.classify(status, {}, json.dumps(body).encode())
    assert type(found) is error
    assert says in found.detail
    assert f"[{kind}]" in found.detail


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, RequestRefusedError),
        (401, AuthenticationError),
        (403, AuthenticationError),
        (404, RequestRefusedError),
        (408, ProviderTimeoutError),
        (429, RateLimitError),
        (500, OverloadError),
        (503, OverloadError),
        (504, ProviderTimeoutError),
        (529, OverloadError),
        (204, MalformedReplyError),
    ],
)
def test_an_error_without_words_of_the_apis_is_classified_by_its_status(
    status: int, error: type[ProviderError]
) -> None:
    found = DIALECT.classify(status, {}, b"<html>\n Bad \xff gateway</html>")
    assert type(found) is error
    assert found.detail.startswith(f"{status}: <html> Bad \\xff gateway</html>")
    assert "nothing" in DIALECT.classify(status, {}, b"").detail
