"""An event loop whose time jumps ahead when nothing else is going on."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
_LONGEST_REAL_WAIT_S = 0.05


class _Jumping(selectors.DefaultSelector):
    """Does not wait for timers: it says that the time has passed."""

    skipped = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= _LONGEST_REAL_WAIT_S:
            return super().select(timeout)
        ready = super().select(_LONGEST_REAL_WAIT_S)
        self.skipped += 0 if ready else timeout
        return ready


class SwiftLoop(asyncio.SelectorEventLoop):
    """Time jumps to the next timer as soon as nothing else is going on."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return super().time() + self._jumping.skipped

    @property
    def skipped(self) -> float:
        """How many seconds were jumped over so far; what a slow machine takes is none of them."""
        return self._jumping.skipped


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a test's coroutine in virtual time."""
    with asyncio.Runner(loop_factory=SwiftLoop) as runner:
        return runner.run(main)
