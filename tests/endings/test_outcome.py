"""Primary outcomes: one value for each conversation, then a figure with its n and its interval."""

import pytest

from duologue.core.experiment import OUTCOMES
from duologue.core.message import Message, Origin
from duologue.endings.described import described
from duologue.endings.outcome import Value, known, outcome, student, value

SAID = (
    Message("A", "Shall we begin?", Origin.OPENING),
    Message("B", "Where do you come from?", Origin.MODEL),
    Message("A", "From the sea.", Origin.MODEL),
    Message("B", "   ", Origin.MODEL),
)


def _value(name: str, reason: str | None = "exit", said: tuple[Message, ...] = SAID) -> Value:
    return value(name, described("x", said, pair="A", reason=reason), said)


def test_whatever_can_be_declared_can_be_reckoned() -> None:
    assert set(known()) == set(OUTCOMES)
    for name in OUTCOMES:
        assert isinstance(_value(name), float | int | str | None)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("turns", 4),
        ("reason", "exit"),
        ("exit", "yes"),
        ("words", 8 / 3),
        ("questions", 1 / 3),
        ("silence", 1 / 3),
        ("first_closing", None),
        ("reopenings", 0),
        ("end_state", "other"),
    ],
)
def test_what_was_given_counts_for_no_model(name: str, expected: Value) -> None:
    assert _value(name) == expected


def test_a_conversation_without_a_model_s_words_has_no_share_and_no_mean() -> None:
    only = SAID[:1]
    assert [_value(name, said=only) for name in ("words", "loop")] == [None, None]
    assert _value("exit", "max_turns") == "no"


def test_the_quantiles_of_student_are_those_of_the_tables() -> None:
    table = {1: 12.7062, 2: 4.3027, 3: 3.1824, 4: 2.7764, 10: 2.2281, 30: 2.0423, 100: 1.9840}
    assert {n: round(student(n), 4) for n in table} == table
    assert student(1000) == pytest.approx(student(1001), rel=2e-3)


def test_numbers_are_a_mean_with_an_interval_and_the_n_of_those_that_have_one() -> None:
    found = outcome("collapse", [4, None, 6, 8]).spread
    assert found is not None
    assert (found.mean, found.n, found.of) == (6, 3, 4)
    assert (found.low, found.high) == pytest.approx((6 - 4.9683, 6 + 4.9683), rel=1e-4)
    alone = outcome("collapse", [4, None]).spread
    assert alone is not None
    assert (alone.mean, alone.low, alone.high) == (4, None, None)
    assert outcome("collapse", [None]).spread is None
    rare = outcome("reopenings", [0, 0, 0, 0, 2]).spread
    assert rare is not None
    assert rare.low == 0, "nothing happens less often than never"


def test_words_are_shares_with_an_interval() -> None:
    found = outcome("end_state", ["open", "closed", "open"])
    assert (found.n, list(found.kinds)) == (3, ["open", "closed"])
    assert (found.kinds["open"].count, found.kinds["open"].n) == (2, 3)
