"""Google's replies and errors, chunk by chunk; nothing here touches a socket."""

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
    ContextFullError,
    MalformedReplyError,
    OverloadError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitError,
    RequestRefusedError,
)
from duologue.providers.dialect import Reader, ServerEvent
from duologue.providers.google import Google
from wire_views import TALK, read, request

DIALECT = Google()
SEAT = Seat("google", "gemini-x", "google")
TOKENS = {
    "promptTokenCount": 40,
    "cachedContentTokenCount": 30,
    "candidatesTokenCount": 2,
    "thoughtsTokenCount": 5,
}
SIGNED = {"text": "", "thoughtSignature": "c2ln", "new": None}
RPC = "type.googleapis.com/google.rpc"


def chunk(*parts: dict[str, Any], finish: str | None = None, **fields: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "modelVersion": "gemini-x-1", **fields}


def event(value: Any) -> ServerEvent:
    return ServerEvent("", json.dumps(value).encode())


def told(*chunks: Any) -> tuple[Reader, list[Delta]]:
    reader = DIALECT.reader(SEAT)
    events = [one if isinstance(one, ServerEvent) else event(one) for one in chunks]
    return reader, [delta for one in events for delta in reader.feed(one)]


def reply(*chunks: Any) -> Completion:
    reader, _ = told(*chunks)
    assert reader.done
    return reader.completion()


def whole(value: Any) -> Completion:
    return DIALECT.whole(SEAT, json.dumps(value).encode())


def failed(*chunks: Any) -> ProviderError:
    with pytest.raises(ProviderError) as found:
        told(*chunks)[0].completion()
    return found.value


@pytest.mark.parametrize(
    ("model", "settings", "path"),
    [
        ("m", {}, "/v1beta/models/m:streamGenerateContent?alt=sse"),
        ("m", {"stream": False}, "/v1beta/models/m:generateContent"),
        ("m", {"base_url": "https://a/v1beta"}, "/models/m:streamGenerateContent?alt=sse"),
        ("m", {"base_url": "https://a/v1/", "stream": False}, "/models/m:generateContent"),
        ("m", {"base_url": "https://v1", "stream": False}, "/v1beta/models/m:generateContent"),
        ("tuned/m", {"stream": False}, "/v1beta/tuned/m:generateContent"),
        ("m?key=#", {"stream": False}, "/v1beta/models/m%3Fkey%3D%23:generateContent"),
    ],
)
def test_the_address_names_the_model_and_holds_the_version_once(
    model: str, settings: dict[str, Any], path: str
) -> None:
    assert DIALECT.path(Seat("google", model, "google", settings)) == path


def test_the_key_stands_in_its_header() -> None:
    assert DIALECT.headers("k") == {"x-goog-api-key": "k"}
    assert DIALECT.headers(None) == {}


def test_words_come_as_they_are_made_and_thoughts_are_output() -> None:
    reader, deltas = told(
        chunk({"text": "h", "thought": True}),
        chunk({"text": "m", "thought": True}, {"text": "Hel"}, usageMetadata={}),
        chunk({"text": "lo"}),
    )
    hm = [Delta("h", reasoning=True), Delta("m", reasoning=True)]
    assert deltas == [*hm, Delta("Hel"), Delta("lo")]
    assert not reader.done
    list(reader.feed(event(chunk({"text": ""}, finish="STOP", usageMetadata=TOKENS))))
    assert reader.done
    assert reader.completion() == Completion(
        "Hello",
        finish_raw="STOP",
        usage=Usage(40, 7, cached=30, reasoning=5),
        served="gemini-x-1",
        reasoning="hm",
    )


def test_what_comes_after_the_finish_still_counts() -> None:
    late = {"usageMetadata": TOKENS}
    one = reply(chunk({"text": "a"}, finish="STOP"), late, {"responseId": "r"})
    assert (one.usage.output, one.served) == (7, "gemini-x-1")


def test_tokens_are_not_guessed() -> None:
    assert whole(chunk(finish="STOP")).usage == Usage()
    assert whole(chunk(finish="STOP", usageMetadata={"promptTokenCount": 4})).usage == Usage(4)


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("STOP", Finish.STOP),
        ("MAX_TOKENS", Finish.LENGTH),
        ("SAFETY", Finish.CONTENT_FILTER),
        ("RECITATION", Finish.CONTENT_FILTER),
        ("PROHIBITED_CONTENT", Finish.CONTENT_FILTER),
        ("SPII", Finish.CONTENT_FILTER),
        ("BLOCKLIST", Finish.CONTENT_FILTER),
        ("IMAGE_SAFETY", Finish.CONTENT_FILTER),
        ("MODEL_ARMOR", Finish.CONTENT_FILTER),
        ("LANGUAGE", Finish.UNKNOWN),
        ("OTHER", Finish.UNKNOWN),
        ("MALFORMED_FUNCTION_CALL", Finish.UNKNOWN),
        ("SOMETHING_NEW", Finish.UNKNOWN),
    ],
)
def test_why_it_stopped_is_told_in_our_words_and_theirs(reason: str, finish: Finish) -> None:
    for one in (reply(chunk({"text": "a"}), chunk(finish=reason)), whole(chunk(finish=reason))):
        assert (one.finish, one.finish_raw) == (finish, reason)


