import io
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.color import Color, ColorSystem
from staging import pipe, sent, shown, terminal

from duologue.cli import screen
from duologue.core.event import (
    AttemptFailed,
    ConversationEnded,
    ConversationStarted,
    EndReason,
    Event,
    Fork,
    MessageInjected,
    Source,
    TurnCompleted,
    TurnStarted,
)
from duologue.core.message import Message, Origin
from duologue.core.provider import Seat, Usage
from duologue.core.spec import ConversationSpec, Exit, Line, Participant, SilenceCap, TurnCap
from duologue.core.transcript import transcript
from duologue.formats.crossing import IMPORTED_MODEL
from sight import SIGHT, contrast, nearest

PAIR = ConversationSpec(
    (Participant("Ada", "scripted:a"), Participant("Ben", "tiny")),
    opening=(Line("Ada", " "),),
)
BEGIN = ConversationStarted(PAIR, {"Ada": Seat("scripted", "a"), "Ben": Seat("local", "Tiny-1B")})
START = TurnStarted(2, "Ben", "ff")
VERSE = "the glint,\n  the conductivity\n\nunhooks"


def spoken(text: str, **more: object) -> TurnCompleted:
    return TurnCompleted(2, Message("Ben", text), **more)  # type: ignore[arg-type]


def reading(*events: Event, busy: bool = False) -> screen.Reading:
    return screen.Reading(
        "lusab-babad-gutih",
        Path("/runs/play"),
        transcript(events or (BEGIN,)),
        "2026-01-01T10:00:00.000000Z",
        "2026-01-01T10:02:05.500000Z",
        busy=busy,
    )


def page(*events: Event, width: int = 80, colour: str | None = None, busy: bool = False) -> str:
    out = terminal(width, colour=colour)
    screen.put(out, screen.conversation(reading(*events, busy=busy)))
    return shown(out)


def piped(*events: Event) -> str:
    out = pipe()
    screen.put(out, screen.conversation(reading(*events)))
    return sent(out)


@pytest.mark.parametrize("colour", screen.SEATS)
def test_a_name_can_be_read_on_light_and_dark(colour: str) -> None:
    assert contrast(colour, "#ffffff") >= 3.3
    assert contrast(colour, "#1e1e1e") >= 3.2


@pytest.mark.parametrize("sight", SIGHT)
def test_seats_are_told_apart_by_the_colour_blind(sight: str) -> None:
    for some in (screen.SEATS[: screen.PLAIN_SEATS], screen.SEATS[screen.PLAIN_SEATS :]):
        assert nearest(some, sight) >= 20


def test_all_twelve_seats_are_told_apart() -> None:
    assert len(screen.SEATS) == 12
    assert nearest(screen.SEATS, "normal") >= 20


def test_seats_keep_apart_where_there_are_eight_colours() -> None:
    some = screen.SEATS[: screen.PLAIN_SEATS]
    dull = {Color.parse(colour).downgrade(ColorSystem.STANDARD).number for colour in some}
    assert len({(number or 0) % 8 for number in dull}) == len(some)


def test_a_seat_keeps_its_colour_and_the_thirteenth_begins_again() -> None:
    styles = screen.colours("ABCDEFGHIJKLM")
    assert styles["A"] == styles["M"] == "bold #2086df"
    assert styles["G"] == "bold underline #0a9c9b"
    assert len(set(styles.values())) == 12


# Messages.


def test_verse_is_kept_and_set_off_from_the_margin() -> None:
    text = page(BEGIN, START, spoken(VERSE))
    assert "  2  Ben\n     the glint,\n       the conductivity\n\n     unhooks\n" in text


def test_a_long_line_of_a_stanza_hangs_and_a_paragraph_does_not() -> None:
    long = "word " * 30
    assert "\n     word" in page(BEGIN, START, spoken(long)).split("Ben\n")[-1]
    stanza = page(BEGIN, START, spoken(f"short\n{long}"))
    assert "\n     word" in stanza
    assert "\n       word" in stanza
    assert "\n       word" not in page(BEGIN, START, spoken(long))


