"""HTTP/1.1 by hand on loopback, so that it can cut, reset and stall at will.

Which scenario a request gets, first that applies: the header ``x-hostile: NAME``; the model's own
suffix, ``any-model!NAME``; the script's list for the API key; its list for the model; its
``default``. A list (in a suffix or header: names with commas between) is gone through request by
request, and its last name stays. Every request is kept as it came, to the byte.

``prebuilt`` serves benchmarks: nothing is parsed but the length of the body, nothing is kept but
a count. This module knows no dialect and no scenario by name.
"""

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

import msgspec

from .cache import CacheRule, PrefixCache
from .dialects import DIALECTS, VERSIONS, Route, ask, key, route
from .parts import Ask, Close, Frame, Objection, Pause, Problem, Reply, Saying, Truth, body, json
from .scenarios import SCENARIOS, Scene, parse, refuse

Wait = Callable[[float], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]

_HEAD_LIMIT = 64 * 1024
_REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    413: "Request Entity Too Large",
    429: "Too Many Requests",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    529: "Overloaded",
}
_MANY = "Let me think about that, word after word, so that there is something to cut in two."


class Script(msgspec.Struct, frozen=True):
    """How the server behaves.

    Attributes:
        scenarios: names of scenarios, in order, by API key or model; the last one stays.
        default: the scenario where nothing else applies.
        words: what is said, by API key or model. A request that shows n earlier messages of the
            model's own gets words n, so a retry gets the same words again. After the last it
            begins anew.
        keys: the API keys that are accepted; none means any, or no key at all.
        models: what ``GET /models`` lists.
        exit_token: the line with which a participant would leave.
        strict: whether requests are held to the providers' rules.
        cache: how prompts are kept for the count of cached tokens.
    """

    scenarios: Mapping[str, Sequence[str]] = {}
    default: str = "plain"
    words: Mapping[str, Sequence[str]] = {}
    keys: frozenset[str] = frozenset()
    models: tuple[str, ...] = ("hostile-1", "hostile-2")
    exit_token: str = "[END]"  # noqa: S105 - a line of a conversation
    strict: bool = True
    cache: CacheRule = CacheRule()


class Exchange(msgspec.Struct, frozen=True):
    """One request as it came, and what was sent for it.

    Attributes:
        head: request line and headers, to the byte.
        headers: the header lines in order, names in lower case.
        body: the request body, to the byte.
        ask: what it asked; None for a path that is no dialect's, and for a list of models.
        scenario: the name of what happened, ``refused`` for a request that broke a rule.
        reply: the plan of the response.
    """

    method: str
    target: str
    head: bytes
    headers: Headers
    body: bytes
    ask: Ask | None
    scenario: str
    reply: Reply

    @property
    def truth(self) -> Truth:
        """What really happened."""
        return self.reply.truth


class Held:
    """A wait that lasts until a test lets go: virtual time for whatever stalls.

    Pass it as ``wait``. ``await until()`` returns when somebody waits; ``go()`` lets all go on.
    """

    def __init__(self) -> None:
        self.waits: list[float] = []
        self._waiting = asyncio.Event()
        self._released = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        self.waits.append(seconds)
        self._waiting.set()
        await self._released.wait()
        self._released.clear()

    async def until(self) -> None:
        """Return when a reply stands still."""
        await self._waiting.wait()
        self._waiting.clear()

    def go(self) -> None:
        """Let the reply go on."""
        self._released.set()


class Prebuilt(msgspec.Struct, frozen=True):
    """Whole responses for benchmarks: one body, and one stream as a head and its chunks."""

    whole: bytes
    chunks: tuple[bytes, ...]


def prebuilt(dialect: str = "openai", chunks: int = 60) -> Prebuilt:
    """A plain success of ``chunks`` events with words, ready to write."""
    text = " ".join(f"word{at:02}" for at in range(chunks))
    asked = Ask(dialect, dialect, "hostile-1", "hostile-1", "", stream=False)
    scene = Scene(asked, Saying(text, served="hostile-1"))
    whole = SCENARIOS["plain"].play(scene)
    streamed = SCENARIOS["plain"].play(
        msgspec.structs.replace(scene, ask=msgspec.structs.replace(asked, stream=True))
    )
    sent = [_chunk(step.data) for step in streamed.steps if isinstance(step, Frame)]
    head = _head(streamed)
    return Prebuilt(_head(whole) + body(whole.steps), (head + sent[0], *sent[1:], b"0\r\n\r\n"))


