"""The law by which a turn costs what it adds: a body that grew is the body made from nothing."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.core import spec as s
from duologue.core.event import (
    AttemptFailed,
    ContextReset,
    ConversationStarted,
    Event,
    MessageInjected,
    TurnCompleted,
    TurnStarted,
)
from duologue.core.growing import Views
from duologue.core.message import Message
from duologue.core.perspective import SILENCE, view
from duologue.core.provider import Seat, ToolCall
from duologue.core.request import Wire
from duologue.core.state import State, apply, fold
from duologue.core.wire import ENCODERS, digest, encode
from duologue.errors import ConfigurationError, ProviderError
from strategies import LOCAL, injections, pair, specs, texts
from wire_views import seat

BLOCKS = (
    {"field": "reasoning_details", "value": [{"text": "hm"}]},
    {"type": "thinking", "thinking": "hm", "signature": "s"},
    {"type": "reasoning", "text": "hm"},
    {"text": "a"},
    {"text": "", "thoughtSignature": "s"},
    {"kind": "nobody's"},
)
SAID = st.builds(
    TurnCompleted,
    turn=st.just(0),
    message=st.builds(Message, st.just("?"), texts()),
    reasoning=st.none() | st.just("hm"),
    blocks=st.lists(st.sampled_from(BLOCKS), max_size=2).map(tuple),
    calls=st.sampled_from([(), (), (ToolCall("leave"),), (ToolCall("leave", "{", "i"),)]),
)


def quirks() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {},
        optional={
            "silence": st.just("refused"),
            "prefill": st.just("refused"),
            "tools": st.sampled_from(["accepted", "refused"]),
            "past_calls": st.just("refused"),
            "reasoning_back": st.just("reasoning_details"),
            "seed": st.just("random_seed"),
        },
    )


@st.composite
def dialects(draw: st.DrawFn) -> Seat:
    """A seat of any dialect there is, with any ways."""
    name = draw(st.sampled_from(sorted(ENCODERS)))
    return LOCAL if name == "gguf" else seat(name, **draw(quirks()))


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Whatever can happen to views: turns, words from outside, silent attempts, resets."""
    spec = draw(specs(3))
    named = spec.names()
    begun = ConversationStarted(spec, {name: draw(dialects()) for name in named}, key="c")
    events: list[Event] = [begun]
    for _ in range(draw(st.integers(1, 12))):
        state, name = fold(events), draw(st.sampled_from(named))
        happens = draw(st.sampled_from(["turn", "turn", "turn", "outside", "silent", "reset"]))
        if happens == "outside":
            events.append(MessageInjected(state.turn, draw(injections(named))))
        elif happens == "reset":
            first = draw(st.integers(state.views.get(name, 1), state.turn))
            events.append(ContextReset(state.turn, name, first))
        else:
            events.append(TurnStarted(state.turn, name, ""))
            events.append(
                AttemptFailed(state.turn, name, SILENCE, "silent", again=True)
                if happens == "silent"
                else draw(spoken(state.turn, name))
            )
    return events


@st.composite
def spoken(draw: st.DrawFn, turn: int, name: str) -> TurnCompleted:
    said = draw(SAID)
    message = Message(name, said.message.text)
    return TurnCompleted(
        turn, message, reasoning=said.reasoning, blocks=said.blocks, calls=said.calls
    )


def states(events: list[Event]) -> Iterator[State]:
    """The conversation after each fact, as the loop sees it."""
    state = State()
    for event in events:
        state = apply(state, event)
        yield state


def from_nothing(state: State, name: str) -> Wire | str:
    try:
        return encode(state.begun().seats[name], view(state, name))
    except (ProviderError, ConfigurationError) as error:
        return str(error)


def grown(views: Views, state: State, name: str) -> Wire | str:
    try:
        return views.wire(state, name)
    except (ProviderError, ConfigurationError) as error:
        return str(error)


@given(histories(), st.data())
def test_a_body_that_grew_is_the_body_made_from_nothing_at_every_turn(
    events: list[Event], data: st.DataObject
) -> None:
    views, some = Views(), st.sets(st.sampled_from(fold(events).begun().spec.names()))
    for state in states(events):
        for name in data.draw(some):
            wire = grown(views, state, name)
            assert wire == from_nothing(state, name)
            assert isinstance(wire, str) or wire.digest == digest(wire.body)


@given(histories())
def test_what_a_body_grew_to_says_nothing_about_a_branch(events: list[Event]) -> None:
    views = Views()
    for state in states(events):
        for name in state.begun().spec.names():
            grown(views, state, name)
    other = fold(
        [ConversationStarted(state.begun().spec, state.begun().seats, key="d"), *events[1:]]
    )
    for name in other.begun().spec.names():
        assert grown(views, other, name) == from_nothing(other, name)


def test_a_body_that_was_refused_is_made_anew() -> None:
    strict = seat("openai", silence="refused")
    spec = pair(opening=(s.Line("Ada", ""),))
    state = fold([ConversationStarted(spec, {"Ada": strict, "Ben": strict})])
    views = Views()
    for _ in range(2):
        with pytest.raises(ProviderError, match="declare 'stand_in'"):
            views.wire(state, "Ben")


@pytest.mark.parametrize("dialect", sorted(ENCODERS))
def test_each_message_is_written_once_for_each_participant(
    dialect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    encoder = ENCODERS[dialect]
    monkeypatch.setattr(encoder, "say", _counted(encoder.say, written))  # type: ignore[attr-defined]
    held = LOCAL if dialect == "gguf" else seat(dialect)
    spec = pair(opening=(s.Line("Ada", "Hello."),))
    begun = ConversationStarted(spec, {"Ada": held, "Ben": held})
    views, state = Views(), fold([begun])
    for turn in range(2, 42):
        name = ("Ada", "Ben")[(turn + 1) % 2]
        views.wire(state, name)
        state = apply(state, TurnStarted(turn, name, ""))
        state = apply(state, TurnCompleted(turn, Message(name, f"{turn}")))
    assert len(written) == len(set(written)) == 80 - 1


def _counted(say: object, written: list[str]) -> object:
    """``say``, and whose view it wrote which message into."""

    def counting(draft: object, heard: object) -> None:
        written.append(f"{draft.request.participant}: {heard.text}")  # type: ignore[attr-defined]
        say(draft, heard)  # type: ignore[operator]

    return counting