@pytest.mark.parametrize("width", [10, 20, 39, 40, 80, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    text = page(BEGIN, START, spoken("日本語 " * 40 + "x" * 500 + "\n\t- a list"), width=width)
    for line in text.split("\n"):
        assert cell_len(line) <= width


def test_a_pipe_gets_whole_plain_lines() -> None:
    long = "word\t" * 100
    text = piped(BEGIN, START, spoken(f"{long}\x1b[31m"))
    assert "\x1b" not in text
    assert f"     {long}␛[31m\n" in text


def test_words_cannot_forge_a_heading_even_in_a_pipe() -> None:
    forged = "  3  Ada  [opening: given, not generated]"
    assert f"\n{forged}" not in piped(BEGIN, START, spoken(forged))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "[silence: an empty message]"),
        (" \n ", "[silence: white space only (2 \u00d7 U+0020 SPACE, U+000A)]\n     ␠␊␠"),
        ("\u200b", "[silence: invisible characters only (U+200B ZERO WIDTH SPACE)]\n     <U+200B>"),
        ("\u200b\u200c\u200d\u2060 ", "U+200D ZERO WIDTH JOINER, 2 other kinds)]"),
    ],
)
def test_a_silence_says_of_what_it_is_made(text: str, words: str) -> None:
    assert words in piped(BEGIN, START, spoken(text))


def test_marks_are_badges_where_colours_are_and_brackets_where_not() -> None:
    events = (BEGIN, START, spoken("Fine.", reasoning="hm" * 600))
    words = "thought first: 1,200 characters, kept apart"
    assert f"Ben  [{words}]\n" in page(*events)
    assert f"Ben   {words} \n" in page(*events, colour="truecolor")
    out = terminal()
    screen.put(out, screen.badge("exit", "exit: Ben left"))
    assert "\x1b[7;" in sent(out)


def test_a_terminal_without_colour_still_reverses_badges() -> None:
    out = terminal()
    out.no_color = True
    screen.put(out, screen.badge("exit", "exit: Ben left"))
    assert "\x1b[7mexit: Ben left" in sent(out)
    assert "38;" not in sent(out)


def test_badges_that_do_not_fit_go_below_each_other() -> None:
    text = page(BEGIN, width=60)
    assert "  1  Ada  [opening: given, not generated]\n     [silence: white" in text


def test_a_badge_of_its_own_is_wrapped_in_its_place() -> None:
    out = terminal(30, colour=None)
    screen.put(out, screen.badge("exit", "exit: Ada left with a long farewell"))
    assert sent(out) == "  [exit: Ada left with a long\n  farewell]\n"


# Head and foot.


def test_the_head_says_who_when_and_what_was_given_and_told() -> None:
    done = spoken("eins zwei", usage=Usage(output=10), seconds=4.0)
    text = piped(BEGIN, START, done, ConversationEnded(EndReason.MAX_TURNS, detail="the cap"))
    for line in (
        "Ada ↔ Ben",
        "Ada           scripted:a",
        "Ben           tiny → local:Tiny-1B",
        "when          2026-01-01 10:00:00 UTC, 2 min 6 s",
        "messages      2 · 10 tokens generated · in 4.0 s of model time, 2.5 a second",
        "opening       Ada: U+0020 SPACE",
        "told          nothing: no system prompt at all",
        "ended         max_turns: the cap",
        "id            lusab-babad-gutih",
        "record        /runs/play",
        "duologue branch lusab-babad-gutih --at 1          leave it halfway",
    ):
        assert f"{line}\n" in text
    assert "resume" not in text


def test_the_head_quotes_what_was_told_and_cuts_what_is_long() -> None:
    spec = ConversationSpec(
        (
            Participant("Ada", "m", system="x" * 300, private=(Line("Eve", "psst"),)),
            Participant("Ben", "m"),
        ),
        opening=(Line("Ada", "Hello."), Line("Ben", "")),
        told="You may leave.",
    )
    text = piped(ConversationStarted(spec))
    assert "opening       Ada: “Hello.”\n              Ben: an empty message\n" in text
    assert "private       Ada alone was given 1 line before the first\n" in text
    assert "told          everyone: “You may leave.”\n" in text
    assert f"Ada: “{'x' * 240}… (and 60 characters more)”" in text


def test_the_head_has_every_word_that_was_told_of_the_rules_and_how_it_may_end() -> None:
    words = "You may leave. " * 40
    leave = Exit("bye", tool="leave", description="Leaves.", answer="Noted.")
    spec = ConversationSpec(
        (Participant("Ada", "m"), Participant("Ben", "m")),
        ending=(TurnCap(9), leave, SilenceCap()),
        told=words,
    )
    for text in (piped(ConversationStarted(spec)), begun(ConversationStarted(spec))):
        assert f"told          everyone: “{words}”\n              tool leave: “Leaves.”\n" in text
        assert (
            "may end       at 9 messages\n"
            "              when the first leaves, by bye or calling leave\n"
            "              when everybody is silent in turn\n"
        ) in text


def test_a_detector_that_ended_it_is_named() -> None:
    end = ConversationEnded(EndReason.DETECTOR, detail="seen", sign="closed")
    assert "ended         detector closed: seen\n" in piped(BEGIN, START, spoken("x"), end)


