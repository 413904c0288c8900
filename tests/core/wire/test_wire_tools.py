"""Tools that are offered, and calls that were made: what each dialect is sent of them."""

from collections.abc import AsyncGenerator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from duologue.core import spec as s
from duologue.core.event import Edit, TurnStarted
from duologue.core.perspective import offered
from duologue.core.provider import Call, Completion, Provider, Seat, ToolCall
from duologue.core.rebuild import rebuild
from duologue.core.request import Called, Heard, Request, Role, Tool, Wire
from duologue.core.wire import encode
from duologue.core.wire.tools import takes_tools
from duologue.errors import ConfigurationError, RequestRefusedError
from duologue.providers.scripted import Reply
from strategies import LOCAL, hold, texts
from wire_views import TALK, read, request, seat

HOSTED = ("anthropic", "google", "openai")
LEAVE = Tool("leave", "Leave the talk.", "Noted.")
BYE = Called("leave", '{"why": 1.0}', "id-1", "Noted.")


def view(*calls: Called, text: str = "ho", blocks: Any = (), **more: Any) -> Request:
    """A view of Ada's in which she called tools with her words."""
    own = Heard(Role.OWN, "Ada", text, tuple(blocks), calls)
    messages = more.pop("messages", (TALK[0], own, TALK[2]))
    asked = replace(request(*messages, system=None), tools=(LEAVE,))
    return replace(asked, **more)


def edits(wire: Wire) -> list[Edit]:
    return [edit for edit in wire.edits if edit.what not in {"joined", "max_tokens"}]


def own(dialect: str, asked: Request, **quirks: Any) -> Any:
    """What stands for Ada's own turn."""
    made = read(encode(seat(dialect, **quirks), asked).body)
    return made["contents" if dialect == "google" else "messages"][1]


BODIES = {
    "openai": (
        b'{"model":"m-1","stream":true,"tools":[{"type":"function","function":{"name":"leave",'
        b'"description":"Leave the talk.","parameters":{"type":"object","properties":{}}}}],'
        b'"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"hi"},'
        b'{"role":"assistant","content":"ho","tool_calls":[{"id":"id-1","type":"function",'
        b'"function":{"name":"leave","arguments":"{\\"why\\": 1.0}"}}]},'
        b'{"role":"tool","tool_call_id":"id-1","content":"Noted."},'
        b'{"role":"user","content":"?"}]}'
    ),
    "anthropic": (
        b'{"model":"m-1","stream":true,"max_tokens":4096,"tools":[{"name":"leave",'
        b'"description":"Leave the talk.","input_schema":{"type":"object","properties":{}}}],'
        b'"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":['
        b'{"type":"text","text":"ho"},'
        b'{"type":"tool_use","id":"id-1","name":"leave","input":{"why": 1.0}}]},'
        b'{"role":"user","content":[{"type":"tool_result","tool_use_id":"id-1",'
        b'"content":"Noted."}]},{"role":"user","content":"?"}]}'
    ),
    "google": (
        b'{"tools":[{"functionDeclarations":[{"name":"leave","description":"Leave the talk."}]}],'
        b'"contents":[{"role":"user","parts":[{"text":"hi"}]},{"role":"model","parts":['
        b'{"text":"ho"},{"functionCall":{"id":"id-1","name":"leave","args":{"why": 1.0}}}]},'
        b'{"role":"user","parts":[{"functionResponse":{"id":"id-1","name":"leave",'
        b'"response":{"output":"Noted."}}},{"text":"?"}]}]}'
    ),
    "plain": (
        b'{"model":"m-1","participant":"Ada","system":null,"sampling":{},"tools":[{"name":"leave",'
        b'"description":"Leave the talk."}],"messages":['
        b'{"role":"user","author":"Ben","text":"hi"},'
        b'{"role":"assistant","author":"Ada","text":"ho","calls":[{"name":"leave",'
        b'"arguments":"{\\"why\\": 1.0}","id":"id-1","answer":"Noted."}]},'
        b'{"role":"user","author":"Ben","text":"?"}],"seed":null}'
    ),
}


@pytest.mark.parametrize("dialect", BODIES)
def test_the_whole_body_is_known_to_the_byte(dialect: str) -> None:
    wire = encode(seat(dialect, tools="accepted"), view(BYE))
    assert wire.body == BODIES[dialect]
    assert edits(wire) == []


