"""Which message of one conversation stands beside which of another."""

import time

from hypothesis import given
from hypothesis import strategies as st

from duologue.web.aligning import MOST_TURNS, Pair, Said, align
from duologue.web.pages.compare import pieces

_SAID = st.lists(
    st.tuples(st.sampled_from(["Ada", "Ben", "Host"]), st.text("ab \n", max_size=8)), max_size=12
)
TALK = [
    ("Ada", "the sea is calm tonight"),
    ("Ben", "a lamp in every window"),
    ("Ada", "we should go home now"),
    ("Ben", "so the last train has left"),
]


def _rows(left: list[Said], right: list[Said]) -> list[tuple[int | None, int | None]]:
    return [(pair.left, pair.right) for pair in align(left, right).pairs]


@given(_SAID, _SAID)
def test_every_message_of_both_stands_in_one_row_in_its_order(
    left: list[Said], right: list[Said]
) -> None:
    pairs = align(left, right).pairs
    assert [pair.left for pair in pairs if pair.left is not None] == list(range(len(left)))
    assert [pair.right for pair in pairs if pair.right is not None] == list(range(len(right)))


@given(_SAID)
def test_a_conversation_stands_beside_itself(talk: list[Said]) -> None:
    assert _rows(talk, talk) == [(place, place) for place in range(len(talk))]


def test_what_was_put_in_stands_alone_and_the_rest_meets() -> None:
    put_in = [*TALK[:2], ("Host", "and now to something else"), *TALK[2:]]
    assert _rows(TALK, put_in) == [(0, 0), (1, 1), (None, 2), (2, 3), (3, 4)]


def test_a_stranger_who_speaks_moves_nobody_else() -> None:
    other = [("Ada", "q w e"), ("Ben", "r t z"), ("Ada", "u i o"), ("Ben", "p l k")]
    put_in = [TALK[0], ("Host", "a word"), *other[1:]]
    assert _rows(TALK, put_in)[:3] == [(0, 0), (None, 1), (1, 2)]


def test_like_words_meet_across_what_was_left_out() -> None:
    changed = [("Ada", "the sea is calm today"), ("Ben", "so the very last train has left")]
    assert _rows(TALK, changed) == [(0, 0), (1, None), (2, None), (3, 1)]


def test_with_the_seats_swapped_the_same_opening_meets_and_turns_stay_beside_turns() -> None:
    left = [("Ada", "Hello."), ("Ben", "one two"), ("Ada", "three four")]
    right = [("Ben", "Hello."), ("Ada", "five six"), ("Ben", "seven eight")]
    assert _rows(left, right) == [(0, 0), (1, 1), (2, 2)]


def test_two_that_are_too_long_are_paired_turn_by_turn() -> None:
    left = [("Ada", str(place)) for place in range(MOST_TURNS + 1)]
    aligned = align(left, left[1:])
    assert aligned.by_place
    assert aligned.pairs[:2] == (Pair(0, 0), Pair(1, 1))
    assert aligned.pairs[-1] == Pair(MOST_TURNS, None)


def test_long_replicates_and_long_silences_are_aligned_within_two_seconds() -> None:
    left = [("Ada", f"word{place} " * 50) for place in range(MOST_TURNS)]
    right = [("Ada", f"other{place} " * 50) for place in range(MOST_TURNS)]
    silent = [("Ada", "")] * MOST_TURNS
    began = time.process_time()
    for one, other in ((left, right), (left[:100], right[:100]), (silent, [*left[:9], *silent])):
        align(one, other)
    assert time.process_time() - began < 2


def test_of_long_messages_the_one_changed_word_is_marked_within_a_second() -> None:
    one = " ".join(f"word{place % 97}" for place in range(550))
    began = time.process_time()
    ours, theirs = pieces(one, one.replace("word50 ", "lighthouse ", 1))
    assert time.process_time() - began < 1
    assert [piece.text for piece in ours if piece.differs] == ["word50 "]
    assert [piece.text for piece in theirs if piece.differs] == ["lighthouse "]
