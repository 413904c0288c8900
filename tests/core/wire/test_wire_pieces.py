"""Laws that hold for every dialect of hosted models, and over whole conversations."""

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.core import spec as s
from duologue.core.event import Edit, Event, TurnStarted
from duologue.core.message import silence
from duologue.core.perspective import view
from duologue.core.provider import Provider, Seat
from duologue.core.request import Heard, Request, Role, Wire
from duologue.core.state import fold
from duologue.core.wire import digest, encode
from duologue.core.wire.pieces import begun, ended, members, with_extra
from duologue.errors import RequestRefusedError
from strategies import Spoken, hold, scripts, texts
from wire_views import TALK, read, request, requests, seat, spoken

DIALECTS = ("anthropic", "google", "openai")
dialects = st.sampled_from(DIALECTS)
FOREIGN = {"kind": "somebody else's"}


def seats(dialect: str) -> Seat:
    return seat(dialect, silence="refused")


def wires(events: list[Event]) -> dict[str, list[Wire]]:
    """Every request of a conversation, rebuilt from its facts, by participant."""
    made: dict[str, list[Wire]] = {}
    for place, event in enumerate(events):
        if isinstance(event, TurnStarted) and event.request:
            state = fold(events[:place])
            asked = view(state, event.participant)
            wire = encode(state.begun().seats[event.participant], asked)
            assert digest(wire.body) == event.request
            assert wire.edits == event.edits
            made.setdefault(event.participant, []).append(wire)
    return made


@st.composite
def talks(draw: st.DrawFn) -> tuple[s.ConversationSpec, dict[str, Provider]]:
    """Two or three seats, any dialects, anybody twice in a row, nudges, resent silence."""
    named = ("Ada", "Ben", "Cyd")[: draw(st.integers(2, 3))]
    orders = st.lists(st.sampled_from(named), min_size=2, max_size=5).map(tuple)
    policies: st.SearchStrategy[s.SilencePolicy] = st.sampled_from(
        [s.Keep(), s.Nudge("Go on."), s.Resend(2)]
    )
    spec = s.ConversationSpec(
        tuple(s.Participant(name, "acme:m-1", system=draw(st.none() | texts())) for name in named),
        opening=(s.Line("Host", draw(texts())),),
        order=draw(st.just(s.RoundRobin()) | st.builds(s.Sequence, orders)),
        ending=(s.TurnCap(9),),
        seed=draw(st.none() | st.integers(0, 9)),
        silence=draw(policies),
        stand_in="(says nothing)",
        share_reasoning=draw(st.booleans()),
    )
    cast: dict[str, Provider] = {
        name: Spoken(draw(scripts()), seats(draw(dialects))) for name in named
    }
    return spec, cast


@given(talks())
def test_in_a_conversation_every_request_is_rebuilt_from_the_log_and_views_only_grow(
    talk: tuple[s.ConversationSpec, dict[str, Provider]],
) -> None:
    for made in wires(hold(*talk)).values():
        for before, after in pairwise(made):
            assert after.body[: before.stable] == before.body[: before.stable]
            assert after.stable >= before.stable
        assert all(read(wire.body) for wire in made)


@given(dialects, requests(), texts(), texts())
def test_an_answer_makes_the_stable_part_longer(
    dialect: str, asked: Request, reply: str, then: str
) -> None:
    more = (Heard(Role.OWN, "Ada", reply), Heard(Role.OTHER, "Ben", then))
    now = encode(seats(dialect), asked)
    longer = msgspec.structs.replace(asked, messages=(*asked.messages, *more), seed=7)
    after = encode(seats(dialect), longer)
    assert after.body[: now.stable] == now.body[: now.stable]
    assert now.stable < after.stable <= len(after.body)


@given(dialects, requests(), st.booleans())
def test_equal_requests_give_equal_bytes(dialect: str, asked: Request, stream: bool) -> None:  # noqa: FBT001 - drawn
    again = msgspec.json.decode(msgspec.json.encode(asked), type=Request)
    one, other = (encode(seat(dialect, stream=stream), each) for each in (asked, again))
    assert one.body == other.body


