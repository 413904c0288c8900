import asyncio
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import typer
from staging import held, pipe, sent, terminal
from typer.testing import CliRunner, Result

from duologue.api import Change, branch, bring_in
from duologue.cli import paging, screen
from duologue.cli.closely import closely, seen, view_page
from duologue.cli.show import lines, reading
from duologue.cli.show import show as show_verb
from duologue.core.event import Edit, Event, Record, TurnCompleted, TurnStarted
from duologue.core.provider import Usage
from duologue.core.rebuild import rebuild
from duologue.core.spec import Framing
from duologue.core.transcript import transcript
from duologue.errors import DuologueError, OverloadError
from duologue.providers.scripted import Reply, Scripted
from duologue.store.library import Library

HOSTILE = "\x1b[2J\x1b]0;owned\x07 \u202eevil"


app = typer.Typer()
app.command()(show_verb)


def show(library: Library, *words: str) -> Result:
    return CliRunner().invoke(app, list(words), obj=library)


def refused(result: Result, exit_code: int = 2) -> str:
    """What a refusal says."""
    assert isinstance(result.exception, DuologueError)
    assert result.exception.exit_code == exit_code
    return str(result.exception)


def recorded_events(library: Library) -> tuple[screen.Reading, list[Record], list[Event]]:
    run = library.runs()[0]
    records = run.conversation(library.listing()[0].id)
    return reading(library, run, records), records, [record.event for record in records]


def text_of(page: screen.Page) -> str:
    out = pipe()
    screen.put(out, page)
    return sent(out)


def test_a_conversation_is_shown_by_the_beginning_of_its_id_or_as_the_newest(
    tmp_path: Path,
) -> None:
    library, recorded = held(tmp_path)
    result = show(library, recorded.id[:5])
    assert result.exit_code == 0
    assert "  2  Ben\n     eins\n" in result.output
    assert show(library).output == result.output


def test_an_empty_library_says_what_to_do(tmp_path: Path) -> None:
    result = show(Library(tmp_path))
    assert "'duologue run' holds a first one" in refused(result)


def test_raw_words_are_the_bytes_that_were_said(tmp_path: Path) -> None:
    library, _ = held(tmp_path, ben=(HOSTILE, "no newline"))
    assert show(library, "--raw", "--turn", "2").stdout_bytes == HOSTILE.encode()
    assert show(library, "--raw").stdout_bytes == f" \n{HOSTILE}\ntwo\nno newline\n".encode()


def test_hostile_words_never_reach_a_terminal_as_they_are(tmp_path: Path) -> None:
    library, _ = held(tmp_path, ben=(HOSTILE,))
    output = show(library, "--turn", "2").output
    assert "\x1b" not in output
    assert "␛[2J␛]0;owned␇ <U+202E>evil" in output


def test_raw_control_characters_are_refused_to_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library, _ = held(tmp_path, ben=(HOSTILE, "fine"))
    monkeypatch.setattr("duologue.cli.show._to_terminal", lambda: True)
    result = show(library, "--raw")
    assert "which a terminal would obey" in refused(result)
    assert result.stdout_bytes == b""
    assert show(library, "--raw", "--turn", "4").stdout_bytes == b"fine"


def test_json_is_the_log_line_by_line(tmp_path: Path) -> None:
    library, recorded = held(tmp_path)
    log = (recorded.folder / "log-1.jsonl").read_bytes()
    assert show(library, "--json").stdout_bytes == log
    _, records, _ = recorded_events(library)
    assert lines(records, 2) == b"".join(log.splitlines(keepends=True)[1:3])


def test_options_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    library, _ = held(tmp_path)
    assert "--json prints" in refused(show(library, "--json", "--raw"))
    assert "--json prints" in refused(show(library, "--json", "--seen-by", "Ada"))


def test_a_message_that_is_not_there_is_not_shown(tmp_path: Path) -> None:
    library, _ = held(tmp_path)
    for words in (["--turn", "9"], ["--turn", "9", "--raw"]):
        said = refused(show(library, *words))
        assert said == "there is no message 9: the conversation holds 4"


