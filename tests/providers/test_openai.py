import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.core.provider import Completion, Delta, Finish, Seat, ToolCall, Usage
from duologue.errors import (
    AuthenticationError,
    BrokenStreamError,
    ContextFullError,
    MalformedReplyError,
    OverloadError,
    ProviderError,
    RateLimitError,
    RequestRefusedError,
)
from duologue.providers.dialect import Dialect, ServerEvent
from duologue.providers.openai import OpenAI

DIALECT: Dialect = OpenAI()
SEAT = Seat("openai", "m", "openai", {"base_url": "http://127.0.0.1/v1", "stream": True})
DONE = b"[DONE]"


def wants(field: str) -> Seat:
    return Seat("openrouter", "m", "openai", {"quirks": {"reasoning_back": field}})


def chunk(delta: Any = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {"model": "m-1", "choices": [{"delta": delta, "finish_reason": finish}], **more}


def streamed(*chunks: dict[str, Any] | bytes, seat: Seat = SEAT) -> tuple[list[Delta], Completion]:
    reader = DIALECT.reader(seat)
    deltas: list[Delta] = []
    for sent in chunks:
        data = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
        deltas += reader.feed(ServerEvent("", data))
    return deltas, reader.completion()


def said(*chunks: dict[str, Any] | bytes, seat: Seat = SEAT) -> Completion:
    """The completion of a stream; its deltas are its text and its reasoning."""
    deltas, reply = streamed(*chunks, seat=seat)
    assert "".join(delta.text for delta in deltas if not delta.reasoning) == reply.text
    assert "".join(delta.text for delta in deltas if delta.reasoning) == (reply.reasoning or "")
    return reply


def whole(message: Any, finish: str | None = "stop", **more: Any) -> Completion:
    body = {"model": "m-1", "choices": [{"message": message, "finish_reason": finish}], **more}
    return DIALECT.whole(SEAT, json.dumps(body).encode())


def test_the_address_and_the_key_are_where_the_dialect_wants_them() -> None:
    assert DIALECT.path(SEAT) == "/chat/completions"
    assert DIALECT.headers("sk-1") == {"Authorization": "Bearer sk-1"}
    assert DIALECT.headers(None) == {}


USAGE = {
    "prompt_tokens": 9,
    "completion_tokens": 7,
    "total_tokens": 16,
    "prompt_tokens_details": {"cached_tokens": 5},
    "completion_tokens_details": {"reasoning_tokens": 3},
}


def test_a_stream_is_read_from_its_role_to_its_usage() -> None:
    reply = said(
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "He"}),
        chunk({"content": "llo"}),
        b"",
        chunk({}, "stop"),
        {"choices": [], "usage": USAGE},
        DONE,
    )
    assert reply == Completion(
        "Hello",
        Finish.STOP,
        finish_raw="stop",
        usage=Usage(9, 7, cached=5, reasoning=3),
        served="m-1",
    )


def test_a_whole_reply_is_read_alike() -> None:
    reply = whole({"role": "assistant", "content": "Hello"}, usage=USAGE)
    assert reply == Completion(
        "Hello", finish_raw="stop", usage=Usage(9, 7, cached=5, reasoning=3), served="m-1"
    )


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_nothing_is_dropped_of_deltas_that_come_twice(texts: list[str]) -> None:
    twice = [chunk({"content": text}) for text in texts for _ in range(2)]
    reply = said(*twice, chunk({}, "stop"))
    assert reply.text == "".join(text * 2 for text in texts)


COUNTS: list[tuple[Any, Usage]] = [
    (None, Usage()),
    ([], Usage()),
    ({}, Usage()),
    ({"prompt_tokens": "9", "completion_tokens": True}, Usage()),
    ({"prompt_tokens": 9, "prompt_cache_hit_tokens": 4}, Usage(9, cached=4)),
    ({"prompt_tokens": 9, "cached_tokens": 0}, Usage(9, cached=0)),
    (USAGE | {"total_tokens": 19}, Usage(9, 10, cached=5, reasoning=3)),
]


@pytest.mark.parametrize(("usage", "counted"), COUNTS)
def test_tokens_are_counted_where_each_provider_counts_them(usage: Any, counted: Usage) -> None:
    assert whole({"content": ""}, usage=usage).usage == counted


def test_usage_inside_the_last_choice_counts() -> None:
    last = {"choices": [{"finish_reason": "stop", "usage": {"prompt_tokens": 2}}]}
    assert said(last).usage == Usage(2)


