from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.core.event import Edit
from duologue.core.request import Heard, Request, Role
from duologue.core.spec import Sampling
from duologue.core.wire.anthropic import LIMIT, encode
from duologue.errors import RequestRefusedError
from wire_views import TALK, read, request, requests, seat, spoken

THOUGHT = {"type": "thinking", "thinking": "", "signature": "c2ln", "more": None}
SEALED = {"type": "redacted_thinking", "data": "c2VhbGVk"}
blocks = st.sampled_from([THOUGHT, SEALED, {"type": "text", "text": "ho"}])


def body(asked: Request, **quirks: Any) -> dict[str, Any]:
    made: dict[str, Any] = read(encode(seat("anthropic", **quirks), asked).body)
    return made


def content(text: str, *bound: dict[str, Any]) -> Any:
    own = Heard(Role.OWN, "Ada", text, bound)
    return body(request(TALK[0], own, TALK[2]))["messages"][1]["content"]


@given(requests(blocks=blocks), st.booleans())
def test_the_body_says_exactly_the_view(asked: Request, refused: bool) -> None:  # noqa: FBT001 - drawn
    made = body(asked, **({"silence": "refused"} if refused else {}))
    said = []
    for one, heard in zip(made["messages"], asked.messages, strict=True):
        parts = one["content"]
        if isinstance(parts, list):
            kept = [part for part in parts if part["type"] != "text"]
            assert kept == [block for block in heard.blocks if block["type"] != "text"]
            parts = "".join(part["text"] for part in parts if part["type"] == "text")
        said.append((Role(one["role"]), parts))
    assert said == spoken(asked, refused=refused)
    assert made.get("system") == asked.system
    assert made["max_tokens"] == (asked.sampling.max_tokens or LIMIT)
    assert {key: made[key] for key in asked.sampling.extra} == asked.sampling.extra


def test_the_whole_body_is_known_to_the_byte_and_has_no_seed() -> None:
    drawn = Sampling(0.5, 0.9, 64, stop=("[END]",), extra={"top_k": 3})
    wire = encode(seat("anthropic", cache="automatic"), request(sampling=drawn, seed=7))
    assert wire.edits == ()
    assert wire.body == (
        b'{"model":"m-1","stream":true,"max_tokens":64,"temperature":0.5,"top_p":0.9,'
        b'"stop_sequences":["[END]"],"system":"Be brief.","cache_control":{"type":"ephemeral"},'
        b'"top_k":3,"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"ho"},'
        b'{"role":"user","content":"?"}]}'
    )


def test_a_limit_that_nobody_declared_is_an_edit() -> None:
    detail = f"acme requires a limit of tokens and none is declared: {LIMIT} is sent"
    assert encode(seat("anthropic"), request()).edits == (Edit("max_tokens", detail),)
    declared = request(sampling=Sampling(extra={"max_tokens": 9}))
    assert encode(seat("anthropic"), declared).edits == ()
    assert body(declared)["max_tokens"] == 9


def test_extra_may_ask_for_another_cache_and_not_for_another_prompt() -> None:
    hour = {"type": "ephemeral", "ttl": "1h"}
    for quirks in ({}, {"cache": "automatic"}):
        drawn = Sampling(extra={"cache_control": hour})
        assert body(request(sampling=drawn), **quirks)["cache_control"] == hour
    with pytest.raises(RequestRefusedError, match="'system'"):
        body(request(sampling=Sampling(extra={"system": "Be long."})))


def test_thinking_comes_back_unmodified_before_the_words() -> None:
    text = {"type": "text", "text": "ho"}
    assert content("ho", THOUGHT, SEALED) == [THOUGHT, SEALED, text]
    assert content("", THOUGHT) == [THOUGHT]


def test_thinking_between_words_comes_back_where_it_stood() -> None:
    first, last = {"type": "text", "text": "h"}, {"type": "text", "text": "o"}
    assert content("ho", first, THOUGHT, last) == [first, THOUGHT, last]


def test_words_that_are_not_the_blocks_words_replace_them() -> None:
    told = {"type": "text", "text": "ho"}
    assert content("other", told, THOUGHT) == [THOUGHT, {"type": "text", "text": "other"}]
