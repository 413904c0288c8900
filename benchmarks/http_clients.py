"""CPU per call of the HTTP clients that could carry the dialects, side by side in one run.

    python -m venv /tmp/bench && /tmp/bench/bin/pip install aiohttp httpx httpx2 niquests msgspec
    /tmp/bench/bin/python benchmarks/http_clients.py

Every call posts the same body, a history of 21 messages in about 20 KB, to the hostile server's
prebuilt replies, which run in a process of their own. What is counted is this process's CPU: the
machine may be busy, and the server may be slower than the client, without changing it much. A
streamed call reads 60 events one by one, as lines; each leaves the server by itself.

Rounds go through all clients in turn, so that a disturbance falls on all of them; the table shows
medians over the rounds. Clients that are not installed are left out and named.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

Call = Callable[[bytes, bool], Awaitable[int]]
Opener = Callable[[str, int], AbstractAsyncContextManager[Call]]

ROOT = Path(__file__).parent.parent
PATH = "/v1/chat/completions"
IN_FLIGHT = (1, 50, 200)
EVENTS = 60
_HEADERS = {"content-type": "application/json", "authorization": "Bearer sk-none"}
_DATA = b"data: "


def body(*, stream: bool) -> bytes:
    """A request in the middle of a conversation."""
    words = "What stays with me is how the thread we pulled on kept leading somewhere. "
    turns = [
        {"role": ("user", "assistant")[n % 2], "content": f"{n}: {words * 13}"} for n in range(21)
    ]
    asked = {"model": "hostile-1", "messages": turns, "stream": stream}
    return json.dumps(asked, separators=(",", ":")).encode()


def aiohttp_client(*, by_lines: bool) -> Opener:
    """A session with as many connections as calls in flight.

    Its own reader of lines refuses a line of more than 128 KiB, so a dialect that must take any
    event cuts the lines itself, from whatever has arrived.
    """

    @asynccontextmanager
    async def opened(base: str, width: int) -> AsyncIterator[Call]:
        aiohttp = import_module("aiohttp")
        timeout = aiohttp.ClientTimeout(total=None)
        connector = aiohttp.TCPConnector(limit=width)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

            async def call(sent: bytes, stream: bool) -> int:  # noqa: FBT001 - passed on as it came
                async with session.post(base + PATH, data=sent, headers=_HEADERS) as reply:
                    if not stream:
                        return len(await reply.read())
                    if by_lines:
                        return sum([line.startswith(_DATA) async for line in reply.content])
                    return await _cut(reply.content.iter_any())

            yield call

    return opened


async def _cut(arriving: AsyncIterator[bytes]) -> int:
    """Count the events in pieces that may end anywhere."""
    seen, rest = 0, b""
    async for piece in arriving:
        *lines, rest = (rest + piece).split(b"\n")
        seen += sum([line.startswith(_DATA) for line in lines])
    return seen


def httpx_like(name: str) -> Opener:
    """One interface: httpx and httpx2."""

    @asynccontextmanager
    async def opened(base: str, width: int) -> AsyncIterator[Call]:
        httpx = import_module(name)
        limits = httpx.Limits(max_connections=width, max_keepalive_connections=width)
        async with httpx.AsyncClient(limits=limits, timeout=None, trust_env=False) as client:

            async def call(sent: bytes, stream: bool) -> int:  # noqa: FBT001
                if not stream:
                    reply = await client.post(base + PATH, content=sent, headers=_HEADERS)
                    return len(reply.content)
                streamed = client.stream("POST", base + PATH, content=sent, headers=_HEADERS)
                async with streamed as reply:
                    return sum([line.startswith("data: ") async for line in reply.aiter_lines()])

            yield call

    return opened


@asynccontextmanager
async def niquests_client(base: str, width: int) -> AsyncIterator[Call]:
    """An asynchronous session with a pool as wide as the calls in flight."""
    niquests = import_module("niquests")
    async with niquests.AsyncSession(pool_connections=1, pool_maxsize=width) as session:
        session.trust_env = False

        async def call(sent: bytes, stream: bool) -> int:  # noqa: FBT001
            reply = await session.post(base + PATH, data=sent, headers=_HEADERS, stream=stream)
            if not stream:
                return len(reply.content or b"")
            return sum([line.startswith(_DATA) async for line in reply.iter_lines()])

        yield call


@asynccontextmanager
async def by_hand(base: str, width: int) -> AsyncIterator[Call]:
    """Streams of asyncio, and just enough HTTP for this one server: the floor, not a candidate."""
    host, port = base.removeprefix("http://").split(":")
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    head = f"POST {PATH} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer sk-none\r\n"
    head += "content-type: application/json\r\ncontent-length: %d\r\n\r\n"

    async def call(sent: bytes, stream: bool) -> int:  # noqa: FBT001
        pair = idle.pop() if idle else await asyncio.open_connection(host, int(port))
        reader, writer = pair
        writer.write((head % len(sent)).encode() + sent)
        top = await reader.readuntil(b"\r\n\r\n")
        seen = await _chunks(reader) if stream else len(await _whole(reader, top))
        idle.append(pair)
        return seen

    yield call
    for _, writer in idle[:width]:
        writer.close()


async def _whole(reader: asyncio.StreamReader, top: bytes) -> bytes:
    at = top.index(b"content-length: ") + 16
    return await reader.readexactly(int(top[at : top.index(b"\r\n", at)]))


async def _chunks(reader: asyncio.StreamReader) -> int:
    seen = 0
    while size := int(await reader.readline(), 16):
        seen += (await reader.readexactly(size + 2)).count(_DATA)
    await reader.readexactly(2)
    return seen


CLIENTS: dict[str, tuple[str, Opener]] = {
    "aiohttp": ("aiohttp", aiohttp_client(by_lines=True)),
    "aiohttp, lines cut by hand,": ("aiohttp", aiohttp_client(by_lines=False)),
    "httpx": ("httpx", httpx_like("httpx")),
    "httpx2": ("httpx2", httpx_like("httpx2")),
    "niquests": ("niquests", niquests_client),
    "asyncio streams, by hand": ("", by_hand),
}


async def cell(opener: Opener, base: str, width: int, *, stream: bool, seconds: float) -> float:
    """CPU of this process for one call, in microseconds, after every connection was warmed."""
    sent = body(stream=stream)
    async with opener(base, width) as call:
        await asyncio.gather(*(call(sent, stream) for _ in range(width)))
        done = 0
        end = time.perf_counter() + seconds

        async def lane() -> None:
            nonlocal done
            while time.perf_counter() < end:
                seen = await call(sent, stream)
                if seen < (EVENTS if stream else 100):
                    raise RuntimeError(f"a short reply: {seen}")
                done += 1

        began = time.process_time()
        await asyncio.gather(*(lane() for _ in range(width)))
        return (time.process_time() - began) / done * 1e6


def serve() -> tuple[subprocess.Popen[bytes], str]:
    """The server in a process of its own, and its base URL without a path."""
    code = "import asyncio\nfrom hostile.server import HostileServer, prebuilt\n"
    code += "async def main():\n async with HostileServer(fast=prebuilt()) as server:\n"
    code += "  print(server.port, flush=True)\n  await asyncio.Event().wait()\nasyncio.run(main())"
    tests = {"PYTHONPATH": str(ROOT / "tests")}
    command = [sys.executable, "-c", code]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | tests)  # noqa: S603
    port = int(process.stdout.readline()) if process.stdout else 0
    return process, f"http://127.0.0.1:{port}"


def installed() -> dict[str, Opener]:
    """The clients that are here, each named with its version."""
    here: dict[str, Opener] = {}
    for name, (package, opener) in CLIENTS.items():
        try:
            here[f"{name} {version(package)}" if package else name] = opener
        except PackageNotFoundError:
            print(f"{name}: not installed, left out", file=sys.stderr)
    return here


def measure(base: str, rounds: int, seconds: float) -> dict[tuple[str, int, bool], list[float]]:
    """All cells, round after round; ``seconds`` is the length of one cell."""
    found: dict[tuple[str, int, bool], list[float]] = {}
    for lap in range(rounds):
        for stream in (False, True):
            for width in IN_FLIGHT:
                for name, opener in installed().items():
                    coming = cell(opener, base, width, stream=stream, seconds=seconds)
                    cost = asyncio.run(coming)
                    found.setdefault((name, width, stream), []).append(cost)
        print(f"round {lap + 1} of {rounds}, load {os.getloadavg()[0]:.1f}", file=sys.stderr)
    return found


def table(found: dict[tuple[str, int, bool], list[float]]) -> str:
    """Markdown: medians, in microseconds."""
    heads = [f"{kind}, {width}" for kind in ("whole", "stream") for width in IN_FLIGHT]
    rows = [f"| client | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for name in dict.fromkeys(name for name, _, _ in found):
        cells = [
            f"{statistics.median(found[name, width, stream]):,.0f}"
            for stream in (False, True)
            for width in IN_FLIGHT
        ]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def spread(found: dict[tuple[str, int, bool], list[float]]) -> str:
    """How far the rounds lay apart: the largest over the smallest, the worst cell of a client."""
    worst: dict[str, float] = {}
    for (name, _, _), costs in found.items():
        worst[name] = max(worst.get(name, 0), max(costs) / min(costs))
    return ", ".join(f"{name} {ratio:.2f}" for name, ratio in worst.items())


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="the length of one cell")
    options = parser.parse_args()
    process, base = serve()
    try:
        found = measure(base, options.rounds, options.seconds)
    finally:
        process.terminate()
        process.wait()
    print(f"CPU per call in microseconds, whole or streamed ({EVENTS} events), by calls in flight;")
    print(f"medians of {options.rounds} rounds; {len(body(stream=True)):,} bytes sent; ", end="")
    print(f"Python {sys.version.split()[0]}.\n\n{table(found)}\n")
    print(f"Largest over smallest round, worst cell: {spread(found)}.")


if __name__ == "__main__":
    main()
