import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from duologue.providers.local.unixhttp import request

EVENTS = 'data: {"a":"🦋"}\n\n: a comment\n\nerror: {"b":2}\n\n'.encode()


@asynccontextmanager
async def serving(folder: Path, *pieces: bytes) -> AsyncIterator[tuple[str, asyncio.Future[bytes]]]:
    """A peer that answers one request with exactly these bytes, then hangs up."""
    asked: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
        asked.set_result(head + await reader.readexactly(length))
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    socket = str(folder / "s.sock")
    server = await asyncio.start_unix_server(answer, socket)
    async with server:
        yield socket, asked


def chunked(body: bytes, size: int) -> list[bytes]:
    cuts = [body[at : at + size] for at in range(0, len(body), size)]
    return [b"%x\r\n%s\r\n" % (len(cut), cut) for cut in cuts] + [b"0\r\n\r\n"]


HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
async def test_events_come_whole_however_the_reply_is_cut(tmp_path: Path, size: int) -> None:
    async with serving(tmp_path, HEAD, *chunked(EVENTS, size)) as (socket, asked):
        async with request(socket, "/x", b"{}") as reply:
            assert reply.status == 200
            got = [payload async for payload in reply.events()]
        assert got == ['{"a":"🦋"}'.encode(), b'{"b":2}']
        assert (await asked).startswith(b"POST /x HTTP/1.1\r\n")
        assert (await asked).endswith(b"\r\n\r\n{}")


async def test_a_reply_with_a_length_is_read_to_its_end(tmp_path: Path) -> None:
    plain = b"HTTP/1.1 404 Not Found\r\ncontent-length: 5\r\n\r\nhello"
    async with serving(tmp_path, plain) as (socket, asked):
        async with request(socket, "/x") as reply:
            assert (reply.status, await reply.body()) == (404, b"hello")
        assert (await asked).startswith(b"GET /x ")


@pytest.mark.parametrize("cut", [10, len(HEAD) + 1, len(HEAD) + 12])
async def test_a_peer_that_dies_in_the_middle_is_noticed(tmp_path: Path, cut: int) -> None:
    whole = HEAD + chunked(EVENTS, 1000)[0]
    async with serving(tmp_path, whole[:cut]) as (socket, _):
        with pytest.raises(asyncio.IncompleteReadError):
            async with request(socket, "/x") as reply:
                await reply.body()


async def test_a_peer_that_is_not_there_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        async with request(str(tmp_path / "none.sock"), "/x"):
            pass
