import pytest
from msgspec.structs import replace

from duologue.core.branch import branch
from duologue.core.event import (
    AttemptFailed,
    ContextReset,
    ConversationEnded,
    ConversationStarted,
    Edit,
    EndReason,
    Event,
    MessageInjected,
    ParticipantLeft,
    TurnCompleted,
    TurnPassed,
    TurnStarted,
)
from duologue.core.message import Message, Origin
from duologue.core.provider import Finish, Seat, ToolCall
from duologue.core.spec import Line
from duologue.core.transcript import Mark, Status, characters, transcript
from duologue.errors import RecordError
from strategies import pair

BEGIN = ConversationStarted(pair())
START = TurnStarted(1, "Ada", "ff")
FAILED = AttemptFailed(1, "Ada", "overload", "busy")


def marks(*events: Event) -> list[tuple[str, str]]:
    """The marks of the first message."""
    first = transcript([BEGIN, *events]).spoken[0]
    return [(mark.kind, mark.text) for mark in first.marks]


def done(text: str = "hi", finish: Finish = Finish.STOP) -> TurnCompleted:
    return TurnCompleted(1, Message("Ada", text), finish)


def injected(origin: Origin, seen_by: tuple[str, ...] | None = None) -> MessageInjected:
    return MessageInjected(1, Message("Eve", "hi", origin, seen_by))


def test_a_plain_turn_needs_no_mark() -> None:
    assert marks(START, done()) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "silence: an empty message"),
        (" \n", "silence: white space only"),
        ("\u200b", "silence: invisible characters only"),
    ],
)
def test_a_silence_is_marked(text: str, words: str) -> None:
    assert marks(START, done(text)) == [("silence", words)]


@pytest.mark.parametrize(
    ("finish", "words"),
    [
        (Finish.LENGTH, "cut: the token limit"),
        (Finish.REFUSAL, "refusal"),
        (Finish.CONTENT_FILTER, "content filter"),
        (Finish.CONTEXT_FULL, "cut: the context is full"),
        (Finish.UNKNOWN, "stopped for a reason that is not known"),
    ],
)
def test_a_cut_is_marked(finish: Finish, words: str) -> None:
    assert marks(START, done(finish=finish)) == [(finish.value, words)]


def test_the_providers_own_word_for_an_unknown_stop_is_told() -> None:
    odd = TurnCompleted(1, Message("Ada", "hi"), Finish.UNKNOWN, finish_raw="pause_turn")
    told = "stopped for a reason that is not known: pause_turn"
    assert marks(START, odd) == [("unknown", told)]


def test_a_seat_that_is_run_otherwise_than_before_is_marked() -> None:
    running = {"engine": "e 2", "threads": 3, "defaults": {"min_p": 0.05}}
    otherwise = TurnStarted(1, "Ada", "ff", running=running)
    told = "run otherwise from here on: engine e 2, threads 3"
    assert marks(otherwise, done()) == [("running", told)]


@pytest.mark.parametrize(
    ("origin", "words"),
    [
        (Origin.OPENING, "opening: given, not generated"),
        (Origin.SCENARIO, "scenario: given, not generated"),
        (Origin.NUDGE, "nudge: added by the system"),
        (Origin.HUMAN, "injected: a person's words"),
    ],
)
def test_words_that_no_model_made_are_marked(origin: Origin, words: str) -> None:
    assert marks(injected(origin)) == [(origin.value, words)]


def test_imported_words_are_marked_once_for_all_by_the_status() -> None:
    read = transcript([BEGIN, injected(Origin.IMPORT), ConversationEnded(EndReason.IMPORT)])
    assert read.spoken[0].marks == ()
    assert read.status is Status.IMPORTED


def test_private_words_say_who_heard_them() -> None:
    assert marks(injected(Origin.HUMAN, ("Ada", "Ben")))[1] == (
        "private",
        "seen by Ada, Ben only",
    )
    assert marks(injected(Origin.HUMAN, ()))[1] == ("private", "seen by nobody only")


def test_everything_about_a_message_is_marked_in_its_order() -> None:
    edited = TurnStarted(1, "Ada", "ff", (Edit("merged", "two in a row"),))
    found = marks(
        START,
        FAILED,
        ConversationEnded(EndReason.ERROR),
        START,
        edited,
        done("[END]", Finish.LENGTH),
        ParticipantLeft(1, "Ada", "[END]"),
    )
    assert found == [
        ("interrupted", "interrupted: this turn was started 3 times"),
        ("attempt", "failed attempt: overload: busy"),
        ("edit", "edited view: merged: two in a row"),
        ("length", "cut: the token limit"),
        ("exit", "exit: Ada left with [END]"),
    ]


def test_tools_that_were_called_and_what_that_did_is_marked() -> None:
    calling = replace(done(""), calls=(ToolCall("leave", '{"x":1}'), ToolCall("dance")))
    found = marks(
        START,
        calling,
        ParticipantLeft(1, "Ada", tool="leave"),
        ParticipantLeft(1, "Ada", phrase="so long"),
        TurnPassed(1, "Ada"),
    )
    assert found == [
        ("silence", "silence: an empty message"),
        ("call", 'tool: called leave with {"x":1}'),
        ("call", "tool: called dance with {}"),
        ("exit", "exit: Ada left with a call of leave"),
        ("exit", "exit: Ada left with 'so long'"),
        ("pass", "pass: Ada passed by its silence"),
    ]
    assert marks(START, done("[PASS]"), TurnPassed(1, "Ada", "[PASS]")) == [
        ("pass", "pass: Ada passed with [PASS]")
    ]