class HostileServer:
    """A provider on 127.0.0.1 for as long as the block lasts.

    Attributes:
        exchanges: every request so far, in the order in which they were read.
        served: how many requests there were, prebuilt ones included.
        wait: what is awaited where something stalls; a test passes ``Held()``.
    """

    def __init__(
        self,
        script: Script | None = None,
        *,
        wait: Wait = asyncio.sleep,
        port: int = 0,
        fast: Prebuilt | None = None,
    ) -> None:
        """Raises ValueError for a script that names an unknown scenario."""
        self.script = script or Script()
        self.exchanges: list[Exchange] = []
        self.served = 0
        self.wait = wait
        self._port = port
        self._fast = fast
        self._cache = PrefixCache(self.script.cache)
        self._uses: Counter[str] = Counter()
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._bugs: list[Exception] = []
        for names in (*self.script.scenarios.values(), [self.script.default]):
            for name in names:
                parse(name)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._connection, "127.0.0.1", self._port, limit=_HEAD_LIMIT, backlog=1024
        )
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        for task, writer in list(self._open.items()):
            writer.transport.abort()
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        await self._server.wait_closed()
        if self._bugs and error is None:
            raise ExceptionGroup("the hostile server itself is wrong", self._bugs)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._port

    def url(self, provider: str, dialect: str = "openai") -> str:
        """The base URL of a provider: its host, its name, the version of its dialect.

        ``openai``, ``anthropic`` and ``google`` speak their own dialects, any other name
        ``dialect``. A name may bring rules with it: ``moonshot`` refuses silent turns.
        """
        spoken = provider if provider in DIALECTS else dialect
        return f"http://127.0.0.1:{self._port}/{provider}/{VERSIONS.get(spoken, 'v1')}"

    def bodies(self, name: str = "") -> list[bytes]:
        """The request bodies so far, in order; of one API key or model, if it is named."""
        return [
            seen.body
            for seen in self.exchanges
            if seen.ask and (not name or name in {seen.ask.key, seen.ask.model, seen.ask.sent})
        ]

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request after another until somebody hangs up."""
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = writer
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while await self._one(reader, writer):
                    self.served += 1
        except Exception as bug:  # noqa: BLE001 - raised again where the server is closed
            self._bugs.append(bug)
        finally:
            del self._open[task]
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request; whether the connection is still open after it."""
        head = await reader.readuntil(b"\r\n\r\n")
        sent = await reader.readexactly(_length(head))
        if self._fast is not None:
            return await self._replay(self._fast, sent, writer)
        seen = self.answer(head, sent)
        self.exchanges.append(seen)
        await self._perform(seen.reply, writer)
        return seen.reply.close is Close.KEEP

    async def _replay(self, fast: Prebuilt, sent: bytes, writer: asyncio.StreamWriter) -> bool:
        """Chunks go out one a turn of the event loop, as tokens of many replies would."""
        if b'"stream":true' not in sent and b'"stream": true' not in sent:
            writer.write(fast.whole)
            return True
        for chunk in fast.chunks:
            writer.write(chunk)
            await asyncio.sleep(0)
        await writer.drain()
        return True

    def answer(self, head: bytes, sent: bytes) -> Exchange:
        """Decide what a request gets. Nothing is written here."""
        line, _, rest = head.partition(b"\r\n")
        method, target = line.decode("latin-1").split(" ")[:2]
        headers = _headers(rest)
        named = {name.decode(): value.decode("latin-1") for name, value in headers}
        where = route(target, named)
        asked = None
        if where is None or (method == "GET") is not where.listing:
            scenario, reply = "no_route", _no_route(target)
        elif where.listing:
            scenario, reply = "models", self._models(where, named)
        else:
            asked = ask(where, named, sent)
            scenario, reply = self._reply(asked, named)
        return Exchange(method, target, head, headers, sent, asked, scenario, reply)

    def _models(self, where: Route, named: Mapping[str, str]) -> Reply:
        dialect = DIALECTS[where.dialect]
        if self.script.keys and key(where, named) not in self.script.keys:
            asked = ask(where, named, b"")
            why = Objection("")
            return dialect.fault(Problem.UNAUTHORIZED, asked, wait_s=None, why=why)
        return Reply(Truth(), (Frame(dialect.models(self.script.models)),))

    def _reply(self, asked: Ask, named: Mapping[str, str]) -> tuple[str, Reply]:
        """The scenario's name, and the response."""
        if asked.problem:
            return "refused", refuse(Scene(asked, Saying("")), asked.problem)
        if self.script.keys and asked.key not in self.script.keys:
            return "unauthorized", SCENARIOS["unauthorized"].play(Scene(asked, Saying("")))
        dialect = DIALECTS[asked.dialect]
        why = dialect.objection(asked) if self.script.strict else None
        if why:
            return "refused", refuse(Scene(asked, Saying("")), why)
        name = self._scenario(asked, named)
        try:
            scenario, number = parse(name)
        except ValueError as unknown:
            return "unknown", _told(501, str(unknown))
        scene = Scene(asked, self._saying(asked), number, self.script.exit_token)
        return name, scenario.play(scene)

    def _scenario(self, asked: Ask, named: Mapping[str, str]) -> str:
        """The name that is due, and the list that it stands in moves on."""
        script, header = self.script.scenarios, named.get("x-hostile")
        suffix = asked.sent.partition("!")[2]
        lists: tuple[tuple[str, Sequence[str] | None], ...] = (
            ("x-hostile", header.split(",") if header else None),
            (asked.sent, suffix.split(",") if suffix else None),
            (asked.key, script.get(asked.key)),
            (asked.model, script.get(asked.model)),
            ("", [self.script.default]),
        )
        place, names = next((place, names) for place, names in lists if names)
        at = self._uses[place]
        self._uses[place] += 1
        return names[min(at, len(names) - 1)]

    def _saying(self, asked: Ask) -> Saying:
        """What the model would say if nothing went wrong, and what it read."""
        dialect = DIALECTS[asked.dialect]
        turn = dialect.own_turns(asked)
        script = self.script.words
        lines = script.get(asked.key) or script.get(asked.model)
        text = lines[turn % len(lines)] if lines else f"I am {asked.model}, turn {turn}. {_MANY}"
        tokens = self._cache.read(asked, dialect.prompt(asked))
        return Saying(text, served=asked.sent, tokens=tokens)

    async def _perform(self, reply: Reply, writer: asyncio.StreamWriter) -> None:
        """Carry the plan out."""
        if reply.late_s:
            await self.wait(reply.late_s)
        if reply.status:
            writer.write(_head(reply))
        for step in reply.steps:
            if isinstance(step, Pause):
                await writer.drain()
                await self.wait(step.seconds)
            else:
                writer.write(_chunk(step.data) if reply.chunked else step.data)
                await writer.drain()
        if reply.close is Close.KEEP:
            writer.write(b"0\r\n\r\n" if reply.chunked else b"")
            await writer.drain()
        elif reply.close is Close.RESET:
            _reset(writer)


