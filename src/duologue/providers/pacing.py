"""How many requests may be under way at once: learnt from how the provider answers.

One ``Pace`` for each (provider, address, key, model), shared by every conversation of an event
loop; where several processes ask the same model, each has its part of it. Behind a key it begins
slowly; a server that asks for no key counts requests against nobody and queues them itself, so
there it begins wide. It doubles with each clean round, halves once for each episode of refusals or
of silence, and from then on grows by one. When the provider says how long to wait, everybody waits.
It knows no wire format; keys reach it as fingerprints only.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from hashlib import blake2b
from weakref import WeakKeyDictionary

import msgspec
from msgspec.structs import replace

from duologue.core.provider import Call, Completion, Item, Provider, Seat
from duologue.errors import OverloadError, ProviderError, ProviderTimeoutError, RateLimitError

Wait = Callable[[float], Awaitable[None]]
"""Lets so many seconds pass; ``asyncio.sleep`` outside tests."""

FIRST = 4
OPEN = 256
"""How many at the start where nobody is asked for a key."""
MOST = 1024

_TOO_MUCH = RateLimitError, OverloadError, ProviderTimeoutError
"""What says that fewer should be under way; who queues more than it can answer is silent."""


class Ticket(msgspec.Struct, frozen=True):
    """The right to have one request under way.

    Attributes:
        window: how many could be under way at once when it was given.
        episode: how often the pace had been cut by then.
    """

    window: int
    episode: int


class Pace:
    """The limiter of one model behind one key: first come, first served."""

    def __init__(
        self,
        *,
        first: int = FIRST,
        most: int = MOST,
        wait: Wait = asyncio.sleep,
        now: Callable[[], float] | None = None,
        told: Callable[[float], None] | None = None,
    ) -> None:
        """Begin slowly.

        Args:
            first: how many requests may be under way at the start.
            most: how many at the most, ever.
            wait: lets seconds pass.
            now: seconds on a clock that only goes forward; by default the event loop's.
            told: is called with how long the provider said to wait, when it says so.
        """
        self.window = first
        self._most = most
        self._wait = wait
        self._now = now or asyncio.get_running_loop().time
        self._threshold = most
        self._episode = 0
        self._clean = 0
        self._filled = False
        self._under_way = 0
        self._told = told
        self.waiting = 0
        self._held_until = float("-inf")
        self._room = asyncio.Event()
        self._queue = asyncio.Lock()  # whoever holds it is the first of the queue

    async def enter(self) -> Ticket:
        """Wait for one's turn; it is to be given back by ``leave``, however it ends."""
        self.waiting += 1
        try:
            async with self._queue:
                await self._admitted()
        finally:
            self.waiting -= 1
        return Ticket(self.window, self._episode)

    def leave(self) -> None:
        """Give one's turn back."""
        self._under_way -= 1
        self._room.set()

    async def _admitted(self) -> None:
        """Wait until there is room and nobody was told to wait, and take the room."""
        while True:
            if self._under_way >= self.window:
                self._filled = True
                self._room.clear()
                await self._room.wait()
            elif (left := self._held_until - self._now()) > 0:
                await self._wait(left)
            else:
                self._under_way += 1
                return

    def went_well(self, ticket: Ticket) -> None:
        """A request was answered; after a whole clean round that was wanted, there is more room."""
        if ticket.episode != self._episode:
            return
        self._clean += 1
        if self._clean < self.window:
            return
        if self._filled:
            grown = self.window * 2 if self.window < self._threshold else self.window + 1
            self.window = min(grown, self._most)
            self._room.set()
        self._clean, self._filled = 0, False

    @property
    def crowded(self) -> bool:
        """Whether so many wait already that one more would only wait longer."""
        return self.waiting >= max(1, self.window // 4)

    def hold(self, seconds: float) -> None:
        """Nobody asks for so many seconds from now on."""
        self._held_until = max(self._held_until, self._now() + seconds)

    def went_wrong(self, ticket: Ticket, error: ProviderError) -> None:
        """A request failed; too much at once halves the pace, once for all sent before the cut."""
        if error.wait_s is not None:
            self.hold(error.wait_s)
            if self._told is not None:
                self._told(error.wait_s)
        if isinstance(error, _TOO_MUCH) and ticket.episode == self._episode:
            self.window = max(1, self.window // 2)
            self._threshold = self.window
            self._episode += 1
            self._clean, self._filled = 0, False


Whom = tuple[str, ...]
"""What a pace is for: provider, address, the key's fingerprint, model."""


class Paces:
    """Every pace of one event loop, by whom it is for."""

    def __init__(self) -> None:
        self._paces: dict[Whom, Pace] = {}
        self._processes = 1
        self._told: Callable[[Whom, float], None] | None = None

    def share(self, processes: int, told: Callable[[Whom, float], None]) -> None:
        """Share every model with other processes; call it before anybody is asked.

        Args:
            processes: how many there are, this one counted; each has its part of the pace.
            told: is called when a provider says to wait, so that the others can be told.
        """
        self._processes, self._told = processes, told

    def of(self, seat: Seat, key: str | None) -> Pace:
        """The pace that all requests to this seat's model with this key share."""
        address = str(seat.settings.get("base_url", ""))
        return self._pace((seat.provider, address, fingerprint(key), seat.model))

    def hold(self, whom: Whom, seconds: float) -> None:
        """Nobody here asks that model for so many seconds: another process was told so."""
        self._pace(whom).hold(seconds)

    def crowded(self) -> bool:
        """Whether there are paces, and whoever is to be asked next would wait at each of them."""
        return bool(self._paces) and all(pace.crowded for pace in self._paces.values())

    def _pace(self, whom: Whom) -> Pace:
        """The pace of a model, made when it is first wanted."""
        if whom not in self._paces:
            *_, key, _ = whom
            most = max(1, MOST // self._processes)
            first = max(1, (FIRST if key else OPEN) // self._processes)
            told = None if self._told is None else partial(self._told, whom)
            self._paces[whom] = Pace(first=first, most=most, told=told)
        return self._paces[whom]


_HERE: WeakKeyDictionary[asyncio.AbstractEventLoop, Paces] = WeakKeyDictionary()


def paces() -> Paces:
    """The paces of the running event loop."""
    return _HERE.setdefault(asyncio.get_running_loop(), Paces())


def fingerprint(key: str | None) -> str:
    """A key as something that tells keys apart and gives none away; empty for no key."""
    return "" if key is None else blake2b(key.encode(), digest_size=16).hexdigest()


class Paced:
    """A provider whose requests keep to a pace, and whose replies say what it was."""

    def __init__(self, inner: Provider, pace: Pace) -> None:
        """Take the provider and the pace, which others may share."""
        self._inner = inner
        self._pace = pace

    @property
    def seat(self) -> Seat:
        """The inner provider's."""
        return self._inner.seat

    async def stream(self, call: Call) -> AsyncGenerator[Item, None]:
        """The inner provider's answer, in its turn.

        Raises:
            ProviderError: as the inner provider's, with the pace at which it was asked.
        """
        reply = self._inner.stream(call)
        ticket = await self._pace.enter()
        try:
            async for item in reply:
                whole = isinstance(item, Completion)
                yield replace(item, pace=ticket.window) if whole else item
            self._pace.went_well(ticket)
        except ProviderError as error:
            self._pace.went_wrong(ticket, error)
            error.pace = ticket.window
            raise
        finally:
            try:
                await reply.aclose()
            finally:
                self._pace.leave()

    async def aclose(self) -> None:
        """Close the inner provider."""
        await self._inner.aclose()
