"""What a parent and its workers tell each other, over one socket each.

A message is four bytes of length, big-endian, and as many of JSON. A worker that is told
``Enough``, or whose parent has died, finishes its turns, closes its end and goes; only then does
the parent close its own, so that both can speak for as long as a turn is in flight. A parent whose
worker has died finds in the log how far it came. This module knows no processes.
"""

import asyncio

import msgspec

from duologue.scheduler import Lease, Outcome

_LENGTH = 4


class _Told(msgspec.Struct, frozen=True, tag=True):
    """The manners of every message."""


class Setup(_Told, frozen=True):
    """The first word to a worker: what it is to do.

    Attributes:
        run: the run's folder.
        segment: the number of the segment that is its own.
        most: conversations at once.
        workers: how many share each model's pace.
        asks: whether it must ask before each turn.
    """

    run: str
    segment: int
    most: int
    workers: int
    asks: bool


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


def tell(writer: asyncio.StreamWriter, message: ToWorker | ToParent) -> None:
    """Send a message; one that nobody hears any more is dropped."""
    body = msgspec.json.encode(message)
    if not writer.is_closing():
        writer.write(len(body).to_bytes(_LENGTH) + body)


async def heard_by_worker(reader: asyncio.StreamReader) -> ToWorker | None:
    """The parent's next message; None when there will be none."""
    body = await _body(reader)
    return None if body is None else _to_worker.decode(body)


async def heard_by_parent(reader: asyncio.StreamReader) -> ToParent | None:
    """A worker's next message; None when there will be none."""
    body = await _body(reader)
    return None if body is None else _to_parent.decode(body)


async def _body(reader: asyncio.StreamReader) -> bytes | None:
    """The next message's bytes; None where the other end was closed, or cut in mid-message."""
    try:
        length = await reader.readexactly(_LENGTH)
        return await reader.readexactly(int.from_bytes(length))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