@pytest.mark.parametrize("dialect", [*HOSTED, "plain"])
def test_a_view_grows_over_a_call_and_its_answer(dialect: str) -> None:
    model = seat(dialect, tools="accepted")
    longer = view(BYE)
    steps = [replace(longer, messages=longer.messages[:end]) for end in (1, 2, 3)]
    for before, after in pairwise(encode(model, step) for step in steps):
        assert after.body.startswith(before.body[: before.stable])
        assert after.stable >= before.stable


@pytest.mark.parametrize("dialect", HOSTED)
def test_a_call_without_words_is_sent_without_words_and_needs_no_stand_in(dialect: str) -> None:
    wire = encode(seat(dialect, silence="refused"), view(BYE, text=""))
    assert edits(wire) == []
    assert b'""' not in wire.body


def test_nothing_stands_for_the_words_of_a_bare_call() -> None:
    assert own("openai", view(BYE, text=""))["content"] is None
    assert [one["type"] for one in own("anthropic", view(BYE, text=""))["content"]] == ["tool_use"]
    assert [[*one] for one in own("google", view(BYE, text=""))["parts"]] == [["functionCall"]]


@pytest.mark.parametrize("dialect", HOSTED)
def test_silent_words_beside_a_call_are_left_out_where_they_are_refused(dialect: str) -> None:
    wire = encode(seat(dialect, silence="refused"), view(BYE, text=" \n"))
    (edit,) = edits(wire)
    assert (edit.what, edit.message) == ("left_out", 1)
    assert wire.body == encode(seat(dialect), view(BYE, text="")).body
    assert b'" \\n"' in encode(seat(dialect), view(BYE, text=" \n")).body


@pytest.mark.parametrize("dialect", HOSTED)
def test_a_view_that_ends_with_an_answered_call_can_be_answered(dialect: str) -> None:
    asked = view(BYE)
    short = replace(asked, messages=asked.messages[:2])
    assert encode(seat(dialect, prefill="refused"), short).body
    bare = replace(short, messages=(TALK[0], TALK[1]))
    with pytest.raises(RequestRefusedError, match="ends with its own words"):
        encode(seat(dialect, prefill="refused"), bare)


@pytest.mark.parametrize("dialect", HOSTED)
def test_the_call_of_a_tool_that_nobody_offered_is_left_out_by_an_edit(dialect: str) -> None:
    wire = encode(seat(dialect), view(Called("nuke", "{}", "id-2"), BYE))
    assert wire.body == encode(seat(dialect), view(BYE)).body
    (edit,) = edits(wire)
    assert (edit.what, edit.message) == ("call", 1)
    assert "'nuke' is left out: no such tool was offered" in edit.detail


@pytest.mark.parametrize("dialect", HOSTED)
def test_a_provider_that_refuses_to_go_on_after_a_call_is_shown_the_words(dialect: str) -> None:
    wire = encode(seat(dialect, past_calls="refused"), view(BYE))
    assert wire.body == encode(seat(dialect), view()).body
    assert ["goes on after one" in edit.detail for edit in edits(wire)] == [True]


@pytest.mark.parametrize("given", ["", "[1]", '{"a":', "\ud83d", "[" * 9999])
@pytest.mark.parametrize("dialect", HOSTED)
def test_arguments_that_are_no_object_are_replaced_by_an_edit(dialect: str, given: str) -> None:
    wire = encode(seat(dialect), view(replace(BYE, arguments=given)))
    assert wire.body == encode(seat(dialect), view(replace(BYE, arguments="{}"))).body
    assert [edit.what for edit in edits(wire)] == ["arguments"]


def ids(dialect: str, *calls: Called) -> tuple[list[str], list[str]]:
    """The ids of the calls in a view, and what was edited."""
    wire = encode(seat(dialect), view(*calls))
    turn = own(dialect, view(*calls))
    blocks = turn["tool_calls"] if dialect == "openai" else turn["content"][1:]
    return [block["id"] for block in blocks], [edit.what for edit in edits(wire)]


def test_calls_without_an_id_are_numbered() -> None:
    bare = replace(BYE, id=None)
    assert ids("openai", bare, BYE, bare) == (["call00001", "id-1", "call00003"], [])
    assert ids("anthropic", bare) == (["call00001"], [])


