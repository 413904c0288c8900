"""Rates come with n and an interval."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.endings.arc import arc
from duologue.endings.codebook import Annotation, EndState, Label
from duologue.endings.described import Described
from duologue.endings.rates import groups, rate


def conversation(pair: str, cells: str) -> Described:
    labels = {".": Label.TALK, "C": Label.CLOSING, "R": Label.REOPENING}
    said = tuple(
        Annotation(turn, "AB"[turn % 2], labels[cell], leaves=cell == "C")
        for turn, cell in enumerate(cells, start=1)
    )
    return Described(cells, pair, "max_turns 9", None, said, arc(said))


@pytest.mark.parametrize(
    ("count", "n", "low", "high"),
    # Newcombe (1998), Statistics in Medicine 17, 857-872, table I, method 3.
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_interval_is_wilsons(count: int, n: int, low: float, high: float) -> None:
    found = rate(count, n)
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


@pytest.mark.parametrize(("count", "n"), [(1, 0), (3, 2), (-1, 2)])
def test_what_is_not_a_share_is_refused(count: int, n: int) -> None:
    with pytest.raises(ValueError, match="is not a share"):
        rate(count, n)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_share_and_stays_inside_0_to_1(case: tuple[int, int]) -> None:
    found = rate(*case)
    assert 0 <= found.low <= found.share <= found.high <= 1


def test_conversations_are_counted_by_pair_and_policy() -> None:
    found = groups(
        [
            conversation("a with b", "...CC"),
            conversation("a with b", "...CCR..."),
            conversation("c", "..."),
        ]
    )
    assert [(one.pair, one.n) for one in found] == [("a with b", 2), ("c", 1)]
    first = found[0]
    assert (first.mutual.count, first.reopened.count, first.first_closing) == (2, 1, 4.0)
    assert {state: one.count for state, one in first.states.items()} == {
        EndState.CLOSED: 1,
        EndState.OPEN: 1,
    }
    assert found[1].first_closing is None
