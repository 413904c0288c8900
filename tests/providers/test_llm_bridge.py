"""The bridge against models that a plug-in of ``llm`` brings; none of them is on a network."""

import asyncio
import threading
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from duologue.core.event import AttemptFailed, EndReason, TurnCompleted
from duologue.core.provider import Call, Completion, Delta, Finish, Seat, Usage
from duologue.core.rebuild import rebuild
from duologue.core.request import Heard, Request, Role
from duologue.core.spec import ConversationSpec, Framing, Line, Participant, Sampling, TurnCap
from duologue.core.state import fold
from duologue.core.wire import encode
from duologue.errors import (
    AuthenticationError,
    BrokenStreamError,
    ConfigurationError,
    OverloadError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitError,
    RequestRefusedError,
)
from duologue.providers import llm_bridge
from duologue.providers.llm_bridge import Bridge, load, models
from duologue.providers.registry import open_model
from strategies import hold

installed = pytest.mark.skipif(
    find_spec("llm") is None,
    reason="THE BRIDGE IS NOT TESTED: the extra 'llm' is not installed (pip install llm)",
)
OPENING = (Line("Guide", "A sea."), Line("Ben", "Hi."))


def asked(*messages: Heard, sampling: Sampling | None = None, seed: int | None = None) -> Request:
    said = messages or (Heard(Role.OTHER, "Ben", "Hi."),)
    sampling = sampling or Sampling()
    return Request("Ada", "Be kind.", Framing.CHAT, said, sampling, seed)


def call(seat: Seat, *messages: Heard, **more: Any) -> Call:
    return Call(encode(seat, asked(*messages, **more)).body)


@pytest.fixture
def llm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """The package with the models of one plug-in more, none of which a key or network is for."""
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
    package: Any = import_module("llm")
    held: Any = import_module("llm.plugins")

    held.load_plugins()
    held.pm.register(plugin(package), "fakes")
    yield package
    held.pm.unregister(name="fakes")


def plugin(llm: Any) -> Any:
    """A plug-in of ``llm``, as it would be a module."""

    def register_models(register: Any) -> None:
        made = fakes(llm)
        register(made["fake"], aliases=("f",))
        register(made["plain"])
        register(made["old"])
        register(type(made["plain"])("sync-of-async"), made["waits"])

    return SimpleNamespace(register_models=llm.hookimpl(register_models))


def heard(prompt: Any) -> str:
    """What a model was handed, as text."""
    shown = [
        f"{each.role}={'/'.join(part.text for part in each.parts)}" for each in prompt.messages
    ]
    return "|".join(shown)


def fakes(llm: Any) -> dict[str, Any]:
    """Models that tell what they were handed, in several manners."""
    event: Any = import_module("llm.parts").StreamEvent

    class Fake(llm.Model):  # type: ignore[misc] # an extra
        can_stream = True

        class Options(llm.Options):  # type: ignore[misc] # an extra
            temperature: float | None = None
            seed: int | None = None
            stop: list[str] | None = None

        model_id = "fake"

        def execute(self, prompt: Any, stream: bool, response: Any, conversation: Any) -> Any:  # noqa: FBT001, ARG002
            thread = threading.current_thread().name
            yield event("reasoning", "hm", provider_metadata={"signature": "s"})
            yield event("text", heard(prompt))
            yield event("text", f"|{prompt.options.temperature}|{thread}")
            response.set_usage(input=7, output=3)
            response.set_resolved_model("fake-2026")
            response.response_json = {"finish_reason": "length"}

    class Plain(llm.Model):  # type: ignore[misc] # an extra
        def __init__(self, model_id: str = "plain") -> None:
            self.model_id = model_id

        def execute(self, prompt: Any, stream: bool, response: Any, conversation: Any) -> Any:  # noqa: FBT001, ARG002
            return iter([heard(prompt), "", "!"])

    class Old(llm.Model):  # type: ignore[misc] # an extra
        model_id = "old"

        def execute(self, prompt: Any, stream: bool, response: Any, conversation: Any) -> Any:  # noqa: FBT001, ARG002
            yield f"{prompt.system} {prompt.prompt}"

    class Waits(llm.AsyncModel):  # type: ignore[misc] # an extra
        model_id = "waits"

        async def execute(self, prompt: Any, stream: bool, response: Any, conversation: Any) -> Any:  # noqa: FBT001, ARG002
            yield heard(prompt)
            yield threading.current_thread().name

    return {"fake": Fake(), "plain": Plain(), "old": Old(), "waits": Waits()}


