import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.errors import ConfigurationError
from duologue.providers.catalog import Listed, catalog
from duologue.providers.keys import Key, find_key, key_file, need_key, remedy

SENTINEL = "sk-sentinel-3c1f9a77d2"
GOOGLE = catalog({})["google"]
LLAMA = catalog({})["llama.cpp"]


def kept(folder: Path, text: str | bytes, mode: int = 0o600) -> dict[str, str]:
    """An environment whose key file holds ``text``."""
    file = folder / "keys.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    file.chmod(mode)
    return {"DUOLOGUE_KEYS": str(file)}


def found(known: Listed, environ: dict[str, str]) -> tuple[str, str]:
    key = find_key(known, environ)
    assert key is not None
    return key.secret.reveal(), key.source


def test_the_first_variable_that_holds_a_key_gives_it() -> None:
    both = {"GEMINI_API_KEY": "first-key", "GOOGLE_API_KEY": "second-key"}
    assert found(GOOGLE, both) == ("first-key", "$GEMINI_API_KEY")
    assert found(GOOGLE, both | {"GEMINI_API_KEY": " "}) == ("second-key", "$GOOGLE_API_KEY")


def test_a_line_end_around_a_key_is_not_part_of_it() -> None:
    assert found(GOOGLE, {"GEMINI_API_KEY": "a-key\n"})[0] == "a-key"


def test_a_key_file_answers_where_the_environment_does_not(tmp_path: Path) -> None:
    environ = kept(tmp_path, '[keys]\ngoogle = "filed-key"\n"llama.cpp" = "other-key"\n')
    assert found(GOOGLE, environ) == ("filed-key", environ["DUOLOGUE_KEYS"])
    assert found(LLAMA, environ)[0] == "other-key"
    assert found(GOOGLE, environ | {"GEMINI_API_KEY": "a-key"})[0] == "a-key"


@pytest.mark.parametrize("text", ["", "[keys]\n", '[keys]\ngoogle = ""\n', "[other]\na = 1\n"])
def test_a_key_file_without_that_key_is_no_error(tmp_path: Path, text: str) -> None:
    assert find_key(GOOGLE, kept(tmp_path, text)) is None


def test_without_a_file_or_a_home_there_is_no_key(tmp_path: Path) -> None:
    assert find_key(GOOGLE, {"XDG_CONFIG_HOME": str(tmp_path)}) is None
    assert find_key(GOOGLE, {}) is None
    assert key_file({}) is None


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o666])
def test_a_key_file_that_others_can_reach_is_refused_with_what_to_type(
    tmp_path: Path, mode: int
) -> None:
    environ = kept(tmp_path, f'[keys]\ngoogle = "{SENTINEL}"\n', mode)
    with pytest.raises(ConfigurationError) as caught:
        find_key(GOOGLE, environ)
    assert f"chmod 600 {environ['DUOLOGUE_KEYS']}" in str(caught.value)
    assert SENTINEL not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f'[keys]\ngoogle = "{SENTINEL}', "this is not TOML"),
        (f"[keys]\ngoogle = {SENTINEL}", "line 2: this is not TOML"),
        (f'[keys]\n"{SENTINEL}"', "this is not TOML"),
        (f'[keys]\ngoogle = ["{SENTINEL}"]', "google is not a string"),
        (f'keys = "{SENTINEL}"', "keys is not a string"),
        (f'[keys]\ngoogle = "{SENTINEL}\xe9"', "no key has|outside ASCII"),
        (f"[keys]\na = '{SENTINEL}'\nb = ".encode() + b"'\xe9'", "save it as UTF-8"),
        ("[" * 100_000 + SENTINEL, "this is not TOML"),
    ],
)
def test_a_malformed_key_file_is_told_without_any_of_its_text(
    tmp_path: Path, text: str | bytes, told: str
) -> None:
    with pytest.raises(ConfigurationError, match=told) as caught:
        find_key(GOOGLE, kept(tmp_path, text))
    assert SENTINEL not in str(caught.value)
    assert "keys.toml" in str(caught.value)


def test_a_key_file_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        find_key(GOOGLE, {"DUOLOGUE_KEYS": str(tmp_path)})


@given(st.text("abc é\n\r\t\x00", min_size=1))
def test_a_key_that_could_not_be_sent_is_refused_with_its_source_and_without_itself(
    value: str,
) -> None:
    whole = SENTINEL + value + SENTINEL
    environ = {"GEMINI_API_KEY": whole}
    if set(value) <= set("abc"):
        assert found(GOOGLE, environ)[0] == whole
        return
    with pytest.raises(ConfigurationError, match="GEMINI_API_KEY") as caught:
        find_key(GOOGLE, environ)
    assert SENTINEL not in str(caught.value)


def test_a_missing_key_is_told_with_the_variable_and_the_file(tmp_path: Path) -> None:
    environ = {"XDG_CONFIG_HOME": str(tmp_path)}
    with pytest.raises(ConfigurationError) as caught:
        need_key(GOOGLE, environ)
    assert "GEMINI_API_KEY or GOOGLE_API_KEY" in str(caught.value)
    assert str(tmp_path / "duologue" / "keys.toml") in str(caught.value)
    assert 'write "llama.cpp" = "…"' in remedy(LLAMA, environ)
    assert remedy(GOOGLE, {}) == "set GEMINI_API_KEY or GOOGLE_API_KEY"
    assert need_key(GOOGLE, {"GEMINI_API_KEY": "a-key"}).secret.reveal() == "a-key"


def test_a_provider_without_a_variable_has_its_key_in_the_file(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text('[providers.mine]\ndialect = "openai"\nbase_url = "https://m.example"\n')
    environ = kept(tmp_path, '[keys]\nmine = "filed-key"\n') | {"DUOLOGUE_CATALOG": str(mine)}
    known = catalog(environ)["mine"]
    assert found(known, environ)[0] == "filed-key"
    assert remedy(known, environ).startswith("write mine")


def test_a_key_shows_itself_nowhere() -> None:
    key = find_key(GOOGLE, {"GEMINI_API_KEY": SENTINEL})
    assert isinstance(key, Key)
    for shown in (repr(key), str(key), f"{key.secret}", f"{key.secret!r}", repr([key.secret])):
        assert SENTINEL not in shown


def test_the_key_file_is_the_one_that_the_environment_names() -> None:
    assert key_file({"DUOLOGUE_KEYS": "/a/b"}) == Path("/a/b")
    assert os.fspath(key_file({"HOME": "/h"}) or "") == "/h/.config/duologue/keys.toml"