def _length(head: bytes) -> int:
    """The length that a request's head declares; without one there is no body."""
    at = head.lower().find(b"\r\ncontent-length:")
    return int(head[at + 17 : head.index(b"\r\n", at + 17)]) if at >= 0 else 0


def _headers(lines: bytes) -> Headers:
    split = (line.partition(b":") for line in lines.split(b"\r\n") if line)
    return tuple((name.strip().lower(), value.strip()) for name, _, value in split)


def _head(reply: Reply) -> bytes:
    """Status line and headers."""
    length = reply.length if reply.length is not None else len(body(reply.steps))
    lines = [
        f"HTTP/1.1 {reply.status} {_REASONS.get(reply.status, 'Unknown')}",
        f"content-type: {reply.content_type}",
        "transfer-encoding: chunked" if reply.chunked else f"content-length: {length}",
        *(f"{name}: {value}" for name, value in reply.headers),
    ]
    return "\r\n".join((*lines, "\r\n")).encode("latin-1")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with an RST: a linger of nothing."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _no_route(target: str) -> Reply:
    return _told(404, f"no dialect has the path {target}")


def _told(status: int, message: str) -> Reply:
    """The server's own word to whoever runs it by hand."""
    data = json({"error": {"message": f"hostile server: {message}"}})
    return Reply(Truth(boundary="request_refused"), (Frame(data),), status=status)