async def said(provider: Bridge, *messages: Heard, **more: Any) -> list[Delta | Completion]:
    return [item async for item in provider.stream(call(provider.seat, *messages, **more))]


@installed
async def test_a_reply_comes_piece_by_piece_with_all_that_llm_tells(llm: Any) -> None:
    assert llm
    *deltas, whole = await said(load("fake"), sampling=Sampling(temperature=0.0))
    text = "system=Be kind.|user=Hi.|0.0|duologue-llm"
    assert deltas[0] == Delta("hm", reasoning=True)
    assert "".join(each.text for each in deltas[1:] if isinstance(each, Delta)) == text
    assert isinstance(whole, Completion)
    assert (whole.text, whole.reasoning) == (text, "hm")
    assert (whole.finish, whole.finish_raw) == (Finish.LENGTH, "length")
    assert (whole.usage, whole.served) == (Usage(input=7, output=3), "fake-2026")
    assert whole.blocks[0]["provider_metadata"] == {"signature": "s"}
    assert whole.seconds is not None
    assert whole.first_token_s is not None


@installed
async def test_bound_reasoning_is_given_back_and_neighbours_stay_apart(llm: Any) -> None:
    bridge = load("plain")
    block = {"type": "reasoning", "text": "hm", "provider_metadata": {"signature": "s"}}
    own = Heard(Role.OWN, "Ada", "a", (block,))
    others = Heard(Role.OTHER, "Ben", "b"), Heard(Role.OTHER, "Guide", "c")
    *_, whole = await said(bridge, own, *others)
    assert isinstance(whole, Completion)
    assert whole.text == "system=Be kind.|assistant=hm/a|user=b|user=c!"
    assert (whole.finish, whole.served, whole.blocks) == (Finish.UNKNOWN, None, ())
    assert llm.Message.from_dict({"role": "user", "parts": [block]}).to_dict()["parts"] == [block]


@installed
async def test_a_model_that_can_wait_is_asked_in_the_loop(llm: Any) -> None:
    assert llm
    *_, whole = await said(load("waits"))
    assert isinstance(whole, Completion)
    assert whole.text == f"system=Be kind.|user=Hi.{threading.main_thread().name}"


@installed
def test_a_conversation_of_two_bridged_models_can_be_rebuilt(llm: Any) -> None:
    assert llm
    spec = ConversationSpec(
        (Participant("Ada", "llm:fake", system="A."), Participant("Ben", "llm:plain")),
        opening=OPENING,
        ending=(TurnCap(5),),
        seed=1,
    )
    events = hold(spec, {"Ada": load("fake"), "Ben": load("plain")})
    entries = fold(events).entries
    assert entries[2].message.text.startswith("system=A.|user=A sea.|user=Hi.|None|")
    assert entries[3].message.text.startswith("user=A sea.|assistant=Hi.|user=system=A.")
    assert all(again.agrees for again in rebuild(events))
    assert not [event for event in events if isinstance(event, AttemptFailed)]


@installed
async def test_an_old_plug_in_that_ignores_the_conversation_is_found_out(llm: Any) -> None:
    assert llm
    *_, whole = await said(load("old"))
    assert isinstance(whole, Completion)
    assert whole.text == "Be kind. Hi."
    three = [Heard(Role.OTHER, "Ben", text) for text in "abc"]
    with pytest.raises(RequestRefusedError, match="read only the last message"):
        await said(load("old"), *three)


