import asyncio
import json
import traceback
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import Any

import aiohttp
import pytest
from aiohttp import ClientSession
from aiohttp.client_reqrep import ConnectionKey
from loopback import Loopback, Step, chunk, head, serving, streamed, whole

from duologue.core.provider import Call, Completion, Delta, Item, Provider, Seat
from duologue.errors import (
    AuthenticationError,
    BrokenStreamError,
    ConfigurationError,
    MalformedReplyError,
    OverloadError,
    ProviderBugError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitError,
    RequestRefusedError,
)
from duologue.providers.hosted import HostedProvider, connections
from duologue.providers.openai import OpenAI
from duologue.providers.secret import Secret
from swift import SwiftLoop, run

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

KEY = "sk-planted-0123456789"
CALL = Call(b'{"messages":[ ]  }', "c/Ada")


def said(text: str, finish: str = "null") -> bytes:
    delta = f'{{"choices":[{{"delta":{{"content":{json.dumps(text)}}},"finish_reason":{finish}}}]}}'
    return b"data: " + delta.encode() + b"\n\n"


HELLO = (said("Hel"), said("lo", '"stop"'), b"data: [DONE]\n\n")
BODY = b'{"model":"m-1","choices":[{"message":{"content":"Hello"},"finish_reason":"stop"}]}'


def provider(
    url: str, session: ClientSession | None = None, *, stream: bool = True, key: str | None = KEY
) -> HostedProvider:
    seat = Seat("openai", "m", "openai", {"base_url": url, "stream": stream})
    clock = asyncio.get_running_loop().time
    return HostedProvider(seat, OpenAI(), key, session, clock=clock)


async def asked(one: Provider, call: Call = CALL) -> list[Item]:
    async with aclosing(one.stream(call)) as stream:
        return [item async for item in stream]


def ask(
    *replies: Sequence[Step], stream: bool = True, call: Call = CALL
) -> tuple[list[Item], Loopback]:
    """What comes of one request after another, as many as there are replies."""

    async def main() -> tuple[list[Item], Loopback]:
        async with serving(*replies) as server:
            one = provider(server.url, stream=stream)
            try:
                return [item for _ in replies for item in await asked(one, call)], server
            finally:
                await one.aclose()

    return run(main())


def completion(*reply: Step, stream: bool = True) -> Completion:
    """The one completion of a reply, whose words are those of its deltas."""
    (*deltas, last), _ = ask(reply, stream=stream)
    assert isinstance(last, Completion)
    assert "".join(one.text for one in deltas if isinstance(one, Delta)) == last.text
    return last


def test_the_exact_body_goes_out_and_nothing_is_added_to_it() -> None:
    items, server = ask(streamed(*HELLO))
    assert server.bodies == [CALL.body]
    sent = server.heads[0].decode().split("\r\n")
    assert sent[0] == "POST /v1/chat/completions HTTP/1.1"
    names = {line.partition(":")[0].lower(): line.partition(": ")[2] for line in sent[1:] if line}
    assert names == {
        "host": server.url.split("/")[2],
        "content-type": "application/json",
        "content-length": str(len(CALL.body)),
        "accept": "text/event-stream",
        "accept-encoding": "identity",
        "authorization": f"Bearer {KEY}",
        "user-agent": "duologue",
    }
    assert items[:2] == [Delta("Hel"), Delta("lo")]


def test_a_reply_that_was_not_to_be_streamed_comes_whole() -> None:
    (delta, reply), server = ask(whole(200, BODY), stream=False)
    assert delta == Delta("Hello")
    assert isinstance(reply, Completion)
    assert (reply.text, reply.served, reply.first_token_s) == ("Hello", "m-1", None)
    assert b"Accept: application/json" in server.heads[0]


def test_a_slash_at_the_end_of_the_base_url_changes_nothing() -> None:
    async def main() -> bytes:
        async with serving(streamed(*HELLO)) as server, ClientSession() as session:
            await asked(provider(server.url + "/", session, key=None))
            return server.heads[0]

    sent = run(main())
    assert sent.startswith(b"POST /v1/chat/completions ")
    assert b"Authorization" not in sent


def test_a_connection_is_kept_for_the_next_turn() -> None:
    _, server = ask(streamed(*HELLO), streamed(*HELLO))
    assert server.connections == 1


def test_a_request_of_two_megabytes_is_sent_to_the_byte() -> None:
    call = Call(b'"' + bytes(range(1, 200)) * 10_000 + b'"')
    _, server = ask(streamed(*HELLO), call=call)
    assert server.bodies == [call.body]


