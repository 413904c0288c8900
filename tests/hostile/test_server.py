"""The hostile server is itself held to what it claims, by a reader that shares no code with it."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostile import SCENARIOS, Held, HostileServer, Script, Truth
from hostile.cache import CacheRule
from hostile.dialects import DIALECTS
from hostile.parts import pieces
from hostile.server import prebuilt

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

KEY = "sk-planted-7f3a9c"
HEARD = "Good evening. What have you been reading?"
# What a client cannot read as a reply, so that this reader does not try either.
TORN = {"cut", "reset", "reset_early", "ends_early", "truncated_json", "invalid_utf8", "no_choices"}
TORN |= {"html_page", "error_in_200"}


class Got:
    """One response, read by hand."""

    def __init__(self, status: int, headers: dict[str, str], data: bytes, *, broken: bool) -> None:
        self.status = status
        self.headers = headers
        self.data = data
        self.broken = broken

    def json(self) -> Any:
        return json.loads(self.data)

    def events(self) -> list[Any]:
        """The data of each event, comments and other fields left out."""
        text = self.data.decode(errors="replace").replace("\r\n", "\n")
        lines = [line for line in text.split("\n") if line.startswith("data: ")]
        return [json.loads(line[6:]) for line in lines if line != "data: [DONE]"]


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(read_bufsize=1 << 20) as session:
        yield session


def request(
    dialect: str, model: str, *, stream: bool = False, heard: str = HEARD, **more: Any
) -> tuple[str, dict[str, Any]]:
    """Path and body of the smallest request of a dialect."""
    if dialect == "google":
        verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
        contents = [{"role": "user", "parts": [{"text": heard}]}]
        return f"/models/{model}:{verb}", {"contents": contents, **more}
    messages = [{"role": "user", "content": heard}]
    asked = {"model": model, "messages": messages, "stream": stream, **more}
    if dialect == "anthropic":
        return "/messages", {"max_tokens": 64, **asked}
    return "/chat/completions", {"stream_options": {"include_usage": True}, **asked}


def credentials(dialect: str, key: str = KEY) -> dict[str, str]:
    return {
        "openai": {"Authorization": f"Bearer {key}"},
        "anthropic": {"x-api-key": key, "anthropic-version": "2023-06-01"},
        "google": {"x-goog-api-key": key},
    }[dialect]


async def post(
    http: aiohttp.ClientSession,
    server: HostileServer,
    dialect: str,
    asked: tuple[str, dict[str, Any]],
    *,
    key: str = KEY,
    provider: str = "",
    **headers: str,
) -> Got:
    url = server.url(provider or dialect) + asked[0]
    data, broken = b"", False
    sent = credentials(dialect, key) | {n.replace("_", "-"): v for n, v in headers.items()}
    try:
        async with http.post(url, data=json.dumps(asked[1]).encode(), headers=sent) as response:
            status, got = response.status, dict(response.headers)
            try:
                async for piece in response.content.iter_any():
                    data += piece
            except aiohttp.ClientError:
                broken = True
    except aiohttp.ClientError:
        return Got(0, {}, b"", broken=True)
    return Got(status, {n.lower(): v for n, v in got.items()}, data, broken=broken)


def openai_said(got: Got, *, stream: bool) -> tuple[str, str]:
    """Text and reasoning, a refusal's words included."""
    if stream:
        said = [choice["delta"] for event in got.events() for choice in event["choices"]]
    else:
        said = [choice["message"] for choice in got.json()["choices"]]
    text = "".join(s.get("content") or s.get("refusal") or "" for s in said)
    return text, "".join(s.get("reasoning_content") or s.get("reasoning") or "" for s in said)


def anthropic_said(got: Got, *, stream: bool) -> tuple[str, str]:
    if stream:
        said = [event["delta"] for event in got.events() if event["type"] == "content_block_delta"]
    else:
        said = got.json()["content"]
    text = "".join(block.get("text") or "" for block in said)
    return text, "".join(block.get("thinking") or "" for block in said)