FINISHES = [
    ("stop", Finish.STOP),
    ("eos", Finish.STOP),
    ("length", Finish.LENGTH),
    ("content_filter", Finish.CONTENT_FILTER),
    ("refusal", Finish.REFUSAL),
    ("context_length_exceeded", Finish.CONTEXT_FULL),
    ("tool_calls", Finish.CALL),
    (None, Finish.UNKNOWN),
]


@pytest.mark.parametrize(("raw", "finish"), FINISHES)
def test_the_finish_is_ours_and_theirs_is_kept(raw: str | None, finish: Finish) -> None:
    for reply in (whole({"content": "a"}, raw), said(chunk({"content": "a"}, raw), DONE)):
        assert (reply.finish, reply.finish_raw) == (finish, raw)


def test_a_refusal_is_what_the_model_said_and_is_named_a_refusal() -> None:
    reply = said(chunk({"refusal": "I "}), chunk({"refusal": "won't."}), chunk({}, "stop"))
    assert (reply.text, reply.finish, reply.detail) == (
        "I won't.",
        Finish.REFUSAL,
        "refusal field",
    )
    assert whole({"content": None, "refusal": "I won't."}).finish is Finish.REFUSAL


def test_the_refusal_of_a_model_behind_a_router_is_known_by_its_own_word() -> None:
    choice = {"finish_reason": "stop", "native_finish_reason": "refusal", "delta": {"content": ""}}
    reply = said({"choices": [choice]})
    assert (reply.finish, reply.detail) == (Finish.REFUSAL, "native_finish_reason refusal")


def test_a_native_word_for_a_plain_stop_is_no_detail() -> None:
    choice = {"finish_reason": "stop", "native_finish_reason": "end_turn", "delta": {}}
    assert said({"choices": [choice]}).detail is None


def test_a_filter_says_what_it_found() -> None:
    found = {"hate": {"filtered": True}}
    choice = {"finish_reason": "content_filter", "content_filter_results": found, "delta": {}}
    reply = said({"choices": [choice]})
    assert (reply.finish, reply.detail) == (
        Finish.CONTENT_FILTER,
        '{"hate": {"filtered": true}}',
    )


@pytest.mark.parametrize("content", [None, "", []])
def test_a_reply_without_content_is_silent(content: Any) -> None:
    assert whole({"content": content}).text == ""


def test_a_whole_message_in_a_stream_is_heard() -> None:
    assert said({"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}]}).text == "a"


REASONS = [
    {"reasoning_content": "Hm."},
    {"reasoning": "Hm."},
    {"reasoning_content": "Hm.", "reasoning": "Hm."},
    {"reasoning": "Hm.", "reasoning_details": [{"type": "reasoning.text", "text": "Hm."}]},
    {"reasoning_details": [{"type": "reasoning.summary", "summary": "Hm."}, {"text": 1}]},
    {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]},
    {"content": [{"type": "thinking", "thinking": "Hm."}]},
]


@pytest.mark.parametrize("delta", REASONS)
def test_reasoning_is_kept_apart_wherever_it_stands_and_told_once(delta: dict[str, Any]) -> None:
    reply = said(chunk(delta), chunk({"content": "Yes."}), chunk({}, "stop"))
    assert (reply.reasoning, reply.text, reply.blocks) == ("Hm.", "Yes.", ())


def test_content_in_parts_is_joined_and_what_is_no_text_is_told() -> None:
    part = {"type": "reference", "ids": [1]}
    reply = whole({"content": [{"type": "text", "text": "a"}, part, {"type": "text"}]})
    assert (reply.text, reply.detail) == ("a", f"beside the words it sent {json.dumps([part])}")


def piece(arguments: Any = None, **fields: Any) -> dict[str, Any]:
    """One piece of a call; ``name`` stands in its function."""
    called = {"arguments": arguments} if arguments is not None else {}
    if "name" in fields:
        called["name"] = fields.pop("name")
    return {"tool_calls": [{**fields, "function": called}]}


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1)))
def test_a_call_is_assembled_from_its_pieces_to_the_character(pieces: list[str]) -> None:
    reply = said(
        chunk({"content": "Good"}),
        chunk({"content": "bye."}),
        chunk(piece("", index=0, id="c1", type="function", name="leave")),
        *(chunk(piece(crumb, index=0)) for crumb in pieces),
        chunk({}, "tool_calls"),
        DONE,
    )
    assert (reply.text, reply.finish, reply.detail) == ("Goodbye.", Finish.CALL, None)
    assert reply.calls == (ToolCall("leave", "".join(pieces), "c1"),)


