"""The one HTTP client: sends the exact bytes of a call, and reads what comes of it.

Time limits are gaps in which nothing comes, never a total: ten minutes until the head of a reply
is there, the connection and the request included, and then between any two pieces of it.
Nothing is added to a body, no redirect is followed, no cookie is kept, no attempt is repeated. An
error that leaves here holds no key and no trace of one: it is made anew from redacted words, and
raised where no frame and no cause of it knows the key. This module knows no dialect by name and no
conversation.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from http import HTTPStatus
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp import ClientResponse, ClientSession, ClientTimeout
from aiohttp.hdrs import CONTENT_TYPE
from msgspec.structs import replace

from duologue.core.provider import Call, Completion, Delta, Seat
from duologue.errors import (
    BrokenStreamError,
    ConfigurationError,
    MalformedReplyError,
    OverloadError,
    ProviderBugError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitError,
    RequestRefusedError,
    boundary_error,
)
from duologue.providers.catalog import loopback, unfit
from duologue.providers.dialect import Dialect
from duologue.providers.reading import Clock, Reading
from duologue.providers.secret import Secret, redact, redact_bytes
from duologue.providers.waits import told_wait

IDLE_S = 600.0
CONNECT_S = 30.0
REST_S = 5.0
"""How long to wait for the end of HTTP once the reply is known to be whole."""

_CONNECTIONS = 4096
_KEPT_S = 60.0
_ERROR_BYTES = 2**20
_LARGE_BYTES = 2**20
_SHOWN = 4000
_REDIRECTS = range(300, 400)
_LIMITS = ClientTimeout(total=None, sock_connect=CONNECT_S)


class _Pool:
    """A session and how many use it."""

    def __init__(self) -> None:
        # trust_env would read ~/.netrc in a thread for every request, and send what it finds.
        self.session = ClientSession(
            connector=aiohttp.TCPConnector(
                limit=_CONNECTIONS, keepalive_timeout=_KEPT_S, ttl_dns_cache=300
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "duologue", "Accept-Encoding": "identity"},
            trust_env=False,
        )
        self.users = 0


_POOLS: dict[asyncio.AbstractEventLoop, _Pool] = {}


@asynccontextmanager
async def connections() -> AsyncGenerator[ClientSession, None]:
    """The running event loop's one pool of connections; the last who leaves closes it.

    Hold it around a run, and connections stay alive from one conversation to the next.
    """
    loop = asyncio.get_running_loop()
    if loop not in _POOLS:
        _POOLS[loop] = _Pool()
    pool = _POOLS[loop]
    pool.users += 1
    try:
        yield pool.session
    finally:
        pool.users -= 1
        if not pool.users:
            del _POOLS[loop]
            await pool.session.close()


class _Exchange:
    """One request and what has come of it, with one timer that ends a wait in which nothing comes.

    The timer looks how long ago something came: to set it anew with each of a thousand pieces would
    cost more than to read them.
    """

    def __init__(self, began: float, idle_s: float) -> None:
        self.began = began
        self.headers: Mapping[str, str] | None = None  # as they came: a key may be echoed in them
        self.reading: Reading | None = None
        self.piece = b""
        self._idle_s = idle_s
        self._response: ClientResponse | None = None
        self._asking: asyncio.Task[Any] | None = None
        self._overdue = False
        self._loop = asyncio.get_running_loop()
        self._since: float | None = None
        self._timer = self._loop.call_later(idle_s, self._look)

    async def head(self, sent: Awaitable[ClientResponse]) -> ClientResponse:
        """The head of the response to what is being sent.

        Raises:
            TimeoutError: none came.
        """
        task = self._asking = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        before, self._since = task.cancelling(), self._loop.time()
        try:
            self._response = await sent
        except asyncio.CancelledError:
            # As in asyncio.timeout: whoever else cancelled the task meanwhile is heard.
            if self._overdue and task.uncancel() <= before:
                raise TimeoutError from None
            raise
        finally:
            self._asking = self._since = None
        self.headers = self._response.headers
        return self._response

    async def more(self) -> bool:
        """Whether there are more bytes; they are in ``piece`` then.

        Raises:
            TimeoutError: none came.
        """
        assert self._response is not None  # noqa: S101 - its head has come
        self._since = self._loop.time()
        try:
            self.piece = await self._response.content.readany()
        finally:
            self._since = None  # whoever asks is busy with them, and nobody is kept waiting
        return bool(self.piece)

    def whole(self) -> bool:
        """Whether all of the response was read."""
        return self._response is not None and self._response.content.at_eof()

    def _look(self) -> None:
        """Whether somebody waits, and has waited for too long."""
        waited = 0.0 if self._since is None else self._loop.time() - self._since
        if waited < self._idle_s:
            self._timer = self._loop.call_later(self._idle_s - waited, self._look)
        elif self._asking is not None:
            self._overdue = self._asking.cancel()
        elif self._response is not None:
            self._response.content.set_exception(TimeoutError())

    def close(self) -> None:
        """Hang up, if there is anything left to come, and look no more."""
        self._timer.cancel()
        if self._response is not None:
            self._response.close()


class HostedProvider:
    """A model behind HTTP.

    Attributes:
        seat: what goes on record; no key is in it.
    """

    def __init__(
        self,
        seat: Seat,
        dialect: Dialect,
        key: str | Secret | None = None,
        session: ClientSession | None = None,
        *,
        idle_s: float = IDLE_S,
        clock: Clock = time.monotonic,
    ) -> None:
        """Take what is needed; nothing is opened before the first call.

        Args:
            seat: ``settings`` holds ``base_url`` and ``stream``.
            dialect: what the bytes mean.
            key: what the dialect puts into its headers; None for a server that wants none.
            session: whose connections to use, which stays its owner's; None for the shared ones.
            idle_s: the longest gap, in seconds, in which nothing comes.
            clock: seconds, for the timings of a completion.

        Raises:
            ConfigurationError: the base URL or the key cannot be used.
        """
        base = str(seat.settings.get("base_url", ""))
        if wrong := unfit(base):
            raise ConfigurationError(f"the base URL of {seat.provider} will not do: {wrong}")
        self.seat = seat
        self._dialect = dialect
        self._key = Secret(key) if isinstance(key, str) else key
        self._url = base.rstrip("/") + dialect.path(seat)
        self._proxy = _proxy(self._url)
        self._given = session
        self._held = AsyncExitStack()
        self._session: ClientSession | None = None
        self._idle_s = idle_s
        self._clock = clock

    async def stream(self, call: Call) -> AsyncGenerator[Delta | Completion, None]:
        """Send ``call.body`` once and read the reply; closing the generator hangs up at once.

        Raises:
            ProviderError: named by the boundary that was crossed, with what had arrived.
        """
        exchange = _Exchange(self._clock(), self._idle_s)
        failed: ProviderError | None = None
        reading: Reading | None = None
        item: Delta | Completion | None = None
        try:
            reading = exchange.reading = await self._answered(call.body, exchange)
            while not reading.done and await exchange.more():
                for item in reading.feed(exchange.piece):
                    yield item
            for item in await self._rest(exchange, reading):
                yield item
            for item in reading.end():
                yield self._clean(item)
        except Exception as error:  # noqa: BLE001 - whatever it was, no trace of it may leave here
            failed = self._told(error, exchange)
        finally:
            exchange.close()
        if failed is not None:
            del exchange, reading, item  # what came may hold an echo of the key
            raise failed

    async def aclose(self) -> None:
        """Give the shared connections back."""
        self._session = None
        await self._held.aclose()

    async def _answered(self, body: bytes, exchange: _Exchange) -> Reading:
        """Send the request; what reads the body of a 200.

        Raises:
            ProviderError: it is another status.
        """
        if self._given is None and self._session is None:
            self._session = await self._held.enter_async_context(connections())
        session = self._given or self._session
        assert session is not None  # noqa: S101 - one of them was just made
        sent = session.post(
            self._url,
            data=BytesIO(body) if len(body) > _LARGE_BYTES else body,
            headers=self._headers(),
            allow_redirects=False,
            timeout=_LIMITS,
            proxy=self._proxy,
        )
        response = await exchange.head(sent)
        if response.status != HTTPStatus.OK:
            raise await self._refused(response, exchange)
        began, clock = exchange.began, self._clock
        declared = response.headers.get(CONTENT_TYPE, "")
        return Reading(self.seat, self._dialect, declared, lambda: clock() - began)

    def _headers(self) -> dict[str, str]:
        """All that goes along with the body."""
        stream = self.seat.settings.get("stream", True)
        return {
            "Content-Type": "application/json",
            "Accept": "text/event-stream" if stream else "application/json",
            **self._dialect.headers(self._key.reveal() if self._key else None),
        }

    def _named(self, headers: Mapping[str, str] | None) -> dict[str, str]:
        """Response headers with names in lower case and without the key, should it be echoed."""
        given = headers or {}
        return {name.lower(): redact(value, self._key) for name, value in given.items()}

    async def _refused(self, response: ClientResponse, exchange: _Exchange) -> ProviderError:
        """What any other status than 200 is."""
        headers = self._named(response.headers)
        if response.status in _REDIRECTS:
            place = headers.get("location", "nowhere")
            return RequestRefusedError(
                f"{response.status}: it redirects to {place}, which is not followed, for the key "
                "would go along; if that is the right address, make it the base URL"
            )
        body = bytearray()
        with suppress(aiohttp.ClientError, TimeoutError, OSError):  # what came must do
            while len(body) < _ERROR_BYTES and await exchange.more():
                body += exchange.piece
        clean = redact_bytes(bytes(body), self._key)
        return self._dialect.classify(response.status, headers, clean)

    async def _rest(self, exchange: _Exchange, reading: Reading) -> list[Delta]:
        """What comes after the reply is known to be whole: usage, the end of HTTP.

        It is read so that the connection can be used again; a cut or a stall changes nothing here.
        """
        deltas: list[Delta] = []
        if exchange.whole():
            return deltas
        with suppress(aiohttp.ClientError, TimeoutError, OSError):
            async with asyncio.timeout(REST_S):
                while await exchange.more():
                    deltas += reading.feed(exchange.piece)
        return deltas

    def _clean(self, item: Delta | Completion) -> Delta | Completion:
        """The item; a model's words stay as they are, what the provider adds holds no key."""
        if isinstance(item, Delta) or item.detail is None:
            return item
        return replace(item, detail=_shown(redact(item.detail, self._key)))

    def _told(self, error: Exception, exchange: _Exchange) -> ProviderError:
        """The error as it may be shown: who, what, what had arrived, how long to wait."""
        said = "".join(exchange.reading.said) if exchange.reading else ""
        if not isinstance(error, ProviderError):
            error = _crossed(error, answered=exchange.headers is not None, idle_s=self._idle_s)
        detail = _shown(redact(error.detail, self._key))
        wait_s = error.wait_s
        if wait_s is None and isinstance(error, RateLimitError | OverloadError):
            wait_s = told_wait(self._named(exchange.headers), time.time())
        told = boundary_error(error.boundary)(
            f"{self.seat.provider}:{self.seat.model}: {detail}",
            partial=redact(error.partial or said, self._key),
            wait_s=wait_s,
        )
        told.boundary = error.boundary
        return told


