import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.core.wire import ENCODERS
from duologue.errors import ConfigurationError, SpecError
from duologue.providers.catalog import (
    aliases,
    catalog,
    config_file,
    loopback,
    origin,
    shown,
    unfit,
)
from duologue.providers.registry import split

NAMED = {
    *("anthropic", "deepseek", "fireworks", "google", "groq", "mistral", "moonshot", "openai"),
    *("openrouter", "together", "xai", "llama.cpp", "lmstudio", "ollama", "vllm"),
}


def written(folder: Path, text: str) -> dict[str, str]:
    """An environment in which ``text`` is the user's catalogue and the user's short names."""
    file = folder / "mine.toml"
    file.write_text(text, "utf-8")
    return {"DUOLOGUE_CATALOG": str(file), "DUOLOGUE_ALIASES": str(file)}


def quirk(provider: str, model: str, name: str) -> Any:
    return catalog({})[provider].ways(model).quirks.get(name)


def test_every_provider_that_was_promised_is_there_and_can_be_spoken_to() -> None:
    known = catalog({})
    assert set(known) == NAMED
    for provider in known.values():
        assert provider.dialect in ENCODERS
        assert unfit(provider.base_url) is None
        assert provider.own == loopback(provider.base_url) == (provider.start is not None)
        assert provider.keys


def test_every_short_name_leads_to_a_provider() -> None:
    for name in aliases({}):
        provider, model = split(name, {})
        assert provider in NAMED
        assert model


@pytest.mark.parametrize("provider", ["anthropic", "google", "moonshot"])
def test_providers_that_refuse_silence_are_known(provider: str) -> None:
    assert quirk(provider, "any", "silence") == "refused"


def test_quirks_that_the_encoders_read_are_known() -> None:
    assert quirk("openai", "gpt-5", "limit") == "max_completion_tokens"
    assert quirk("openai", "gpt-5", "route") == "prompt_cache_key"
    assert quirk("openrouter", "x/y", "route") == "session_id"
    assert quirk("openrouter", "x/y", "reasoning_back") == "reasoning_details"
    assert quirk("anthropic", "claude-opus-5", "cache") == "automatic"


@pytest.mark.parametrize(
    ("model", "prefill", "refuses"),
    [
        ("claude-opus-5-5", "refused", ("temperature", "top_p", "top_k")),
        ("claude-opus-4-7", "refused", ("temperature", "top_p", "top_k")),
        ("claude-sonnet-4-6", "refused", ("temperature+top_p",)),
        ("claude-haiku-4-5-20251001", "accepted", ("temperature+top_p",)),
        ("claude-opus-4-20250514", "accepted", ("temperature+top_p",)),
        ("claude-3-5-haiku-latest", "accepted", ()),
    ],
)
def test_what_claude_refuses_depends_on_its_number(
    model: str, prefill: str, refuses: tuple[str, ...]
) -> None:
    ways = catalog({})["anthropic"].ways(model)
    assert ways.quirks["prefill"] == prefill
    assert ways.refuses == refuses
    assert ways.ignores == ("seed",)


def test_the_last_rule_that_matches_holds_and_leaves_what_it_does_not_say(tmp_path: Path) -> None:
    environ = written(
        tmp_path,
        """
        [providers.mine]
        dialect = "openai"
        base_url = "https://mine.example/v1/"
        ignores = ["seed"]
        quirks = { silence = "refused", limit = "max_tokens" }
        [[providers.mine.models]]
        match = "a*"
        refuses = ["stop"]
        quirks = { silence = "accepted" }
        [[providers.mine.models]]
        match = "ab*"
        pins = { temperature = 1.0 }
        refuses = []
        """,
    )
    mine = catalog(environ)["mine"]
    assert (mine.base_url, mine.keys, mine.own) == ("https://mine.example/v1", (), False)
    assert mine.ways("b").quirks == {"silence": "refused", "limit": "max_tokens"}
    assert mine.ways("ab").refuses == ()
    assert mine.ways("aa").refuses == ("stop",)
    assert mine.ways("ab").pins == {"temperature": 1.0}
    assert mine.ways("ab").ignores == ("seed",)
    assert mine.ways("ab").quirks == {"silence": "accepted", "limit": "max_tokens"}
    assert set(catalog(environ)) == NAMED | {"mine"}