def test_a_call_without_words_is_an_empty_text() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "leave", "arguments": "{}"}}
    reply = whole({"content": None, "tool_calls": [call]}, "tool_calls")
    assert (reply.text, reply.calls) == ("", (ToolCall("leave", "{}", "c1"),))
    assert (reply.finish, reply.finish_raw, reply.detail) == (Finish.CALL, "tool_calls", None)


PIECES = {
    "by their index, interleaved": (
        [
            piece("", index=0, id="a", name="leave"),
            piece("", index=1, id="b", name="other"),
            piece("1", index=0),
            piece("2", index=1),
        ],
        [("leave", "1", "a"), ("other", "2", "b")],
    ),
    "where each piece says all again": (
        [piece(crumb, index=0, id="a", name="leave") for crumb in '{"a'],
        [("leave", '{"a', "a")],
    ),
    "where a name comes in two": (
        [piece(index=0, id="a", name="le"), piece("{}", index=0, name="ave")],
        [("leave", "{}", "a")],
    ),
    "where one index stands for several": (
        [piece("1", index=0, id="a", name="leave"), piece("2", index=0, id="b", name="leave")],
        [("leave", "1", "a"), ("leave", "2", "b")],
    ),
    "where the id comes late": (
        [piece("1", index=0, name="leave"), piece("2", index=0, id="a")],
        [("leave", "12", "a")],
    ),
    "without any index": (
        [
            piece("1", id="a", name="leave"),
            piece("2"),
            piece("3", id="b", name="leave"),
            piece("4", id="b"),
        ],
        [("leave", "12", "a"), ("leave", "34", "b")],
    ),
    "without index and id": (
        [piece("1", name="leave"), piece("2"), piece("3", name="leave")],
        [("leave", "12", None), ("leave", "3", None)],
    ),
    "with arguments that are an object": (
        [piece({"a": ["né", 1]}, index=0, name="leave")],
        [("leave", '{"a":["né",1]}', None)],
    ),
    "without arguments": ([piece(index=0, id="a", name="leave")], [("leave", "", "a")]),
}


@pytest.mark.parametrize("form", PIECES)
def test_calls_are_told_apart(form: str) -> None:
    pieces, calls = PIECES[form]
    reply = said(*map(chunk, pieces), chunk({}, "stop"))
    assert [(call.name, call.arguments, call.id) for call in reply.calls] == calls
    assert (reply.finish, reply.finish_raw, reply.detail) == (Finish.CALL, "stop", None)


def test_calls_of_a_whole_reply_are_never_run_together() -> None:
    calls = [{"index": 0, "function": {"name": "leave", "arguments": "1"}}] * 2
    assert len(whole({"content": "a", "tool_calls": calls}).calls) == 2


@pytest.mark.parametrize(
    "wrong", [{"id": "1"}, "x", {"function": "x"}, {"type": "custom", "custom": {"name": "x"}}]
)
def test_what_has_not_the_form_of_a_call_is_told(wrong: Any) -> None:
    for reply in (
        whole({"content": "a", "tool_calls": [wrong]}),
        said(chunk({"content": "a", "tool_calls": [wrong]}), chunk({}, "stop")),
    ):
        assert (reply.calls, reply.finish) == ((), Finish.STOP)
        assert reply.detail == f"beside the words it sent {json.dumps([wrong])}"
    assert whole({"content": "a", "tool_calls": {"a": 1}}).detail == (
        'beside the words it sent [{"a": 1}]'
    )
    assert whole({"content": "a", "function_call": {"name": "x"}}).detail == (
        'beside the words it sent [{"name": "x"}]'
    )


def test_a_call_that_was_cut_is_kept_and_not_called_a_call() -> None:
    reply = said(chunk(piece('{"a', index=0, name="leave")), chunk({}, "length"))
    assert (reply.finish, reply.calls) == (Finish.LENGTH, (ToolCall("leave", '{"a'),))


def test_a_stream_that_breaks_off_in_a_call_says_what_was_called() -> None:
    with pytest.raises(BrokenStreamError, match=r"while it called .*leave.*\{\"a'"):
        streamed(chunk(piece('{"a', index=0, name="leave")))