def google_said(got: Got, *, stream: bool) -> tuple[str, str]:
    replies = got.events() if stream else [got.json()]
    candidates = [c for reply in replies for c in reply.get("candidates", [])]
    parts = [part for c in candidates for part in c["content"].get("parts", [])]
    text = "".join(part.get("text", "") for part in parts if not part.get("thought"))
    return text, "".join(part["text"] for part in parts if part.get("thought"))


SAID = {"openai": openai_said, "anthropic": anthropic_said, "google": google_said}


def smaller(name: str) -> str:
    return "huge:300000" if name == "huge" else name


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", SCENARIOS)
async def test_what_is_on_the_wire_is_what_the_truth_says(
    hostile: HostileServer, http: aiohttp.ClientSession, *, name: str, dialect: str, stream: bool
) -> None:
    asked = request(dialect, f"some-model!{smaller(name)}", stream=stream)
    got = await post(http, hostile, dialect, asked)
    truth = hostile.exchanges[-1].truth
    assert got.broken is (name in {"cut", "reset", "reset_early"})
    assert (truth.boundary is None) is (
        got.status == 200 and name not in TORN and got.data != b""
    ) or (name, dialect) == ("content_filter", "anthropic")
    if truth.boundary is None:
        streamed = stream and name != "unstreamed"
        assert SAID[dialect](got, stream=streamed) == (truth.text, truth.reasoning)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", ["cut", "ends_early", "error_in_200"])
async def test_the_words_before_a_break_are_the_partial_text(
    hostile: HostileServer, http: aiohttp.ClientSession, name: str, dialect: str
) -> None:
    got = await post(http, hostile, dialect, request(dialect, f"m!{name}", stream=True))
    truth = hostile.exchanges[-1].truth
    whole = await post(http, hostile, dialect, request(dialect, "m", stream=True))
    told = [event for event in got.events() if event.get("type") != "error"]
    got.data = b"".join(b"data: %b\n" % json.dumps(event).encode() for event in told)
    assert SAID[dialect](got, stream=True)[0] == truth.text != ""
    assert SAID[dialect](whole, stream=True)[0].startswith(truth.text)


@pytest.mark.parametrize(
    ("name", "statuses"),
    [
        ("unauthorized", {"openai": 401, "anthropic": 401, "google": 400}),
        ("no_model", {"openai": 404, "anthropic": 404, "google": 404}),
        ("too_large", {"openai": 413, "anthropic": 413, "google": 413}),
        ("rate_limited", {"openai": 429, "anthropic": 429, "google": 429}),
        ("server_error", {"openai": 500, "anthropic": 500, "google": 500}),
        ("unavailable", {"openai": 503, "anthropic": 503, "google": 503}),
        ("overloaded", {"openai": 529, "anthropic": 529, "google": 529}),
        ("context_full", {"openai": 400, "anthropic": 400, "google": 400}),
    ],
)
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_fault_has_its_status(
    hostile: HostileServer,
    http: aiohttp.ClientSession,
    *,
    name: str,
    statuses: dict[str, int],
    dialect: str,
) -> None:
    got = await post(http, hostile, dialect, request(dialect, f"m!{name}", stream=True))
    assert got.status == statuses[dialect]


async def test_each_dialect_says_in_its_own_way_how_long_to_wait(
    hostile: HostileServer, http: aiohttp.ClientSession
) -> None:
    got = {d: await post(http, hostile, d, request(d, "m!rate_limited:12")) for d in DIALECTS}
    assert got["openai"].headers["retry-after-ms"] == "12000"
    assert got["anthropic"].headers["retry-after"] == "12"
    assert "retry-after" not in got["google"].headers
    assert got["google"].json()["error"]["details"][0]["retryDelay"] == "12s"
    assert [seen.truth.wait_s for seen in hostile.exchanges] == [12, 12, 12]


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_bare_rate_limit_says_nothing_of_waiting(
    hostile: HostileServer, http: aiohttp.ClientSession, dialect: str
) -> None:
    got = await post(http, hostile, dialect, request(dialect, "m!rate_limited_bare"))
    assert got.status == 429
    assert not any("retry" in name or "ratelimit" in name for name in got.headers)
    assert b"retryDelay" not in got.data
    assert hostile.exchanges[-1].truth.wait_s is None


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_planted_key_comes_back_in_body_and_header(
    hostile: HostileServer, http: aiohttp.ClientSession, dialect: str
) -> None:
    got = await post(http, hostile, dialect, request(dialect, "m!echoed_key"))
    assert KEY.encode() in got.data
    assert got.headers["x-echoed-key"] == KEY


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_stalled_reply_goes_on_when_the_test_says_so(
    http: aiohttp.ClientSession, dialect: str, *, stream: bool
) -> None:
    held = Held()
    async with HostileServer(wait=held) as server:
        asked = request(dialect, "m!stall:90", stream=stream)
        reply = asyncio.create_task(post(http, server, dialect, asked))
        await held.until()
        assert not reply.done()
        held.go()
        got = await reply
    assert held.waits == [90]
    assert SAID[dialect](got, stream=stream)[0] == server.exchanges[0].truth.text


