"""A model behind loopback that counts how many calls are under way at once.

Nobody is answered before ``ALL`` calls are under way, so that all who are to ask have begun. Then
one after the other is, the latest first, until ``MORE`` were under way at once: whoever is slow has
its calls under way meanwhile, and after a few answers there is a rest, the longer the less comes of
it, in which more can be given out to those who ask. From then on all are answered when nobody has
asked for ``SECONDS``, so that whoever asks too much is seen. The count does not depend on anybody's
speed.

    python tests/counting_server.py ALL MORE SECONDS

Prints its base URL when it answers; when its standard input ends, the most calls that were ever
under way at once and how many there were in all. It knows nothing of duologue.
"""

import asyncio
import json
import os
import sys
from contextlib import suppress

_FEW = 64
"""Answers between two rests."""
_LONG = 50
"""The longest rest, in ``SECONDS``."""
_SAID = {
    "id": "x",
    "object": "chat.completion",
    "model": "m",
    "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "so"}}
    ],
    "usage": {"prompt_tokens": 6, "completion_tokens": 4, "total_tokens": 10},
}


class Counting:
    """How many calls are under way, were at the most, and came in all."""

    def __init__(self) -> None:
        self.now = self.most = self.all = 0
        self.waiting: list[asyncio.Event] = []
        self.asked = asyncio.Event()
        body = json.dumps(_SAID).encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
        self.reply = head.encode() + b"\r\n\r\n" + body

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split()[0]))
                self.now, self.all = self.now + 1, self.all + 1
                self.most = max(self.most, self.now)
                self.asked.set()
                self.waiting.append(turn := asyncio.Event())
                await turn.wait()
                self.now -= 1
                writer.write(self.reply)
        writer.close()

    async def answer(self, all_: int, more: int, seconds: float) -> None:
        """Let calls have their answers, for ever."""
        while self.now < all_:
            self.asked.clear()
            await self.asked.wait()
        rest = seconds
        while self.most < more:
            known = self.most
            for _ in range(_FEW):
                if self.waiting:
                    self.waiting.pop().set()
                await asyncio.sleep(0.001)
            await asyncio.sleep(rest)
            rest = seconds if self.most > known else min(2 * rest, _LONG * seconds)
        while True:
            known = self.all
            await asyncio.sleep(seconds)
            while known == self.all and self.waiting:
                self.waiting.pop().set()


async def main() -> None:
    """Serve until standard input ends."""
    counting = Counting()
    server = await asyncio.start_server(counting, "127.0.0.1", 0, backlog=1000)
    os.write(1, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1\n".encode())
    answering = asyncio.create_task(
        counting.answer(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
    )
    await asyncio.to_thread(sys.stdin.read)
    answering.cancel()
    os.write(1, f"{counting.most} {counting.all}\n".encode())
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
