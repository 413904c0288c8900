import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from duologue.cli import fetching
from duologue.cli.app import app
from duologue.cli.completing import complete_model
from duologue.providers import listening as listening_module
from duologue.providers import plugins
from duologue.providers.catalog import catalog
from duologue.providers.listening import Asked, Heard
from duologue.providers.plugins import Plugin
from duologue.providers.registry import address_variable

SENTINEL = "sk-sentinel-51cc0ffee"


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No key, no file of the user's, no model, and nobody who listens."""
    for provider in catalog({}).values():
        for variable in (*provider.keys, address_variable(provider.name)):
            monkeypatch.delenv(variable, raising=False)
    for variable in ("DUOLOGUE_CATALOG", "DUOLOGUE_ALIASES", "DUOLOGUE_KEYS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("DUOLOGUE_MODELS", str(tmp_path))
    answers(monkeypatch)


def answers(monkeypatch: pytest.MonkeyPatch, **heard: Heard) -> list[Asked]:
    """Make servers answer so, the others not at all; who is asked."""
    asked: list[Asked] = []

    def listening(servers: list[Asked]) -> dict[str, Heard]:
        asked.extend(servers)
        none = Heard(None, "connection refused")
        return {server.name: heard.get(server.name, none) for server in servers}

    monkeypatch.setattr(listening_module, "listening", listening)
    return asked


def told(*options: str) -> str:
    result = CliRunner().invoke(app, ["models", *options])
    assert result.exit_code == 0, result.output
    return result.output


def listed() -> dict[str, Any]:
    whole = json.loads(told("--json"))
    assert isinstance(whole, dict)
    return whole


def one(group: str, provider: str) -> dict[str, Any]:
    (found,) = [each for each in listed()[group] if each["provider"] == provider]
    return dict(found)


def test_what_is_missing_says_what_it_needs() -> None:
    output = told()
    assert "duologue models --fetch smollm2-135m" in output
    assert "needs: set ANTHROPIC_API_KEY" in output
    assert "needs: connection refused; start it: ollama serve" in output
    assert "anthropic:claude-haiku-4-5" in output
    assert "keys.toml" in output


def test_a_key_makes_its_provider_usable_and_is_shown_nowhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SENTINEL)
    assert one("hosted", "openai") | {"base_url": ""} == {
        "provider": "openai",
        "base_url": "",
        "usable": True,
        "key": "$OPENAI_API_KEY",
        "needs": None,
        "models": [],
    }
    assert "openai                 ready ($OPENAI_API_KEY)" in told()
    assert SENTINEL not in told() + told("--json")


def test_a_key_in_the_file_is_found_and_one_that_others_can_read_is_not(tmp_path: Path) -> None:
    file = tmp_path / "duologue" / "keys.toml"
    file.parent.mkdir()
    file.write_text(f'[keys]\nopenai = "{SENTINEL}"\nvllm = "{SENTINEL}"\n')
    file.chmod(0o600)
    assert one("hosted", "openai")["key"] == str(file)
    file.chmod(0o644)
    for group, provider in (("hosted", "openai"), ("servers", "vllm")):
        found = one(group, provider)
        assert found["usable"] is False
        assert f"chmod 600 {file}" in found["needs"]
    assert SENTINEL not in told() + told("--json")


def test_a_server_that_answers_lists_its_models(monkeypatch: pytest.MonkeyPatch) -> None:
    many = tuple(f"model-{number}" for number in range(10))
    monkeypatch.setenv("VLLM_API_KEY", SENTINEL)
    asked = answers(monkeypatch, vllm=Heard(many), ollama=Heard(()))
    assert one("servers", "vllm")["models"] == list(many)
    assert one("servers", "ollama")["usable"] is True
    output = told()
    assert "vllm                   ready ($VLLM_API_KEY)  model-0, " in output
    assert "model-7 and 2 more" in output
    keys = {server.name: server.key for server in asked}
    assert keys["vllm"] is not None
    assert keys["ollama"] is None
    assert SENTINEL not in output


def test_a_model_that_is_named_to_move_the_cursor_moves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers(monkeypatch, ollama=Heard(("\x1b[2J\nopenai ready",)))
    output = told()
    assert "\x1b" not in output
    assert "\u241b[2J\u240aopenai ready" in output


def test_only_servers_of_ones_own_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answers(monkeypatch)
    told()
    assert {server.name for server in asked} == {"ollama", "vllm", "llama.cpp", "lmstudio"}


def test_a_server_may_be_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answers(monkeypatch)
    monkeypatch.setenv("DUOLOGUE_BASE_URL_OLLAMA", "http://there:1/v1")
    monkeypatch.setenv("DUOLOGUE_BASE_URL_VLLM", f"http://me:{SENTINEL}@there:1/v1")
    monkeypatch.setenv("DUOLOGUE_BASE_URL_OPENAI", "http://127.0.0.1:1/v1")
    whole = told("--json")
    assert {server.name: server.base_url for server in asked}["ollama"] == "http://there:1/v1"
    assert "vllm" not in {server.name for server in asked}
    assert "its base URL is unfit" in whole
    assert SENTINEL not in whole
    assert one("hosted", "openai")["usable"] is True


def test_a_provider_of_ones_own_is_listed(tmp_path: Path) -> None:
    file = tmp_path / "duologue" / "catalog.toml"
    file.parent.mkdir()
    file.write_text(
        '[providers.mine]\ndialect = "openai"\nbase_url = "https://mine.example/v1"\n'
        '[providers.box]\ndialect = "openai"\nbase_url = "http://box:8000/v1"\nown = true\n'
    )
    assert one("hosted", "mine")["needs"].startswith("write mine = ")
    assert one("servers", "box")["needs"] == "connection refused"


def test_what_needs_no_server_and_what_plug_ins_bring_is_listed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    brought = (Plugin("echo", "duologue-echo 1.0"), Plugin("bad", "bad 2", "bad is broken"))
    monkeypatch.setattr(plugins, "plugins", lambda: brought)
    output = told()
    assert "human:NAME" in output
    assert "echo                   ready (duologue-echo 1.0)" in output
    assert "bad                    bad is broken" in output
    assert [each["usable"] for each in listed()["plugins"]] == [True, False]


def test_fetch_installs_what_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted: list[str] = []
    monkeypatch.setattr(
        fetching, "fetch_with_bar", lambda models, _: wanted.extend(each.name for each in models)
    )
    told("--fetch", "default", "--fetch", "qwen2.5-coder-1.5b")
    assert wanted == ["smollm2-135m", "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b"]


def test_the_tab_key_offers_local_models_short_names_and_providers() -> None:
    assert ("smollm2-135m" in dict(complete_model("smol"))) is True
    assert dict(complete_model("haiku-4")) == {"haiku-4.5": "anthropic:claude-haiku-4-5"}
    assert "openrouter:" in dict(complete_model("open"))
    assert "scripted:" in dict(complete_model(""))


def test_the_tab_key_offers_what_it_can_when_a_file_is_malformed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "bad.toml").write_text("[")
    monkeypatch.setenv("DUOLOGUE_CATALOG", str(tmp_path / "bad.toml"))
    monkeypatch.setenv("DUOLOGUE_ALIASES", str(tmp_path / "bad.toml"))
    assert "smollm2-135m" in dict(complete_model(""))
