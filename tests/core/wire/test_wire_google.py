from itertools import groupby
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.core.event import Edit
from duologue.core.request import Heard, Request, Role
from duologue.core.spec import Sampling
from duologue.core.wire.google import encode
from duologue.errors import RequestRefusedError
from wire_views import TALK, read, request, requests, seat, spoken

SIGNED = {"text": "", "thoughtSignature": "c2ln", "more": None}
THOUGHT = {"text": "hm", "thought": True, "thoughtSignature": "c2ln"}
ROLES = {Role.OWN: "model", Role.OTHER: "user"}
blocks = st.sampled_from([SIGNED, THOUGHT, {"text": "ho"}])


def body(asked: Request, **quirks: Any) -> dict[str, Any]:
    made: dict[str, Any] = read(encode(seat("google", **quirks), asked).body)
    return made


def parts(text: str, *bound: dict[str, Any]) -> Any:
    own = Heard(Role.OWN, "Ada", text, bound)
    return body(request(TALK[0], own, TALK[2]))["contents"][1]["parts"]


@given(requests(blocks=blocks), st.booleans())
def test_the_body_says_exactly_the_view(asked: Request, refused: bool) -> None:  # noqa: FBT001 - drawn
    made = body(asked, **({"silence": "refused"} if refused else {}))
    runs = groupby(spoken(asked, refused=refused), key=lambda one: one[0])
    said = [(ROLES[role], "".join(text for _, text in run)) for role, run in runs]
    assert [(one["role"], _words(one["parts"])) for one in made["contents"]] == said
    system = made.get("systemInstruction")
    assert system == (None if asked.system is None else {"parts": [{"text": asked.system}]})
    assert {key: made[key] for key in asked.sampling.extra} == asked.sampling.extra
    assert made.get("generationConfig", {}).get("seed") == asked.seed


def _words(parts: list[dict[str, Any]]) -> str:
    return "".join(part["text"] for part in parts if not part.get("thought"))


def test_the_whole_body_is_known_to_the_byte() -> None:
    drawn = Sampling(0.5, 0.9, 64, stop=("[END]",), extra={"safetySettings": []})
    assert encode(seat("google"), request(sampling=drawn, seed=7)).body == (
        b'{"systemInstruction":{"parts":[{"text":"Be brief."}]},'
        b'"contents":[{"role":"user","parts":[{"text":"hi"}]},'
        b'{"role":"model","parts":[{"text":"ho"}]},{"role":"user","parts":[{"text":"?"}]}],'
        b'"generationConfig":{"temperature":0.5,"topP":0.9,"maxOutputTokens":64,'
        b'"stopSequences":["[END]"],"seed":7},"safetySettings":[]}'
    )


def test_nothing_is_said_of_a_configuration_that_nobody_declared() -> None:
    bare = encode(seat("google"), request(TALK[0], system=None))
    assert bare.body == b'{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}'
    assert bare.body[: bare.stable] == bare.body[: -len(b"]}]}")]


def test_neighbours_of_one_role_are_parts_of_one_content_as_an_edit() -> None:
    wire = encode(seat("google"), request(TALK[0], TALK[2]))
    assert read(wire.body)["contents"] == [
        {"role": "user", "parts": [{"text": "hi"}, {"text": "?"}]}
    ]
    detail = "acme refuses neighbours of one role: they are parts of one content"
    assert wire.edits == (Edit("joined", detail),)


def test_a_configuration_in_extra_is_joined_with_what_is_declared() -> None:
    thinking = {"thinkingConfig": {"includeThoughts": True}, "topK": None}
    drawn = Sampling(temperature=0.0, extra={"generationConfig": thinking, "cachedContent": "c/1"})
    made = body(request(sampling=drawn))
    assert made["generationConfig"] == {"temperature": 0.0, **thinking}
    assert made["cachedContent"] == "c/1"


@pytest.mark.parametrize("given", [{"temperature": 1}, {"seed": 1}, []])
def test_a_configuration_in_extra_cannot_say_otherwise_or_be_anything_else(given: Any) -> None:
    drawn = Sampling(temperature=0.0, extra={"generationConfig": given})
    with pytest.raises(RequestRefusedError, match="'extra'"):
        body(request(sampling=drawn, seed=2))


def test_signed_parts_come_back_unmodified_and_where_they_stood() -> None:
    assert parts("ho", {"text": "ho"}, SIGNED) == [{"text": "ho"}, SIGNED]
    assert parts("ho", THOUGHT) == [THOUGHT, {"text": "ho"}]
    signed = {"text": "ho", "thoughtSignature": "c2ln"}
    assert parts("ho", signed) == [signed]


def test_words_that_are_not_the_parts_words_replace_them() -> None:
    assert parts("other", THOUGHT, {"text": "ho"}, SIGNED) == [THOUGHT, SIGNED, {"text": "other"}]


@pytest.mark.parametrize("block", [{"text": 1}, {"type": "text", "text": "ho"}, {"thought": True}])
def test_parts_of_another_form_are_not_sent(block: dict[str, Any]) -> None:
    assert parts("ho", block) == [{"text": "ho"}]
