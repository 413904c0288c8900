"""What a parent and its workers tell each other, over one line each.

A message is JSON. A worker that is told ``Enough``, or whose parent has died, finishes its turns,
closes its end and goes; only then does the parent close its own, so that both can speak for as long
as a turn is in flight. A parent whose worker has died finds in the log how far it came. This module
knows no processes, and not what a line is made of.
"""

from typing import Protocol

import msgspec

from duologue.scheduler import Lease, Outcome


class Line(Protocol):
    """One end of a line between a parent and a worker."""

    def say(self, body: bytes) -> None:
        """Send a message, without waiting; one that nobody hears any more is dropped."""
        ...

    async def heard(self) -> bytes | None:
        """The next message of the other end; None when there will be none."""
        ...

    async def sent(self) -> None:
        """Wait until what was said has gone out, or nobody hears it any more."""
        ...

    def close(self) -> None:
        """Say nothing more."""
        ...


class _Told(msgspec.Struct, frozen=True, tag=True):
    """The manners of every message."""


class Origin(msgspec.Struct, frozen=True):
    """Where a worker on another machine was sent from; it looks whether it sees the same things.

    Attributes:
        version: of duologue.
        folder: in which the command was typed: relative paths of scripts begin there.
        lock: what the run's lock says, byte for byte.
    """

    version: str
    folder: str
    lock: str


class Setup(_Told, frozen=True):
    """The first word to a worker: what it is to do.

    Attributes:
        run: the run's folder.
        segment: the number of the segment that is its own.
        most: conversations at once.
        workers: how many share each model's pace.
        asks: whether it must ask before each turn.
        alike: how many seats of a model there are at a table at the most, by model.
        origin: where it was sent from, if that may be another machine.
    """

    run: str
    segment: int
    most: int
    workers: int
    asks: bool
    alike: dict[str, int]
    origin: Origin | None = None


class Take(_Told, frozen=True):
    """To a worker: hold this."""

    lease: Lease


class Answer(_Told, frozen=True):
    """To a worker that asked: whether a conversation may take its next turn."""

    conv: str
    may: bool


class Wait(_Told, frozen=True):
    """To or from a worker: a provider wants to be left alone for so many seconds.

    Attributes:
        whom: the pace's name.
        seconds: how long from now on.
    """

    whom: tuple[str, ...]
    seconds: float


class Enough(_Told, frozen=True):
    """To a worker: begin nothing more, finish the turns in flight, and go."""


class Want(_Told, frozen=True):
    """From a worker: there is room for one more."""


class Ask(_Told, frozen=True):
    """From a worker: may this conversation take its next turn?"""

    conv: str


class Took(_Told, frozen=True):
    """From a worker: a turn is over, and took so much; None where that is not known.

    Attributes:
        conv: whose.
        tokens: read and generated.
        usd: United States dollars.
        minutes: of the model's time.
    """

    conv: str
    tokens: float | None = None
    usd: float | None = None
    minutes: float | None = None


class Done(_Told, frozen=True):
    """From a worker: this is what came of a lease."""

    outcome: Outcome


class Broken(_Told, frozen=True):
    """From a worker, its last word: it cannot go on.

    Attributes:
        kind: the error's class in ``duologue.errors``.
        message: what it says.
    """

    kind: str
    message: str


ToWorker = Setup | Take | Answer | Wait | Enough
ToParent = Want | Ask | Took | Done | Wait | Broken

_to_worker = msgspec.json.Decoder(ToWorker)
_to_parent = msgspec.json.Decoder(ToParent)


def tell(line: Line, message: ToWorker | ToParent) -> None:
    """Send a message; one that nobody hears any more is dropped."""
    line.say(msgspec.json.encode(message))


async def heard_by_worker(line: Line) -> ToWorker | None:
    """The parent's next message; None when there will be none."""
    body = await line.heard()
    return None if body is None else _to_worker.decode(body)


async def heard_by_parent(line: Line) -> ToParent | None:
    """A worker's next message; None when there will be none."""
    body = await line.heard()
    return None if body is None else _to_parent.decode(body)