def test_silence_is_refused_or_stood_in_for_on_the_record() -> None:
    seat = Seat("llm", "m", "llm", {"quirks": {"silence": "refused", "prefill": "refused"}})
    silent = asked(Heard(Role.OTHER, "Ben", "\u200b"))
    with pytest.raises(RequestRefusedError, match="declare 'stand_in'"):
        encode(seat, silent)
    wire = encode(seat, msgspec.structs.replace(silent, stand_in="(silence)"))
    assert [edit.what for edit in wire.edits] == ["stand_in"]
    assert b'"text":"(silence)"' in wire.body
    with pytest.raises(RequestRefusedError, match="ends with its own words"):
        encode(seat, asked(Heard(Role.OWN, "Ada", "a")))


def test_bound_reasoning_of_another_dialect_is_left_out_as_an_edit() -> None:
    seat = Seat("llm", "m", "llm", {"quirks": {}})
    own = Heard(Role.OWN, "Ada", "a", ({"type": "thinking", "thinking": "x"},))
    wire = encode(seat, asked(own, Heard(Role.OTHER, "Ben", "b")))
    assert len(wire.edits) == 1
    assert b"thinking" not in wire.body


@installed
@pytest.mark.parametrize(
    ("sampling", "match"),
    [
        (Sampling(top_p=0.5), "fake takes no top_p; its options are: seed, stop, temperature"),
        (Sampling(extra={"mirostat": 2}), "takes no mirostat"),
        (Sampling(extra={"temperature": "hot"}), "refuses an option"),
        (Sampling(temperature=1.0, extra={"temperature": 2}), "declare it once"),
    ],
)
async def test_an_option_is_never_dropped(llm: Any, sampling: Sampling, match: str) -> None:
    assert llm
    with pytest.raises(RequestRefusedError, match=match):
        await said(load("fake"), sampling=sampling)


@installed
async def test_a_seed_of_ones_own_must_be_taken_and_a_derived_one_may_be(llm: Any) -> None:
    assert llm
    assert await said(load("plain"), seed=5)
    with pytest.raises(RequestRefusedError, match="plain takes no seed; its options are: none"):
        await said(load("plain"), seed=5, sampling=Sampling(seed=5))


class StatusError(Exception):
    """As the SDKs raise it."""

    def __init__(self, status: int) -> None:
        super().__init__("no")
        self.status_code = status


class ResponseError(Exception):
    """As httpx raises it."""

    def __init__(self, status: int) -> None:
        super().__init__("no")
        self.response = StatusError(status)


class ReadTimeout(Exception):  # noqa: N818 - the name of httpx's
    pass


class APIConnectionError(Exception):
    pass