def test_a_reply_of_ten_megabytes_is_read_whole() -> None:
    text = "All work and no play. " * 500_000
    pieces = [said(text[at : at + 2**20]) for at in range(0, len(text), 2**20)]
    reply = completion(*streamed(*pieces, HELLO[2]))
    assert reply.text == text
    body = BODY.replace(b"Hello", text.encode())
    assert completion(*whole(200, body)).text == text


def test_a_model_may_think_longer_than_any_gap_if_something_comes_meanwhile() -> None:
    first, *rest = streamed(*HELLO)
    pings: list[Step] = [step for _ in range(5) for step in (590.0, chunk(b": ping\n\n"))]
    reply = completion(590.0, first, *pings, *rest)
    assert reply.text == "Hello"
    assert reply.first_token_s == pytest.approx(6 * 590, abs=5)
    assert reply.seconds == pytest.approx(6 * 590, abs=5)


def failure(*reply: Step, stream: bool = True) -> ProviderError:
    with pytest.raises(ProviderError) as raised:
        ask(reply, stream=stream)
    return raised.value


START = [head(), chunk(HELLO[0])]

FAILURES: list[tuple[list[Step], type[ProviderError], str, str]] = [
    (["cut"], OverloadError, "cannot be reached", ""),
    (["reset"], OverloadError, "cannot be reached", ""),
    ([head()[:20], "cut"], OverloadError, "cannot be reached", ""),
    ([head(), "reset"], BrokenStreamError, "was cut", ""),
    ([*START, "cut"], BrokenStreamError, "was cut", "Hel"),
    ([*START, 1.0, "reset"], BrokenStreamError, "was cut", "Hel"),
    ([*START, chunk(b"")], BrokenStreamError, "ended before the reply did", "Hel"),
    ([700.0], ProviderTimeoutError, "nothing came for 600 s", ""),
    ([head(), 700.0], ProviderTimeoutError, "nothing came for 600 s", ""),
    ([*START, 700.0], ProviderTimeoutError, "nothing came for 600 s", "Hel"),
    ([*START, chunk(b'data: {"cho\n\n')], MalformedReplyError, "cannot be understood", "Hel"),
    ([*START, chunk(b"data: \xff\n\n")], MalformedReplyError, "cannot be understood", "Hel"),
    ([b"SSH-2.0-OpenSSH\r\n\r\n"], MalformedReplyError, "no HTTP", ""),
    (streamed(b"<p>Sign in"), MalformedReplyError, "no event came", ""),
    (whole(200, b'{"error":{"message":"x","code":503}}'), OverloadError, "503: x", ""),
    (whole(200, b"{}"), MalformedReplyError, "no choices", ""),
    (whole(401, b'{"error":{"message":"x"}}'), AuthenticationError, "401: x", ""),
    (whole(302, b"", location="http://e.test/"), RequestRefusedError, "redirects to http://e", ""),
    (whole(307, b""), RequestRefusedError, "redirects to nowhere", ""),
    ([head(500, length=99) + b"half an exc", "cut"], OverloadError, "500: half an exc", ""),
]


@pytest.mark.parametrize(("reply", "kind", "words", "partial"), FAILURES, ids=range(len(FAILURES)))
def test_each_failure_is_named_once_with_what_had_arrived(
    reply: list[Step], kind: type[ProviderError], words: str, partial: str
) -> None:
    error = failure(*reply)
    assert type(error) is kind
    assert error.detail.startswith("openai:m: ")
    assert words in error.detail
    assert error.partial == partial


def test_nobody_listens_at_a_closed_port() -> None:
    async def main() -> None:
        async with serving() as server:
            url = server.url
        one = provider(url)
        try:
            await asked(one)
        finally:
            await one.aclose()

    with pytest.raises(OverloadError, match="cannot be reached"):
        run(main())


@pytest.mark.parametrize("after_s", [1.0, 600.0, 650.0])
def test_whoever_is_cancelled_is_cancelled_even_in_the_moment_in_which_too_much_time_has_passed(
    after_s: float,
) -> None:
    async def main() -> BaseException | None:
        async with serving([900.0]) as server:
            one = provider(server.url)
            task = asyncio.create_task(asked(one))
            asyncio.get_running_loop().call_later(after_s, task.cancel)
            try:
                await asyncio.wait([task])
                return asyncio.CancelledError() if task.cancelled() else task.exception()
            finally:
                await one.aclose()

    expected = asyncio.CancelledError if after_s <= 600 else ProviderTimeoutError
    assert isinstance(run(main()), expected)


@pytest.mark.parametrize("after", [["cut"], ["reset"], [100.0], [chunk(b": ping\n\n"), 700.0]])
def test_whatever_happens_after_the_end_of_a_reply_changes_nothing(after: list[Step]) -> None:
    start = [head(), *map(chunk, HELLO[:2])]
    reply = completion(*start, *after)
    assert reply.text == "Hello"
    assert reply.seconds == pytest.approx(0, abs=50)


