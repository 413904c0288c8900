"""What may be spent on an experiment as a whole, over all conversations and workers.

Before a turn begins, as much is set aside for it as the dearest turn so far has taken. While what
is set aside leaves no room, a turn waits for others to be over; when none is under way and there
is still no room, no further turn begins. So a budget is overrun by what the turns that are under
way take more than any turn before them. Until one has shown what a turn can take there is one at
a time. A turn that was lost in flight, now or in an earlier execution, is taken for the dearest.
This module knows no processes and no models.
"""

import asyncio
from collections.abc import Mapping

from duologue.core.spec import Budget
from duologue.store.standing import Dearest, Spend

Taken = Mapping[str, float | None]
"""What a turn took, by unit; None where that is not known."""

_NOTHING = Dearest()


def limits(budget: Budget) -> dict[str, float]:
    """The limits that are set, by unit."""
    set_ = {"tokens": budget.tokens, "usd": budget.usd, "minutes": budget.minutes}
    return {unit: limit for unit, limit in set_.items() if limit is not None}


class Purse:
    """Grants turns within a budget."""

    def __init__(
        self, budget: Budget, before: Spend, dearest: Dearest = _NOTHING, lost: int = 0
    ) -> None:
        """Begin with what was spent ``before``, in earlier executions of the same run.

        Args:
            budget: what may be spent in all.
            before: what was.
            dearest: the most that one turn took then.
            lost: turns that were begun then and came to nothing, killed in flight.
        """
        self._limits = limits(budget)
        self._lost = lost
        self._measured = before.turns > 0 or dearest != _NOTHING
        self._dearest: dict[str, float] = {
            "tokens": dearest.tokens,
            "usd": dearest.usd,
            "minutes": dearest.seconds / 60,
        }
        spent = {
            "tokens": before.input + before.output,
            "usd": before.usd,
            "minutes": before.seconds / 60,
        }
        self._spent = {unit: spent[unit] + lost * each for unit, each in self._dearest.items()}
        self._under_way: set[str] = set()
        self._changed = asyncio.Condition()
        unknown = {"tokens": before.uncounted, "usd": before.unpriced}
        self.why = ""
        for unit, count in unknown.items():
            if count and unit in self._limits:
                self._unknown(unit)

    @property
    def spent(self) -> Mapping[str, float]:
        """What is spent, by unit."""
        return self._spent

    async def turn(self, conv: str) -> bool:
        """Whether a turn may begin; waits while that depends on others. If so, it is under way."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._room() or not self._under_way or self.why)
            if self.why or not self._room():
                self.why = self.why or self._full()
                self._changed.notify_all()
                return False
            self._under_way.add(conv)
            return True

    async def came(self, conv: str, taken: Taken | None) -> None:
        """A turn is over; None where nothing is known of what came of it: the dearest is taken."""
        async with self._changed:
            if conv not in self._under_way:
                return
            self._under_way.discard(conv)
            self._lost += taken is None
            if taken is not None and any(amount != 0 for amount in taken.values()):
                self._measured = True  # an attempt that was refused takes nothing
            for unit in self._limits:
                self._take(unit, self._dearest[unit] if taken is None else taken[unit])
            self._changed.notify_all()

    def _take(self, unit: str, amount: float | None) -> None:
        """Count what a turn took."""
        if amount is None:
            self._unknown(unit)
            return
        self._spent[unit] += amount
        self._dearest[unit] = max(self._dearest[unit], amount)

    def _unknown(self, unit: str) -> None:
        """Nothing more can be promised."""
        self.why = self.why or (
            f"a reply does not say what it took in {unit}, so the budget cannot be kept"
        )

    def _room(self) -> bool:
        """Whether one more turn as dear as the dearest so far would fit beside those under way."""
        if not self._measured and self._limits:
            return not self._under_way and not self._over(0)
        return not self._over(len(self._under_way) + 1)

    def _over(self, turns: int) -> str | None:
        """The unit in which so many turns more could go over, if there is one."""
        for unit, limit in self._limits.items():
            needed = self._spent[unit] + turns * self._dearest[unit]
            if needed > limit or (turns == 0 and needed >= limit):
                return unit
        return None

    def _full(self) -> str:
        """Why no further turn begins."""
        unit = self._over(1) or self._over(0) or next(iter(self._limits))
        lost = f", {self._lost} lost in flight taken for the dearest" if self._lost else ""
        return (
            f"{self._spent[unit]:,.10g} of {self._limits[unit]:,.10g} {unit} are spent{lost}, and "
            "the next turn could need more than is left"
        )
