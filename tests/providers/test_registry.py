from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from duologue.core.spec import ConversationSpec, Participant, Sampling
from duologue.errors import ConfigurationError
from duologue.providers import human, plugins
from duologue.providers.catalog import catalog
from duologue.providers.registry import (
    PROVIDERS,
    Opening,
    address,
    address_variable,
    hosted_seat,
    open_model,
    seated,
    split,
    unseeded,
    warnings,
)
from duologue.providers.scripted import Scripted
from duologue.providers.secret import Secret

KEYS = {
    "ANTHROPIC_API_KEY": "sk-ant-sentinel",
    "OPENAI_API_KEY": "sk-oai-sentinel",
    "GEMINI_API_KEY": "sk-gem-sentinel",
}
STRANGER = "https://stranger.example/v1"


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No key, no file of the user's."""
    for provider in catalog({}).values():
        monkeypatch.delenv(address_variable(provider.name), raising=False)
        for variable in provider.keys:
            monkeypatch.delenv(variable, raising=False)
    for variable in ("DUOLOGUE_CATALOG", "DUOLOGUE_ALIASES", "DUOLOGUE_KEYS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def pair(**sampling: Any) -> ConversationSpec:
    """Two seats of different providers with the same sampling."""
    drawn = Sampling(**sampling)
    return ConversationSpec(
        (
            Participant("Ada", "haiku-4.5", sampling=drawn),
            Participant("Ben", "moonshot:kimi-k2.6", sampling=drawn),
        )
    )


@given(st.sampled_from(sorted([*catalog({}), *PROVIDERS])), st.text(min_size=1))
def test_any_id_may_follow_the_first_colon(provider: str, name: str) -> None:
    assert split(f"{provider}:{name}", {}) == (provider, name)


@pytest.mark.parametrize(
    ("model", "whole"),
    [
        ("ollama:llama3:8b", ("ollama", "llama3:8b")),
        ("openrouter:a/b:free", ("openrouter", "a/b:free")),
        ("haiku-4.5", ("anthropic", "claude-haiku-4-5")),
        ("kimi-k2.6", ("moonshot", "kimi-k2.6")),
        ("smollm2-135m", ("local", "smollm2-135m")),
        ("local:/a/b:c.d", ("local", "/a/b:c.d")),
        ("./b", ("local", "./b")),
        ("human", ("human", "")),
        ("human:", ("human", "")),
        ("function:a.b:c", ("function", "a.b:c")),
        ("weights.gguf", ("local", "weights.gguf")),
    ],
)
def test_a_name_leads_to_its_provider(model: str, whole: tuple[str, str]) -> None:
    assert split(model, {}) == whole


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("anthropc:claude", 'did you mean "anthropic"?'),
        ("zzzzzz:claude", "known are local, scripted, function, human, llm, anthropic"),
        ("haiku-4-5", 'did you mean "haiku-4.5"?'),
        ("smollm2", 'did you mean "smollm2-135m"?'),
        ("qwen", 'did you mean "qwen2.5-coder-0.5b"?'),
        ("nope", "local models are smollm2-135m"),
        ("zzzzzz", "local models are smollm2-135m"),
        ("openai:", "type openai:MODEL"),
    ],
)
def test_an_unknown_name_is_told_with_the_nearest(model: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        split(model, {})
    assert told in str(caught.value)


def test_a_seat_says_all_that_its_requests_depend_on_and_no_key() -> None:
    known = catalog({})["openai"]
    seat = hosted_seat(known, "gpt-5:any", Opening(stream=False, key=Secret("sk-sentinel")), {})
    assert (seat.provider, seat.model, seat.dialect) == ("openai", "gpt-5:any", "openai")
    assert seat.settings == {
        "base_url": "https://api.openai.com/v1",
        "stream": False,
        "quirks": {"limit": "max_completion_tokens", "route": "prompt_cache_key"},
    }


def test_the_address_is_the_specs_then_the_environments_then_the_catalogues() -> None:
    known = catalog({})["llama.cpp"]
    moved = {"DUOLOGUE_BASE_URL_LLAMA_CPP": "http://h:1/v1/"}
    assert address_variable("llama.cpp") == "DUOLOGUE_BASE_URL_LLAMA_CPP"
    assert address(known, {}) == "http://127.0.0.1:8080/v1"
    assert hosted_seat(known, "m", Opening(), moved).settings["base_url"] == "http://h:1/v1"
    there = Opening("http://spec/v1")
    assert hosted_seat(known, "m", there, moved).settings["base_url"] == "http://spec/v1"


def test_an_address_that_would_put_a_secret_on_record_is_refused_unseen() -> None:
    known = catalog({})["openai"]
    for url in ("https://me:sk-sentinel@h/v1", "https://h/v1?key=sk-sentinel"):
        with pytest.raises(ConfigurationError, match="goes on record") as caught:
            hosted_seat(known, "m", Opening(url), {})
        assert "sk-sentinel" not in str(caught.value)


@pytest.mark.parametrize(
    ("model", "dialect"),
    [("haiku-4.5", "anthropic"), ("gemini-2.5-pro", "google"), ("gpt-5", "openai")],
)
async def test_a_hosted_model_is_opened_without_a_connection(model: str, dialect: str) -> None:
    provider = await open_model(model, environ=KEYS)
    assert provider.seat.dialect == dialect
    assert provider.seat.model == split(model, {})[1]
    assert not any(key in repr(provider.seat) for key in KEYS.values())
    await provider.aclose()


async def test_a_hosted_model_without_a_key_is_refused_with_the_remedy() -> None:
    with pytest.raises(ConfigurationError, match="set OPENAI_API_KEY"):
        await open_model("gpt-5", environ={})


@pytest.mark.parametrize("model", ["ollama:llama3:8b", "vllm:x", "lmstudio:x", "llama.cpp:x"])
async def test_a_server_of_ones_own_needs_no_key(model: str) -> None:
    for environ in ({}, {"VLLM_API_KEY": "own-key"}):
        provider = await open_model(model, environ=environ)
        await provider.aclose()


async def test_a_hosted_model_on_this_machine_needs_no_key() -> None:
    here = Opening("http://127.0.0.1:9/v1")
    for environ in ({}, KEYS):
        provider = await open_model("gpt-5", options=here, environ=environ)
        assert provider.seat.settings["base_url"] == here.base_url
        await provider.aclose()


async def test_a_key_is_not_sent_to_an_address_that_only_a_spec_names() -> None:
    there = Opening(STRANGER)
    with pytest.raises(ConfigurationError) as caught:
        await open_model("gpt-5", options=there, environ=KEYS)
    assert f"DUOLOGUE_BASE_URL_OPENAI={STRANGER}" in str(caught.value)
    assert KEYS["OPENAI_API_KEY"] not in str(caught.value)
    meant = KEYS | {"DUOLOGUE_BASE_URL_OPENAI": STRANGER}
    for options, environ in (
        (there, {}),
        (there, meant),
        (replace(there, key=Secret("given-key")), KEYS),
    ):
        provider = await open_model("gpt-5", options=options, environ=environ)
        assert provider.seat.settings["base_url"] == STRANGER
        await provider.aclose()


async def test_an_address_moved_by_the_environment_still_needs_the_key() -> None:
    with pytest.raises(ConfigurationError, match="set OPENAI_API_KEY"):
        await open_model("gpt-5", environ={"DUOLOGUE_BASE_URL_OPENAI": STRANGER})


async def test_a_model_that_is_not_behind_http_has_no_address(tmp_path: Path) -> None:
    script = tmp_path / "a.jsonl"
    script.write_text('"Hello."\n')
    with pytest.raises(ConfigurationError, match="leave 'base_url' out"):
        await open_model(f"scripted:{script}", options=Opening("http://127.0.0.1/"))
    provider = await open_model(f"scripted:{script}")
    assert provider.seat.provider == "scripted"


async def test_providers_without_a_server_are_opened_by_their_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(human, "keyboard", lambda: None)
    for model, name in (("human:Ada", "Ada"), ("function:builtins:repr", "builtins:repr")):
        provider = await open_model(model)
        assert provider.seat.model == name
    with pytest.raises(ConfigurationError, match="llm"):
        await open_model("llm:no-such-model-at-all")


async def test_a_plug_in_is_asked_last(monkeypatch: pytest.MonkeyPatch) -> None:
    async def open_plugin(provider: str, model: str) -> Scripted:
        return Scripted([provider], model)

    monkeypatch.setattr(plugins, "names", lambda: ("echo", "openai"))
    monkeypatch.setattr(plugins, "open_plugin", open_plugin)
    assert split("echo:a:b", {}) == ("echo", "a:b")
    assert split("echo:", {}) == ("echo", "")
    provider = await open_model("echo:a:b", environ={})
    assert (provider.seat.provider, provider.seat.model) == ("scripted", "a:b")
    with pytest.raises(ConfigurationError, match="leave 'base_url' out"):
        await open_model("echo:a", options=Opening("http://127.0.0.1/"), environ={})
    hosted = await open_model("gpt-5", environ=KEYS)
    assert hosted.seat.provider == "openai"


async def test_a_local_model_is_opened_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="there is no file"):
        await open_model("local:/nowhere/at/all.gguf")
    monkeypatch.setenv("DUOLOGUE_MODELS", "/nowhere")
    with pytest.raises(ConfigurationError, match="not installed"):
        await open_model("smollm2-135m")