def test_reasoning_that_only_calls_want_back_is_a_block_beside_a_call() -> None:
    seat = Seat(
        "moonshot", "m", "openai", {"quirks": {"reasoning_with_calls": "reasoning_content"}}
    )
    thought = chunk({"reasoning_content": "Hm."})
    assert said(thought, chunk({"content": "a"}, "stop"), seat=seat).blocks == ()
    reply = said(thought, chunk(piece("{}", index=0, name="leave"), "tool_calls"), seat=seat)
    assert reply.blocks == ({"field": "reasoning_content", "value": "Hm."},)


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_that_is_wanted_back_is_a_block(field: str) -> None:
    deltas = ({field: "H"}, {field: "m."}, {"content": "a"})
    reply = said(*map(chunk, deltas), DONE, seat=wants(field))
    assert reply.blocks == ({"field": field, "value": "Hm."},)


def detail(index: int, **more: Any) -> dict[str, Any]:
    return {"type": "reasoning.text", "index": index, **more}


def test_reasoning_details_are_put_together_in_order_and_otherwise_untouched() -> None:
    encrypted = {"type": "reasoning.encrypted", "data": "xx", "index": 1, "id": None}
    sent = [
        detail(0, text="H", signature=None, format="f"),
        detail(0, text="m.", signature="s"),
        detail(0, signature=None, summary="?", text=None),
        encrypted,
        encrypted,
        detail(2, text="So."),
    ]
    chunks = [chunk({"reasoning_details": [one]}) for one in sent]
    reply = said(*chunks, chunk({"content": "a"}), DONE, seat=wants("reasoning_details"))
    assert reply.blocks == (
        {
            "field": "reasoning_details",
            "value": [
                detail(0, text="Hm.", signature="s", format="f", summary="?"),
                encrypted,
                encrypted,
                detail(2, text="So."),
            ],
        },
    )
    assert reply.reasoning == "Hm.?So."


def test_a_reply_without_reasoning_has_no_block() -> None:
    for field in ("reasoning_details", "reasoning_content"):
        assert said(chunk({"content": "a"}, "stop"), seat=wants(field)).blocks == ()


def test_half_a_character_stays_and_two_halves_become_one() -> None:
    torn = rb'{"choices":[{"delta":{"content":"\ud83d"}}]}'
    rest = rb'{"choices":[{"delta":{"content":"\ude00"},"finish_reason":"stop"}]}'
    assert streamed(torn, DONE)[1].text == "\ud83d"
    assert streamed(torn, rest)[1].text == "\U0001f600"


@pytest.mark.parametrize("end", [[], [{"choices": [], "usage": USAGE}]])
def test_a_stream_without_an_end_is_broken(end: list[dict[str, Any]]) -> None:
    with pytest.raises(BrokenStreamError, match="ended before") as broken:
        said(chunk({"content": "He"}), *end)
    assert broken.value.partial == "He"


def test_a_stream_that_says_why_it_stops_needs_no_last_word() -> None:
    reader = DIALECT.reader(SEAT)
    for sent, done in ((chunk({"content": "a"}), False), (chunk({}, "stop"), True)):
        list(reader.feed(ServerEvent("", json.dumps(sent).encode())))
        assert reader.done is done


@pytest.mark.parametrize("body", [b"{}", b'{"choices":[]}', b'{"choices":null}'])
def test_a_reply_without_choices_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedReplyError, match="no choices"):
        DIALECT.whole(SEAT, body)
    with pytest.raises(MalformedReplyError, match="no choices"):
        said(body, DONE)


BAD = [b"", b"{", b"[]", b'"a"', b"\xff", b'{"choices":[{"delta":{"content":7}}]}', b"[" * 9999]


@pytest.mark.parametrize("body", BAD, ids=range(len(BAD)))
def test_what_cannot_be_understood_is_malformed_and_shown(body: bytes) -> None:
    with pytest.raises(MalformedReplyError, match="cannot be understood") as malformed:
        DIALECT.whole(SEAT, body)
    assert body[:2000].decode("utf-8", "backslashreplace") in malformed.value.detail
    if body:
        with pytest.raises(MalformedReplyError) as malformed:
            said(chunk({"content": "He"}), body)
        assert malformed.value.partial == "He"


def test_a_second_choice_is_not_dropped_in_silence() -> None:
    with pytest.raises(RequestRefusedError, match="take 'n' out"):
        said({"choices": [{"index": 1, "delta": {"content": "b"}}]})


@pytest.mark.parametrize("finish", ["error", "insufficient_system_resource"])
def test_a_provider_that_gives_up_in_mid_reply_is_overloaded(finish: str) -> None:
    with pytest.raises(OverloadError, match=finish) as gone:
        said(chunk({"content": "He"}), chunk({"content": "l"}, finish))
    assert gone.value.partial == "Hel"


