"""What carries workers: how many there can be, and what starts, reaches and ends one.

There are two: processes of this machine (``processes``) and a Ray cluster (``cluster``). Parent and
worker are the same with both. This module knows neither.
"""

from typing import Protocol

from duologue.scale.messages import Line, Origin


class Reach(Line, Protocol):
    """A parent's end of the line to a worker, and its hold on it."""

    @property
    def up(self) -> bool:
        """Whether there is a worker yet; on a full cluster one has to be waited for."""
        ...

    @property
    def why(self) -> str:
        """Why it died, if that can be told; else nothing."""
        ...

    def kill(self) -> None:
        """End it at once; turns in flight stay started and not finished."""
        ...

    async def gone(self) -> bool:
        """Wait until it has ended; whether of its own accord, with nothing wrong."""
        ...


class Carrier(Protocol):
    """Carries workers."""

    def places(self, *, local: bool) -> int:
        """How many workers there is room for.

        Args:
            local: whether each of them will run a local model, which takes a whole machine.
        """
        ...

    def origin(self, lock: str) -> Origin | None:
        """What a worker is to compare with what it sees; None where it cannot differ.

        Args:
            lock: what the run's lock says.
        """
        ...

    async def start(self, lock: int) -> Reach:
        """Begin a worker; it waits to be set up.

        Args:
            lock: the run's; a worker of this machine keeps it for as long as it lives.
        """
        ...
