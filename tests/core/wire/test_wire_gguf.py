import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.core.provider import Seat
from duologue.core.request import Heard, Request, Role
from duologue.core.spec import Framing, Sampling
from duologue.core.wire.gguf import encode
from duologue.errors import ConfigurationError

FRAMES = {
    "system": ["<sys>", "</sys>"],
    "user": ["<u>", "</u>"],
    "assistant": ["<a>", "</a>"],
    "default_system": "You are helpful.",
    "stop": ["</a>"],
}
TALK = (Heard(Role.OTHER, "Ben", "hi"), Heard(Role.OWN, "Ada", "</a>"))


def seat(bos: str = "<s>", **changes: object) -> Seat:
    return Seat("local", "tiny", "gguf", {"bos": bos, "frames": {**FRAMES, **changes}})


def view(
    messages: tuple[Heard, ...] = TALK,
    framing: Framing = Framing.CHAT,
    sampling: Sampling | None = None,
    system: str | None = "Be brief.",
) -> Request:
    return Request("Ada", system, framing, messages, sampling or Sampling(), seed=7)


def body(seat: Seat, request: Request) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(encode(seat, request).body)
    return decoded


def test_a_chat_view_puts_control_text_around_words_and_opens_the_next_message() -> None:
    assert body(seat(), view())["prompt"] == [
        ["c", "<s>"],
        ["c", "<sys>"],
        ["w", "Be brief."],
        ["c", "</sys>"],
        ["c", "<u>"],
        ["w", "hi"],
        ["c", "</u>"],
        ["c", "<a>"],
        ["w", "</a>"],
        ["c", "</a>"],
        ["c", "<a>"],
    ]


def test_bound_reasoning_from_before_a_branch_changes_nothing() -> None:
    bound = msgspec.structs.replace(TALK[1], blocks=({"type": "thinking"},))
    assert encode(seat(), view((TALK[0], bound))) == encode(seat(), view())


def test_the_templates_hidden_system_prompt_is_not_sent() -> None:
    assert "helpful" not in encode(seat(), view(system=None)).body.decode()


def test_a_model_without_a_first_token_is_sent_none() -> None:
    assert body(seat(bos=""), view())["prompt"][0] == ["c", "<sys>"]


def test_a_script_is_words_only_and_ends_where_the_participant_is_to_speak() -> None:
    first, *pieces = body(seat(), view(framing=Framing.SCRIPT))["prompt"]
    assert first == ["c", "<s>"]
    assert {kind for kind, _ in pieces} == {"w"}
    assert "".join(text for _, text in pieces) == "Be brief.\n\nBen:\nhi\n\nAda:\n</a>\n\nAda:\n"


def test_a_speech_of_a_script_ends_with_its_line_and_keeps_the_declared_stops() -> None:
    for stops, asked in (((), ["\n"]), (("[END]",), ["[END]", "\n"]), (("\n",), ["\n"])):
        request = view(framing=Framing.SCRIPT, sampling=Sampling(stop=stops))
        assert body(seat(), request)["sampling"]["stop"] == asked


def test_a_script_needs_no_template() -> None:
    bare = Seat("local", "base", "gguf", {"bos": "", "frames": None, "no_frames": "it has none"})
    assert body(bare, view(framing=Framing.SCRIPT))["model"] == "base"
    with pytest.raises(ConfigurationError, match="base: it has none"):
        encode(bare, view())


def test_a_system_prompt_is_refused_where_the_template_has_no_place_for_it() -> None:
    with pytest.raises(ConfigurationError, match="no place for a system prompt"):
        encode(seat(system=None), view())
    assert body(seat(system=None), view(system=None))["prompt"][1] == ["c", "<u>"]


heard = st.builds(
    Heard, st.sampled_from(Role), st.sampled_from(["Ada", "Ben"]), st.text(max_size=20)
)


@given(
    messages=st.lists(heard, max_size=6).map(tuple),
    reply=st.text(max_size=20),
    framing=st.sampled_from(Framing),
)
def test_the_next_body_of_a_participant_begins_with_the_stable_part_of_the_last(
    messages: tuple[Heard, ...], reply: str, framing: Framing
) -> None:
    now = encode(seat(), view(messages, framing))
    after = encode(seat(), view((*messages, Heard(Role.OWN, "Ada", reply)), framing))
    assert after.body[: now.stable] == now.body[: now.stable]
    assert after.stable > now.stable