async def test_a_request_is_kept_to_the_byte(
    hostile: HostileServer, http: aiohttp.ClientSession
) -> None:
    odd = b'{ "messages" : [{"content":"\\u00e9","role":"user"}] ,"model":"m", "new_key": 1.50 }'
    url = hostile.url("openai") + "/chat/completions"
    async with http.post(url, data=odd, headers={"X-Planted": KEY}) as response:
        assert response.status == 200
    assert hostile.bodies() == [odd]
    assert (b"x-planted", KEY.encode()) in hostile.exchanges[0].headers
    assert b"X-Planted: " + KEY.encode() in hostile.exchanges[0].head


@pytest.mark.parametrize(
    "hostile", [Script(scenarios={KEY: ["overloaded", "plain"]})], indirect=True
)
async def test_a_list_is_gone_through_and_its_last_name_stays(
    hostile: HostileServer, http: aiohttp.ClientSession
) -> None:
    got = [await post(http, hostile, "openai", request("openai", "m")) for _ in range(3)]
    assert [each.status for each in got] == [529, 200, 200]
    other = await post(http, hostile, "openai", request("openai", "m"), key="sk-other")
    assert other.status == 200


async def test_a_header_goes_before_a_suffix(
    hostile: HostileServer, http: aiohttp.ClientSession
) -> None:
    asked = request("openai", "m!unavailable,plain")
    assert (await post(http, hostile, "openai", asked, x_hostile="no_model")).status == 404
    got = [(await post(http, hostile, "openai", asked)).status for _ in range(2)]
    assert got == [503, 200]


def test_a_script_with_an_unknown_scenario_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="no scenario 'sulk'"):
        HostileServer(Script(default="sulk"))


async def test_an_unknown_suffix_is_answered_with_the_names_there_are(
    hostile: HostileServer, http: aiohttp.ClientSession
) -> None:
    got = await post(http, hostile, "openai", request("openai", "m!sulk"))
    assert got.status == 501
    assert b"rate_limited_bare" in got.data


LINES = ["One.", "Two.", "Three."]


@pytest.mark.parametrize("hostile", [Script(words={"ada": LINES, "bo": ["Bo."]})], indirect=True)
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_scripted_words_follow_the_history_so_a_retry_hears_the_same(
    hostile: HostileServer, http: aiohttp.ClientSession, dialect: str
) -> None:
    asked = request(dialect, "ada")
    again = request(dialect, "ada!cut,plain")
    turns = asked[1]["contents" if dialect == "google" else "messages"]
    turns_again = again[1]["contents" if dialect == "google" else "messages"]
    heard = []
    for line in LINES:
        await post(http, hostile, dialect, again)
        heard.append(SAID[dialect](await post(http, hostile, dialect, asked), stream=False)[0])
        for said in (turns, turns_again):
            said += [own(dialect, line), dict(turns[0])]
    assert heard == LINES


def own(dialect: str, text: str) -> dict[str, Any]:
    if dialect == "google":
        return {"role": "model", "parts": [{"text": text}]}
    return {"role": "assistant", "content": text}


def history(*turns: tuple[str, Any]) -> list[dict[str, Any]]:
    return [{"role": role, "content": content} for role, content in turns]


