"""Every declared way to end, alone and composed: whole conversations of scripts."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.core.branch import branch
from duologue.core.ending import due
from duologue.core.event import (
    ConversationEnded,
    ConversationStarted,
    EndReason,
    Event,
    ParticipantLeft,
    TurnPassed,
)
from duologue.core.message import Message, Origin
from duologue.core.order import next_speaker
from duologue.core.provider import Provider, ToolCall
from duologue.core.spec import (
    After,
    AllOf,
    AnyOf,
    Budget,
    ConversationSpec,
    Detector,
    EndAtSilence,
    Ending,
    Exit,
    ExitRule,
    Line,
    Nudge,
    Order,
    Participant,
    Pass,
    Resend,
    RoundRobin,
    Sequence,
    Shuffled,
    SilenceCap,
    StopPhrase,
    TurnCap,
)
from duologue.core.state import State, fold
from duologue.errors import RecordError
from duologue.providers.scripted import Reply
from strategies import hold, pair, scripted

LAST_WORD = Exit(after=After.LAST_WORD)
ALONE = Exit(after=After.ALONE)
UNANIMOUS = Exit(rule=ExitRule.UNANIMOUS)
LEAVE = Exit(tool="leave", description="Leaves.", answer="Noted.")
CALLING = Reply("", calls=(ToolCall("leave"),))


def three(*ending: Ending, order: Order | None = None, cap: int = 12) -> ConversationSpec:
    """Ada, Ben and Cy."""
    seats = tuple(Participant(name, f"scripted:{name}") for name in ("Ada", "Ben", "Cy"))
    return ConversationSpec(seats, order=order or RoundRobin(), ending=(*ending, TurnCap(cap)))


def ended(events: list[Event]) -> ConversationEnded:
    assert isinstance(events[-1], ConversationEnded)
    return events[-1]


def authors(events: list[Event]) -> str:
    """Who spoke, by initials."""
    return "".join(entry.message.author[0] for entry in fold(events).entries)


def trio(**lines: list[str | Reply]) -> dict[str, Provider]:
    """Three scripts; whoever is not named talks on."""
    return scripted(**({"Ada": ["a"], "Ben": ["b"], "Cy": ["c"]} | lines))


# Leaving: who ends it.


def test_unanimous_leaving_never_lapses() -> None:
    events = hold(
        pair(UNANIMOUS, TurnCap(9)), scripted(Ada=["[END]", "x"], Ben=["b"] * 3 + ["[END]"])
    )
    assert ended(events) == ConversationEnded(
        EndReason.MUTUAL_EXIT, by="Ben", detail="everyone wrote [END]"
    )
    assert len(fold(events).entries) == 8


def test_whoever_has_no_place_in_the_order_need_not_leave() -> None:
    spec = three(UNANIMOUS, order=Sequence(("Ada", "Ben")))
    events = hold(spec, trio(Ada=["[END]"], Ben=["[END]"]))
    assert ended(events).reason is EndReason.MUTUAL_EXIT
    assert authors(events) == "AB"


def test_a_phrase_and_a_tool_are_ways_to_leave_that_are_recorded_as_such() -> None:
    rule = Exit("[END]", phrase="so long", tool="leave", description="Leaves.", answer="Noted.")
    said = Reply("So long!\n[END]", calls=(ToolCall("leave"),))
    events = hold(pair(rule), scripted(Ada=[said], Ben=[CALLING]))
    assert [event for event in events if isinstance(event, ParticipantLeft)] == [
        ParticipantLeft(1, "Ada", "[END]"),
        ParticipantLeft(1, "Ada", phrase="so long"),
        ParticipantLeft(1, "Ada", tool="leave"),
    ]
    assert ended(events).detail == "Ada wrote [END]"


@pytest.mark.parametrize(
    ("rule", "said", "detail"),
    [
        (Exit(phrase="so long"), Reply("well, so long"), "Ada said 'so long'"),
        (LEAVE, CALLING, "Ada called leave"),
    ],
)
def test_how_somebody_left_is_told(rule: Exit, said: Reply, detail: str) -> None:
    events = hold(pair(rule), scripted(Ada=[said], Ben=[CALLING]))
    assert ended(events) == ConversationEnded(EndReason.EXIT, by="Ada", detail=detail)


def test_a_sentinel_does_not_count_where_only_a_phrase_or_a_tool_is_declared() -> None:
    events = hold(pair(Exit(phrase="so long"), TurnCap(2)), scripted(Ada=["[END]"], Ben=["b"]))
    assert ended(events).reason is EndReason.MAX_TURNS


def test_everybody_who_left_in_different_ways_left() -> None:
    rule = Exit("[END]", ExitRule.UNANIMOUS, phrase="so long")
    events = hold(pair(rule), scripted(Ada=["[END]"], Ben=["so long"]))
    assert ended(events).detail == "everyone left"


def test_a_silent_turn_that_calls_a_tool_is_no_silence() -> None:
    cast = scripted(Ada=[CALLING], Ben=[CALLING])
    for silence in (EndAtSilence(), Resend(2), Nudge("Go on.")):
        events = hold(pair(LEAVE, SilenceCap(1), Pass(silent=True), silence=silence), cast)
        assert [type(event).__name__ for event in events] == [
            *("ConversationStarted", "TurnStarted", "TurnCompleted"),
            *("ParticipantLeft", "ConversationEnded"),
        ]
        assert ended(events).reason is EndReason.EXIT


# Leaving: what follows.


@pytest.mark.parametrize("order", [RoundRobin(), Shuffled(5), Sequence(("Ada", "Ben", "Cy"))])
def test_everybody_else_has_one_last_word(order: Order) -> None:
    cast = trio(Ben=["b", "[END]"], Cy=["c", "[END]"])
    events = hold(three(LAST_WORD, order=order), cast)
    spoken = authors(events)
    state = fold(events)
    first = next(entry for entry in state.entries if entry.left)
    assert sorted(spoken[first.turn - 1 :]) == ["A", "B", "C"]
    assert ended(events) == ConversationEnded(
        EndReason.EXIT,
        by=first.message.author,
        detail=f"{first.message.author} wrote [END], and everyone else had a last word",
    )


def test_a_last_word_of_two_is_one_turn() -> None:
    events = hold(pair(LAST_WORD), scripted(Ada=["[END]"], Ben=["fare well"]))
    assert authors(events) == "AB"
    assert ended(events).by == "Ada"


def test_nobody_else_is_there_to_have_a_last_word_in_a_monologue() -> None:
    spec = pair(LAST_WORD, participants=(Participant("Ada", "m"),))
    assert authors(hold(spec, scripted(Ada=["[END]"]))) == "A"


def test_the_cap_may_come_before_a_last_word() -> None:
    events = hold(pair(LAST_WORD, TurnCap(1)), scripted(Ada=["[END]"], Ben=["b"]))
    assert ended(events).reason is EndReason.MAX_TURNS


@pytest.mark.parametrize(
    ("order", "spoken"),
    [
        (RoundRobin(), "ABCACACACACA"),
        (Sequence(("Ada", "Ben", "Cy")), "ABCACACACACA"),
        (Sequence(("Ada", "Ben", "Ben", "Cy")), "ABCACACACACA"),
    ],
)
def test_the_others_go_on_without_whoever_left(order: Order, spoken: str) -> None:
    events = hold(three(ALONE, order=order), trio(Ben=["[END]"]))
    assert authors(events) == spoken
    assert ended(events).reason is EndReason.MAX_TURNS


def test_one_goes_on_alone_until_it_leaves_too() -> None:
    events = hold(pair(ALONE, TurnCap(9)), scripted(Ada=["[END]"], Ben=["b", "c", "[END]"]))
    assert authors(events) == "ABBB"
    assert ended(events) == ConversationEnded(
        EndReason.MUTUAL_EXIT, by="Ben", detail="everyone left, Ben last"
    )


def test_when_all_but_one_have_left_a_silence_of_one_is_everybodys() -> None:
    events = hold(pair(ALONE, SilenceCap()), scripted(Ada=["[END]"], Ben=["b", ""]))
    assert authors(events) == "ABB"
    assert ended(events).detail == "1 silent turns in a row"


@given(st.data(), st.integers(0, 99), st.sampled_from([RoundRobin, Shuffled, Sequence]))
def test_nobody_speaks_after_leaving_and_all_others_keep_their_turns(
    data: st.DataObject, seed: int, kind: type[Order]
) -> None:
    names = ("Ada", "Ben", "Cy", "Di")
    sequence = tuple(data.draw(st.lists(st.sampled_from(names), min_size=4, max_size=6)))
    orders: dict[type[Order], Order] = {
        RoundRobin: RoundRobin(),
        Shuffled: Shuffled(seed),
        Sequence: Sequence(sequence),
    }
    replies = st.lists(st.sampled_from(["x", "x", "x", "[END]"]), min_size=2, max_size=5)
    spec = ConversationSpec(
        tuple(Participant(name, "m") for name in names),
        order=orders[kind],
        ending=(ALONE, TurnCap(24)),
    )
    events = hold(spec, scripted(**{name: data.draw(replies) for name in names}))
    state, gone = fold(events), set[str]()
    for entry in state.entries:
        assert entry.message.author not in gone
        gone |= {entry.message.author} if entry.left else set()
    if kind is Shuffled and len(gone) < 3:
        said = authors(events)
        assert all(one != other for one, other in pairwise(said))
    present = set(sequence if kind is Sequence else names)
    assert (ended(events).reason is EndReason.MUTUAL_EXIT) == (gone == present)


def test_words_from_outside_call_back_those_who_left() -> None:
    spec = three(LAST_WORD)
    cast = trio(Ada=["[END]", *["back"] * 9])
    parent = hold(spec, cast)
    assert authors(parent) == "ABC"
    seats = fold(parent).begun().seats
    silent = branch(parent, "p", 3, spec=spec, seats=seats)
    assert [type(event) for event in hold(spec, cast, silent)] == [ConversationEnded]
    say = Message("Narrator", "Stay.", Origin.HUMAN)
    spoken = branch(parent, "p", 3, spec=spec, seats=seats, say=say)
    rest = hold(spec, cast, spoken)
    assert authors([*spoken, *rest])[:6] == "ABCNAB"
    assert ended(rest).reason is EndReason.MAX_TURNS


def test_two_exits_that_follow_different_ways_leave_nobody_speechless() -> None:
    quietly = Exit("bye", after=After.ALONE)
    events = hold(three(quietly, LAST_WORD), trio(Ada=["bye"], Ben=["[END]"]))
    assert authors(events) == "ABC"
    assert ended(events).detail == "Ben wrote [END], and everyone else had a last word"


def test_when_nobody_is_left_nobody_is_next() -> None:
    events = hold(pair(ALONE), scripted(Ada=["[END]"], Ben=["[END]"]))
    with pytest.raises(RecordError, match="nobody is left to speak"):
        next_speaker(fold(events[:-1]))


# Passing.


def test_everybody_who_passes_in_turn_ends_it_and_each_pass_is_on_the_record() -> None:
    events = hold(pair(Pass()), scripted(Ada=["a", "[Pass]"], Ben=["b", "nothing\n*[PASS]*"]))
    assert [event for event in events if isinstance(event, TurnPassed)] == [
        TurnPassed(3, "Ada", "[PASS]"),
        TurnPassed(4, "Ben", "[PASS]"),
    ]
    assert ended(events) == ConversationEnded(EndReason.PASS, detail="2 passes in a row")


@pytest.mark.parametrize(
    ("rule", "said", "reason"),
    [
        (Pass(silent=True), "", EndReason.PASS),
        (Pass(silent=True), "[PASS]", EndReason.MAX_TURNS),
        (Pass(), "", EndReason.MAX_TURNS),
        (Pass("skip", silent=True), "skip", EndReason.PASS),
        (Pass("skip", silent=True), "\u200b", EndReason.PASS),
        (Pass(turns=1), "I could pass: [PASS]", EndReason.MAX_TURNS),
        (Pass(turns=6), "[PASS]", EndReason.PASS),
        (Pass(turns=7), "[PASS]", EndReason.MAX_TURNS),
    ],
)
def test_what_passes_is_declared(rule: Pass, said: str, reason: EndReason) -> None:
    assert ended(hold(pair(rule), scripted(Ada=[said], Ben=[said]))).reason is reason


def test_a_word_between_breaks_a_row_of_passes() -> None:
    events = hold(pair(Pass(turns=2)), scripted(Ada=["[PASS]"], Ben=["b"]))
    assert ended(events).reason is EndReason.MAX_TURNS


def test_a_pass_of_one_rule_does_not_count_for_another() -> None:
    events = hold(pair(Pass("skip", turns=2), Pass("next")), scripted(Ada=["skip"], Ben=["next"]))
    assert ended(events).reason is EndReason.MAX_TURNS


# Silence.


def test_everybody_was_silent_once_round() -> None:
    events = hold(three(SilenceCap()), trio(Ada=[""], Ben=[""], Cy=["c", ""]))
    assert authors(events) == "ABCABC"
    assert ended(events) == ConversationEnded(EndReason.SILENCE, detail="3 silent turns in a row")


def test_a_nudge_does_not_break_a_row_of_silence() -> None:
    spec = pair(SilenceCap(2), silence=Nudge("Go on."))
    events = hold(spec, scripted(Ada=[""], Ben=[""]))
    assert authors(events) == "AdB"
    assert ended(events).reason is EndReason.SILENCE


# Detectors.


def test_a_sign_that_was_seen_often_enough_ends_it_and_is_named() -> None:
    events = hold(pair(Detector("short", 2)), scripted(Ada=["long", "a"], Ben=["long", "b"]))
    assert ended(events) == ConversationEnded(
        EndReason.DETECTOR, detail="short was detected in 2 messages in a row", sign="short"
    )
    assert len(fold(events).entries) == 4
    once = hold(pair(Detector("echo")), scripted(Ada=["long"], Ben=["long"]))
    assert ended(once).detail == "echo was detected in message 2"


def test_a_sign_in_an_opening_alone_ends_nothing() -> None:
    spec = pair(Detector("short"), TurnCap(2), opening=(Line("Ada", "a"),))
    assert ended(hold(spec, scripted(Ada=["a"], Ben=["long"]))).reason is EndReason.MAX_TURNS


def test_without_detectors_no_sign_is_seen() -> None:
    events = hold(pair(Detector("short")), scripted(Ada=["a"], Ben=["b"]))
    assert due(fold(events[:3])) is None


# Compositions.


def test_all_of_them_need_not_be_true_together() -> None:
    both = AllOf((Exit(), TurnCap(4)))
    events = hold(pair(both, TurnCap(9)), scripted(Ada=["a"], Ben=["[END]", "b"]))
    assert ended(events) == ConversationEnded(
        EndReason.MAX_TURNS,
        detail="all of: Ben wrote [END] (message 2); the cap of 4 messages (message 4)",
    )


def test_all_of_them_are_told_as_the_one_that_came_last() -> None:
    both = AllOf((Exit(), TurnCap(2)))
    events = hold(pair(both, TurnCap(9)), scripted(Ada=["a"], Ben=["b", "[END]"]))
    assert (ended(events).reason, ended(events).by) == (EndReason.EXIT, "Ben")
    assert len(fold(events).entries) == 4


def test_of_what_came_at_once_the_participants_act_is_told() -> None:
    both = AllOf((TurnCap(1), SilenceCap(1), Exit()))
    events = hold(pair(AllOf((TurnCap(1), SilenceCap(1)))), scripted(Ada=[""], Ben=["b"]))
    assert ended(events).reason is EndReason.SILENCE
    assert ended(hold(pair(both), scripted(Ada=[""], Ben=["[END]"]))).reason is EndReason.EXIT


def test_what_never_came_ends_nothing() -> None:
    events = hold(pair(AllOf((TurnCap(1), Exit()))), scripted(Ada=["a"], Ben=["b"]))
    assert ended(events) == ConversationEnded(EndReason.MAX_TURNS, detail="the cap of 6 messages")


@pytest.mark.parametrize(
    ("rule", "reason", "messages"),
    [
        (AllOf((AnyOf((StopPhrase("x"), Exit())), TurnCap(3))), EndReason.MAX_TURNS, 3),
        (AllOf((AllOf((Exit(), TurnCap(3))), TurnCap(4))), EndReason.MAX_TURNS, 4),
        (AllOf((AllOf((StopPhrase("x"), TurnCap(3))), TurnCap(4))), EndReason.MAX_TURNS, 6),
        (AllOf((AnyOf((StopPhrase("x"),)), TurnCap(3))), EndReason.MAX_TURNS, 6),
        (AnyOf((StopPhrase("x"), AnyOf((Exit(), TurnCap(5))))), EndReason.EXIT, 2),
        (AllOf((Exit(), Pass(turns=1))), EndReason.PASS, 4),
        (AllOf((Detector("short"), TurnCap(2))), EndReason.MAX_TURNS, 2),
        (AllOf((Budget(minutes=1), TurnCap(2))), EndReason.MAX_TURNS, 6),
        (AllOf((Budget(tokens=9), TurnCap(2))), EndReason.MAX_TURNS, 2),
        (AllOf((Exit(rule=ExitRule.MUTUAL), TurnCap(2))), EndReason.MAX_TURNS, 6),
        (AllOf((Exit(rule=ExitRule.MUTUAL, within=1), UNANIMOUS)), EndReason.MUTUAL_EXIT, 5),
    ],
)
def test_compositions_may_stand_in_one_another(
    rule: Ending, reason: EndReason, messages: int
) -> None:
    two = isinstance(rule, AllOf) and UNANIMOUS in rule.rules
    ben = ["[END]", "[PASS]"]
    ada = ["a", "b", "[END]\nlong"] if two else ["a", "b", "c"]
    if two:
        ben = ["b", "[END]"]
    events = hold(pair(rule, TurnCap(6)), scripted(Ada=ada, Ben=ben))
    assert (ended(events).reason, len(fold(events).entries)) == (reason, messages)


@given(st.lists(st.sampled_from(["a", "", "[END]", "[PASS]"]), min_size=1, max_size=4))
def test_all_of_one_rule_ends_when_the_rule_does(said: list[str]) -> None:
    cast = scripted(Ada=said, Ben=said)
    for rule in (Exit(), Pass(), SilenceCap(), UNANIMOUS, TurnCap(3)):
        alone, wrapped = hold(pair(rule), cast), hold(pair(AllOf((rule,)), TurnCap(6)), cast)
        assert len(fold(alone).entries) == len(fold(wrapped).entries)
        assert ended(alone).reason is ended(wrapped).reason


@given(st.lists(st.sampled_from(["a", "", "[END]", "[PASS]"]), min_size=1, max_size=4))
def test_any_of_rules_is_a_list_of_rules(said: list[str]) -> None:
    cast = scripted(Ada=said, Ben=["b", *said])
    rules = (LAST_WORD, Pass(turns=2), SilenceCap(2))
    assert hold(pair(*rules), cast)[1:] == hold(pair(AnyOf(rules)), cast)[1:]


def test_a_conversation_that_began_with_nothing_declared_is_at_its_beginning() -> None:
    assert due(fold([ConversationStarted(pair(AllOf((Exit(), TurnCap(1)))))])) is None
    assert State().turn == 1