# One message.


def test_a_message_is_shown_with_every_fact_about_it(tmp_path: Path) -> None:
    library, _ = held(tmp_path, ben=(Reply("eins", reasoning="hm"),))
    read, records, events = recorded_events(library)
    done = next(e for e in events if isinstance(e, TurnCompleted))
    full = msgspec.structs.replace(
        done,
        usage=Usage(300, 10, cached=280, reasoning=4),
        seconds=2.0,
        first_token_s=0.5,
        finish_raw="eos",
    )
    start = next(e for e in events if isinstance(e, TurnStarted))
    edits = (Edit("merged", "two in a row", 1), Edit("dropped", "a blank"))
    started = msgspec.structs.replace(start, edits=edits)
    swapped = [full if e is done else started if e is start else e for e in events]
    item = transcript(swapped).spoken[1]
    text = text_of(closely(read, records, item))
    for line in (
        "     thought first, kept apart:\n     hm\n",
        "     origin        model: generated\n",
        "     finish        stop (the provider says 'eos')\n",
        "     served by     b\n",
        "     tokens        300 read, 280 of them cached, 10 generated, 4 of them reasoning, 5.0 ",
        "     time          2.00 s, the first token after 0.50 s\n",
        f"     request       BLAKE2b-256 {start.request}\n",
        "     edit          merged: two in a row (message 1 of the view)\n",
        "     edit          dropped: a blank\n",
        f"     said          {records[2].at} (record 2)\n",
        "     words         4 characters, 4 bytes\n",
        f"show {read.id} --turn 2 --seen-by Ben\n",
    ):
        assert line in text


def test_what_a_provider_does_not_say_is_not_made_up(tmp_path: Path) -> None:
    library, _ = held(tmp_path)
    text = show(library, "--turn", "2").output
    assert "     tokens        not counted\n" in text
    assert "     time " not in text


def test_a_time_without_a_first_token_is_told_alone(tmp_path: Path) -> None:
    library, _ = held(tmp_path)
    read, records, _ = recorded_events(library)
    item = read.transcript.spoken[1]
    assert item.entry.completed is not None
    done = msgspec.structs.replace(item.entry.completed, seconds=1.0, served=None)
    entry = msgspec.structs.replace(item.entry, completed=done)
    text = text_of(closely(read, records, msgspec.structs.replace(item, entry=entry)))
    assert "     time          1.00 s\n" in text
    assert "     served by     the reply does not say\n" in text


def test_a_given_message_says_that_nobody_was_asked(tmp_path: Path) -> None:
    library, _ = held(tmp_path)
    text = show(library, "--turn", "1").output
    assert "     origin        opening: given, not generated\n" in text
    assert "nobody was asked for these words, so there is no request" in text


def test_failed_attempts_are_shown_before_their_message(tmp_path: Path) -> None:
    library, _ = held(tmp_path)
    read, records, _ = recorded_events(library)
    _, failed = held(tmp_path / "failed", ben=[OverloadError("busy", partial="half")])
    attempts = failed.transcript.state.attempts
    item = read.transcript.spoken[1]
    entry = msgspec.structs.replace(item.entry, attempts=attempts)
    text = text_of(closely(read, records, msgspec.structs.replace(item, entry=entry)))
    assert text.startswith("  2  Ben  [failed attempt: overload: busy]\n     half\n\n  2  Ben\n")


# What a participant was sent.


def test_a_view_is_shown_with_roles_what_is_new_and_the_proof(tmp_path: Path) -> None:
    library, _ = held(tmp_path)
    text = show(library, "--turn", "4", "--seen-by", "Ben").output
    assert text.startswith("What Ben was sent for turn 4\n\nuser       Ada\n     ␠\n\n")
    assert "assistant  Ben  [new]\n     eins\n\nuser       Ada  [new]\n     two\n" in text
    assert "messages      3, 2 of them new (since turn 2)\n" in text
    assert "sampling      left to the provider\n" in text
    assert "seed          " in text
    assert "agrees        these are, byte for byte, the bytes that were sent\n" in text
    first = show(library, "--turn", "3", "--seen-by", "Ada").output
    assert "\n\nsystem\n     Be brief.\n\n" in first
    assert "messages      2, 2 of them new (its first view)\n" in first
    assert show(library, "--seen-by", "Ben").output == text