def test_usage_after_the_end_of_the_words_is_counted_and_late_words_are_kept() -> None:
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":3}}\n\n'
    first, *rest = streamed(*HELLO[:2], usage, said("!"), HELLO[2])
    reply = completion(first, *rest[:2], 1.0, *rest[2:])
    assert (reply.text, reply.usage.input) == ("Hello!", 3)


def test_the_provider_s_wait_is_told_with_the_error() -> None:
    body = b'{"error":{"message":"Slow"}}'
    limited = failure(*whole(429, body, retry_after="7"))
    assert isinstance(limited, RateLimitError)
    assert limited.wait_s == 7
    busy = failure(*whole(503, body, date="Mon, 23 Nov 2026 19:00:00 GMT", x_ratelimit_reset="3"))
    assert (type(busy), busy.wait_s) == (OverloadError, 3)
    assert failure(*whole(429, body)).wait_s is None
    assert failure(*whole(400, body, retry_after="7")).wait_s is None
    inside = whole(200, b'{"error":{"message":"Slow","code":429}}', retry_after="7")
    assert failure(*inside).wait_s == 7


ECHOES: list[list[Step]] = [
    whole(401, b'{"error":{"message":"Bad key: %b"}}' % KEY.encode(), x_key=KEY),
    whole(400, b"x" * 3990 + KEY.encode() * 9),
    whole(302, b"", location=f"http://127.0.0.1/?key={KEY}"),
    whole(200, b'{"error":{"message":"Bad key: %b","code":401}}' % KEY.encode()),
    streamed(b"data: " + KEY.encode() + b"\n\n"),
    streamed(b"echo: " + KEY.encode() + b"\n\n"),
    [b"HTTP/1.1 " + KEY.encode() + b"\r\n\r\n"],
    [700.0],
    ["cut"],
]


@pytest.mark.parametrize("reply", ECHOES, ids=range(len(ECHOES)))
def test_an_echoed_key_stands_nowhere_in_the_error_nor_in_its_trace(reply: list[Step]) -> None:
    error = failure(*reply)
    ours = [error, error.__cause__, error.__context__]
    assert ours[1:] == [None, None]
    trace = traceback.TracebackException.from_exception(error, capture_locals=True)
    inside = [frame for frame in trace.stack if "src/duologue" in frame.filename]
    assert inside
    shown = [str(frame.locals) for frame in inside]
    assert not any("_Exchange" in text for text in shown), "what came may hold an echo"
    assert not any(KEY in text for text in (*shown, repr(error), str(vars(error))))


def test_what_a_provider_says_about_a_reply_holds_no_key() -> None:
    body = BODY.replace(b'"stop"', b'"length","native_finish_reason":"%b"' % KEY.encode())
    assert completion(*whole(200, body)).detail == "native_finish_reason [key]"


class Quoting(OpenAI):
    """A dialect that shows the beginning of what it was sent."""

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        return RequestRefusedError(f"{status} {headers['x-key'][:12]} {body[:12].decode()}")


def test_a_dialect_never_sees_an_echoed_key_so_that_it_cannot_show_half_of_it() -> None:
    async def main() -> None:
        reply = whole(400, KEY.encode(), x_key=KEY)
        async with serving(reply) as server, ClientSession() as session:
            seat = Seat("openai", "m", settings={"base_url": server.url})
            await asked(HostedProvider(seat, Quoting(), KEY, session))

    with pytest.raises(RequestRefusedError, match=r"400 \[key\] \[key\]$"):
        run(main())


def test_an_error_page_without_end_is_cut_and_what_is_left_out_is_counted() -> None:
    error = failure(*whole(500, b"x" * 3_000_000))
    assert len(error.detail) < 5000
    long = failure(*whole(400, json.dumps({"error": "y" * 5000}).encode()))
    assert long.detail.endswith("y… (1005 more characters)")


def test_closing_the_generator_hangs_up_at_once() -> None:
    async def main() -> None:
        async with serving([*START, 300.0, chunk(HELLO[1])]) as server, ClientSession() as session:
            loop = asyncio.get_running_loop()
            stream = provider(server.url, session).stream(CALL)
            assert await anext(stream) == Delta("Hel")
            connector = session.connector
            assert isinstance(connector, aiohttp.TCPConnector)
            assert connector._acquired  # noqa: SLF001 - the one place that knows
            assert isinstance(loop, SwiftLoop)
            before = loop.skipped
            await stream.aclose()
            assert not connector._acquired  # noqa: SLF001
            assert not connector._conns  # noqa: SLF001
            assert loop.skipped == before, "nothing was waited for"

    run(main())


def test_a_session_that_was_given_stays_its_owner_s() -> None:
    async def main() -> None:
        async with serving(streamed(*HELLO)) as server, ClientSession() as session:
            one = provider(server.url, session)
            await asked(one)
            await one.aclose()
            assert not session.closed

    run(main())


