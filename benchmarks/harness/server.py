"""A fast fake model behind HTTP, for measuring whoever talks to it: OpenAI-compatible, raw asyncio.

    python benchmarks/harness/server.py --latency 0.2 --words 20      # prints "listening PORT"
    python benchmarks/harness/server.py --ceiling 1000 20 --latency 0.2

It answers every POST with the same words: streamed, one word an event and one write an event,
where the body holds ``"stream": true``; otherwise whole. The first byte comes ``--latency``
seconds after the request, each further event ``--gap`` seconds after the one before; a whole reply
takes as long as a streamed one. Nothing of the request is parsed but its length and that one flag.

``--ceiling CONVERSATIONS MESSAGES`` measures the server itself, and this machine: a client that
knows all answers beforehand, on bare sockets in a process of its own, sends as many requests over
as many connections, with bodies as long as a conversation's would be, and counts bytes.
"""

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

WORDS = 20
_SAID = "What stays with me is how the thread that we pulled on kept leading somewhere new"
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: "
_STREAMS = (b'"stream":true', b'"stream": true')
_GET = b'{"object":"list","data":[{"id":"fake","object":"model"}]}'


def text(words: int) -> str:
    """What the model says, always."""
    said = _SAID.split(" ")
    return " ".join(said[n % len(said)] for n in range(words))


class Replies:
    """The bytes of the one reply, made once."""

    def __init__(self, words: int) -> None:
        said = text(words)
        usage = {"prompt_tokens": 9, "completion_tokens": words, "total_tokens": 9 + words}
        whole = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "fake",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": said},
                    "finish_reason": "stop",
                }
            ],
            "usage": usage,
        }
        self.whole = _whole(json.dumps(whole).encode())
        self.listed = _whole(_GET)
        pieces = said.split(" ")
        pieces = [piece + " " for piece in pieces[:-1]] + pieces[-1:]
        events = [_chunk({"content": piece}) for piece in pieces]
        events[0] = _chunk({"role": "assistant", "content": ""}) + events[0]
        events[-1] += _chunk({}, "stop") + _last(usage) + _piece(b"data: [DONE]\n\n")
        events[-1] += b"0\r\n\r\n"
        events[0] = _HEAD + b"text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n" + events[0]
        self.events = events


def _whole(body: bytes) -> bytes:
    """A response with a length."""
    return _HEAD + b"application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def _piece(data: bytes) -> bytes:
    """One piece of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def _chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
    """One server-sent event with a delta."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return _event({"choices": [choice]})


def _last(usage: dict[str, int]) -> bytes:
    """The event that tells the usage."""
    return _event({"choices": [], "usage": usage})


def _event(more: dict[str, object]) -> bytes:
    """One server-sent event."""
    told = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "fake"}
    return _piece(b"data: " + json.dumps(told | more).encode() + b"\n\n")


