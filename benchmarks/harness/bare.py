"""What a harness is measured against: a loop that lets two seats speak in turn, and nothing more.

Each seat has its list of messages, which grows by what was said; each turn's list is sent, the
reply is read, and its words are put on both lists. Nothing is recorded, nothing is checked, nobody
waits, nothing is asked again. ``plain`` is what anybody would write with aiohttp and the standard
library's JSON; ``sent`` is the floor below it: it sends bodies that were made beforehand, so that
what it costs is HTTP and reading the reply.
"""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import aiohttp

SEATS = ("Ada", "Bo")
OPENER = "Hello. What have you been thinking about?"
Ask = Callable[[dict[str, object] | bytes], "AsyncIterator[str]"]


@asynccontextmanager
async def session(width: int = 100) -> AsyncIterator[aiohttp.ClientSession]:
    """A client with as many connections as conversations, no time limit, and no more."""
    limits = aiohttp.ClientTimeout(total=None)
    connector = aiohttp.TCPConnector(limit=width)
    async with aiohttp.ClientSession(connector=connector, timeout=limits) as opened:
        yield opened


async def _reply(
    http: aiohttp.ClientSession, base: str, body: dict[str, object] | bytes, *, stream: bool
) -> str:
    """The words of one reply."""
    sent = {"data": body} if isinstance(body, bytes) else {"json": body}
    headers = {"Content-Type": "application/json"}
    async with http.post(f"{base}/chat/completions", headers=headers, **sent) as response:
        response.raise_for_status()
        if stream:
            return await _streamed(response)
        said = await response.json()
        return str(said["choices"][0]["message"]["content"])


async def _streamed(response: aiohttp.ClientResponse) -> str:
    """The words of a reply that comes event by event."""
    words: list[str] = []
    async for line in response.content:
        if not line.startswith(b"data: "):
            continue
        data = line[6:].strip()
        if data == b"[DONE]":
            break
        if choices := json.loads(data)["choices"]:
            words.append(choices[0]["delta"].get("content") or "")
    await response.read()
    return "".join(words)


async def plain(
    http: aiohttp.ClientSession, base: str, messages: int, *, stream: bool, seen: Callable[[], None]
) -> None:
    """Hold one conversation of so many messages, the opener counted."""
    lists: list[list[dict[str, str]]] = [
        [{"role": "user", "content": OPENER}],
        [{"role": "assistant", "content": OPENER}],
    ]
    # The first seat said the opener, as duologue has it: the second seat answers.
    lists.reverse()
    for turn in range(1, messages):
        own, other = lists[turn % 2], lists[1 - turn % 2]
        body: dict[str, object] = {"model": "fake", "stream": stream, "messages": own}
        if stream:
            body["stream_options"] = {"include_usage": True}
        said = await _reply(http, base, body, stream=stream)
        own.append({"role": "assistant", "content": said})
        other.append({"role": "user", "content": said})
        seen()


async def sent(
    http: aiohttp.ClientSession,
    base: str,
    bodies: Sequence[bytes],
    *,
    stream: bool,
    seen: Callable[[], None],
) -> None:
    """Send bodies that are there already, one after another, and read the replies."""
    for body in bodies:
        await _reply(http, base, body, stream=stream)
        seen()
