"""A server on loopback that says what a test wrote down."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

Step = bytes | float | str
"""Bytes to send, seconds to let pass, or ``cut`` or ``reset``."""


class Loopback:
    """What was asked of the server, and where it listens."""

    def __init__(self, replies: Sequence[Sequence[Step]]) -> None:
        self.replies = list(replies)
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self.tasks: list[asyncio.Task[None]] = []
        self.url = ""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self.tasks.append(task)
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while await self._answer(reader, writer):
                pass
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request; whether the connection is to be kept."""
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        self.heads.append(head)
        self.bodies.append(await reader.readexactly(size))
        return await self._say(self.replies.pop(0), writer)

    async def _say(self, steps: Sequence[Step], writer: asyncio.StreamWriter) -> bool:
        """One reply; whether the connection is to be kept."""
        for step in steps:
            if isinstance(step, bytes):
                writer.write(step)
                await writer.drain()
            elif isinstance(step, str):
                if step == "reset":
                    raw = writer.get_extra_info("socket")
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return False
            else:
                await asyncio.sleep(step)
        return True


@asynccontextmanager
async def serving(*replies: Sequence[Step]) -> AsyncIterator[Loopback]:
    """A server that gives these replies, one a request."""
    loopback = Loopback(replies)
    server = await asyncio.start_server(loopback, "127.0.0.1", 0)
    loopback.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield loopback
    finally:
        server.close()
        for task in loopback.tasks:
            task.cancel()
        await asyncio.gather(*loopback.tasks, return_exceptions=True)
        await asyncio.sleep(0)  # lets the transports close


def head(
    status: int = 200,
    kind: str = "text/event-stream",
    length: int | None = None,
    **headers: str,
) -> bytes:
    """Status line and headers; chunked unless a length is declared."""
    lines = [
        f"HTTP/1.1 {status} Told",
        f"Content-Type: {kind}",
        "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join((*lines, "", "")).encode()


def chunk(data: bytes) -> bytes:
    """A chunk of the chunked transfer encoding; the empty one ends the body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def streamed(*parts: bytes, kind: str = "text/event-stream", **headers: str) -> list[Step]:
    """A whole chunked response."""
    return [head(200, kind, None, **headers), *(chunk(part) for part in (*parts, b""))]


def whole(status: int, body: bytes, kind: str = "application/json", **headers: str) -> list[Step]:
    """A whole response with a length."""
    return [head(status, kind, len(body), **headers) + body]
