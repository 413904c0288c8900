import asyncio
import errno
import io
import os
import threading
from pathlib import Path

import msgspec
import pytest
from rich.console import Console
from rich.text import Text
from staging import held, pipe, sent, shown, spec, terminal

from duologue.api import Change, branch, go_on, hold
from duologue.cli.live import Region, Watcher
from duologue.cli.screen import Page
from duologue.core.event import ConversationStarted, Record, TurnStarted
from duologue.core.message import Message, Origin
from duologue.core.provider import Delta, Provider
from duologue.core.spec import AnyOf, Pass, TurnCap
from duologue.core.specfile import Asked
from duologue.errors import OverloadError, StoreError, UnrecordedError
from duologue.providers.scripted import Reply, Scripted
from duologue.store.library import Library

ERASE = "\x1b[2K"


class Time:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def record(seq: int, event: ConversationStarted | TurnStarted) -> Record:
    return Record(1, "lusab-babad-gutih", seq, "2026-01-01T00:00:00Z", event, "", "")


def cast(ada: object = "one", ben: object = "eins") -> dict[str, Provider]:
    return {"Ada": Scripted([ada], "a"), "Ben": Scripted([ben], "b")}  # type: ignore[list-item]


def in_a_turn(watcher: Watcher) -> None:
    watcher(record(0, ConversationStarted(spec())))
    watcher(record(1, TurnStarted(2, "Ben", "ff")))


def drawn(watcher: Watcher, *, width: int = 60, height: int = 24) -> list[str]:
    """The region as it would be drawn now."""
    out = terminal(width, height, colour=None)
    out.print(watcher.frame(), end="")
    return sent(out).split("\n")


def test_in_a_pipe_every_message_is_whole_at_once(tmp_path: Path) -> None:
    out = pipe()
    written: list[str] = []
    watcher = Watcher(Library(tmp_path), console=out)

    def watch(item: Record | Delta) -> None:
        watcher(item)
        written.append(sent(out))

    with watcher:
        _, recorded = held(tmp_path, watch=watch)
        watcher.finished(recorded)
    assert written[0].startswith("Ada ↔ Ben\n\nAda           scripted:a")
    assert "  2  Ben\n     eins\n" in sent(out)
    assert any(text.endswith("  2  Ben\n     eins\n\n") for text in written)
    assert "\x1b" not in sent(out)


def test_the_last_lines_say_how_it_ended_and_what_to_type_next(tmp_path: Path) -> None:
    out = pipe()
    with Watcher(Library(tmp_path), console=out) as watcher:
        _, recorded = held(tmp_path, watch=watcher)
        watcher.finished(recorded)
    last = sent(out).split("\n\n")[-2:]
    assert last[0].startswith(
        "ended         max_turns: the cap of 4 messages\nmessages      4\nrecord "
    )
    typed = f"duologue --library {tmp_path} "
    assert [line.split("  ")[0] for line in last[1].strip().split("\n")] == [
        f"{typed}show {recorded.id}",
        f"{typed}branch {recorded.id} --at 2",
        f"{typed}export {recorded.id} --to founding",
    ]


def test_on_a_terminal_the_scrollback_holds_each_message_once(tmp_path: Path) -> None:
    out = terminal()
    with Watcher(Library(tmp_path), console=out) as watcher:
        _, recorded = held(tmp_path, watch=watcher)
        watcher.finished(recorded)
    assert shown(out).count("     eins\n") == 1
    assert shown(out).count("     zwei\n") == 1
    assert ERASE in sent(out)


def test_a_dumb_terminal_is_not_drawn_over(tmp_path: Path) -> None:
    out = terminal()
    out._environ["TERM"] = "dumb"  # type: ignore[index]  # noqa: SLF001 - rich asks its environment
    with Watcher(Library(tmp_path), console=out) as watcher:
        held(tmp_path, watch=watcher)
    assert ERASE not in sent(out)
    assert "     eins\n" in shown(out)