def test_an_unspecified_reason_is_none() -> None:
    reader, _ = told(
        chunk({"text": "a"}, finish="FINISH_REASON_UNSPECIFIED"),
        {"promptFeedback": {"blockReason": "BLOCK_REASON_UNSPECIFIED"}},
        chunk({"text": "b"}, finish=""),
    )
    assert not reader.done


@pytest.mark.parametrize(
    "candidate",
    [
        {"finishReason": "STOP"},
        {"finishReason": "STOP", "content": None},
        {"finishReason": "STOP", "content": {"role": "model"}},
        {"finishReason": "STOP", "content": {"parts": []}},
        {"finishReason": "STOP", "content": {"parts": [{"text": ""}]}},
    ],
)
def test_a_reply_without_parts_is_a_silent_turn(candidate: dict[str, Any]) -> None:
    for one in (reply({"candidates": [candidate]}), whole({"candidates": [candidate]})):
        assert (one.text, one.finish, one.blocks) == ("", Finish.STOP, ())


def test_a_filter_says_what_it_filtered_and_leaves_what_had_been_said() -> None:
    ratings = [{"category": "HARM", "blocked": True}, {"category": "SPAM"}]
    end = {"finishReason": "SAFETY", "finishMessage": "No.", "safetyRatings": ratings}
    one = reply(chunk({"text": "Well"}), {"candidates": [end]})
    assert (one.text, one.finish) == ("Well", Finish.CONTENT_FILTER)
    assert one.detail == "No.; blocked for HARM"


@pytest.mark.parametrize(
    ("said", "detail"),
    [
        ({"blockReason": "SAFETY"}, "the prompt was blocked: SAFETY"),
        (
            {"blockReason": "OTHER", "blockReasonMessage": "No."},
            "the prompt was blocked: OTHER: No.",
        ),
    ],
)
def test_a_blocked_prompt_is_a_refusal(said: dict[str, Any], detail: str) -> None:
    feedback = {"promptFeedback": said, "usageMetadata": {"promptTokenCount": 4}}
    for one in (reply(feedback), whole(feedback)):
        assert one == Completion(
            "",
            Finish.REFUSAL,
            finish_raw=said["blockReason"],
            usage=Usage(4),
            detail=detail,
        )


def test_the_reason_of_a_candidate_comes_before_the_prompts() -> None:
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}}
    one = reply(chunk({"text": "a"}, finish="MAX_TOKENS"), blocked)
    assert (one.finish, one.detail) == (Finish.LENGTH, "the prompt was blocked: SAFETY")


def test_signed_parts_are_kept_as_they_came_with_the_words_around_them() -> None:
    thought = {"text": "hm", "thought": True}
    signed = {"text": "!", "thoughtSignature": "c2ln"}
    one = reply(
        chunk(thought, {"text": "Hel"}),
        chunk({"text": "lo"}),
        chunk(signed),
        chunk({"text": "?"}),
        chunk(SIGNED, finish="STOP"),
    )
    assert (one.text, one.reasoning) == ("Hello!?", "hm")
    assert one.blocks == ({"text": "Hello"}, signed, {"text": "?"}, SIGNED)
    own = Heard(Role.OWN, "Ada", one.text, one.blocks)
    sent = read(encode(SEAT, request(TALK[0], own, TALK[2])).body)
    assert sent["contents"][1] == {"role": "model", "parts": list(one.blocks)}


def test_what_is_neither_words_nor_thoughts_is_named() -> None:
    code = {"executableCode": {"code": "1"}}
    one = reply(chunk(code, {"text": "a"}, {"inlineData": {}, "text": "b"}, finish="STOP"))
    assert (one.text, one.detail) == ("ab", "beside the words it sent executableCode, inlineData")


CALL = {"functionCall": {"name": "leave", "args": {"why": "né", "n": [1, 2.5]}, "id": "i"}}


def test_calls_are_kept_in_order_with_their_arguments_and_none_is_hidden() -> None:
    other = {"functionCall": {"name": "never_offered"}}
    for one in (
        reply(chunk({"text": "Bye"}), chunk({"text": "."}, CALL), chunk(other, finish="STOP")),
        whole(chunk({"text": "Bye."}, CALL, other, finish="STOP")),
    ):
        assert (one.text, one.finish, one.finish_raw) == ("Bye.", Finish.CALL, "STOP")
        assert one.calls == (
            ToolCall("leave", '{"why":"né","n":[1,2.5]}', "i"),
            ToolCall("never_offered"),
        )
        assert (one.detail, one.blocks) == (None, ())