def test_a_users_entry_changes_what_it_says_and_leaves_the_rest(tmp_path: Path) -> None:
    environ = written(
        tmp_path,
        '[providers.anthropic]\nbase_url = "https://proxy.example/"\nquirks = { cache = "no" }\n'
        "[providers.openai]\nown = false\n",
    )
    ours, theirs = catalog({})["anthropic"], catalog(environ)["anthropic"]
    assert theirs.base_url == "https://proxy.example"
    assert (theirs.keys, theirs.dialect) == (ours.keys, ours.dialect)
    assert theirs.ways("claude-opus-5").quirks["cache"] == "no"
    assert theirs.ways("claude-opus-5").quirks["prefill"] == "refused"
    assert catalog(environ)["openai"].base_url == catalog({})["openai"].base_url


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[providers.openai]\nbase = 1", "line 2: unknown key"),
        ('[providers.openai]\ndialect = "soap"', "line 2"),
        ("[providers.mine]", "line 1: a provider of your own needs dialect and base_url"),
        ('[providers.mine]\ndialect = "openai"', "needs dialect and base_url"),
        ("[providers.local]", "'local' is taken"),
        ('[providers."My Own"]', "small letters"),
        ('[providers.openai]\nbase_url = "ftp://x"', "line 2: providers.openai.base_url: it must"),
        ('[providers.openai]\nbase_url = "http://[x"', "it is not a URL"),
        ("[providers", "line 1"),
    ],
)
def test_a_malformed_catalogue_is_told_with_its_file_key_and_line(
    tmp_path: Path, text: str, told: str
) -> None:
    with pytest.raises(SpecError) as caught:
        catalog(written(tmp_path, text))
    assert "mine.toml" in str(caught.value)
    assert told in str(caught.value)


def test_a_users_short_names_come_over_ours(tmp_path: Path) -> None:
    environ = written(
        tmp_path, '[aliases]\n"haiku-4.5" = "openrouter:x/y:free"\nmine = "local:a.gguf"\n'
    )
    environ.pop("DUOLOGUE_CATALOG")
    assert split("haiku-4.5", environ) == ("openrouter", "x/y:free")
    assert split("mine", environ) == ("local", "a.gguf")
    assert split("sonnet-4.5", environ) == ("anthropic", "claude-sonnet-4-5")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[aliases]\nmine = "haiku"', "line 2: 'mine' stands for 'haiku': give provider:model"),
        ("[aliases]\nmine = 3", "line 2: aliases.mine: expected a string"),
    ],
)
def test_a_malformed_short_name_is_told_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(SpecError) as caught:
        aliases(written(tmp_path, text))
    assert told in str(caught.value)


def test_without_a_file_of_the_users_ours_alone_is_read(tmp_path: Path) -> None:
    assert set(catalog({"XDG_CONFIG_HOME": str(tmp_path)})) == NAMED


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        catalog({"DUOLOGUE_CATALOG": str(tmp_path)})
    (tmp_path / "latin").write_bytes(b"\xe9 = 1")
    with pytest.raises(ConfigurationError, match="save it as UTF-8"):
        catalog({"DUOLOGUE_CATALOG": str(tmp_path / "latin")})


def test_where_the_users_files_are() -> None:
    assert config_file("a.toml", "A", {"A": "/x/y.toml"}) == Path("/x/y.toml")
    xdg = {"XDG_CONFIG_HOME": "/c", "HOME": "/h"}
    assert config_file("a.toml", "A", xdg) == Path("/c/duologue/a.toml")
    relative = {"XDG_CONFIG_HOME": "c", "HOME": "/h"}
    assert config_file("a.toml", "A", relative) == Path("/h/.config/duologue/a.toml")
    assert config_file("a.toml", "A", {}) is None


@pytest.mark.parametrize(
    "url",
    [
        *("", "openai", "ftp://a", "http://", "https://user:pass@host/v1", "https://user@host"),
        *("https://host/v1?key=abc", "https://host/#x", "http://h:port", "http://[::1"),
    ],
)
def test_a_base_url_that_could_not_be_recorded_or_reached_is_unfit(url: str) -> None:
    assert unfit(url)


@given(
    st.text(string.ascii_letters + string.digits, min_size=1, max_size=20),
    st.integers(1, 65535),
    st.text(string.ascii_letters + "/._-", max_size=20),
)
def test_a_plain_base_url_is_fit_and_shown_whole(host: str, port: int, path: str) -> None:
    url = f"https://{host}.example:{port}/{path}"
    assert unfit(url) is None
    assert shown(url) == url
    assert origin(url) == ("https", f"{host}.example".lower(), port)


def test_a_shown_url_holds_no_password_and_no_query() -> None:
    assert shown("https://me:sk-1@host/v1?key=sk-2#sk-3") == "https://…@host/v1…"


def test_this_machine_is_known_by_its_names() -> None:
    for host in ("127.0.0.1", "localhost", "[::1]"):
        assert loopback(f"http://{host}:80/v1")
    assert not loopback("https://127.0.0.1.example/v1")
