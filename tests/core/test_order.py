from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.core.event import ConversationStarted, Event, MessageInjected
from duologue.core.message import Message, Origin
from duologue.core.order import next_speaker
from duologue.core.spec import (
    ConversationSpec,
    Line,
    Order,
    Participant,
    RoundRobin,
    Sequence,
    Shuffled,
    TurnCap,
)
from duologue.core.state import State, fold
from duologue.errors import RecordError
from strategies import names

SEEDS = st.integers(-(2**63), 2**63 - 1)


def several(least: int, most: int) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(names(), min_size=least, max_size=most, unique=True).map(tuple)


def speakers(
    named: tuple[str, ...], order: Order, turns: int, opening: tuple[Line, ...] = ()
) -> list[str]:
    """Who speaks in each of so many turns, when nobody interrupts."""
    seats = tuple(Participant(name, "m") for name in named)
    spec = ConversationSpec(seats, opening=opening, order=order, ending=(TurnCap(99),))
    events: list[Event] = [ConversationStarted(spec)]
    taken: list[str] = []
    for turn in range(len(opening) + 1, len(opening) + turns + 1):
        taken.append(next_speaker(fold(events)))
        events.append(MessageInjected(turn, Message(taken[-1], "", Origin.HUMAN)))
    return taken


def rounds(taken: list[str], size: int) -> list[list[str]]:
    return [taken[start : start + size] for start in range(0, len(taken), size)]


@given(several(1, 6))
def test_a_round_robin_visits_everyone_in_the_order_of_the_seats(named: tuple[str, ...]) -> None:
    assert speakers(named, RoundRobin(), 3 * len(named)) == list(named * 3)


@given(several(2, 6), st.data())
def test_a_round_robin_goes_on_from_the_seat_declared_first(
    named: tuple[str, ...], data: st.DataObject
) -> None:
    first = data.draw(st.sampled_from(named))
    at = named.index(first)
    taken = speakers(named, RoundRobin(first), 2 * len(named), (Line(named[0], "hello"),))
    assert taken == list((named[at:] + named[:at]) * 2)


def test_after_an_opening_the_seat_that_follows_its_last_author_speaks() -> None:
    opening = (Line("Ben", "x"), Line("Ada", " "), Line("Narrator", "night falls"))
    assert speakers(("Ada", "Ben", "Cy"), RoundRobin(), 4, opening) == ["Ben", "Cy", "Ada", "Ben"]


def test_an_opening_by_nobody_seated_leaves_the_first_turn_to_the_first_seat() -> None:
    assert speakers(("Ada", "Ben"), RoundRobin(), 2, (Line("N", ""),)) == ["Ada", "Ben"]


def test_words_under_other_names_take_no_turn() -> None:
    seats = (Participant("Ada", "m"), Participant("Ben", "m"))
    for order in (RoundRobin("Ben"), Sequence(("Ben", "Ada"))):
        spec = ConversationSpec(seats, order=order)
        said = MessageInjected(1, Message("Narrator", "x", Origin.HUMAN))
        assert next_speaker(fold([ConversationStarted(spec), said])) == "Ben"


def test_words_put_into_a_mouth_take_its_turn() -> None:
    spec = ConversationSpec((Participant("Ada", "m"), Participant("Ben", "m")))
    said = MessageInjected(1, Message("Ben", "x", Origin.HUMAN))
    assert next_speaker(fold([ConversationStarted(spec), said])) == "Ada"


@given(st.lists(st.sampled_from("ABC"), min_size=1, max_size=5).map(tuple))
def test_a_sequence_is_followed_again_and_again(sequence: tuple[str, ...]) -> None:
    assert speakers(("A", "B", "C"), Sequence(sequence), 2 * len(sequence)) == list(sequence * 2)


@given(several(1, 6), SEEDS)
def test_every_shuffled_round_is_a_permutation(named: tuple[str, ...], seed: int) -> None:
    for part in rounds(speakers(named, Shuffled(seed), 5 * len(named)), len(named)):
        assert Counter(part) == Counter(named)


@given(several(2, 6), SEEDS)
def test_nobody_speaks_twice_running_when_shuffled(named: tuple[str, ...], seed: int) -> None:
    taken = speakers(named, Shuffled(seed), 6 * len(named))
    assert all(one != other for one, other in pairwise(taken))


def test_a_thousand_seeds_never_let_anybody_speak_twice_running() -> None:
    for seed in range(250):
        for size in (3, 4, 5, 6):
            taken = speakers(tuple("ABCDEF"[:size]), Shuffled(seed), 3 * size)
            assert all(one != other for one, other in pairwise(taken))


def test_shuffled_rounds_differ_and_their_first_places_are_shared() -> None:
    taken = speakers(("A", "B", "C"), Shuffled(7), 90)
    parts = rounds(taken, 3)
    assert len({tuple(part) for part in parts}) == 6
    assert min(Counter(part[0] for part in parts).values()) >= 5


def test_a_draw_is_the_same_for_ever() -> None:
    assert "".join(speakers(("A", "B", "C", "D"), Shuffled(1), 12)) == "ABDCDCABABDC"


def test_nobody_speaks_before_the_beginning() -> None:
    with pytest.raises(RecordError, match="no beginning"):
        next_speaker(State())