IN_BAND: list[tuple[Any, type[ProviderError]]] = [
    ({"code": 502, "message": "Upstream", "metadata": {"error_type": "x"}}, OverloadError),
    ({"code": "429", "message": "Slow"}, RateLimitError),
    ({"code": 200, "message": "?"}, OverloadError),
    ({"code": "rate_limit_exceeded", "message": "Slow"}, RateLimitError),
    ({"type": "insufficient_quota", "message": "Pay"}, RequestRefusedError),
    ({"type": "authentication_error", "message": "Who?"}, AuthenticationError),
    ({"code": "context_length_exceeded", "message": "Long"}, ContextFullError),
    ({"type": "invalid_request_error", "message": "No"}, RequestRefusedError),
    ({"type": "server_error", "message": "Oh"}, OverloadError),
    ({"type": "exceed_context_size_error", "code": 400, "message": "."}, ContextFullError),
    ("it broke", OverloadError),
]


@pytest.mark.parametrize(("error", "kind"), IN_BAND)
def test_an_error_inside_a_200_is_an_error_with_what_came_before(
    error: Any, kind: type[ProviderError]
) -> None:
    words = error if isinstance(error, str) else error["message"]
    with pytest.raises(kind, match=words.replace("?", ".")):
        DIALECT.whole(SEAT, json.dumps({"error": error}).encode())
    with pytest.raises(kind) as raised:
        said(chunk({"content": "He"}), chunk({"content": "l"}, "error", error=error))
    assert raised.value.partial == "Hel"
    assert type(raised.value) is kind


@pytest.mark.parametrize(
    ("name", "sent"),
    [("error", {"message": "Oh", "code": 503}), ("", {"object": "error", "message": "Oh"})],
)
def test_an_error_that_is_one_by_its_name_is_one(name: str, sent: dict[str, Any]) -> None:
    with pytest.raises(OverloadError, match="Oh"):
        list(DIALECT.reader(SEAT).feed(ServerEvent(name, json.dumps(sent).encode())))


def problem(message: str, **more: Any) -> bytes:
    return json.dumps({"error": {"message": message, **more}}).encode()


LONG = "This model's maximum context length is 10 tokens."
STATUSES: list[tuple[int, bytes, type[ProviderError], str]] = [
    (401, problem("No", code="invalid_api_key"), AuthenticationError, r"No \[invalid_api_key\]"),
    (403, problem("No"), AuthenticationError, "403: No; check the key"),
    (403, problem("No", metadata={"reasons": ["x"]}), RequestRefusedError, "moderation"),
    (402, problem("Insufficient Balance"), RequestRefusedError, "cannot pay"),
    (404, problem("no such model"), RequestRefusedError, "no such model; check the model's name"),
    (400, problem("x", code="context_length_exceeded"), ContextFullError, "x"),
    (400, problem(LONG), ContextFullError, "maximum context length"),
    (400, problem(".", type="exceed_context_size_error"), ContextFullError, "400"),
    (413, problem(LONG), ContextFullError, "413"),
    (413, b"<h1>413\n Too Large</h1>", RequestRefusedError, "413: <h1>413 Too Large</h1>"),
    (400, b'{"object":"error","message":"Bad","code":400}', RequestRefusedError, "400: Bad"),
    (422, b'{"detail":[{"loc":["n"]}]}', RequestRefusedError, r'422: \[{"loc": \["n"\]}\]'),
    (429, problem("Slow"), RateLimitError, "429: Slow"),
    (429, problem("Pay", type="insufficient_quota"), RequestRefusedError, "cannot pay"),
    (429, problem("Busy", type="engine_overloaded_error"), OverloadError, "Busy"),
    (408, b"", OverloadError, "408: nothing"),
    (409, b"{}", OverloadError, "409: {}"),
    (500, problem("Oh"), OverloadError, "500: Oh"),
    (503, b'{"error":"busy"}', OverloadError, "503: busy"),
    (529, b"7", OverloadError, "529: 7"),
    (502, problem("Up", metadata={"raw": "down"}), OverloadError, "502: Up: down"),
    (418, problem(""), RequestRefusedError, '418: {"message": ""}'),
    (400, b"[" * 9999, RequestRefusedError, "400"),
]


@pytest.mark.parametrize(("status", "body", "kind", "words"), STATUSES, ids=range(len(STATUSES)))
def test_each_status_is_one_boundary_with_the_provider_s_words(
    status: int, body: bytes, kind: type[ProviderError], words: str
) -> None:
    error = DIALECT.classify(status, {}, body)
    assert type(error) is kind
    with pytest.raises(kind, match=words):
        raise error