@installed
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (StatusError(401), AuthenticationError),
        (StatusError(404), RequestRefusedError),
        (StatusError(418), ProviderError),
        (ResponseError(429), RateLimitError),
        (ResponseError(529), OverloadError),
        (ReadTimeout("no"), ProviderTimeoutError),
        (TimeoutError("no"), ProviderTimeoutError),
        (APIConnectionError("no"), BrokenStreamError),
        (ConnectionResetError("no"), BrokenStreamError),
        (NotImplementedError("no"), RequestRefusedError),
        (KeyError("no"), ProviderError),
    ],
)
@pytest.mark.parametrize("model", ["plain", "waits"])
async def test_an_error_is_classified_once_under_its_own_name(
    llm: Any, monkeypatch: pytest.MonkeyPatch, *, model: str, error: Exception, kind: type
) -> None:
    assert llm
    bridge = load(model)

    def fail(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(type(bridge._model), "execute", fail)  # noqa: SLF001 - a fake of ours
    with pytest.raises(ProviderError) as caught:
        await said(bridge)
    assert type(caught.value) is kind
    assert caught.value.detail.startswith(f"{type(error).__name__}: ")


@installed
async def test_a_missing_key_is_a_matter_of_authentication(
    llm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert llm
    with pytest.raises(AuthenticationError, match="NeedsKeyException"):
        await said(load("gpt-4o-mini"))


@installed
async def test_stopping_does_not_wait_for_the_model(llm: Any) -> None:
    assert llm
    go, done = threading.Event(), threading.Event()

    def slow() -> Iterator[str]:
        try:
            yield "a"
            go.wait()
            yield "b"
            yield "c"
        finally:
            done.set()

    pieces = llm_bridge._threaded(slow())  # noqa: SLF001 - the part that is hard to stop
    assert await anext(pieces) == "a"
    await pieces.aclose()
    assert not done.is_set()
    go.set()
    assert await asyncio.to_thread(done.wait, 60)


def test_a_thread_outlives_its_loop_without_a_word() -> None:
    go, done = threading.Event(), threading.Event()

    def slow() -> Iterator[str]:
        yield "a"
        go.wait()
        done.set()

    async def run() -> None:
        pieces = llm_bridge._threaded(slow())  # noqa: SLF001 - as above
        assert await anext(pieces) == "a"
        await pieces.aclose()

    asyncio.run(run())
    go.set()
    assert done.wait(60)


@installed
async def test_models_are_found_by_id_and_alias(llm: Any) -> None:
    assert llm
    assert {"fake", "plain", "old", "waits"} <= set(models())
    assert (await open_model("llm:f")).seat.model == "fake"
    assert load("plain").seat.dialect == "llm"
    await load("plain").aclose()
    with pytest.raises(ConfigurationError, match="llm knows no model 'fakee'; near: fake"):
        load("fakee")
    with pytest.raises(ConfigurationError, match="llm knows no model '§': 'llm models' lists"):
        load("§")


@installed
def test_llm_writes_nothing_of_its_own(llm: Any, tmp_path: Path) -> None:
    assert llm
    spec = ConversationSpec(
        (Participant("Ada", "llm:plain"),), opening=OPENING, ending=(TurnCap(3),)
    )
    hold(spec, {"Ada": load("plain")})
    assert list(tmp_path.iterdir()) == []


@installed
def test_a_failing_plug_in_of_llm_is_told(llm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Any:
        raise LookupError("no")

    monkeypatch.setattr(llm, "get_models_with_aliases", fail)
    with pytest.raises(ConfigurationError, match="llm cannot list its models: LookupError: no"):
        load("fake")


def test_without_the_extra_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(llm_bridge, "import_module", missing)
    assert models() == ()
    with pytest.raises(ConfigurationError, match=r"pip install 'duologue\[llm\]'"):
        load("fake")


@installed
def test_an_error_in_the_conversation_is_data(llm: Any) -> None:
    assert llm
    spec = ConversationSpec((Participant("Ada", "llm:old"),), opening=OPENING, ending=(TurnCap(3),))
    events = hold(spec, {"Ada": load("old")})
    (failed,) = (event for event in events if isinstance(event, AttemptFailed))
    assert (failed.boundary, failed.partial) == ("request_refused", " Hi.")
    ended = fold(events).ended
    assert ended is not None
    assert ended.reason is EndReason.ERROR
    assert not [event for event in events if isinstance(event, TurnCompleted)]


@installed
async def test_a_key_in_an_error_is_taken_out(llm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert llm
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted-0123456789")

    def fail(*_: Any, **__: Any) -> Any:
        raise LookupError("the key sk-planted-0123456789 is refused")

    bridge = load("gpt-4o-mini")
    monkeypatch.setattr(type(bridge._model), "execute", fail)  # noqa: SLF001 - as a provider would
    with pytest.raises(ProviderError, match=r"LookupError: the key \[key\] is refused"):
        await said(bridge)