def test_a_raw_view_is_the_exact_request(tmp_path: Path) -> None:
    library, _ = held(tmp_path)
    _, _, events = recorded_events(library)
    again = next(item for item in rebuild(events) if item.started.turn == 4)
    result = show(library, "--turn", "4", "--seen-by", "Ben", "--raw")
    assert result.stdout_bytes == again.wire.body


def test_a_view_that_does_not_agree_says_so_and_fails(tmp_path: Path) -> None:
    library, recorded = held(tmp_path)
    log = recorded.folder / "log-1.jsonl"
    log.write_bytes(log.read_bytes().replace(b'"text":" "', b'"text":"x"'))
    (recorded.folder / "index.sqlite").unlink(missing_ok=True)
    result = show(library, "--turn", "2", "--seen-by", "Ben")
    assert "DOES NOT AGREE  BLAKE2b-256 " in result.output
    assert "'duologue verify" in refused(result, 3)


@pytest.mark.parametrize(
    ("turn", "name", "words"),
    [
        ("3", "Ben", "turn 3 was Ada's, so nothing was sent to Ben for it: 'duologue "),
        ("1", "Ben", "message 1 was given, nobody was asked for it"),
        ("9", "Ben", "there is no turn 9"),
        ("2", "Benn", "no participant is named 'Benn': did you mean 'Ben'?"),
        ("2", "xyzzy", "no participant is named 'xyzzy': they are Ada, Ben"),
    ],
)
def test_who_was_not_asked_is_told_what_to_type_instead(
    tmp_path: Path, turn: str, name: str, words: str
) -> None:
    library, _ = held(tmp_path)
    result = show(library, "--turn", turn, "--seen-by", name)
    assert words in refused(result)


def test_the_nearest_turn_is_offered(tmp_path: Path) -> None:
    library, recorded = held(tmp_path)
    result = show(library, "--turn", "3", "--seen-by", "Ben")
    typed = f"show {recorded.id} --turn 2 --seen-by Ben' shows what Ben was sent"
    assert typed in refused(result)


def test_of_an_import_no_request_is_recorded(tmp_path: Path) -> None:
    file = tmp_path / "old.jsonl"
    file.write_text('{"author": "Ada", "text": "hi"}\n{"author": "Ben", "text": "ho"}\n')
    library = Library(tmp_path / "library")
    bring_in(library, file)
    result = show(library, "--seen-by", "Ada")
    assert "'Ada' was never sent anything" in refused(result)
    assert "import: as a file of another format has it" in show(library, "--turn", "1").output


def test_an_inherited_view_says_who_sent_it(tmp_path: Path) -> None:
    library, recorded = held(tmp_path)
    cast = {"Ada": Scripted(("one", "two"), "a"), "Ben": Scripted(("eins", "zwei"), "b")}
    made = asyncio.run(branch(library, recorded.id, 3, Change(turns=5), providers=cast))
    text = show(library, made.id, "--turn", "2", "--seen-by", "Ben").output
    assert "inherited     the conversation that this one branched from sent it\n" in text
    assert "agrees " in text


def test_a_turn_that_was_started_twice_shows_its_last_request_and_its_edits(tmp_path: Path) -> None:
    library, _ = held(tmp_path)
    read, _, events = recorded_events(library)
    place = next(i for i, event in enumerate(events) if isinstance(event, TurnStarted))
    edited = msgspec.structs.replace(events[place], edits=(Edit("merged", "two in a row"),))
    twice = [*events[:place], events[place], edited, *events[place + 1 :]]
    text = text_of(view_page(seen(twice, read, 2, "Ben"), read))
    assert "started       2 times; this is the last request of them\n" in text
    assert "edit          merged: two in a row\n" in text


