import pytest

from duologue.errors import ConfigurationError
from duologue.providers.secret import Secret, redact, redact_bytes

KEY = 'sk-planted/key+"0123'


@pytest.mark.parametrize("value", ["", "sk a", "sk\n", "sk-\u2026", "\x00"])
def test_a_key_that_no_header_can_carry_is_refused_without_being_shown(value: str) -> None:
    with pytest.raises(ConfigurationError, match="copy it again") as refused:
        Secret(value)
    assert not value or value not in str(refused.value)


def test_a_secret_shows_itself_nowhere_but_where_it_is_asked_to() -> None:
    secret = Secret(KEY)
    assert KEY not in f"{secret} {secret!r} {[secret]}"
    assert secret.reveal() == KEY


@pytest.mark.parametrize(
    "echo",
    [KEY, 'sk-planted/key+\\"0123', 'sk-planted\\/key+\\"0123', "sk-planted%2Fkey%2B%220123"],
)
def test_an_echoed_key_is_taken_out_of_words_and_of_bytes(echo: str) -> None:
    text = f"Incorrect key: {echo}, {echo}. Zoë"
    clean = "Incorrect key: [key], [key]. Zoë"
    assert redact(text, Secret(KEY)) == clean
    assert redact_bytes(text.encode() + b"\xff", Secret(KEY)) == clean.encode() + b"\xff"


def test_a_stand_in_for_a_key_is_a_word_and_no_secret() -> None:
    assert redact("no ollama here", Secret("ollama")) == "no ollama here"


def test_without_a_key_nothing_is_changed() -> None:
    assert redact("[key]", None) == "[key]"
    assert redact_bytes(b"\xff", None) == b"\xff"