def test_an_id_that_the_provider_refuses_is_replaced_by_an_edit() -> None:
    odd = replace(BYE, id="functions.leave:0")
    assert ids("openai", odd) == (["functions.leave:0"], [])
    assert ids("anthropic", odd) == (["call00001"], ["call_id"])
    assert ids("anthropic", BYE, BYE) == (["id-1", "call00002"], ["call_id"])


def test_google_needs_no_ids() -> None:
    (_, call) = own("google", view(replace(BYE, id=None), BYE))["parts"][:2]
    assert call == {"functionCall": {"name": "leave", "args": {"why": 1.0}}}


SIGNED = {"functionCall": {"name": "leave", "args": {"why": 1.0}}, "thoughtSignature": "c2ln"}
SECOND = {"functionCall": {"name": "leave"}}


def test_a_signed_call_comes_back_as_it_was_and_once() -> None:
    asked = view(BYE, replace(BYE, id=None), text="", blocks=[SIGNED, SECOND])
    assert own("google", asked)["parts"] == [SIGNED, SECOND]
    assert own("google", view(BYE, text="ho", blocks=[SIGNED]))["parts"] == [SIGNED, {"text": "ho"}]


def test_a_signed_call_of_a_tool_that_nobody_offered_is_left_out_too() -> None:
    nuke = {"functionCall": {"name": "nuke"}, "thoughtSignature": "c2ln"}
    asked = view(Called("nuke"), text="ho", blocks=[nuke, {"text": "ho"}])
    assert own("google", asked)["parts"] == [{"text": "ho"}]


def test_a_signed_call_of_a_log_from_before_calls_were_kept_is_sent_as_it_was() -> None:
    asked = replace(view(text="", blocks=[SIGNED]), tools=())
    assert own("google", asked)["parts"] == [SIGNED]


THINKING = {"type": "thinking", "thinking": "hm", "signature": "s"}


def test_a_call_stands_after_the_thinking_that_it_is_bound_to() -> None:
    content = own("anthropic", view(BYE, text="", blocks=[THINKING]))["content"]
    assert [block["type"] for block in content] == ["thinking", "tool_use"]
    other = {"type": "text", "text": "else"}
    content = own("anthropic", view(BYE, text="", blocks=[THINKING, other]))["content"]
    assert [block["type"] for block in content] == ["thinking", "tool_use"]


def test_reasoning_goes_back_with_a_call_where_only_calls_want_it() -> None:
    blocks = [{"field": "reasoning_content", "value": "hm"}]
    quirks = {"reasoning_with_calls": "reasoning_content"}
    assert own("openai", view(BYE, blocks=blocks), **quirks)["reasoning_content"] == "hm"
    assert "reasoning_content" not in own("openai", view(blocks=blocks), **quirks)


# Seats that take no tools.


def test_who_takes_tools_is_told_by_dialect_and_quirks() -> None:
    assert [takes_tools(seat(one)) for one in (*HOSTED, "plain", "gguf", "llm")] == (
        [True] * 3 + [False] * 3
    )
    assert not takes_tools(seat("openai", tools="refused"))
    assert takes_tools(seat("plain", tools="accepted"))


TOOLLESS = (LOCAL, seat("plain"), seat("llm"), seat("openai", tools="refused"))


@pytest.mark.parametrize("model", TOOLLESS, ids=lambda model: str(model.dialect))
def test_a_seat_without_tools_is_refused_where_it_needs_one(model: Seat) -> None:
    needed = replace(view(), tools=(replace(LEAVE, needed=True),))
    told = f"Ada could never call 'leave': {model.provider}:{model.model} takes no tools"
    with pytest.raises(ConfigurationError, match=told):
        encode(model, needed)


@pytest.mark.parametrize("model", TOOLLESS, ids=lambda model: str(model.dialect))
def test_a_seat_without_tools_that_can_leave_otherwise_is_offered_none_by_an_edit(
    model: Seat,
) -> None:
    wire = encode(model, view(BYE))
    assert [edit.what for edit in edits(wire)] == ["tools", "call"]
    assert "leave cannot be offered" in wire.edits[0].detail
    assert wire.body == encode(model, replace(view(), tools=())).body


# What a spec offers.

EXIT = s.Exit(tool="leave", description="Leave the talk.", answer="Noted.")


def spec(*ending: s.Ending, **more: Any) -> s.ConversationSpec:
    seats = tuple(s.Participant(name, "acme:m-1") for name in ("Ada", "Ben"))
    opening = (s.Line("Ben", "hi"),)
    return s.ConversationSpec(seats, opening, ending=(*ending, s.TurnCap(7)), **more)


