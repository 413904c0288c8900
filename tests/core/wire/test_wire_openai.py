from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.core.request import Heard, Request, Role
from duologue.core.spec import Sampling
from duologue.core.wire.openai import encode
from duologue.errors import RequestRefusedError
from wire_views import TALK, read, request, requests, seat, spoken

DETAILS = {"field": "reasoning_details", "value": [{"type": "x", "text": None, "index": 0}]}
blocks = st.sampled_from([DETAILS, {"field": "reasoning_content", "value": "hm"}])


def body(asked: Request, *, stream: bool = True, **quirks: Any) -> dict[str, Any]:
    made: dict[str, Any] = read(encode(seat("openai", stream=stream, **quirks), asked).body)
    return made


@given(requests(blocks=blocks), st.booleans())
def test_the_body_says_exactly_the_view(asked: Request, refused: bool) -> None:  # noqa: FBT001 - drawn
    made = body(asked, silence="refused" if refused else "accepted")
    system = [] if asked.system is None else [("system", asked.system)]
    said = [(role.value, text) for role, text in spoken(asked, refused=refused)]
    assert [(one.pop("role"), one.pop("content")) for one in made["messages"]] == [*system, *said]
    assert not any(made["messages"])
    assert {key: made[key] for key in asked.sampling.extra} == asked.sampling.extra
    assert made.get("seed") == asked.seed


def test_the_whole_body_is_known_to_the_byte() -> None:
    drawn = Sampling(0.5, 0.9, 64, stop=("[END]",), extra={"top_k": 3})
    assert encode(seat("openai"), request(sampling=drawn, seed=7)).body == (
        b'{"model":"m-1","stream":true,"temperature":0.5,"top_p":0.9,"stop":["[END]"],'
        b'"max_tokens":64,"stream_options":{"include_usage":true},"top_k":3,'
        b'"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"hi"},'
        b'{"role":"assistant","content":"ho"},{"role":"user","content":"?"}],"seed":7}'
    )


def test_quirks_name_the_limit_the_seed_the_systems_role_and_the_routing_key() -> None:
    made = body(
        request(sampling=Sampling(max_tokens=9), seed=3),
        limit="max_completion_tokens",
        seed="random_seed",
        system_role="developer",
        route="session_id",
    )
    assert (made["max_completion_tokens"], made["random_seed"]) == (9, 3)
    assert made["messages"][0]["role"] == "developer"
    assert made["session_id"] == "c/Ada"
    assert not {"max_tokens", "seed"} & made.keys()


def test_extra_may_route_otherwise_and_ask_for_usage_otherwise() -> None:
    extra = {"prompt_cache_key": "mine", "stream_options": None}
    made = body(request(sampling=Sampling(extra=extra)), route="prompt_cache_key")
    assert (made["prompt_cache_key"], made["stream_options"]) == ("mine", None)


def test_a_seed_stands_in_extra_only_where_none_is_declared() -> None:
    drawn = Sampling(extra={"seed": 1})
    assert body(request(sampling=drawn))["seed"] == 1
    with pytest.raises(RequestRefusedError, match="'seed'"):
        body(request(sampling=drawn, seed=2))


def test_usage_is_asked_for_only_in_streams_and_where_it_is_accepted() -> None:
    assert "stream_options" not in body(request(), stream=False)
    assert "stream_options" not in body(request(), stream_usage="refused")
    assert body(request(), stream=False)["stream"] is False


def test_bound_reasoning_goes_back_unmodified_where_the_provider_wants_it() -> None:
    own = Heard(Role.OWN, "Ada", "ho", (DETAILS,))
    asked = request(TALK[0], own, TALK[2])
    assert body(asked, reasoning_back="reasoning_details")["messages"][2] == {
        "role": "assistant",
        "content": "ho",
        "reasoning_details": DETAILS["value"],
    }
    for other in (None, "reasoning_content"):
        assert body(asked, reasoning_back=other)["messages"][2] == {
            "role": "assistant",
            "content": "ho",
        }