async def anthropic_says(
    http: aiohttp.ClientSession, server: HostileServer, model: str, **changes: Any
) -> str:
    """The message of Anthropic's objection, or an empty string."""
    path, asked = request("anthropic", model)
    asked |= changes
    asked = {name: value for name, value in asked.items() if value is not None}
    got = await post(http, server, "anthropic", (path, asked))
    if got.status == 200:
        return ""
    assert (got.status, got.json()["type"]) == (400, "error")
    assert got.json()["error"]["type"] == "invalid_request_error"
    return str(got.json()["error"]["message"])


@pytest.mark.parametrize(
    ("model", "changes", "told"),
    [
        ("m", {"max_tokens": None}, "max_tokens: Field required"),
        ("m", {"messages": []}, "at least one message"),
        ("m", {"messages": history(("user", ""))}, "messages.0: all messages must have non-empty"),
        ("m", {"messages": history(("user", " \n"))}, "must contain non-whitespace text"),
        (
            "m",
            {"messages": history(("user", [{"type": "text", "text": ""}]))},
            "text content blocks must be non-empty",
        ),
        (
            "m",
            {"messages": history(("user", "a"), ("assistant", ""), ("user", "b"))},
            "messages.1: all messages must have non-empty content except for the optional final",
        ),
        (
            "claude-haiku-4-5-20251001",
            {"messages": history(("user", "a"), ("assistant", "foo "))},
            "final assistant content cannot end with trailing whitespace",
        ),
        ("claude-haiku-4-5", {"messages": history(("user", "a"), ("assistant", "foo"))}, ""),
        (
            "claude-opus-4-6",
            {"messages": history(("user", "a"), ("assistant", "foo"))},
            "does not support assistant message prefill",
        ),
        ("claude-fable-5", {"messages": history(("system", "x"), ("user", "a"))}, ""),
        (
            "claude-haiku-4-5",
            {"messages": history(("system", "x"), ("user", "a"))},
            'Unexpected role "system"',
        ),
        ("m", {"unheard_of": 1}, ""),
    ],
)
async def test_anthropic_refuses_what_the_real_one_refuses(
    hostile: HostileServer,
    http: aiohttp.ClientSession,
    *,
    model: str,
    changes: dict[str, Any],
    told: str,
) -> None:
    said = await anthropic_says(http, hostile, model, **changes)
    assert told in said
    assert bool(told) is bool(said)


async def test_thinking_must_come_back_unaltered_and_in_its_place(
    hostile: HostileServer, http: aiohttp.ClientSession
) -> None:
    model = "claude-sonnet-5-5"
    path, asked = request("anthropic", f"{model}!reasoning,plain")
    made = (await post(http, hostile, "anthropic", (path, asked))).json()["content"]
    assert [block["type"] for block in made] == ["thinking", "text"]
    heard = asked["messages"][0]
    back = [heard, {"role": "assistant", "content": made}, {"role": "user", "content": "And?"}]
    assert await anthropic_says(http, hostile, model, messages=back) == ""
    moved = [{"role": "user", "content": "Before that."}, *back]
    told = await anthropic_says(http, hostile, model, messages=moved)
    assert "bound to a different conversation" in told
    assert await anthropic_says(http, hostile, "claude-haiku-4-5", messages=moved) == ""
    altered = [{**made[0], "thinking": "Something else."}, made[1]]
    back[1] = {"role": "assistant", "content": altered}
    told = await anthropic_says(http, hostile, model, messages=back)
    assert "Invalid `signature` in `thinking` block" in told


@pytest.mark.parametrize(
    ("provider", "messages", "told"),
    [
        ("openai", history(("user", "a"), ("assistant", ""), ("user", "b")), ""),
        (
            "moonshot",
            history(("user", "a"), ("assistant", ""), ("user", "b")),
            "the message at position 1 with role 'assistant' must not be empty",
        ),
        ("openai", history(("user", None)), "expected a string, got null"),
        ("openai", [], "empty array"),
    ],
)
async def test_openai_and_moonshot_refuse_what_the_real_ones_refuse(
    hostile: HostileServer,
    http: aiohttp.ClientSession,
    *,
    provider: str,
    messages: list[dict[str, Any]],
    told: str,
) -> None:
    path, asked = request("openai", "m")
    asked["messages"] = messages
    got = await post(http, hostile, "openai", (path, asked), provider=provider)
    assert got.status == (400 if told else 200)
    if told:
        assert told in got.json()["error"]["message"]