@given(dialects, requests())
def test_what_stands_in_for_silence_is_listed_and_nothing_else_is_changed(
    dialect: str, asked: Request
) -> None:
    edits = [edit for edit in encode(seats(dialect), asked).edits if edit.what == "stand_in"]
    silent = [place for place, one in enumerate(asked.messages) if silence(one.text)]
    assert [edit.message for edit in edits] == silent
    loud = [
        msgspec.structs.replace(one, text=text)
        for one, (_, text) in zip(asked.messages, spoken(asked, refused=True), strict=True)
    ]
    as_said = msgspec.structs.replace(asked, messages=tuple(loud))
    accepting = seat(dialect)
    assert encode(accepting, as_said).body == encode(seats(dialect), asked).body


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("text", "kind"), [("", "empty"), ("\n", "whitespace"), ("\u200b", "invisible")]
)
def test_an_edit_says_who_was_silent_and_how(dialect: str, text: str, kind: str) -> None:
    silent = Heard(Role.OTHER, "Ben", text)
    edit = encode(seats(dialect), request(silent, stand_in="...")).edits[0]
    detail = f"acme refuses a silent turn; Ben said {kind}"
    assert edit == Edit("stand_in", detail, 0)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_silence_is_refused_where_nothing_was_declared_to_stand_in(dialect: str) -> None:
    silent = Heard(Role.OTHER, "Ben", " ")
    with pytest.raises(RequestRefusedError, match=r"Ben .*Ada.*'stand_in'"):
        encode(seats(dialect), request(silent))
    assert not [e for e in encode(seat(dialect), request(silent)).edits if e.what == "stand_in"]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_view_without_words_and_one_that_ends_with_its_own_are_refused(dialect: str) -> None:
    empty = msgspec.structs.replace(request(), messages=())
    with pytest.raises(RequestRefusedError, match="give it an opener"):
        encode(seat(dialect), empty)
    own = request(*TALK[:2])
    with pytest.raises(RequestRefusedError, match="ends with its own words"):
        encode(seat(dialect, prefill="refused"), own)
    assert encode(seat(dialect), own).body


@pytest.mark.parametrize("dialect", DIALECTS)
def test_temperature_nought_is_sent_as_nought(dialect: str) -> None:
    sampling = s.Sampling(temperature=0.0, top_p=0.0)
    sent = encode(seat(dialect), request(sampling=sampling)).body
    assert b'"temperature":0.0' in sent
    assert b'"top_p":0.0' in sent or b'"topP":0.0' in sent


@pytest.mark.parametrize("dialect", DIALECTS)
def test_extra_is_sent_verbatim_null_included(dialect: str) -> None:
    extra: dict[str, Any] = {"a": None, "b": {"c": [1, None, 1.0]}, "d": False}
    sent = encode(seat(dialect), request(sampling=s.Sampling(extra=extra))).body
    assert b'"a":null,"b":{"c":[1,null,1.0]},"d":false' in sent
    assert read(sent).items() >= extra.items()


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", ["messages", "contents", "model"])
def test_extra_cannot_say_twice_what_is_said_already(dialect: str, name: str) -> None:
    sampling = s.Sampling(extra={name: "x"})
    if name in read(encode(seat(dialect), request()).body):
        with pytest.raises(RequestRefusedError, match=f"'{name}' stands in 'extra' and is also"):
            encode(seat(dialect), request(sampling=sampling))
    else:
        assert read(encode(seat(dialect), request(sampling=sampling)).body)[name] == "x"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_reasoning_of_another_dialect_is_left_out_as_an_edit(dialect: str) -> None:
    own = msgspec.structs.replace(TALK[1], blocks=(FOREIGN,))
    wire = encode(seat(dialect), request(TALK[0], own, TALK[2]))
    assert [(edit.what, edit.message) for edit in wire.edits if edit.what == "unbound"] == [
        ("unbound", 1)
    ]
    assert wire.body == encode(seat(dialect), request()).body


def test_an_object_is_made_of_parts_that_may_be_empty() -> None:
    assert begun(members({}), members({"a": None}), b"") == b'{"a":null,'
    assert ended(members({}), members({"a": None}), b"") == b',"a":null}'
    assert with_extra({"a": None, "b": 1}, {"a": 2}, {"a": 3, "c": 4}) == {"b": 1, "a": 2, "c": 4}


def test_a_seat_without_quirks_has_none() -> None:
    bare = Seat("acme", "m", "openai")
    assert read(encode(bare, request()).body)["stream"] is True