def test_a_script_has_no_roles_and_an_empty_view_says_so(tmp_path: Path) -> None:
    library, _ = held(tmp_path)
    read, _, events = recorded_events(library)
    found = seen(events, read, 2, "Ben")
    request = msgspec.structs.replace(found.now.request, framing=Framing.SCRIPT)
    script = msgspec.structs.replace(found.now, request=request)
    text = text_of(view_page(msgspec.structs.replace(found, now=script), read))
    assert "line       Ada  [new]\n" in text
    assert "framing       script: sent as one running text, without roles\n" in text
    empty = msgspec.structs.replace(script.request, messages=(), seed=None)
    bare = msgspec.structs.replace(script, request=empty)
    text = text_of(view_page(msgspec.structs.replace(found, now=bare), read))
    assert "no message, no system prompt" in text
    assert "seed " not in text


# The pager.


def long_page(lines_: int = 100) -> screen.Page:
    return screen.Page(screen.words("\n".join(["word"] * lines_)))


def test_the_pager_is_the_users_else_less_else_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "duologue.cli.paging.shutil.which", lambda name: name if name != "gone" else None
    )
    assert paging.chosen({}) == ["less", "-R"]
    assert paging.chosen({"PAGER": "/usr/bin/less -X"}) == ["/usr/bin/less", "-X", "-R"]
    assert paging.chosen({"PAGER": "more -e"}) == ["more", "-e"]
    for none in ("", "cat", "gone", "less '"):
        assert paging.chosen({"PAGER": none}) is None


def test_only_less_is_sent_colours() -> None:
    page = screen.title(["Ada", "Ben"])
    assert "\x1b[" in paging.rendered(terminal(), page, coloured=True)
    assert paging.rendered(terminal(), page, coloured=False) == "Ada ↔ Ben\n"


def test_what_is_longer_than_the_screen_goes_through_the_pager(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kept"
    code = f"import sys; open({str(kept)!r}, 'wb').write(sys.stdin.buffer.read())"
    monkeypatch.setenv("PAGER", f'"{sys.executable}" -c "{code}"')
    assert paging.page_through(terminal(), long_page())
    assert kept.read_text() == "     word\n" * 100


def test_what_fits_the_screen_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAGER", sys.executable)
    assert not paging.page_through(terminal(), long_page(23))


def test_without_a_pager_or_on_a_dumb_terminal_it_is_printed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PAGER", "cat")
    assert not paging.page_through(terminal(), long_page())
    monkeypatch.setenv("PAGER", sys.executable)
    dumb = terminal()
    dumb._environ["TERM"] = "dumb"  # type: ignore[index]  # noqa: SLF001 - rich asks its environment
    assert not paging.page_through(dumb, long_page())


def test_a_pager_that_cannot_be_started_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "pager"
    broken.write_bytes(b"\x7fELF nothing")
    broken.chmod(0o755)
    monkeypatch.setenv("PAGER", os.fspath(broken))
    assert not paging.page_through(terminal(), long_page())


def test_ctrl_c_is_the_pagers_own_business(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Pager:
        def __init__(self, *_: object, **__: object) -> None:
            asked.append("started")

        def communicate(self, _: bytes) -> None:
            asked.append("read")
            if len(asked) < 3:
                raise KeyboardInterrupt

    monkeypatch.setenv("PAGER", sys.executable)
    monkeypatch.setattr(subprocess, "Popen", Pager)
    assert paging.page_through(terminal(), long_page())
    assert asked == ["started", "read", "read"]


def test_show_uses_the_pager_in_a_terminal_and_prints_when_told_not_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library, _ = held(tmp_path)
    paged: list[bool] = []
    out = terminal()

    def page_through(*_: object) -> bool:
        paged.append(True)
        return True

    monkeypatch.setattr(screen, "console", lambda: out)
    monkeypatch.setattr(paging, "page_through", page_through)
    show(library)
    assert (paged, sent(out)) == ([True], "")
    show(library, "--no-pager")
    assert paged == [True]
    assert "eins" in sent(out)