def test_quiet_prints_the_id_alone(tmp_path: Path) -> None:
    out = pipe()
    with Watcher(Library(tmp_path), quiet=True, console=out) as watcher:
        _, recorded = held(tmp_path, watch=watcher)
        watcher.finished(recorded)
    assert sent(out) == f"{recorded.id}\n"


def test_json_prints_the_lines_of_the_log_byte_for_byte(tmp_path: Path) -> None:
    out = pipe()
    with Watcher(Library(tmp_path), json=True, console=out) as watcher:
        _, recorded = held(tmp_path, ("a\u2028\x1b\x7f",), watch=watcher)
        watcher.finished(recorded)
    assert sent(out).encode() == (recorded.folder / "log-1.jsonl").read_bytes()


def test_the_turn_in_progress_is_drawn_as_it_grows(tmp_path: Path) -> None:
    clock = Time()
    watcher = Watcher(Library(tmp_path), console=pipe(), clock=clock)
    assert drawn(watcher)[0].strip() == "the models are getting ready · 0:00"
    in_a_turn(watcher)
    assert drawn(watcher) == ["  2  Ben", "", "     turn 2 of 4 · Ben reads · 0:00", ""]
    for word in ("the ", "glint,\n", "  unmoors"):
        clock.now += 2
        watcher(Delta(word))
    assert drawn(watcher)[:3] == ["  2  Ben", "     the glint,", "       unmoors"]
    assert drawn(watcher)[4] == "     turn 2 of 4 · Ben · 0:06 · 3 tokens · 0/s"
    watcher(Delta("!"))
    clock.now = 4
    assert drawn(watcher)[4] == "     turn 2 of 4 · Ben · 0:04 · 4 tokens · 2/s"


def test_words_in_progress_cannot_move_the_cursor(tmp_path: Path) -> None:
    watcher = Watcher(Library(tmp_path), console=pipe())
    in_a_turn(watcher)
    watcher(Delta("\x1b[2J\x1b"))
    watcher(Delta("[H\u202e"))
    assert drawn(watcher)[1] == "     ␛[2J␛[H<U+202E>"


def test_thoughts_are_drawn_until_words_come(tmp_path: Path) -> None:
    watcher = Watcher(Library(tmp_path), console=pipe())
    in_a_turn(watcher)
    watcher(Delta("let me think", reasoning=True))
    out = terminal()
    out.print(watcher.frame())
    assert "\x1b[2m     let me think" in sent(out)
    watcher(Delta("Yes."))
    assert drawn(watcher)[1] == "     Yes."


@pytest.mark.parametrize(("width", "height"), [(20, 10), (80, 24), (100, 30), (20, 4)])
def test_a_turn_taller_than_the_screen_shows_its_end(
    tmp_path: Path, width: int, height: int
) -> None:
    watcher = Watcher(Library(tmp_path), console=terminal(width, height))
    in_a_turn(watcher)
    for number in range(1000):
        watcher(Delta(f"line {number}\n"))
    watcher(Delta("the last"))
    lines = drawn(watcher, width=width, height=height)
    assert len(lines) <= max(height, 6)
    assert lines[-4].strip() == "the last"
    assert all(len(line) <= width for line in lines)


def test_the_status_leaves_out_what_does_not_fit(tmp_path: Path) -> None:
    watcher = Watcher(Library(tmp_path), console=pipe())
    in_a_turn(watcher)
    assert drawn(watcher, width=20)[-2] == "  turn 2 of 4"


def test_the_overall_rate_counts_finished_turns(tmp_path: Path) -> None:
    clock = Time()
    watcher = Watcher(Library(tmp_path), console=pipe(), clock=clock)
    _, recorded = held(tmp_path)
    lines = (recorded.folder / "log-1.jsonl").read_text().splitlines()
    for line in [each for each in lines if '"conversation_ended"' not in each]:
        faster = line.replace('"served"', '"usage":{"output":30},"seconds":2.0,"served"')
        watcher(msgspec.json.decode(faster, type=Record))
    watcher(record(9, TurnStarted(5, "Ada", "ff")))
    assert drawn(watcher)[-2].endswith("Ada reads · 0:00 · 15/s overall")