@pytest.mark.usefixtures("alone")
async def test_seats_of_one_model_reached_in_one_way_share_a_provider() -> None:
    url = "http://127.0.0.1:9/v1"
    same = Participant("Ada", "gpt-5", base_url=url)
    spec = ConversationSpec(
        (
            same,
            replace(same, name="Ben"),
            replace(same, name="Cyd", stream=False),
            replace(same, name="Dee", base_url="http://127.0.0.1:8/v1"),
            replace(same, name="Eve", model="openai:gpt-5"),
        )
    )
    async with seated(spec) as providers:
        assert providers["Ada"] is providers["Ben"] is providers["Eve"]
        assert len({id(provider) for provider in providers.values()}) == 3
        assert providers["Cyd"].seat.settings["stream"] is False
        assert providers["Dee"].seat.settings["base_url"] == "http://127.0.0.1:8/v1"


@pytest.mark.usefixtures("alone")
async def test_nobody_is_seated_when_a_key_is_missing() -> None:
    with pytest.raises(ConfigurationError, match="MOONSHOT_API_KEY"):
        async with seated(ConversationSpec((Participant("Ada", "kimi-k3"),))):
            pytest.fail("somebody was seated")


def test_what_a_provider_refuses_or_ignores_is_told_before_the_run() -> None:
    told = warnings(pair(temperature=0.5, top_p=0.9, seed=3), {})
    assert told == (
        (
            "Ada: anthropic:claude-haiku-4-5 refuses temperature together with top_p; leave it "
            "out, or the turn will fail"
        ),
        "Ada: anthropic:claude-haiku-4-5 ignores seed; it changes nothing",
        "Ben: moonshot:kimi-k2.6 refuses top_p; leave it out, or the turn will fail",
        "Ben: moonshot:kimi-k2.6 refuses any temperature but 1; the turn will fail",
    )


