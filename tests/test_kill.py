"""Law 8, for real: ``kill -9`` anywhere; no completed message lost, none doubled.

The same ordeals as ``scripts/kill_table.py``, but few of them. The moments are drawn from a seed.
"""

# ruff: noqa: S311 - nothing here is secret

from random import Random

import pytest

from killing import Kill, Ordeal, Scene, Tally, moments, stage

pytestmark = pytest.mark.kill

SMALL = (("hello there", "", "a b c d"), ("yes\nno", "\u200b", "what? " + "x" * 500))
LARGE = (("x" * 1_500_000, "a"), ("y" * 2_500_000,))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Many short turns."""
    return stage(tmp_path_factory.mktemp("small"), "small", SMALL, 60)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Few turns, so long that a kill can fall into the middle of a write."""
    return stage(tmp_path_factory.mktemp("large"), "large", LARGE, 4)


def _sound(tally: Tally, kills: int) -> None:
    """Nothing was lost, and all came to the same end."""
    assert tally.faults == []
    assert (tally.lost, tally.doubled) == (0, 0)
    assert tally.equal == tally.conversations
    assert tally.kept == tally.torn
    assert tally.kills.total() == kills


def test_a_conversation_killed_again_and_again_ends_as_if_nothing_had_happened(
    small: Scene,
) -> None:
    tally, when = Tally(), moments(Random(3), ("lines", "bytes", "seconds", "folder"))
    place = 0
    while (left := 18 - tally.kills.total()) > 0:
        Ordeal(small, f"killed-{place}", tally).suffer(when, left)
        place += 1
    _sound(tally, 18)
    assert tally.printed > 0
    assert tally.resumed > 0


def test_a_kill_in_the_middle_of_a_write_leaves_a_tail_that_is_set_aside(large: Scene) -> None:
    tally, when = Tally(), moments(Random(5), ("bytes",))
    place = 0
    while (left := 7 - tally.kills.total()) > 0:
        Ordeal(large, f"torn-{place}", tally).suffer(when, left)
        place += 1
    _sound(tally, 7)


@pytest.mark.parametrize("seed", range(4))
def test_a_log_that_was_cut_at_any_byte_goes_on_to_the_same_end(small: Scene, seed: int) -> None:
    tally = Tally()
    ordeal = Ordeal(small, f"cut-{seed}", tally)
    ordeal.finish()
    ordeal.cut(Random(seed).randrange(small.length))
    ordeal.finish()
    _sound(tally, 0)


def test_a_process_that_was_killed_holds_no_lock(small: Scene) -> None:
    ordeal = Ordeal(small, "lock", Tally())
    assert ordeal.kill(Kill("lines", 0.5))
    assert not ordeal.run.busy()
    ordeal.finish()
    _sound(ordeal.tally, 0)