def test_a_delta_outside_a_turn_changes_nothing(tmp_path: Path) -> None:
    watcher = Watcher(Library(tmp_path), console=pipe())
    watcher(Delta("stray"))
    assert "stray" not in "".join(drawn(watcher))


def test_a_failed_attempt_and_a_leaving_are_printed(tmp_path: Path) -> None:
    out = pipe()
    with Watcher(Library(tmp_path), console=out) as watcher:
        error = OverloadError("busy", partial="half")
        _, recorded = held(tmp_path, ["bye\n[END]"], ["eins"], watch=watcher)
        watcher.finished(recorded)
        held(
            tmp_path / "more",
            [error],
            ["eins"],
            watch=Watcher(Library(tmp_path / "more"), console=out),
        )
    assert "   [exit: Ada left with [END]]\n" in sent(out)
    assert "ended         exit, by Ada: Ada wrote [END]\n" in sent(out)
    assert "  3  Ada  [failed attempt: overload: busy]\n     half\n" in sent(out)


def test_a_pass_is_printed_and_the_cap_is_found_within_a_composition(tmp_path: Path) -> None:
    out, drawn_caps = pipe(), list[str]()
    declared = msgspec.structs.replace(spec(), ending=(AnyOf((TurnCap(7), Pass(turns=1))),))
    with Watcher(Library(tmp_path), console=out) as watcher:

        def watch(item: Record | Delta) -> None:
            watcher(item)
            drawn_caps.append("".join(drawn(watcher)))

        cast = {"Ada": Scripted(["x"], "a"), "Ben": Scripted(["[PASS]"], "b")}
        asked = Asked("play", declared)
        asyncio.run(hold(asked, Library(tmp_path), providers=cast, watch=watch))
    assert "   [pass: Ben passed with [PASS]]\n" in sent(out)
    assert any("turn 2 of 7" in line for line in drawn_caps)


def test_reasoning_and_cuts_are_marked_when_the_message_is_printed(tmp_path: Path) -> None:
    out = pipe()
    with Watcher(Library(tmp_path), console=out) as watcher:
        held(tmp_path, ["one"], [Reply("eins", reasoning="hm")], watch=watcher)
    assert "  2  Ben  [thought first: 2 characters, kept apart]\n" in sent(out)


def stopped_in_turn(folder: Path, turn: int, out: Watcher | None = None) -> Library:
    """A conversation that a person stopped in mid-turn."""

    def watch(item: Record | Delta) -> None:
        if out is not None:
            out(item)
        if isinstance(item, Delta) and stop[0]:
            raise KeyboardInterrupt
        if isinstance(item, Record) and isinstance(item.event, TurnStarted):
            stop[0] = item.event.turn == turn

    stop = [False]
    with pytest.raises(KeyboardInterrupt):
        held(folder, watch=watch)
    return Library(folder)


def test_ctrl_c_in_mid_sentence_says_what_is_not_kept_and_how_to_resume(tmp_path: Path) -> None:
    out = pipe()
    with Watcher(Library(tmp_path), console=out) as watcher:
        stopped_in_turn(tmp_path, 3, watcher)
        watcher.interrupted()
    assert "  3  Ada  [interrupted: started, not finished; nothing of it is kept]\n" in sent(out)
    assert "interrupted   turn 3: Ada started and did not finish\n" in sent(out)
    assert " resume " in sent(out)


def test_a_message_that_was_finished_and_could_not_be_recorded_is_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, real = pipe(), os.write

    def refuse(file: int, data: bytes) -> int:
        if b'"turn_completed","turn":3' in data:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(file, data)

    monkeypatch.setattr(os, "write", refuse)
    with (
        pytest.raises(UnrecordedError, match=r"(?s)Message 3, by Ada, was finished.*words:\ntwo"),
        Watcher(Library(tmp_path), console=out) as watcher,
    ):
        held(tmp_path, watch=watcher)
    assert (
        "  3  Ada  [finished, but not recorded; its words stand in the error message, and nowhere "
        "else]\n" in sent(out)
    )
    assert "interrupted   turn 3: Ada finished, and the message could not be recorded" in sent(out)
    assert "did not finish" not in sent(out)


