"""What a wire dialect has to know beyond its request body: addresses, replies, and errors.

One file for each dialect implements ``Dialect``; ``hosted`` does the talking. A dialect classifies
each failure once, from status, headers and body. It opens no connection and knows no key's value.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

import msgspec

from duologue.core.provider import Completion, Delta, Seat
from duologue.errors import ProviderError


class ServerEvent(msgspec.Struct, frozen=True):
    """One server-sent event.

    Attributes:
        name: its ``event`` field; empty where there is none.
        data: its ``data`` lines, joined by line feeds, as bytes.
    """

    name: str
    data: bytes


class Reader(Protocol):
    """Assembles one streamed reply."""

    def feed(self, event: ServerEvent) -> Iterable[Delta]:
        """Take one event; what it adds to words or reasoning.

        Raises:
            ProviderError: the event is an error, or cannot be understood.
        """
        ...

    @property
    def done(self) -> bool:
        """Whether the reply is known to be whole."""
        ...

    def completion(self) -> Completion:
        """The whole reply, without timings.

        Raises:
            ProviderError: the stream ended before the reply did, or it says nothing that counts
                as a reply.
        """
        ...


class Dialect(Protocol):
    """One wire dialect."""

    def path(self, seat: Seat) -> str:
        """The address below the base URL, query included."""
        ...

    def headers(self, key: str | None) -> dict[str, str]:
        """Headers that carry the key, and whatever else the dialect wants."""
        ...

    def reader(self, seat: Seat) -> Reader:
        """A reader for one streamed reply."""
        ...

    def whole(self, seat: Seat, body: bytes) -> Completion:
        """A reply that was not streamed, without timings.

        Raises:
            ProviderError: it is an error in disguise, or cannot be understood.
        """
        ...

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """The error that a reply of any other status than 200 is."""
        ...