def test_all_share_one_pool_and_the_last_closes_it() -> None:
    async def main() -> None:
        async with serving(*[streamed(*HELLO)] * 3) as server:
            one, two = provider(server.url), provider(server.url)
            async with connections() as pool:
                assert isinstance(pool.cookie_jar, aiohttp.DummyCookieJar)
                await asked(one)
                await asked(two)
                await one.aclose()
                await two.aclose()
                await asked(one)
            assert not pool.closed
            await one.aclose()
            assert pool.closed
            assert server.connections == 1
            async with connections() as another:
                assert another is not pool

    run(main())


@pytest.mark.parametrize("url", ["", "ftp://127.0.0.1", "http://a:b@127.0.0.1", "http://h/?k=1"])
def test_an_unfit_base_url_is_refused_before_anything_is_sent(url: str) -> None:
    with pytest.raises(ConfigurationError, match="base URL") as refused:
        HostedProvider(Seat("openai", "m", settings={"base_url": url}), OpenAI())
    assert "a:b" not in str(refused.value)


class Failing:
    """A session that does nothing but fail."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def post(self, *_: Any, **__: Any) -> None:
        raise self.error


HOST = ConnectionKey(
    "h", 443, is_ssl=True, ssl=True, proxy=None, proxy_auth=None, proxy_headers_hash=None
)
INFO: Any = aiohttp.RequestInfo(None, "POST", {"Authorization": KEY}, None)  # type: ignore[arg-type]
REFUSED = OSError(111, "Connect call failed")
BELOW: list[tuple[Exception, type[ProviderError], str]] = [
    (aiohttp.ConnectionTimeoutError("x"), ProviderTimeoutError, "no connection within 30 s"),
    (aiohttp.SocketTimeoutError("x"), ProviderTimeoutError, "nothing came for 600 s"),
    (aiohttp.ClientConnectorError(HOST, REFUSED), OverloadError, "cannot be reached"),
    (aiohttp.ClientConnectorSSLError(HOST, REFUSED), RequestRefusedError, "no trust"),
    (
        aiohttp.ClientHttpProxyError(INFO, (), status=407, message="Pay first"),
        OverloadError,
        "the proxy answered 407 Pay first",
    ),
    (TypeError(f"bad {KEY}"), ProviderBugError, "TypeError: bad [key]"),
]


@pytest.mark.parametrize(("error", "kind", "words"), BELOW, ids=range(len(BELOW)))
def test_what_breaks_below_http_is_named_and_its_trace_stays_here(
    error: Exception, kind: type[ProviderError], words: str
) -> None:
    async def main() -> None:
        session: Any = Failing(error)
        await asked(provider("https://h.test", session))

    with pytest.raises(kind) as raised:
        run(main())
    assert words in raised.value.detail
    assert raised.value.__context__ is None
    assert KEY not in repr(raised.value)


def test_a_boundary_of_a_plug_in_s_own_keeps_its_name() -> None:
    own = ProviderError("x", partial="Hi", wait_s=2)
    own.boundary = "moderation"

    async def main() -> None:
        session: Any = Failing(own)
        await asked(provider("https://h.test", session))

    with pytest.raises(ProviderError) as raised:
        run(main())
    error = raised.value
    assert (error.boundary, error.partial, error.wait_s) == ("moderation", "Hi", 2)


Seen = dict[str, Any]


async def proxied(url: str) -> Seen:
    """What is asked of the session for an address."""
    seen: Seen = {}

    class Looking:
        async def post(self, *_: Any, **options: Any) -> None:
            seen.update(options)
            raise aiohttp.ClientError

    session: Any = Looking()
    with pytest.raises(OverloadError):
        await asked(provider(url, session))
    return seen


def test_a_proxy_of_the_environment_is_used_but_not_for_ourselves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("https_proxy", "http://ann:pw@proxy.test:3128")
    monkeypatch.setenv("no_proxy", "near.test")
    seen = run(proxied("https://far.test"))
    assert str(seen["proxy"]) == "http://ann:pw@proxy.test:3128"
    for url in ("https://near.test", "https://127.0.0.1:9", "http://far.test"):
        assert run(proxied(url))["proxy"] is None


def test_a_key_may_come_hidden_already() -> None:
    async def main() -> bytes:
        async with serving(streamed(*HELLO)) as server, ClientSession() as session:
            seat = Seat("openai", "m", settings={"base_url": server.url})
            one = HostedProvider(seat, OpenAI(), Secret(KEY), session)
            await asked(one)
            assert KEY not in repr(vars(one))
            return server.heads[0]

    assert f"Bearer {KEY}".encode() in run(main())
