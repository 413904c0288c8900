"""Just enough HTTP/1.1 to talk to our own child over a Unix domain socket.

One request a connection; replies with a length, in chunks, or until the end. It knows nothing
of models, and it is no general HTTP client: it trusts its one peer, which is our own process.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

# The last event of a stream repeats the prompt, so lines may be long.
_LINE_LIMIT = 2**26


class Reply:
    """The head of a reply, and its body to come.

    Attributes:
        status: the HTTP status.
    """

    def __init__(self, status: int, headers: dict[str, str], reader: asyncio.StreamReader) -> None:
        self.status = status
        self._chunked = headers.get("transfer-encoding") == "chunked"
        self._left = int(headers.get("content-length", 0))
        self._reader = reader

    async def part(self) -> bytes:
        """The next piece of the body; empty at its end.

        Raises:
            asyncio.IncompleteReadError: the peer went away in the middle.
        """
        if self._chunked:
            return await _chunk(self._reader)
        size, self._left = self._left, 0
        return await self._reader.readexactly(size)

    async def body(self) -> bytes:
        """The whole body."""
        parts = []
        while part := await self.part():
            parts.append(part)
        return b"".join(parts)

    async def events(self) -> AsyncGenerator[bytes, None]:
        """The payload of each server-sent event, as it arrives, comments left out."""
        rest = b""
        while part := await self.part():
            *whole, rest = (rest + part).split(b"\n\n")
            for event in whole:
                field, _, payload = event.partition(b":")
                if field:
                    yield payload.strip()


async def _chunk(reader: asyncio.StreamReader) -> bytes:
    """One chunk of the chunked transfer encoding (RFC 9112, section 7.1); the last is empty."""
    size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
    return (await reader.readexactly(size + 2))[:-2]


async def _head(reader: asyncio.StreamReader) -> Reply:
    """Read the status line and the headers."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines[1:] if line)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    return Reply(int(lines[0].split(" ")[1]), headers, reader)


@asynccontextmanager
async def request(
    socket: str, route: str, body: bytes | None = None
) -> AsyncGenerator[Reply, None]:
    """Send one request (POST with a JSON body, else GET); leaving hangs up, which cancels it.

    Raises:
        OSError: nobody listens there, or the connection broke.
        asyncio.IncompleteReadError: the peer went away in the middle.
    """
    reader, writer = await asyncio.open_unix_connection(socket, limit=_LINE_LIMIT)
    try:
        verb = "GET" if body is None else "POST"
        writer.write(
            f"{verb} {route} HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body or b'')}\r\n\r\n".encode()
            + (body or b"")
        )
        await writer.drain()
        yield await _head(reader)
    finally:
        writer.transport.abort()
