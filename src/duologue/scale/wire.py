"""A line over a socket: four bytes of length, big-endian, then as many of a message."""

import asyncio
import socket
from contextlib import suppress

_LENGTH = 4


class Wire:
    """One end of it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Speak over a connection that is open."""
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, connection: socket.socket) -> "Wire":
        """The end that is ours."""
        return cls(*await asyncio.open_connection(sock=connection))

    def say(self, body: bytes) -> None:
        """Send a message, without waiting; one that nobody hears any more is dropped."""
        if not self._writer.is_closing():
            self._writer.write(len(body).to_bytes(_LENGTH) + body)

    async def heard(self) -> bytes | None:
        """The next message; None where the other end was closed, or cut in mid-message."""
        try:
            length = await self._reader.readexactly(_LENGTH)
            return await self._reader.readexactly(int.from_bytes(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def sent(self) -> None:
        """Wait until what was said has gone out, or nobody hears it any more."""
        with suppress(ConnectionError):
            await self._writer.drain()

    def close(self) -> None:
        """Say nothing more."""
        self._writer.close()
