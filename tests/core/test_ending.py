import pytest

from duologue.core.event import ConversationEnded, EndReason, Event, ParticipantLeft
from duologue.core.message import Silence, silence
from duologue.core.provider import Finish
from duologue.core.spec import Exit, ExitRule, Line, SilenceCap, StopPhrase, TurnCap
from duologue.errors import OverloadError
from duologue.providers.scripted import Reply
from strategies import hold, pair, scripted


def ended(events: list[Event]) -> ConversationEnded:
    assert isinstance(events[-1], ConversationEnded)
    return events[-1]


def left(events: list[Event]) -> list[tuple[int, str]]:
    return [(e.turn, e.participant) for e in events if isinstance(e, ParticipantLeft)]


def test_a_cap_counts_the_opening() -> None:
    spec = pair(TurnCap(3), opening=(Line("Ada", " "),))
    events = hold(spec, scripted(Ada=["a"], Ben=["b"]))
    assert ended(events) == ConversationEnded(EndReason.MAX_TURNS, detail="the cap of 3 messages")
    assert len(events) == 6


def test_an_opening_as_long_as_the_cap_leaves_nobody_a_turn() -> None:
    spec = pair(TurnCap(1), opening=(Line("Ada", "x"), Line("Ben", "y")))
    events = hold(spec, scripted(Ada=["a"], Ben=["b"]))
    assert [type(event).__name__ for event in events] == [
        "ConversationStarted",
        "ConversationEnded",
    ]


def test_either_leaving_ends_the_conversation() -> None:
    events = hold(pair(Exit()), scripted(Ada=["a"], Ben=["bye\n*[End]*"]))
    assert left(events) == [(2, "Ben")]
    assert ended(events) == ConversationEnded(EndReason.EXIT, by="Ben", detail="Ben wrote [END]")


def test_an_opening_that_holds_the_sentinel_lets_nobody_leave() -> None:
    spec = pair(Exit(), StopPhrase("[END]"), opening=(Line("Ada", "[END]"),))
    events = hold(spec, scripted(Ada=["a"], Ben=["b"]))
    assert left(events) == []
    assert ended(events).reason is EndReason.MAX_TURNS


def test_mutual_leaving_needs_everybody() -> None:
    events = hold(pair(Exit(rule=ExitRule.MUTUAL)), scripted(Ada=["[END]"], Ben=["no", "[END]"]))
    assert left(events) == [(1, "Ada"), (3, "Ada"), (4, "Ben")]
    assert ended(events) == ConversationEnded(
        EndReason.MUTUAL_EXIT, by="Ben", detail="everyone wrote [END]"
    )


@pytest.mark.parametrize(
    ("within", "reason"), [(2, EndReason.MAX_TURNS), (3, EndReason.MUTUAL_EXIT)]
)
def test_a_leaving_lapses_after_the_declared_number_of_messages(
    within: int, reason: EndReason
) -> None:
    spec = pair(TurnCap(4), Exit(rule=ExitRule.MUTUAL, within=within))
    events = hold(spec, scripted(Ada=["[END]", "stay"], Ben=["stay", "[END]"]))
    assert ended(events).reason is reason


def test_a_sentinel_of_one_rule_does_not_count_for_another() -> None:
    spec = pair(Exit("[END]"), Exit("bye", rule=ExitRule.MUTUAL))
    events = hold(spec, scripted(Ada=["bye"], Ben=["stay"]))
    assert left(events) == [(1, "Ada"), (3, "Ada"), (5, "Ada")]
    assert ended(events).reason is EndReason.MAX_TURNS


def test_what_both_wrote_for_different_rules_is_no_mutual_leaving() -> None:
    spec = pair(Exit("[END]", rule=ExitRule.MUTUAL), Exit("bye", rule=ExitRule.MUTUAL))
    events = hold(spec, scripted(Ada=["bye"], Ben=["[END]"]))
    assert ended(events).reason is EndReason.MAX_TURNS


def test_a_phrase_stops_where_it_is_contained_exactly() -> None:
    events = hold(pair(StopPhrase("Stop")), scripted(Ada=["stop"], Ben=["non-Stop!"]))
    assert ended(events) == ConversationEnded(
        EndReason.STOP_PHRASE, by="Ben", detail="Ben said 'Stop'"
    )


def test_silence_counts_only_when_it_is_unbroken() -> None:
    events = hold(pair(SilenceCap(2)), scripted(Ada=["", "x", "z"], Ben=["y", " "]))
    assert ended(events).reason is EndReason.MAX_TURNS
    events = hold(pair(SilenceCap(2)), scripted(Ada=["", "\u200b"], Ben=["y", " "]))
    assert ended(events) == ConversationEnded(EndReason.SILENCE, detail="2 silent turns in a row")
    assert len(events) == 10


def test_a_silent_opening_does_not_count_as_a_silent_turn() -> None:
    spec = pair(SilenceCap(2), opening=(Line("Ada", " "),))
    events = hold(spec, scripted(Ada=["x"], Ben=[""]))
    assert silence(" ") is Silence.WHITESPACE
    assert ended(events).reason is EndReason.MAX_TURNS


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ((TurnCap(1), StopPhrase("[END]"), Exit()), EndReason.EXIT),
        ((TurnCap(1), StopPhrase("[END]")), EndReason.STOP_PHRASE),
        ((TurnCap(1), SilenceCap(1)), EndReason.MAX_TURNS),
    ],
)
def test_acts_come_before_counts(rules: tuple[Exit | TurnCap, ...], reason: EndReason) -> None:
    assert ended(hold(pair(*rules), scripted(Ada=["[END]"], Ben=["b"]))).reason is reason


def test_silence_comes_before_the_cap() -> None:
    events = hold(pair(TurnCap(1), SilenceCap(1)), scripted(Ada=[""], Ben=["b"]))
    assert ended(events).reason is EndReason.SILENCE


def test_a_full_context_stops_before_any_rule() -> None:
    spec = pair(TurnCap(1), Exit())
    events = hold(spec, scripted(Ada=[Reply("[END]", Finish.CONTEXT_FULL)], Ben=["b"]))
    assert left(events) == [(1, "Ada")]
    assert ended(events) == ConversationEnded(
        EndReason.CONTEXT_FULL, by="Ada", detail="Ada's reply reached the end of its context"
    )


def test_a_failed_attempt_ends_with_an_error_that_says_whose() -> None:
    events = hold(pair(), scripted(Ada=["a"], Ben=[OverloadError("busy")]))
    assert ended(events) == ConversationEnded(EndReason.ERROR, by="Ben", detail="overload: busy")