def test_what_was_thought_first_is_marked_and_kept_apart() -> None:
    thought = TurnCompleted(1, Message("Ada", "hi"), reasoning="x" * 1200)
    assert marks(START, thought) == [("reasoning", "thought first: 1,200 characters, kept apart")]


def test_an_attempt_that_failed_is_no_interruption() -> None:
    assert marks(START, FAILED, START, done()) == [("attempt", "failed attempt: overload: busy")]


def test_words_in_the_place_of_a_turn_that_was_started_are_no_interruption() -> None:
    assert marks(START, START, injected(Origin.IMPORT)) == []


def test_what_did_not_become_a_message_is_read_too() -> None:
    read = transcript([BEGIN, START, FAILED, START])
    assert read.spoken == ()
    assert read.pending == (
        Mark("attempt", "failed attempt by Ada: overload: busy"),
        Mark("interrupted", "turn 1: Ada started and did not finish"),
    )
    assert transcript([BEGIN, START, FAILED]).pending == read.pending[:1]


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        (EndReason.ERROR, Status.FAILED),
        (EndReason.EXIT, Status.ENDED),
        (EndReason.CONTEXT_FULL, Status.ENDED),
    ],
)
def test_the_status_is_read_from_the_facts(reason: EndReason, status: Status) -> None:
    assert transcript([BEGIN]).status is Status.INTERRUPTED
    assert transcript([BEGIN, ConversationEnded(reason)]).status is status


def test_names_are_the_seats_and_then_whoever_else_speaks() -> None:
    start = ConversationStarted(pair(opening=(Line("N", "x"), Line("Ben", "y"), Line("N", "z"))))
    assert transcript([start]).names == ("Ada", "Ben", "N")


def test_no_facts_are_no_conversation() -> None:
    with pytest.raises(RecordError, match="no beginning"):
        transcript([])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ""),
        ("\u200b", "U+200B ZERO WIDTH SPACE"),
        ("\u200b \u200b", "2 \u00d7 U+200B ZERO WIDTH SPACE, U+0020 SPACE"),
        ("\n\r\t  ", "2 \u00d7 U+0020 SPACE, U+000A, U+000D, 1 other kinds"),
    ],
)
def test_a_silence_can_be_spelt_out(text: str, words: str) -> None:
    assert characters(text) == words


def test_a_refusal_says_what_the_provider_said() -> None:
    refused = TurnCompleted(1, Message("Ada", "no"), Finish.REFUSAL, detail="cyber: not here")
    assert marks(START, refused) == [("refusal", "refusal: cyber: not here")]


def test_a_silence_that_was_asked_for_again_is_marked_as_that() -> None:
    silent = AttemptFailed(1, "Ada", "silence", "the reply was silent", again=True)
    assert marks(START, silent, START, done()) == [("resent", "silence: the reply was silent")]


def test_a_context_reset_is_marked_at_its_turn_and_at_no_other() -> None:
    full = AttemptFailed(2, "Ben", "context_full", "9 > 8")
    start = TurnStarted(2, "Ben", "ff")
    reset = ContextReset(2, "Ben", 2)
    said = TurnCompleted(2, Message("Ben", "ho"))
    facts: list[Event] = [BEGIN, START, done(), start, full, reset]
    mark = Mark("reset", "context reset: Ben sees the messages from 2 on")
    assert transcript(facts).pending[1:] == (mark,)
    read = transcript([*facts, start, said])
    assert mark not in read.spoken[0].marks
    assert read.spoken[1].marks == (Mark("attempt", "failed attempt: context_full: 9 > 8"), mark)
    assert read.pending == ()


@pytest.mark.parametrize(
    ("seat", "served", "shown"),
    [
        (Seat("openai", "gpt-4o", "openai"), "gpt-4o-2024-08-06", True),
        (Seat("openai", "gpt-4o", "openai"), "gpt-4o", False),
        (Seat("openai", "gpt-4o", "openai"), None, False),
        (Seat("local", "tiny", "gguf"), "tiny, engine 1, threads 1", False),
    ],
)
def test_another_model_than_was_asked_is_marked(
    seat: Seat, served: str | None, *, shown: bool
) -> None:
    begin = ConversationStarted(pair(), {"Ada": seat, "Ben": seat})
    said = TurnCompleted(1, Message("Ada", "hi"), served=served)
    found = transcript([begin, START, said]).spoken[0].marks
    text = "served by gpt-4o-2024-08-06, not gpt-4o"
    assert found == ((Mark("served", text),) if shown else ())


def test_an_inherited_message_was_served_by_the_parents_model() -> None:
    old, new = (Seat("openai", name, "openai") for name in ("old", "new"))
    begin = ConversationStarted(pair(), {"Ada": old, "Ben": old})
    said = TurnCompleted(1, Message("Ada", "hi"), served="old")
    events = branch([begin, START, said], "p", 1, spec=pair(), seats={"Ada": new, "Ben": new})
    assert transcript(events).spoken[0].marks == ()


def test_what_a_message_cost_is_marked_if_it_cost_anything() -> None:
    paid = TurnCompleted(1, Message("Ada", "hi"), cost=0.001234)
    assert marks(START, paid) == [("cost", "cost: $0.00123")]
    assert marks(START, TurnCompleted(1, Message("Ada", "hi"), cost=0.0)) == []


def test_a_person_in_a_seat_is_marked_as_that_and_not_as_an_injection() -> None:
    typed = TurnCompleted(1, Message("Ada", "hi", Origin.HUMAN))
    assert marks(START, typed) == [("human", "a person in the seat")]
