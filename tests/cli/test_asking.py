from pathlib import Path

import pytest

from duologue.cli.asking import LIMIT, Options, assemble
from duologue.errors import ConfigurationError

SEATS = {"a": {"model": "scripted:a.jsonl"}, "b": {"model": "smollm2-135m"}}


def test_a_file_of_words_keeps_its_line_ends_and_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "words.txt").write_bytes(b"one\r\ntwo  \r\n\r\n")
    asked = assemble(Options(seats=SEATS, opener="words.txt"), tmp_path)
    assert asked.spec.opening[0].text == "one\r\ntwo  \r\n"
    assert "the words are those in the file words.txt" in capsys.readouterr().err


def test_words_that_look_like_a_file_that_is_not_there_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = assemble(Options(seats=SEATS, opener="typo.txt"), tmp_path)
    assert asked.spec.opening[0].text == "typo.txt"
    assert "there is no file typo.txt here" in capsys.readouterr().err


def test_words_are_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assemble(Options(seats=SEATS, opener="Well. Hello there."), tmp_path)
    assert capsys.readouterr().err == ""


def test_a_local_model_that_was_named_has_a_limit_and_no_other(tmp_path: Path) -> None:
    a, b = assemble(Options(seats=SEATS), tmp_path).spec.participants
    assert (a.sampling.max_tokens, b.sampling.max_tokens) == (None, LIMIT)


def test_a_context_is_for_every_local_seat_and_for_no_other(tmp_path: Path) -> None:
    a, b = assemble(Options(seats=SEATS, context=512), tmp_path).spec.participants
    assert (a.context, b.context) == (None, 512)
    assert all(
        seat.context == 512 for seat in assemble(Options(context=512), tmp_path).spec.participants
    )


def test_a_context_without_a_local_seat_is_refused(tmp_path: Path) -> None:
    seats = {"a": SEATS["a"], "b": SEATS["a"]}
    with pytest.raises(ConfigurationError, match="--context is for local models"):
        assemble(Options(seats=seats, context=512), tmp_path)


def test_only_a_seed_that_was_asked_for_is_doubted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seats = {"a": SEATS["a"], "b": {"model": "anthropic:claude-haiku-4-5"}}
    drawn = assemble(Options(seats=seats), tmp_path).spec.seed
    assert (drawn is not None, capsys.readouterr().err) == (True, "")
    assemble(Options(seats=seats, seed=3), tmp_path)
    assert "claude-haiku-4-5 ignores seed" in capsys.readouterr().err