def _crossed(error: Exception, *, answered: bool, idle_s: float) -> ProviderError:
    """The boundary that an error below HTTP's words crossed.

    Args:
        error: what aiohttp, the system or our own code raised.
        answered: whether the head of a response had come.
        idle_s: the longest gap.
    """
    match error:
        case aiohttp.ConnectionTimeoutError():
            return ProviderTimeoutError(f"no connection within {CONNECT_S:g} s")
        case TimeoutError():
            return ProviderTimeoutError(f"nothing came for {idle_s:g} s")
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return RequestRefusedError(f"there is no trust in the connection: {error}")
        case aiohttp.ClientHttpProxyError():
            return OverloadError(f"the proxy answered {error.status} {error.message}")
        case aiohttp.ClientResponseError():
            return MalformedReplyError(f"it speaks no HTTP that we understand: {error.message}")
        case aiohttp.ClientError() | OSError() if answered:
            return BrokenStreamError(f"the connection was cut: {error}")
        case aiohttp.ClientError() | OSError():
            return OverloadError(f"it cannot be reached: {error}")
    return ProviderBugError(f"{type(error).__name__}: {error}")


def _shown(detail: str) -> str:
    """A detail of a length that a person can read; what is left out is counted."""
    if len(detail) <= _SHOWN:
        return detail
    return f"{detail[:_SHOWN]}… ({len(detail) - _SHOWN} more characters)"


def _proxy(url: str) -> str | None:
    """The proxy that the environment names for an address; none for this machine itself."""
    parts = urlsplit(url)
    if loopback(url) or proxy_bypass(parts.hostname or ""):
        return None
    return getproxies().get(parts.scheme)