async def test_google_names_each_empty_part(
    hostile: HostileServer, http: aiohttp.ClientSession
) -> None:
    path, asked = request("google", "m")
    asked["contents"] += [{"role": "model", "parts": [{"text": ""}]}, asked["contents"][0]]
    asked["systemInstruction"] = {"parts": [{"text": ""}]}
    got = await post(http, hostile, "google", (path, asked))
    error = got.json()["error"]
    assert (got.status, error["status"]) == (400, "INVALID_ARGUMENT")
    assert error["message"] == (
        "* GenerateContentRequest.contents[1].parts[0].data: required oneof field 'data' must "
        "have one initialized field\n"
        "* GenerateContentRequest.system_instruction.parts[0].data: required oneof field 'data' "
        "must have one initialized field\n"
    )


@pytest.mark.parametrize("hostile", [Script(keys=frozenset({KEY}))], indirect=True)
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_models_are_listed_for_an_accepted_key_only(
    hostile: HostileServer, http: aiohttp.ClientSession, dialect: str
) -> None:
    url = hostile.url(dialect) + "/models"
    async with http.get(url, headers=credentials(dialect)) as response:
        listed = await response.json()
    async with http.get(url, headers=credentials(dialect, "sk-wrong")) as response:
        refused = response.status
    rows = listed["models" if dialect == "google" else "data"]
    assert [row.get("id") or row["name"].removeprefix("models/") for row in rows] == [
        "hostile-1",
        "hostile-2",
    ]
    own_field = {"openai": "owned_by", "anthropic": "display_name", "google": "displayName"}
    assert all(own_field[dialect] in row for row in rows)
    assert refused == (400 if dialect == "google" else 401)


def usage(dialect: str, got: Got) -> tuple[int, int]:
    """Tokens read, cached ones included; and the cached ones."""
    told = got.json()["usageMetadata" if dialect == "google" else "usage"]
    if dialect == "google":
        return told["promptTokenCount"], told.get("cachedContentTokenCount", 0)
    if dialect == "openai":
        return told["prompt_tokens"], told["prompt_tokens_details"]["cached_tokens"]
    cached, written = told["cache_read_input_tokens"], told["cache_creation_input_tokens"]
    return told["input_tokens"] + cached + written, cached


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_view_that_grows_is_read_from_the_cache_up_to_where_it_grew(
    hostile: HostileServer, http: aiohttp.ClientSession, dialect: str
) -> None:
    more: dict[str, Any] = (
        {"cache_control": {"type": "ephemeral"}} if dialect == "anthropic" else {}
    )
    asked = request(dialect, "m", heard="word " * 200, **more)
    first = usage(dialect, await post(http, hostile, dialect, asked))
    said = asked[1]["contents" if dialect == "google" else "messages"]
    said += [own(dialect, "I see. " * 50), dict(said[0])]
    second = usage(dialect, await post(http, hostile, dialect, asked))
    assert first[1] == 0
    assert second[1] == first[0]
    said[0] = own(dialect, "x") | {"role": "user"}
    changed = usage(dialect, await post(http, hostile, dialect, asked))
    assert changed[1] < 10


async def test_anthropic_caches_nothing_that_was_not_marked(
    hostile: HostileServer, http: aiohttp.ClientSession
) -> None:
    asked = request("anthropic", "m", heard="word " * 200)
    counts = [usage("anthropic", await post(http, hostile, "anthropic", asked)) for _ in range(2)]
    assert [cached for _, cached in counts] == [0, 0]


