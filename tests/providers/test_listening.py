import asyncio
from queue import Queue
from threading import Event, Thread, current_thread
from types import SimpleNamespace

import pytest

from duologue.providers.listening import Asked, Heard, listening
from duologue.providers.secret import Secret
from hostile import HostileServer

MODELS = b'{"object":"list","data":[{"id":"llama3:8b","object":"model"},{"id":"qwen"}]}'
SERVER = Asked("ollama", "http://127.0.0.1:1/v1")


def heard(reply: bytes | Exception) -> Heard:
    """What is heard of a server that replies so."""

    def fetch(_: Asked, __: float) -> bytes:
        if isinstance(reply, Exception):
            raise reply
        return reply

    return listening([SERVER], 60, fetch=fetch)["ollama"]


def test_a_server_that_answers_says_its_models() -> None:
    assert heard(MODELS) == Heard(("llama3:8b", "qwen"))
    assert heard(b'{"data":null}') == Heard(())


@pytest.mark.parametrize("reply", [b"<html>", b"{}", b'{"data":[{"name":"x"}]}', b"\xff"])
def test_something_else_that_answers_is_no_server(reply: bytes) -> None:
    assert heard(reply) == Heard(None, "something else answers there")


def test_a_server_that_is_not_there_is_no_error() -> None:
    assert heard(ConnectionRefusedError(111, "Connection refused")).why == "connection refused"
    assert heard(TimeoutError()).why == "does not answer"


def test_no_server_holds_the_others_up(monkeypatch: pytest.MonkeyPatch) -> None:
    never, answered = Event(), Event()
    quick, asked = Queue[Thread](), list[Thread]()
    times = iter((0.0, 2.0, 2.0))

    def fetch(server: Asked, _: float) -> bytes:
        if server.name == "slow":
            never.wait(60)
            answered.set()
        else:
            quick.put(current_thread())
        return MODELS

    def clock() -> float:
        """The time begins when the other has been heard, and then it is over."""
        if not asked:
            asked.append(quick.get(timeout=60))
            asked[0].join(60)
        return next(times)

    monkeypatch.setattr("duologue.providers.listening.time", SimpleNamespace(monotonic=clock))
    came = listening([Asked("slow", "http://h/"), SERVER], 2, fetch=fetch)
    assert not answered.is_set()
    never.set()
    assert came["slow"] == Heard(None, "did not answer within 2 s")
    assert came["ollama"].models == ("llama3:8b", "qwen")


@pytest.mark.allow_hosts(["127.0.0.1"])
async def test_a_real_server_is_asked_over_http() -> None:
    async with HostileServer() as server:
        asked = Asked("openai", server.url("openai"), Secret("sk-sentinel-key"))
        said = await asyncio.to_thread(listening, [asked], 60)
    assert said["openai"].models
    assert "sk-sentinel-key" not in repr(asked)


@pytest.mark.allow_hosts(["127.0.0.1"])
@pytest.mark.parametrize(
    ("status", "why"),
    [
        ("401 No", "answers, and wants a key"),
        ("403 No", "answers, and wants a key"),
        ("404 No", "answers with status 404"),
        ("302 Away", "answers with status 302"),
    ],
)
async def test_a_server_that_does_not_list_its_models_is_told_as_it_answers(
    status: str, why: str
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n".encode())
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        asked = Asked("one", f"http://127.0.0.1:{port}/v1")
        said = await asyncio.to_thread(listening, [asked], 60)
    assert said["one"] == Heard(None, why)


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_where_nothing_listens_that_is_what_is_heard() -> None:
    nobody = [Asked("none", "http://127.0.0.1:1/v1"), Asked("tls", "https://127.0.0.1:1/")]
    said = listening(nobody, 60)
    assert said["none"].why == said["tls"].why == "connection refused"