def test_a_conversation_that_never_began_has_no_last_lines(tmp_path: Path) -> None:
    out = pipe()
    with Watcher(Library(tmp_path), console=out) as watcher:
        watcher.interrupted()
    assert sent(out) == ""


def test_an_error_of_ours_does_not_take_the_last_lines_away(tmp_path: Path) -> None:
    out = pipe()
    library, _ = held(tmp_path)
    first = library.runs()[0].conversation(library.listing()[0].id)[0]

    def fail() -> None:
        with Watcher(library, console=out) as watcher:
            watcher(first)
            raise StoreError("disk full")

    with pytest.raises(StoreError):
        fail()
    assert "record  " in sent(out)


def test_a_resumed_conversation_says_where_it_goes_on(tmp_path: Path) -> None:
    library = stopped_in_turn(tmp_path, 3)
    out = pipe()
    conv = library.listing()[0].id
    with Watcher(library, console=out) as watcher:
        watcher.finished(asyncio.run(go_on(library, conv, providers=_same(), watch=watcher)))
    text = sent(out)
    assert text.startswith(f"Ada ↔ Ben\n\ngoes on after message 2 of {conv} ('duologue --library")
    assert "  2  Ben\n     eins\n" in text
    assert "  3  Ada  [interrupted: this turn was started 2 times]\n" in text
    assert "opening" not in text


def _same() -> dict[str, Provider]:
    return {"Ada": Scripted(("one", "two"), "a"), "Ben": Scripted(("eins", "zwei"), "b")}


def test_a_branch_says_what_it_inherits_and_shows_the_last_of_it(tmp_path: Path) -> None:
    library, recorded = held(tmp_path)
    out = pipe()
    change = Change(turns=6, say=Message("Eve", "But why?", Origin.HUMAN))
    with Watcher(library, console=out) as watcher:
        made = branch(library, recorded.id, 3, change, providers=_same(), watch=watcher)
        watcher.finished(asyncio.run(made))
    text = sent(out)
    assert f"goes on after message 3 of {recorded.id}" in text
    assert "  3  Ada\n     two\n\n  4  Eve  [injected: a person's words]\n     But why?\n" in text
    assert "     eins\n" not in text


def test_a_branch_from_the_opening_shows_it(tmp_path: Path) -> None:
    library, recorded = held(tmp_path)
    out = pipe()
    with Watcher(library, console=out) as watcher:
        asyncio.run(branch(library, recorded.id, 1, Change(), providers=_same(), watch=watcher))
    assert "('duologue --library" in sent(out)
    assert sent(out).count("  1  Ada  [opening") == 1


def test_a_conversation_can_be_watched_without_a_word_before_it(tmp_path: Path) -> None:
    out = pipe()
    asked = Asked("bare", msgspec.structs.replace(spec(2), opening=()))
    with Watcher(Library(tmp_path), console=out) as watcher:
        asyncio.run(hold(asked, Library(tmp_path), providers=cast(), watch=watcher))
    assert "  1  Ada\n     one\n\n  2  Ben\n     eins\n" in sent(out)


def test_nothing_is_printed_while_the_region_is_being_drawn() -> None:
    """Else a print draws over more lines than the region has, and a line of words is lost."""
    hold, drawing, may_end = threading.Event(), threading.Event(), threading.Event()

    def frame() -> Page:
        if hold.is_set():
            drawing.set()
            may_end.wait(60)
        return Page(lambda _: [Text("the turn in progress")])

    out = io.StringIO()
    region = Region(Console(file=out, force_terminal=True, width=40, height=10), frame)

    def write() -> None:
        region.print(Page(lambda _: [Text("a message, for good")]))

    region.start()
    hold.set()
    assert drawing.wait(60)
    writing = threading.Thread(target=write)
    writing.start()
    assert "for good" not in out.getvalue()
    may_end.set()
    writing.join()
    region.stop()
    assert "a message, for good" in out.getvalue()