@pytest.mark.parametrize(
    "hostile", [Script(cache=CacheRule(minimum=1024, block=128, capacity=1))], indirect=True
)
async def test_a_routing_key_keeps_two_conversations_from_evicting_each_other(
    hostile: HostileServer, http: aiohttp.ClientSession
) -> None:
    cached = []
    for routed in (False, True):
        for _ in range(2):
            for heard in ("a " * 3000, "b " * 3000):
                more: dict[str, Any] = {"prompt_cache_key": heard[0]} if routed else {}
                asked = request("openai", "m", heard=heard, **more)
                cached.append(usage("openai", await post(http, hostile, "openai", asked))[1])
    assert cached[:4] == [0, 0, 0, 0]
    assert cached[4:6] == [0, 0]
    assert cached[6:] == [1408, 1408]


async def test_a_conversation_of_49_messages_can_be_held_between_two_dialects(
    http: aiohttp.ClientSession,
) -> None:
    lines = {name: [f"{name} says {n}." for n in range(25)] for name in ("ada", "bo")}
    said: list[tuple[str, str]] = [("opening", "Hello.")]
    async with HostileServer(Script(words=lines)) as server:
        for turn in range(48):
            speaker, dialect = (("ada", "openai"), ("bo", "anthropic"))[turn % 2]
            path, asked = request(dialect, speaker)
            asked["messages"] = history(
                *(("assistant" if who == speaker else "user", text) for who, text in said)
            )
            got = await post(http, server, dialect, (path, asked))
            said.append((speaker, SAID[dialect](got, stream=False)[0]))
        assert len(server.bodies("ada")) == len(server.bodies("bo")) == 24
    assert len(said) == 49
    assert [text for who, text in said if who == "bo"] == lines["bo"][:24]


async def test_a_connection_is_kept_for_the_next_request(hostile: HostileServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", hostile.port)
    asked = json.dumps(request("openai", "m")[1]).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(asked)
    for _ in range(3):
        writer.write(head + asked)
        got = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in got.split(b"\r\n") if line.startswith(b"content-length: "))
        assert json.loads(await reader.readexactly(int(length[16:])))["object"] == "chat.completion"
    writer.close()
    assert len(hostile.exchanges) == 3


async def test_a_reset_is_a_reset_and_a_cut_is_an_end_of_file(hostile: HostileServer) -> None:
    for name, wanted in (("reset_early", ConnectionResetError), ("cut", None)):
        reader, writer = await asyncio.open_connection("127.0.0.1", hostile.port)
        asked = json.dumps(request("openai", f"m!{name}")[1]).encode()
        head = b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(asked)
        writer.write(head + asked)
        if wanted:
            with pytest.raises(wanted):
                await reader.read()
        else:
            assert b"200 OK" in await reader.read()
        writer.close()


@pytest.mark.parametrize("path", ["/chat/completions", "/v1/chat/completions", "/any/v1/messages"])
async def test_any_convention_of_base_urls_works(
    hostile: HostileServer, http: aiohttp.ClientSession, path: str
) -> None:
    asked = request("anthropic", "m")[1]
    url = f"http://127.0.0.1:{hostile.port}{path}"
    async with http.post(url, data=json.dumps(asked).encode()) as response:
        assert response.status == 200


@pytest.mark.parametrize("stream", [False, True])
async def test_a_prebuilt_reply_is_a_whole_reply(
    http: aiohttp.ClientSession, *, stream: bool
) -> None:
    async with HostileServer(fast=prebuilt(chunks=7)) as server:
        got = await post(http, server, "openai", request("openai", "m", stream=stream))
    assert openai_said(got, stream=stream)[0].split() == [f"word{n:02}" for n in range(7)]


@given(st.text())
def test_pieces_joined_are_the_text(text: str) -> None:
    assert "".join(pieces(text)) == text


async def test_a_fault_of_the_server_itself_is_raised_where_it_is_closed(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await HostileServer().__aenter__()
    monkeypatch.setattr(server, "answer", None)
    await post(http, server, "openai", request("openai", "m"))
    with pytest.raises(ExceptionGroup, match="the hostile server itself is wrong"):
        await server.__aexit__(None, None, None)


def test_truth_is_frozen() -> None:
    with pytest.raises(AttributeError):
        Truth().text = "other"  # type: ignore[misc]