def test_a_call_without_words_is_an_empty_text() -> None:
    one = whole(chunk(CALL, finish="STOP"))
    assert (one.text, one.finish, len(one.calls)) == ("", Finish.CALL, 1)


def test_a_signed_call_is_kept_as_it_came_with_those_beside_it() -> None:
    signed, beside = {**CALL, "thoughtSignature": "c2ln"}, {"functionCall": {"name": "leave"}}
    one = reply(chunk({"text": "Bye."}), chunk(signed, beside), chunk(finish="STOP"))
    assert one.blocks == ({"text": "Bye."}, signed, beside)
    assert [call.name for call in one.calls] == ["leave", "leave"]


def test_a_call_that_was_filtered_or_cut_is_not_called_a_call() -> None:
    assert whole(chunk(CALL, finish="MAX_TOKENS")).finish is Finish.LENGTH
    assert whole(chunk(CALL, finish="MALFORMED_FUNCTION_CALL")).finish is Finish.UNKNOWN


def test_a_stream_that_breaks_off_after_a_call_says_what_was_called() -> None:
    error = failed(chunk(CALL))
    assert isinstance(error, BrokenStreamError)
    assert "while it called" in error.detail
    assert "leave" in error.detail


@pytest.mark.parametrize("wrong", [{}, {"name": 7}, {"name": "x", "args": [1]}, "x"])
def test_a_call_that_cannot_be_understood_is_malformed(wrong: Any) -> None:
    error = failed(chunk({"text": "a"}, {"functionCall": wrong}, finish="STOP"))
    assert isinstance(error, MalformedReplyError)
    assert error.partial == "a"


def test_a_second_candidate_is_refused() -> None:
    error = failed(chunk({"text": "a"}), {"candidates": [{"index": 1}]})
    assert isinstance(error, RequestRefusedError)
    assert "candidateCount" in error.detail
    assert error.partial == "a"


def test_a_stream_without_a_finish_is_broken() -> None:
    error = failed(chunk({"text": "Hel"}), chunk({"text": "lo"}))
    assert isinstance(error, BrokenStreamError)
    assert error.partial == "Hello"


def test_a_whole_reply_without_a_finish_is_malformed() -> None:
    with pytest.raises(MalformedReplyError, match="why it ended") as found:
        whole(chunk({"text": "Hello"}))
    assert found.value.partial == "Hello"


@pytest.mark.parametrize(
    "value", [{}, {"usageMetadata": TOKENS}, {"candidates": []}, {"promptFeedback": {}}]
)
def test_no_candidate_and_no_reason_for_it_is_malformed(value: dict[str, Any]) -> None:
    assert isinstance(failed(value), MalformedReplyError)
    with pytest.raises(MalformedReplyError, match="no candidate"):
        whole(value)


def test_chunks_in_a_list_are_a_whole_reply() -> None:
    assert whole([chunk({"text": "a"}), chunk({"text": "b"}, finish="STOP")]).text == "ab"


@pytest.mark.parametrize(
    "wrong",
    [
        ServerEvent("", b'{"candidates":[{"cont'),
        ServerEvent("", b'{"candidates":"\xff"}'),
        ServerEvent("", b"[DONE]"),
        ServerEvent("", b"[" * 200_000),
        None,
        {"candidates": {}},
        {"candidates": [None]},
        {"candidates": [{"content": "a"}]},
        {"candidates": [{"content": {"parts": {}}}]},
        {"candidates": [{"content": {"parts": ["a"]}}]},
        {"candidates": [{"finishReason": 1}]},
        {"usageMetadata": {"promptTokenCount": "4"}},
        {"promptFeedback": {"blockReason": 4}},
        {"modelVersion": 3},
        {"error": "?"},
        chunk({"text": None}),
        chunk({"text": 1}),
        chunk({"text": "a", "thought": "yes"}),
        chunk({"text": "a", "thoughtSignature": None}),
    ],
)
def test_what_cannot_be_understood_is_malformed_and_keeps_what_came_before(wrong: Any) -> None:
    error = failed(chunk({"text": "Hel"}), wrong)
    assert isinstance(error, MalformedReplyError)
    assert error.partial == "Hel"


