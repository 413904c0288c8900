import pytest
from msgspec.structs import replace

from duologue.core.event import (
    AttemptFailed,
    ConversationEnded,
    ConversationStarted,
    EndReason,
    Event,
    MessageInjected,
    ParticipantLeft,
    TurnCompleted,
    TurnPassed,
    TurnStarted,
)
from duologue.core.message import Message, Origin
from duologue.core.provider import ToolCall
from duologue.core.spec import Line
from duologue.core.state import State, apply, fold
from duologue.errors import RecordError
from strategies import pair

BEGIN = ConversationStarted(pair(opening=(Line("Ada", " "), Line("N", "x", "scenario"))))
START = TurnStarted(3, "Ben", "ff")
DONE = TurnCompleted(3, Message("Ben", "b"))
FAILED = AttemptFailed(3, "Ben", "overload", "busy")
SAID = MessageInjected(3, Message("N", "x", Origin.HUMAN))
LEFT = ParticipantLeft(3, "Ben", "[END]")
END = ConversationEnded(EndReason.ERROR)


def test_an_opening_is_said_and_never_by_a_model() -> None:
    state = fold([BEGIN])
    assert [entry.message for entry in state.entries] == [
        Message("Ada", " ", Origin.OPENING),
        Message("N", "x", Origin.SCENARIO),
    ]
    assert [entry.turn for entry in state.entries] == [1, 2]
    assert all(isinstance(entry.message.origin, Origin) for entry in state.entries)
    assert state.turn == 3


def test_a_turn_is_pending_from_its_start_to_its_completion() -> None:
    assert fold([BEGIN, START]).pending == START
    done = fold([BEGIN, START, DONE])
    assert done.pending is None
    assert (done.entries[-1].started, done.entries[-1].completed) == (START, DONE)


def test_failed_attempts_belong_to_the_message_that_came_after_them() -> None:
    waiting = fold([BEGIN, START, FAILED])
    assert (waiting.pending, waiting.attempts) == (None, (FAILED,))
    done = fold([BEGIN, START, FAILED, END, START, START, DONE])
    assert (done.attempts, done.entries[-1].attempts) == ((), (FAILED,))


def test_a_turn_that_starts_after_an_ending_opens_the_conversation_again() -> None:
    assert fold([BEGIN, START, FAILED, END]).ended == END
    assert fold([BEGIN, START, FAILED, END, START]).ended is None


def test_an_injected_message_takes_the_place_of_a_pending_turn() -> None:
    state = fold([BEGIN, START, FAILED, END, START, SAID])
    assert state == State(BEGIN, state.entries)
    assert state.entries[-1].message == SAID.message


def test_leaving_marks_the_message_with_which_it_was_said() -> None:
    assert fold([BEGIN, START, DONE, LEFT]).entries[-1].left == (LEFT,)


def test_every_way_of_one_leaving_is_kept_and_so_is_a_pass() -> None:
    other, passed = ParticipantLeft(3, "Ben", tool="leave"), TurnPassed(3, "Ben", "[PASS]")
    last = fold([BEGIN, START, DONE, LEFT, other, passed]).entries[-1]
    assert (last.left, last.passed) == ((LEFT, other), passed)


def test_a_turn_is_quiet_only_if_a_participant_did_nothing_in_it() -> None:
    silent = TurnCompleted(3, Message("Ben", "\u200b"))
    assert fold([BEGIN, START, silent]).entries[-1].quiet
    calling = replace(silent, calls=(ToolCall("leave"),))
    assert not fold([BEGIN, START, calling]).entries[-1].quiet
    assert not fold([BEGIN, START, DONE]).entries[-1].quiet
    assert not fold([BEGIN]).entries[0].quiet


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([START], "no beginning"),
        ([BEGIN, BEGIN], "starts twice"),
        ([BEGIN, TurnStarted(4, "Ben", "ff")], "a started turn is for turn 4, but .* is 3"),
        ([BEGIN, START, AttemptFailed(2, "Ben", "x", "y")], "a failed attempt is for turn 2"),
        ([BEGIN, START, TurnCompleted(4, DONE.message)], "a completed turn is for turn 4"),
        ([BEGIN, MessageInjected(1, SAID.message)], "an injected message is for turn 1"),
        ([BEGIN, DONE], "turn 3 was completed but never started"),
        ([BEGIN, START, DONE, DONE], "for turn 3, but the next turn is 4"),
        ([BEGIN, FAILED], "turn 3 was failed but never started"),
        ([BEGIN, START, FAILED, FAILED], "turn 3 was failed but never started"),
        (
            [BEGIN, START, TurnCompleted(3, Message("Ada", "b"))],
            "turn 3 was started by 'Ben' and completed by 'Ada'",
        ),
        ([BEGIN, START, AttemptFailed(3, "Ada", "x", "y")], "'Ben' and failed by 'Ada'"),
        ([BEGIN, LEFT], "'Ben' left in turn 3, which is not the last"),
        ([ConversationStarted(pair()), ParticipantLeft(0, "Ben", "x")], "not the last"),
        ([BEGIN, START, DONE, ParticipantLeft(3, "Ada", "x")], "which is another's"),
        ([BEGIN, TurnPassed(3, "Ben")], "'Ben' passed in turn 3, which is not the last"),
        ([BEGIN, START, DONE, TurnPassed(3, "Ada")], "passed in turn 3, which is another's"),
    ],
)
def test_facts_that_cannot_follow_one_another_are_refused(events: list[Event], words: str) -> None:
    with pytest.raises(RecordError, match=words):
        fold(events)


def test_nothing_is_begun_before_the_beginning() -> None:
    with pytest.raises(RecordError, match="no beginning"):
        State().begun()
    with pytest.raises(RecordError, match="no beginning"):
        apply(State(), END)