def test_a_tool_is_offered_wherever_its_exit_stands_and_once() -> None:
    either = replace(EXIT, sentinel="[END]")
    assert offered(spec()) == ()
    assert offered(spec(s.Exit())) == ()
    assert offered(spec(either)) == (LEAVE,)
    assert offered(spec(replace(EXIT, phrase="so long"))) == (LEAVE,)
    needed = (replace(LEAVE, needed=True),)
    nested = s.AnyOf((s.AllOf((EXIT, s.TurnCap(3))),))
    for ending in ((EXIT,), (nested,), (either, nested), (nested, either)):
        assert offered(spec(*ending)) == needed


@pytest.mark.parametrize(
    "wrong",
    [
        replace(EXIT, answer=None),
        replace(EXIT, description=None),
        replace(EXIT, tool=None),
        s.AnyOf((replace(EXIT, answer=None),)),
    ],
)
def test_a_tool_and_its_words_go_together(wrong: s.Ending) -> None:
    with pytest.raises(ConfigurationError, match="a tool needs both"):
        s.check(spec(wrong))


def test_one_tool_has_one_description() -> None:
    assert s.check(spec(EXIT, EXIT))
    with pytest.raises(ConfigurationError, match="declared twice with different words"):
        s.check(spec(EXIT, replace(EXIT, answer="Bye.")))


# Whole conversations.


class Calling:
    """Says what the length of the body chooses, calls included, in any dialect."""

    def __init__(self, replies: list[Reply], model: Seat) -> None:
        self.replies, self.seat = replies, model

    async def stream(self, call: Call) -> AsyncGenerator[Completion, None]:
        reply = self.replies[len(call.body) % len(self.replies)]
        yield Completion(reply.text, calls=reply.calls)

    async def aclose(self) -> None:
        """Nothing is held."""


_NAMES = st.sampled_from(["leave", "leave", "nuke", "é"])
_ARGUMENTS = st.sampled_from(["{}", "", '{"a": "\\u00e9"}', "[1]", '{"a":', "nonsense"])
_CALLS = st.builds(ToolCall, _NAMES, _ARGUMENTS, st.none() | st.sampled_from(["1", "a:b", ""]))
_REPLIES = st.builds(Reply, texts(), calls=st.lists(_CALLS, max_size=3).map(tuple))


@st.composite
def talks(draw: st.DrawFn) -> tuple[s.ConversationSpec, dict[str, Provider]]:
    """Two seats of any dialects, anybody twice in a row, who may leave and talk on."""
    rules = st.sampled_from([s.ExitRule.MUTUAL, s.ExitRule.UNANIMOUS])
    ending = replace(EXIT, sentinel="[END]", rule=draw(rules), within=1)
    orders = st.lists(st.sampled_from(["Ada", "Ben"]), min_size=2, max_size=4).map(tuple)
    order = draw(st.just(s.RoundRobin()) | st.builds(s.Sequence, orders))
    quirks = st.fixed_dictionaries(
        {"silence": st.just("refused")},
        optional={
            "past_calls": st.just("refused"),
            "tools": st.sampled_from(["refused", "accepted"]),
        },
    )
    cast: dict[str, Provider] = {}
    for name in ("Ada", "Ben"):
        dialect = draw(st.sampled_from([*HOSTED, "plain", "llm"]))
        drawn: dict[str, Any] = draw(quirks) if dialect != "plain" else {}
        model = seat(dialect, **drawn)
        cast[name] = Calling(draw(st.lists(_REPLIES, min_size=1, max_size=4)), model)
    return spec(ending, order=order, stand_in="(says nothing)"), cast


@given(talks())
def test_with_calls_in_it_every_request_is_rebuilt_from_the_log_and_views_only_grow(
    talk: tuple[s.ConversationSpec, dict[str, Provider]],
) -> None:
    events = hold(*talk)
    again = list(rebuild(events))
    assert len(again) == sum(isinstance(event, TurnStarted) for event in events)
    made: dict[str, list[Wire]] = {}
    for one in again:
        assert one.agrees
        assert one.wire.edits == one.started.edits
        assert read(one.wire.body)
        made.setdefault(one.started.participant, []).append(one.wire)
    for wires in made.values():
        for before, after in pairwise(wires):
            assert after.body.startswith(before.body[: before.stable])
            assert after.stable >= before.stable