@pytest.mark.parametrize("body", [b"", b"<html>", b"null", b"[", b"[null]", b'{"candidates":[{'])
def test_a_body_that_cannot_be_understood_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedReplyError):
        DIALECT.whole(SEAT, body)


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["candidates", "content", "parts", "text", "thought", "error", "index",
                         "thoughtSignature", "promptFeedback", "details", "finishReason"]),
        inner,
        max_size=6,
    ),
    max_leaves=12,
))  # fmt: skip
def test_whatever_comes_is_a_reply_or_an_error_of_ours(value: Any) -> None:
    data = json.dumps(value).encode()
    with suppress(ProviderError):
        DIALECT.whole(SEAT, data)
    with suppress(ProviderError):
        told(value)[0].completion()
    assert isinstance(DIALECT.classify(400, {}, data), ProviderError)


def test_half_a_character_may_be_made_whole_by_the_next_chunk() -> None:
    split = (chunk({"text": "\ud83d"}), chunk({"text": "\ude00"}, finish="STOP"))
    assert reply(*split).text == "\U0001f600"


def error_body(status: str, message: str = "?", *details: dict[str, Any]) -> dict[str, Any]:
    found = {"code": 400, "message": message, "status": status, "details": list(details)}
    return {"error": found}


def classified(status: int, value: Any) -> ProviderError:
    return DIALECT.classify(status, {}, json.dumps(value).encode())


@pytest.mark.parametrize(
    ("status", "name", "error"),
    [
        (401, "UNAUTHENTICATED", AuthenticationError),
        (403, "PERMISSION_DENIED", AuthenticationError),
        (404, "NOT_FOUND", RequestRefusedError),
        (429, "RESOURCE_EXHAUSTED", RateLimitError),
        (503, "UNAVAILABLE", OverloadError),
        (500, "INTERNAL", OverloadError),
        (500, "UNKNOWN", OverloadError),
        (409, "ABORTED", OverloadError),
        (499, "CANCELLED", OverloadError),
        (504, "DEADLINE_EXCEEDED", ProviderTimeoutError),
        (400, "INVALID_ARGUMENT", RequestRefusedError),
        (400, "FAILED_PRECONDITION", RequestRefusedError),
        (400, "OUT_OF_RANGE", RequestRefusedError),
        (501, "UNIMPLEMENTED", RequestRefusedError),
        (529, "SOMETHING_NEW", OverloadError),
    ],
)
def test_an_error_is_classified_by_its_status(
    status: int, name: str, error: type[ProviderError]
) -> None:
    for value in (error_body(name), [error_body(name)]):
        found = classified(status, value)
        assert type(found) is error
        assert found.detail.startswith(f"{status}: ? [{name}]")
    if name == "NOT_FOUND":
        assert "model's name" in classified(status, error_body(name)).detail


def test_a_refused_key_is_told_from_a_bad_request_by_its_reason() -> None:
    info = {"@type": f"{RPC}.ErrorInfo", "reason": "API_KEY_INVALID"}
    words = {"@type": f"{RPC}.LocalizedMessage", "message": "?"}
    found = classified(400, error_body("INVALID_ARGUMENT", "API key not valid.", words, info))
    assert type(found) is AuthenticationError
    assert found.detail == (
        "400: API key not valid. [INVALID_ARGUMENT API_KEY_INVALID]; check the key and what it may "
        "use"
    )


def test_a_view_that_is_too_long_is_told_from_a_bad_request_by_its_words() -> None:
    said = "The input token count (9) exceeds the maximum number of tokens allowed (8)."
    assert type(classified(400, error_body("INVALID_ARGUMENT", said))) is ContextFullError
    assert type(classified(429, error_body("RESOURCE_EXHAUSTED", said))) is RateLimitError


@pytest.mark.parametrize(
    ("delay", "wait_s"), [("34.07s", 34.07), ("7s", 7.0), ("soon", None), (7, None)]
)
def test_how_long_to_wait_stands_in_the_details(delay: Any, wait_s: float | None) -> None:
    quota = {"@type": f"{RPC}.QuotaFailure", "violations": []}
    info = {"@type": f"{RPC}.RetryInfo", "retryDelay": delay}
    assert classified(429, error_body("RESOURCE_EXHAUSTED", "?", quota, info)).wait_s == wait_s


def test_an_error_in_a_stream_keeps_what_had_been_said() -> None:
    busy = {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}
    error = failed(chunk({"text": "Hel"}), busy)
    assert isinstance(error, OverloadError)
    assert (error.partial, error.detail) == ("Hel", "503: busy [UNAVAILABLE]")
    for value in (busy, [busy]):
        with pytest.raises(OverloadError):
            whole(value)
    assert failed({"error": {}}).detail == "200: nothing was said"


def test_an_error_without_words_of_the_apis_is_classified_by_its_http_status() -> None:
    found = DIALECT.classify(413, {}, b"<html>\n413</html>")
    assert type(found) is RequestRefusedError
    assert found.detail == "413: <html> 413</html>"
