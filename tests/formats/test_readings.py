from itertools import combinations, pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from duologue.formats.readings import Candidate, best_reading

SEATS = [("A", "B"), ("A", "B", "C"), ("A", "A"), ("A", "B", "A")]


@st.composite
def puzzles(draw: st.DrawFn) -> tuple[list[Candidate], tuple[str, ...], int]:
    names = draw(st.sampled_from(SEATS))
    candidate = st.builds(
        Candidate, name=st.sampled_from(names), fenced=st.booleans(), clashes=st.booleans()
    )
    candidates = draw(st.lists(candidate, min_size=1, max_size=9))
    return candidates, names, draw(st.integers(1, len(candidates)))


def _every_reading(
    candidates: list[Candidate], names: tuple[str, ...], messages: int
) -> list[tuple[tuple[int, int], tuple[int, ...]]]:
    """All readings with their costs, by trying each: the specification that the code must meet."""
    robin = set(zip(names, (*names[1:], names[0]), strict=True))
    readings = []
    for rest in combinations(range(1, len(candidates)), messages - 1):
        picks = (0, *rest)
        pairs = [(candidates[a], candidates[b]) for a, b in pairwise(picks)]
        if any(b == a + 1 and candidates[b].clashes for a, b in pairwise(picks)):
            continue
        breaks = sum((u.name, v.name) not in robin for u, v in pairs)
        cuts = sum(u.fenced != v.fenced for u, v in pairs)
        readings.append(((breaks, cuts), picks))
    return readings


# The earliest candidate of a message is here one that the earliest reading cannot reach.
_ENTANGLED = [
    Candidate("A", fenced=fenced, clashes=at == 2)
    for at, fenced in enumerate((False, True, False, False, True, True))
]


@given(puzzles())
@example((_ENTANGLED, ("A", "A"), 4))
def test_the_reading_is_the_one_that_trying_every_reading_finds(
    puzzle: tuple[list[Candidate], tuple[str, ...], int],
) -> None:
    candidates, names, messages = puzzle
    readings = _every_reading(candidates, names, messages)
    found = best_reading(candidates, names, messages)
    if not readings:
        assert found is None
        return
    assert found is not None
    best = [picks for cost, picks in readings if cost == min(readings)[0]]
    assert found.chosen == min(best)
    assert found.possible == tuple(tuple(sorted(set(column))) for column in zip(*best, strict=True))