def test_a_temperature_of_zero_is_declared_and_an_accepted_value_is_no_fault() -> None:
    assert any("any temperature but 1" in line for line in warnings(pair(temperature=0.0), {}))
    assert warnings(pair(temperature=1.0), {}) == ()


def test_nothing_declared_is_nothing_told() -> None:
    assert warnings(pair(), {}) == ()


def test_the_conversations_seed_counts_as_every_participants() -> None:
    told = unseeded(replace(pair(), seed=7), {})
    assert [line.partition(" ")[0] for line in told] == ["Ada:"]
    assert "ignores seed" in told[0]
    assert unseeded(pair(), {}) == ()


def test_a_seed_that_may_have_been_drawn_is_no_reason_to_warn() -> None:
    assert warnings(replace(pair(), seed=7), {}) == ()


def test_a_seat_with_a_seed_of_its_own_is_told_once() -> None:
    assert unseeded(replace(pair(seed=3), seed=7), {}) == ()
    assert (
        len([line for line in warnings(replace(pair(seed=3), seed=7), {}) if "seed" in line]) == 1
    )


async def test_only_a_local_model_is_opened_with_a_context_of_our_choice(tmp_path: Path) -> None:
    script = tmp_path / "a.jsonl"
    script.write_text('"one"\n')
    for model in (f"scripted:{script}", "anthropic:claude-haiku-4-5", "human"):
        with pytest.raises(ConfigurationError, match=r"not a local model.*leave 'context' out"):
            await open_model(model, options=Opening(context=512), environ={})


def test_parameters_that_are_passed_through_are_looked_at_too() -> None:
    told = warnings(pair(extra={"presence_penalty": 0.5}), {})
    assert len(told) == 1
    assert "kimi-k2.6 refuses presence_penalty" in told[0]


def test_local_and_scripted_models_have_nothing_to_refuse() -> None:
    seats = (Participant("Ada", "smollm2-135m"), Participant("Ben", "scripted:a.jsonl"))
    assert warnings(ConversationSpec(seats, seed=3), {}) == ()
