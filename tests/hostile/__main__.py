# ruff: noqa: T201 - a command prints
"""Run the hostile server by hand, list its scenarios, or measure its ceiling.

python -m tests.hostile --port 8399 [--scenario rate_limited:3]
python -m tests.hostile --list
python -m tests.hostile --ceiling
"""

import argparse
import asyncio
import sys
import time

from .dialects import DIALECTS
from .scenarios import SCENARIOS
from .server import HostileServer, Script, prebuilt

_NOT_STREAMED = b'{"model":"hostile-1","messages":[{"role":"user","content":"Hello"}]}'
_STREAMED = _NOT_STREAMED[:-1] + b',"stream":true}'
_LANES = 32
_SECONDS = 2.0


def main() -> None:
    """Read the command line."""
    options = _parser().parse_args()
    sent = _STREAMED if options.stream else _NOT_STREAMED
    if options.list:
        for scenario in SCENARIOS.values():
            print(f"{scenario.name:20} {scenario.about}")
        return
    if options.load:
        coming = load(options.load, sent)
    else:
        coming = ceiling() if options.ceiling else serve(options)
    try:
        asyncio.run(coming)
    except KeyboardInterrupt:
        sys.exit(130)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("--port", type=int, default=8399)
    parser.add_argument("--scenario", default="plain", help="what every request gets")
    parser.add_argument("--lenient", action="store_true", help="accept what providers refuse")
    parser.add_argument("--fast", action="store_true", help="prebuilt replies, for benchmarks")
    parser.add_argument("--list", action="store_true", help="print the scenarios")
    parser.add_argument("--ceiling", action="store_true", help="measure the prebuilt replies")
    parser.add_argument("--load", type=int, metavar="PORT", help="only ask, as --ceiling does")
    parser.add_argument("--stream", action="store_true", help="with --load: ask for events")
    return parser


async def serve(options: argparse.Namespace) -> None:
    """Print the base URLs and serve until interrupted."""
    script = Script(default=options.scenario, strict=not options.lenient)
    fast = prebuilt() if options.fast else None
    async with HostileServer(script, port=options.port, fast=fast) as server:
        for name in (*DIALECTS, "moonshot"):
            print(f"{name:10} {server.url(name)}", flush=True)
        await asyncio.Event().wait()


async def ceiling() -> None:
    """Replies a second and CPU a reply of the prebuilt replies, asked by a second process."""
    for name, sent in (("whole", _NOT_STREAMED), ("60 events", _STREAMED)):
        async with HostileServer(fast=prebuilt()) as server:
            command = (sys.executable, "-m", str(__package__), "--load", str(server.port))
            flags = ("--stream",) if sent is _STREAMED else ()
            began, cpu = time.perf_counter(), time.process_time()
            asking = await asyncio.create_subprocess_exec(*command, *flags)
            await asking.wait()
            took, cpu = time.perf_counter() - began, time.process_time() - cpu
            rate, cost = server.served / took, cpu / server.served
            print(f"{name:10} {rate:8,.0f} replies/s  {cost * 1e6:6,.0f} us CPU each")


async def load(port: int, sent: bytes) -> None:
    """Ask on many connections at once for a while."""
    end = time.perf_counter() + _SECONDS
    await asyncio.gather(*(_lane(port, sent, end) for _ in range(_LANES)))


async def _lane(port: int, sent: bytes, end: float) -> None:
    """One connection that only looks for the end of each reply."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    request = b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: %d\r\n\r\n%b"
    while time.perf_counter() < end:
        writer.write(request % (len(sent), sent))
        head = await reader.readuntil(b"\r\n\r\n")
        at = head.find(b"content-length: ")
        if at >= 0:
            await reader.readexactly(int(head[at + 16 : head.index(b"\r\n", at)]))
        else:
            await reader.readuntil(b"\r\n0\r\n\r\n")
    writer.close()


if __name__ == "__main__":
    main()
