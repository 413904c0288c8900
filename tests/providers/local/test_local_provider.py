"""The provider over an engine that is not there: what is refused, and what is kept."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from duologue.core.provider import Call, Completion, Delta, Finish, Seat
from duologue.errors import (
    BrokenStreamError,
    ConfigurationError,
    ContextFullError,
    RequestRefusedError,
)
from duologue.providers.local import child as child_module
from duologue.providers.local.child import Child, RefusedError
from duologue.providers.local.engine import Setup
from duologue.providers.local.provider import LocalProvider, locate, read_frames

LAST = {
    "content": "",
    "stop": True,
    "stop_type": "eos",
    "truncated": False,
    "tokens_evaluated": 9,
    "tokens_predicted": 3,
    "timings": {"cache_n": 7},
    "model": "tiny",
}


class FakeChild(Child):
    """An engine whose every answer is given beforehand; a token a character."""

    def __init__(self, *events: dict[str, Any] | Exception) -> None:
        self.setup = Setup("w", "tiny", "/nowhere", context=10, slots=1, threads=1, batch=1)
        self.events = events
        self.asked: list[dict[str, Any]] = []
        self.erased: list[int] = []
        self.closed = False

    @property
    def pid(self) -> int:
        return 42

    async def tokens(self, text: str, *, special: bool) -> tuple[int, ...]:
        return tuple(ord(char) + 1000 * special for char in text)

    async def text(self, tokens: Sequence[int]) -> str:
        return "".join(map(chr, tokens))

    async def erase(self, slot: int) -> None:
        self.erased.append(slot)

    async def complete(self, body: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        self.asked.append(body)
        try:
            predicted = 0
            for event in self.events:
                if isinstance(event, Exception):
                    raise event
                if event["stop"]:
                    if event["stop_type"] == "eos":
                        yield {**stamped(END, predicted + 1), "tokens": [ord(END)]}
                    yield event
                else:
                    predicted += 1
                    yield stamped(event["content"], predicted)
        finally:
            self.closed = True


END = "\x04"
"""The one token that ends a turn; like the real one, it is written out and is not of the words."""


def stamped(text: str, predicted: int) -> dict[str, Any]:
    """An event as the engine sends it: what was said, its tokens, and how many there are by now."""
    tokens = [ord(char) for char in text]
    return {"content": text, "stop": False, "tokens": tokens, "tokens_predicted": predicted}


def said(text: str) -> dict[str, Any]:
    return {"content": text, "stop": False}


def provider(child: FakeChild) -> LocalProvider:
    seat = Seat("local", "tiny", "gguf", running={"reuse": True, "engine": "e 1", "threads": 1})
    return LocalProvider(seat, child, frozenset({"min_p", "top_k"}))


def call(prompt: object = (("c", "<"), ("w", "hi")), key: str = "k", **more: object) -> Call:
    body = {"model": "tiny", "sampling": {}, "prompt": prompt, "seed": 5, **more}
    return Call(msgspec.json.encode(body), key)


async def hear(child: FakeChild, call: Call) -> list[Delta | Completion]:
    return [part async for part in provider(child).stream(call)]


async def test_the_deltas_joined_are_the_text_and_the_engines_counts_are_the_usage() -> None:
    *deltas, done = await hear(FakeChild(said("Hel"), said(""), said(" 🌙"), LAST), call())
    assert deltas == [Delta("Hel"), Delta(" 🌙")]
    assert isinstance(done, Completion)
    assert (done.text, done.finish, done.finish_raw) == ("Hel 🌙", Finish.STOP, "eos")
    assert (done.usage.input, done.usage.output, done.usage.cached) == (9, 3, 7)
    assert done.served == "tiny, e 1, threads 1"
    assert done.first_token_s is not None


@pytest.mark.parametrize(
    ("raw", "truncated", "finish"),
    [
        ("eos", False, Finish.STOP),
        ("word", False, Finish.STOP),
        ("limit", False, Finish.LENGTH),
        ("limit", True, Finish.CONTEXT_FULL),
        ("none", False, Finish.UNKNOWN),
    ],
)
async def test_the_engines_reasons_are_normalised_and_kept(
    raw: str,
    truncated: bool,  # noqa: FBT001 - a parameter of the test
    finish: Finish,
) -> None:
    last = {**LAST, "stop_type": raw, "truncated": truncated}
    (done,) = await hear(FakeChild(last), call())
    assert isinstance(done, Completion)
    assert (done.finish, done.finish_raw) == (finish, raw)


async def test_what_was_declared_is_what_the_engine_is_asked() -> None:
    child = FakeChild(LAST)
    sampling = {
        "temperature": 0.0,
        "top_p": 0.9,
        "max_tokens": 8,
        "seed": 1,
        "stop": ["x"],
        "extra": {"min_p": 0.1},
    }
    await hear(child, call(sampling=sampling))
    assert child.asked == [
        {
            "n_predict": 8,
            "return_tokens": True,
            "cache_prompt": True,
            "temperature": 0.0,
            "top_p": 0.9,
            "stop": ["x"],
            "min_p": 0.1,
            "seed": 5,
            "prompt": [ord("<") + 1000, ord("h"), ord("i")],
            "id_slot": 0,
        }
    ]


async def test_without_a_seed_or_a_limit_the_engine_draws_its_own_and_goes_on() -> None:
    child = FakeChild(LAST)
    await hear(child, call(seed=None))
    assert "seed" not in child.asked[0]
    assert child.asked[0]["n_predict"] == -1


async def test_a_slot_is_erased_before_another_key_uses_it_and_only_then() -> None:
    child = FakeChild(LAST)
    seated = provider(child)
    for key in ("a", "a", "b"):
        async for _ in seated.stream(call(key=key)):
            pass
    assert child.erased == [0, 0]


async def test_an_unknown_sampling_setting_is_refused_and_the_nearest_one_named() -> None:
    with pytest.raises(RequestRefusedError, match=r"'min_q'; did you mean 'min_p'\?"):
        await hear(FakeChild(LAST), call(sampling={"extra": {"min_q": 1}}))
    with pytest.raises(RequestRefusedError, match=r"'prompt'$"):
        await hear(FakeChild(LAST), call(sampling={"extra": {"prompt": "x"}}))


@pytest.mark.parametrize("size", [10, 11])
async def test_a_view_that_leaves_no_room_for_a_token_is_refused_before_anything_is_sent(
    size: int,
) -> None:
    child = FakeChild(LAST)
    with pytest.raises(ContextFullError, match=rf"{size} tokens leaves no room .+ 10 tokens"):
        await hear(child, call([["w", "x" * size]]))
    assert child.asked == []
    await hear(child, call([["w", "x" * 9]]))


@pytest.mark.parametrize("prompt", [[], [["w", ""]]])
async def test_an_empty_view_is_refused(prompt: object) -> None:
    with pytest.raises(RequestRefusedError, match="the view is empty"):
        await hear(FakeChild(LAST), call(prompt))


@pytest.mark.parametrize(
    "body", [b"", b"{", b"{}", b"\xff", b'{"model":"m","sampling":{},"prompt":[["w","\\ud800"]]}']
)
async def test_a_body_that_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(RequestRefusedError, match="no request for the local engine"):
        await hear(FakeChild(LAST), Call(body))


async def test_a_refusal_in_mid_sentence_keeps_what_was_said() -> None:
    refusal = RefusedError(b'{"error":{"message":"out of memory"}}')
    with pytest.raises(RequestRefusedError, match="out of memory") as caught:
        await hear(FakeChild(said("Once"), refusal), call())
    assert caught.value.partial == "Once"


async def test_the_engines_own_refusal_of_a_long_view_is_a_full_context_too() -> None:
    refusal = b'{"error":{"message":"too long","type":"exceed_context_size_error"}}'
    with pytest.raises(ContextFullError, match="too long"):
        await hear(FakeChild(RefusedError(refusal)), call())


@pytest.mark.parametrize("death", [OSError(), asyncio.IncompleteReadError(b"", 1), None])
async def test_an_engine_that_dies_in_mid_sentence_breaks_the_stream(
    death: Exception | None,
) -> None:
    events = (said("Once"),) if death is None else (said("Once"), death)
    with pytest.raises(BrokenStreamError, match="process 42") as caught:
        await hear(FakeChild(*events), call())
    assert caught.value.partial == "Once"


async def test_closing_the_stream_closes_the_engines_and_frees_the_slot() -> None:
    child = FakeChild(said("a"), said("b"), LAST)
    seated = provider(child)
    stream = seated.stream(call())
    assert await anext(stream) == Delta("a")
    await stream.aclose()
    assert child.closed
    assert len([part async for part in seated.stream(call())]) == 3


def test_a_file_is_located_by_its_path_and_must_be_a_gguf_file(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.gguf", tmp_path / "bad.gguf"
    good.write_bytes(b"GGUF....")
    bad.write_bytes(b"PK\x03\x04")
    assert locate(str(good)) == ("good", good)
    with pytest.raises(ConfigurationError, match="is not a GGUF file"):
        locate(str(bad))
    with pytest.raises(ConfigurationError, match="there is no file"):
        locate(str(tmp_path / "none.gguf"))


def test_a_bare_name_is_a_known_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUOLOGUE_MODELS", str(tmp_path))
    with pytest.raises(ConfigurationError, match="no local model named 'nonesuch'"):
        locate("nonesuch")


class Asked(FakeChild):
    """An engine that is only ever asked questions."""

    tokens = Child.tokens

    def __init__(self, template: str = "") -> None:
        super().__init__()
        self._tokens = OrderedDict()
        self.template = template
        self.tokenised: list[str] = []

    async def ask(self, route: str, body: dict[str, Any] | None = None) -> Any:
        assert body is not None
        if route == "/apply-template" and self.template:
            return {"prompt": self.template}
        if route == "/apply-template":
            raise RefusedError(b'{"error":{"message":"no template"}}')
        self.tokenised.append(body["content"])
        return {"tokens": [1] * body["add_special"] + [ord(char) for char in body["content"]]}


async def test_a_model_whose_template_refuses_everything_has_no_frames_and_a_reason() -> None:
    settings = await read_frames(Asked(), {"bos_token": "<s>", "eos_token": "</s>"})
    assert (settings["bos"], settings["frames"]) == ("<s>", None)
    assert "no template" in settings["no_frames"]


async def test_a_template_that_says_the_same_whatever_was_said_has_no_frames_and_a_reason() -> None:
    settings = await read_frames(Asked("Hello"), {"bos_token": "<s>", "eos_token": "</s>"})
    assert settings["frames"] is None
    assert 'framing = "script"' in settings["no_frames"]


async def test_tokens_are_remembered_and_the_longest_unused_are_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(child_module, "_REMEMBERED", 2)
    child = Asked()
    for text in ("a", "b", "a", "c", "a", "b"):
        assert await child.tokens(text, special=False) == (ord(text),)
    assert child.tokenised == ["a", "b", "c", "b"]
