"""How often conversations close, reopen and end in which state, with n and an interval.

The unit is the conversation: turns depend on one another and are never pooled. No rate is made
without its n and its interval.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from math import sqrt
from statistics import NormalDist

import msgspec

from duologue.endings.codebook import EndState
from duologue.endings.described import Described


class Rate(msgspec.Struct, frozen=True):
    """A share of conversations.

    Attributes:
        count: how many have it.
        n: of how many; at least 1.
        low: lower bound of the interval, 0 to 1.
        high: upper bound.
    """

    count: int
    n: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """The observed share, 0 to 1."""
        return self.count / self.n


class Group(msgspec.Struct, frozen=True):
    """What the conversations of one pair under one policy have in common.

    Attributes:
        pair: who spoke with whom.
        policy: how it could end.
        n: how many conversations.
        mutual: the share in which both sides took leave.
        reopened: the share in which somebody started again.
        states: the share of each end state that occurs, the most frequent first.
        first_closing: the median turn of the first closing among those that have one.
    """

    pair: str
    policy: str
    n: int
    mutual: Rate
    reopened: Rate
    states: dict[EndState, Rate]
    first_closing: float | None


def rate(count: int, n: int, level: float = 0.95) -> Rate:
    """A share with its Wilson score interval.

    Wilson, E. B. (1927), Probable inference, the law of succession, and statistical inference.
    Journal of the American Statistical Association 22, 209-212. It stays inside 0 to 1 and is
    honest for small n: 5 of 5 is 57 % to 100 %.

    Raises:
        ValueError: ``n`` is not positive, or ``count`` is not of 0 to ``n``.
    """
    if not 0 <= count <= n or n < 1:
        raise ValueError(f"{count} of {n} is not a share")
    z = NormalDist().inv_cdf((1 + level) / 2)
    share, weight = count / n, z * z / n
    middle = (share + weight / 2) / (1 + weight)
    half = z * sqrt(share * (1 - share) / n + weight / (4 * n)) / (1 + weight)
    low = 0.0 if count == 0 else max(0.0, middle - half)
    high = 1.0 if count == n else min(1.0, middle + half)
    return Rate(count, n, low, high)


def groups(conversations: Iterable[Described]) -> list[Group]:
    """The conversations by pair and policy, in the order of their names."""

    def key(one: Described) -> tuple[str, str]:
        return one.pair, one.policy

    ordered = sorted(conversations, key=key)
    return [_group(pair, policy, list(some)) for (pair, policy), some in groupby(ordered, key)]


def _group(pair: str, policy: str, some: Sequence[Described]) -> Group:
    """One row of the table."""
    n = len(some)
    counted = Counter(one.arc.end_state for one in some).most_common()
    closings = sorted(one.arc.first_closing for one in some if one.arc.first_closing is not None)
    return Group(
        pair,
        policy,
        n,
        mutual=rate(sum(one.arc.mutual_closing is not None for one in some), n),
        reopened=rate(sum(bool(one.arc.reopenings) for one in some), n),
        states={state: rate(count, n) for state, count in counted},
        first_closing=_median(closings),
    )


def _median(values: Sequence[int]) -> float | None:
    """The middle of ordered values, or None of nothing."""
    if not values:
        return None
    return (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2