def begun(started: ConversationStarted) -> str:
    """What is printed when a conversation begins."""
    out = pipe()
    screen.put(out, screen.beginning(started, "lusab"))
    return sent(out)


def test_what_several_were_told_alike_is_quoted_once() -> None:
    seats = tuple(Participant(name, "m", system="Bake.") for name in ("Ada", "Ben"))
    assert "told          Ada, Ben: “Bake.”\n" in piped(
        ConversationStarted(ConversationSpec(seats))
    )


def test_an_import_says_what_the_file_says_and_every_doubt() -> None:
    spec = ConversationSpec((Participant("Ada", IMPORTED_MODEL),))
    fields = {"started": "2025-10-26 17:12:18", "ended": "2025-10-26 17:14:42"}
    source = Source("founding", "ff", "old.md", fields, ("line 3: odd", "line 9: odder"))
    said = MessageInjected(1, Message("Ada", "hi", Origin.IMPORT))
    text = piped(
        ConversationStarted(spec, source=source), said, ConversationEnded(EndReason.IMPORT)
    )
    assert "Ada           model unknown (imported)\n" in text
    assert "when          2025-10-26 17:12:18 to 2025-10-26 17:14:42\n" in text
    assert "imported      from old.md (founding)\n" in text
    assert "doubts        line 3: odd\n              line 9: odder\n" in text
    assert "told" not in text


def test_an_import_without_times_says_so() -> None:
    spec = ConversationSpec((Participant("Ada", IMPORTED_MODEL),))
    source = Source("jsonl", "ff", "old.jsonl")
    assert "when          not known\n" in piped(ConversationStarted(spec, source=source))


def test_a_branch_says_where_it_left_its_parent() -> None:
    begin = ConversationStarted(PAIR, fork=Fork("tugad-bojub-zonof", 1, BEGIN))
    assert "branch        of tugad-bojub-zonof, after message 1\n" in piped(begin)


def test_an_interrupted_conversation_can_be_resumed() -> None:
    text = piped(BEGIN, START)
    assert "  2  Ben  [interrupted: started, not finished; nothing of it is kept]\n" in text
    assert "interrupted   turn 2: Ben started and did not finish\n" in text
    assert "duologue resume lusab-babad-gutih" in text
    assert "interrupted   between two messages\n" in piped(BEGIN)


def test_a_conversation_that_is_being_held_is_not_called_interrupted() -> None:
    text = page(BEGIN, START, busy=True)
    assert "interrupted" not in text
    assert "resume" not in text
    assert "duologue tail lusab-babad-gutih" in text


def test_a_failure_shows_what_had_arrived_and_how_to_go_on() -> None:
    failed = AttemptFailed(2, "Ben", "overload", "busy\x1b[2J", partial="half a")
    text = piped(BEGIN, START, failed, ConversationEnded(EndReason.ERROR, "Ben", "overload"))
    assert "  2  Ben  [failed attempt: overload: busy␛[2J]\n     half a\n" in text
    assert "failed        error, by Ben: overload\n" in text
    assert "duologue resume" in text
    bare = screen.attempt(AttemptFailed(2, "Ben", "timeout", "silence"), {})
    out = pipe()
    screen.put(out, bare)
    assert sent(out) == "  2  Ben  [failed attempt: timeout: silence]\n"


def test_another_library_is_named_in_every_command(tmp_path: Path) -> None:
    assert screen.command(tmp_path, tmp_path) == "duologue"
    other = screen.command(tmp_path / "a b", tmp_path)
    assert other == f"duologue --library '{tmp_path / 'a b'}'"


def test_facts_stand_below_their_labels_on_a_narrow_screen() -> None:
    rows = [screen.Fact("told", "be brief"), screen.Fact("", "be kind")]
    out = terminal(20, colour=None)
    screen.put(out, screen.facts(rows))
    assert sent(out) == "told\n  be brief\n  be kind\n"


@pytest.mark.parametrize(
    ("seconds", "words"), [(4.04, "4.0 s"), (65, "1 min 5 s"), (7325, "2 h 2 min")]
)
def test_lengths_of_time_are_for_people(seconds: float, words: str) -> None:
    assert screen.duration(seconds) == words


def test_what_the_output_cannot_encode_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer, encoding="latin-1"))
    out = screen.console()
    screen.put(out, screen.title(["Ada", "Zoë", "世"]))
    assert buffer.getvalue() == b"Ada \\u2194 Zo\xeb \\u2194 \\u4e16\n"
    screen.write(out, "世".encode())
    assert buffer.getvalue().endswith("世".encode())


def test_a_dumb_terminal_is_as_wide_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    class Tty(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdout", Tty())
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr("duologue.cli.screen.shutil.get_terminal_size", lambda _: (33, 11))
    assert screen.console().size == (33, 11)
