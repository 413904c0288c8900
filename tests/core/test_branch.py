import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.core.branch import branch
from duologue.core.event import (
    ConversationEnded,
    ConversationStarted,
    Event,
    MessageInjected,
    TurnStarted,
)
from duologue.core.message import Message, Origin
from duologue.core.rebuild import governing, rebuild
from duologue.core.spec import Line, Participant, TurnCap
from duologue.core.state import fold
from duologue.errors import ConfigurationError, OverloadError, RecordError
from strategies import Cast, casts, hold, pair, scripted

OPENING = (Line("Ada", " "), Line("Ben", "two"))
SPEC = pair(opening=OPENING)
PARENT = hold(SPEC, scripted(Ada=["a"], Ben=["b"]))
SEATS = fold(PARENT).begun().seats


def cut(at: int, say: Message | None = None) -> tuple[Event, ...]:
    return branch(PARENT, "lusab", at, spec=SPEC, seats=SEATS, say=say)


@pytest.mark.parametrize("at", [-1, 7])
def test_a_branch_leaves_at_a_message_that_there_is(at: int) -> None:
    with pytest.raises(ConfigurationError, match=r"has 6 messages: .* from 0 to 6"):
        cut(at)


def test_a_branch_at_zero_inherits_nothing_and_keeps_its_parent_on_record() -> None:
    [start] = cut(0)
    assert isinstance(start, ConversationStarted)
    assert start.spec.opening == ()
    assert start.fork is not None
    assert (start.fork.conversation, start.fork.turn) == ("lusab", 0)
    assert start.fork.started == PARENT[0]


def test_a_branch_inside_the_opening_inherits_that_much_of_it() -> None:
    [start] = cut(1)
    assert fold([start]).begun().spec.opening == OPENING[:1]


def test_a_branch_that_injects_its_first_words() -> None:
    say = Message("Narrator", "rain", Origin.SCENARIO)
    assert cut(1, say)[1:] == (MessageInjected(2, say),)


def test_how_the_parent_ended_is_not_inherited() -> None:
    assert isinstance(PARENT[-1], ConversationEnded)
    assert cut(6)[1:] == tuple(PARENT[1:-1])


def test_a_branch_has_an_opening_of_its_parents_only() -> None:
    other = pair(opening=(Line("Ada", "something else"),))
    start = branch(PARENT, "p", 3, spec=other, seats=SEATS)[0]
    assert fold([start]).begun().spec.opening == OPENING


def test_failed_attempts_at_the_next_message_are_not_inherited() -> None:
    failed = hold(pair(), scripted(Ada=["a"], Ben=[OverloadError("busy")]))
    history = branch(failed, "p", 1, spec=pair(), seats=fold(failed).begun().seats)
    assert fold(history).attempts == ()
    assert [type(event).__name__ for event in history[1:]] == ["TurnStarted", "TurnCompleted"]


def test_injected_words_do_not_pass_for_a_models() -> None:
    with pytest.raises(ConfigurationError, match="'Ada' would pass for a model's"):
        cut(3, Message("Ada", "I said this"))


def test_a_branch_that_makes_no_sense_is_refused() -> None:
    seats = (Participant("Ada", "m"), Participant("Ada", "m"))
    with pytest.raises(ConfigurationError, match="two participants"):
        branch(PARENT, "p", 0, spec=pair(participants=seats), seats={})


@given(casts(), st.data())
def test_the_inherited_messages_are_the_parents(cast: Cast, data: st.DataObject) -> None:
    parent = hold(cast.spec, cast.providers())
    entries = fold(parent).entries
    at = data.draw(st.integers(0, len(entries)))
    seats = fold(parent).begun().seats
    history = branch(parent, "p", at, spec=cast.spec, seats=seats)
    assert fold(history).entries == entries[:at]
    assert fold(history).ended is None


def test_what_governs_a_request_is_the_one_who_sent_it() -> None:
    first = cut(4)
    child = fold(first).begun()
    second = branch(first, "child", 3, spec=pair(TurnCap(9)), seats=SEATS)
    third = fold(second).begun()
    assert governing(third, 4) == (third, 0)
    assert governing(third, 3) == (fold(PARENT[:1]).begun(), 2)
    assert governing(child, 5) == (child, 0)
    assert governing(child, 4) == (fold(PARENT[:1]).begun(), 1)


def test_a_changed_word_makes_the_requests_after_it_disagree() -> None:
    start = fold(PARENT[:1]).begun()
    forged = [ConversationStarted(pair(opening=(OPENING[0], Line("Ben", "2"))), start.seats)]
    agreed = [sent.agrees for sent in rebuild([*forged, *PARENT[1:]])]
    assert agreed == [False] * 4
    assert [sent.agrees for sent in rebuild(PARENT)] == [True] * 4


def test_what_is_rebuilt_says_where_it_stands() -> None:
    for sent in rebuild(PARENT):
        assert PARENT[sent.index] == sent.started


def test_a_request_by_nobody_seated_is_a_damaged_record() -> None:
    forged = [PARENT[0], TurnStarted(3, "Eve", "ff")]
    with pytest.raises(RecordError, match="turn 3 was started by 'Eve', who has no seat"):
        list(rebuild(forged))
