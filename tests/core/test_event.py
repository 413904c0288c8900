import msgspec
import pytest
from hypothesis import given

from duologue.core.event import (
    SCHEMA_VERSION,
    AttemptFailed,
    ConversationEnded,
    ConversationStarted,
    Edit,
    EndReason,
    Event,
    Fork,
    MessageInjected,
    ParticipantLeft,
    Record,
    Source,
    TurnCompleted,
    TurnPassed,
    TurnStarted,
)
from duologue.core.message import Message, Origin
from duologue.core.provider import Finish, Seat, Usage
from strategies import Cast, casts, hold, pair

STARTED = ConversationStarted(
    pair(),
    {"Ada": Seat("local", "tiny", "gguf", {"frames": {"bos": ""}, "n": [1, 2.5, None]})},
    source=Source("founding", "ab", "x.md", {"date": "1"}, ("line 3",)),
)
EVERY: list[Event] = [
    STARTED,
    ConversationStarted(pair(), fork=Fork("lusab", 3, STARTED)),
    TurnStarted(1, "Ada", "ff", (Edit("merged", "two in a row", 1), Edit("cut", "all"))),
    AttemptFailed(1, "Ada", "overload", "busy", "Hel", 1.5),
    TurnCompleted(
        2,
        Message("Ben", '\u200b\x00\\"', seen_by=()),
        Finish.LENGTH,
        "max",
        Usage(1, 2, 3, 4),
        0.25,
        1.5,
        "tiny",
        "hm",
    ),
    MessageInjected(3, Message("N", "x", Origin.NUDGE, ("Ada",))),
    ParticipantLeft(3, "Ada", "[END]"),
    ParticipantLeft(3, "Ada", phrase="so long"),
    ParticipantLeft(3, "Ada", tool="leave"),
    TurnPassed(3, "Ada", "[PASS]"),
    TurnPassed(3, "Ada"),
    ConversationEnded(EndReason.DETECTOR, detail="seen", sign="farewell_loop"),
    ConversationEnded(EndReason.EXIT, "Ada", "left"),
    ConversationEnded(EndReason.IMPORT),
]


def test_a_leaving_says_in_words_how_it_was_done() -> None:
    ways = [fact for fact in EVERY if isinstance(fact, ParticipantLeft)]
    assert [fact.way for fact in ways] == ["[END]", "'so long'", "a call of leave"]
    assert [fact.did for fact in ways] == ["wrote [END]", "said 'so long'", "called leave"]


def again(event: Event) -> Event:
    decoded: Event = msgspec.json.decode(msgspec.json.encode(event), type=Event)
    return decoded


@pytest.mark.parametrize("event", EVERY)
def test_every_kind_of_event_survives_its_record(event: Event) -> None:
    assert again(event) == event
    assert type(again(event)) is type(event)


@given(casts())
def test_every_event_of_a_conversation_survives_its_record(cast: Cast) -> None:
    for event in hold(cast.spec, cast.providers()):
        assert again(event) == event


@pytest.mark.parametrize("event", EVERY)
def test_unknown_fields_are_refused(event: Event) -> None:
    line = msgspec.json.encode(event)
    with pytest.raises(msgspec.ValidationError, match="unknown field `later`"):
        msgspec.json.decode(line[:-1] + b',"later":1}', type=Event)


def test_unknown_kinds_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="Invalid value 'turn_dreamt'"):
        msgspec.json.decode(b'{"kind":"turn_dreamt","turn":1}', type=Event)


def test_an_event_is_tagged_and_short() -> None:
    assert (
        msgspec.json.encode(TurnStarted(1, "Ada", "ff"))
        == b'{"kind":"turn_started","turn":1,"participant":"Ada","request":"ff"}'
    )


def test_a_record_carries_its_event_whole() -> None:
    record = Record(SCHEMA_VERSION, "lusab", 0, "2026-01-01T00:00:00.000000Z", STARTED, "", "00")
    assert msgspec.json.decode(msgspec.json.encode(record), type=Record) == record


def test_an_event_cannot_be_changed() -> None:
    event = TurnStarted(1, "Ada", "ff")
    with pytest.raises(AttributeError):
        event.turn = 2  # type: ignore[misc] # that is the point
