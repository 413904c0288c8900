"""The primary outcome of an experiment: its value in one conversation, and over many.

The unit is the conversation: whatever is counted turn by turn becomes one number for each before it
is averaged. Lines that were given are no model's, and count for nothing but ``turns``. No figure is
made without its n and its interval. This module does not know where conversations are kept.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from math import atan, cos, pi, sin, sqrt
from statistics import NormalDist, fmean, stdev

import msgspec

from duologue.core.event import EndReason
from duologue.core.message import Message
from duologue.endings.codebook import Label
from duologue.endings.described import GIVEN, Described
from duologue.endings.rates import Rate, rate

Value = float | str | None
"""A number, a word (one of several kinds), or None where the conversation has no such thing."""

_LEFT = frozenset({EndReason.EXIT.value, EndReason.MUTUAL_EXIT.value})
_YES, _NO = "yes", "no"
_MANY = 1000


class Spread(msgspec.Struct, frozen=True):
    """A mean over conversations.

    Attributes:
        mean: of those that have a value.
        n: how many have one.
        of: how many there are.
        low: lower bound of the interval; None of fewer than two.
        high: upper bound.
    """

    mean: float
    n: int
    of: int
    low: float | None
    high: float | None


class Outcome(msgspec.Struct, frozen=True):
    """What an outcome came to over some conversations.

    Attributes:
        name: which.
        n: how many conversations there are.
        spread: the mean, of a number; None where none of them has one, or it is a word.
        kinds: of a word, the share of each kind, the most frequent first.
    """

    name: str
    n: int
    spread: Spread | None = None
    kinds: dict[str, Rate] = {}


def value(name: str, one: Described, messages: Iterable[Message]) -> Value:
    """The value of a known outcome in one conversation.

    Raises:
        KeyError: there is no such outcome.
    """
    spoken = [message for message in messages if message.origin not in GIVEN]
    return _READINGS[name](one, spoken)


Reading = Callable[[Described, list[Message]], Value]


def _share(label: Label) -> Reading:
    """The share of turns that models took with a label."""

    def reading(one: Described, spoken: list[Message]) -> Value:
        del spoken
        own = [each for each in one.annotations if not each.given]
        return fmean(each.label is label for each in own) if own else None

    return reading


def _mean(of: Callable[[str], float]) -> Reading:
    """The mean over messages of something about their words."""

    def reading(one: Described, spoken: list[Message]) -> Value:
        del one
        return fmean(of(message.text) for message in spoken) if spoken else None

    return reading


_READINGS: Mapping[str, Reading] = {
    "turns": lambda one, _: float(one.arc.turns),
    "reason": lambda one, _: one.reason,
    "exit": lambda one, _: _YES if one.reason in _LEFT else _NO,
    "words": _mean(lambda text: len(text.split())),
    "questions": _mean(lambda text: text.rstrip().endswith(("?", "\uff1f", "\u061f"))),
    "silence": _share(Label.SILENCE),
    "token": _share(Label.TOKEN),
    "loop": _share(Label.LOOP),
    "refusal": _share(Label.REFUSAL),
    "closing": _share(Label.CLOSING),
    "first_closing": lambda one, _: one.arc.first_closing,
    "mutual_closing": lambda one, _: one.arc.mutual_closing,
    "after_closing": lambda one, _: one.arc.after_closing,
    "length_after": lambda one, _: one.arc.length_after,
    "reopenings": lambda one, _: len(one.arc.reopenings),
    "loops": lambda one, _: len(one.arc.loops),
    "collapse": lambda one, _: one.arc.collapse,
    "end_state": lambda one, _: one.arc.end_state.value,
}


def known() -> tuple[str, ...]:
    """Every outcome that can be reckoned."""
    return tuple(_READINGS)


def outcome(name: str, values: Iterable[Value]) -> Outcome:
    """What the values of some conversations come to.

    Words become shares with Wilson's interval (see ``rates``), numbers a mean with Student's.
    """
    every = list(values)
    words = Counter(each for each in every if isinstance(each, str))
    if words:
        n = sum(words.values())
        return Outcome(name, len(every), kinds={w: rate(c, n) for w, c in words.most_common()})
    numbers = [float(each) for each in every if isinstance(each, float | int)]
    return Outcome(name, len(every), _spread(numbers, len(every)) if numbers else None)


def _spread(numbers: list[float], of: int) -> Spread:
    """A mean with Student's interval at 95 per cent; no outcome is a number below zero."""
    n, mean = len(numbers), fmean(numbers)
    if n == 1:
        return Spread(mean, n, of, None, None)
    half = student(n - 1) * stdev(numbers) / sqrt(n)
    return Spread(mean, n, of, max(0.0, mean - half), mean + half)


def student(freedom: int) -> float:
    """The 97.5 per cent quantile of Student's t; beyond 1,000 degrees of freedom the normal's."""
    if freedom > _MANY:
        return NormalDist().inv_cdf(0.975)
    low, high = 0.0, 13.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < 0.95 else (low, middle)  # noqa: PLR2004
    return high


def _within(t: float, freedom: int) -> float:
    """The probability that Student's t is between ``-t`` and ``t``.

    A finite sum: Abramowitz & Stegun (1964), Handbook of Mathematical Functions, 26.7.3 and 26.7.4.
    """
    angle = atan(t / sqrt(freedom))
    odd = freedom % 2
    total, term = 0.0, cos(angle) if odd else 1.0
    for k in range(1, (freedom - odd) // 2 + 1):
        total += term
        term *= cos(angle) ** 2 * (2 * k / (2 * k + 1) if odd else (2 * k - 1) / (2 * k))
    return 2 / pi * (angle + sin(angle) * total) if odd else sin(angle) * total