class Server(asyncio.Protocol):
    """One connection."""

    def __init__(self, replies: Replies, latency_s: float, gap_s: float) -> None:
        self.replies = replies
        self.latency_s = latency_s
        self.gap_s = gap_s
        self.loop = asyncio.get_running_loop()
        self.buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a socket's is one
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that is whole."""
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(self.buffer[:end]).lower()
            size = 0
            if (at := head.find(b"content-length:")) >= 0:
                size = int(head[at + 15 :].split(b"\r\n", 1)[0])
            if len(self.buffer) < end + 4 + size:
                return
            body = bytes(self.buffer[end + 4 : end + 4 + size])
            del self.buffer[: end + 4 + size]
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        """Answer one request, when it is time."""
        if head.startswith(b"get"):
            self.transport.write(self.replies.listed)
        elif any(mark in body for mark in _STREAMS):
            self._later(self.latency_s, self._stream, 0)
        else:
            thought = self.latency_s + self.gap_s * (len(self.replies.events) - 1)
            self._later(thought, self.transport.write, self.replies.whole)

    def _later(self, wait_s: float, do: object, argument: object) -> None:
        """Do it after so many seconds; at once for none."""
        if wait_s > 0:
            self.loop.call_later(wait_s, do, argument)  # type: ignore[arg-type]
        else:
            do(argument)  # type: ignore[operator]

    def _stream(self, place: int) -> None:
        """Write the events from one on, each by itself."""
        if self.transport.is_closing():
            return
        events = self.replies.events
        if self.gap_s > 0:
            self.transport.write(events[place])
            if place + 1 < len(events):
                self.loop.call_later(self.gap_s, self._stream, place + 1)
            return
        for event in events:
            self.transport.write(event)


async def serve(port: int, latency_s: float, gap_s: float, words: int) -> None:
    """Serve until killed, or until standard input is closed."""
    replies = Replies(words)
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(
        lambda: Server(replies, latency_s, gap_s), "127.0.0.1", port, backlog=4096
    )
    print("listening", listener.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


@contextmanager
def running(latency_s: float = 0.0, gap_s: float = 0.0, words: int = WORDS) -> Iterator[str]:
    """A server in a process of its own; yields its base URL, ``http://127.0.0.1:PORT/v1``."""
    numbers = ["--latency", str(latency_s), "--gap", str(gap_s), "--words", str(words)]
    command = [sys.executable, __file__, *numbers]
    with subprocess.Popen(  # noqa: S603 - this very file
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        port = process.stdout.readline().split()[1]
        try:
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()


class _Asker(asyncio.Protocol):
    """One connection of the client that knows all answers: it counts bytes."""

    def __init__(self, requests: list[bytes], expected: int) -> None:
        self.requests = requests
        self.expected = expected
        self.done = asyncio.get_running_loop().create_future()
        self.place = self.left = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the first time."""
        self.transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        """Count; ask again when an answer is whole."""
        self.left -= len(data)
        if self.left > 0:
            return
        if self.place < len(self.requests):
            self._ask()
        elif not self.done.done():
            self.done.set_result(None)
            self.transport.close()

    def _ask(self) -> None:
        """The next request."""
        self.left = self.expected
        assert isinstance(self.transport, asyncio.Transport)  # noqa: S101 - a socket's is one
        self.transport.write(self.requests[self.place])
        self.place += 1


def _requests(messages: int, words: int, *, stream: bool) -> list[bytes]:
    """Requests as long as a conversation's would be."""
    said, asked = text(words), []
    for count in range(1, messages + 1):
        turns = [{"role": ("user", "assistant")[n % 2], "content": said} for n in range(count)]
        body = json.dumps({"model": "fake", "stream": stream, "messages": turns}).encode()
        head = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        asked.append(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return asked


async def _asked(
    base: str, conversations: int, messages: int, words: int, *, stream: bool
) -> float:
    """Seconds for all conversations at once."""
    replies = Replies(words)
    expected = len(b"".join(replies.events)) if stream else len(replies.whole)
    requests = _requests(messages, words, stream=stream)
    port = int(base.rsplit(":", 1)[1].split("/", maxsplit=1)[0])
    loop, began = asyncio.get_running_loop(), time.perf_counter()
    askers: list[_Asker] = []
    for _ in range(conversations):
        _, asker = await loop.create_connection(
            lambda: _Asker(requests, expected), "127.0.0.1", port
        )
        askers.append(asker)
    await asyncio.gather(*(asker.done for asker in askers))
    return time.perf_counter() - began


def ceiling(base: str, conversations: int, messages: int, words: int, *, stream: bool) -> float:
    """Seconds of wall that the server itself needs for so many, asked by a bare socket client."""
    return asyncio.run(_asked(base, conversations, messages, words, stream=stream))


def main() -> None:
    """Serve, or measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds to the first byte")
    parser.add_argument("--gap", type=float, default=0.0, help="seconds between events")
    parser.add_argument("--words", type=int, default=WORDS, help="events in a streamed reply")
    parser.add_argument("--ceiling", type=int, nargs=2, metavar=("CONVERSATIONS", "MESSAGES"))
    given = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if given.ceiling is None:
        asyncio.run(serve(given.port, given.latency, given.gap, given.words))
        return
    many, messages = given.ceiling
    with running(given.latency, given.gap, given.words) as base:
        for stream in (False, True):
            took = ceiling(base, many, messages, given.words, stream=stream)
            rate = many * messages / took
            mode = "streaming" if stream else "whole"
            print(f"{mode:>9}: {many} x {messages} in {took:.2f} s, {rate:,.0f} replies a second")


if __name__ == "__main__":
    main()
