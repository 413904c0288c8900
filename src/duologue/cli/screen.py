"""A conversation as pages for a terminal: its head, its messages, how it ended, what to type next.

Values in, rich renderables out. A page is laid out when it is printed: wrapped at the console's
width on a terminal, in long plain lines in a pipe. Words are set off from the margin in both, so
that no message can forge a heading. This module reads no files and asks no clock.
"""

import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from io import TextIOWrapper
from pathlib import Path

import msgspec
from rich.cells import cell_len
from rich.console import Console, ConsoleDimensions, ConsoleOptions, RenderResult
from rich.text import Text

from duologue.cli.words import TAB, one_line, spelled, visible, wrap
from duologue.core.event import AttemptFailed, ConversationEnded, ConversationStarted, Source
from duologue.core.message import silence
from duologue.core.perspective import offered
from duologue.core.policies import worded
from duologue.core.provider import Seat
from duologue.core.room import Room, room
from duologue.core.spec import ConversationSpec, Line
from duologue.core.state import State
from duologue.core.transcript import (
    Mark,
    Spoken,
    Status,
    Transcript,
    characters,
    failed_mark,
)
from duologue.formats.crossing import IMPORTED_MODEL

SEATS = (
    *("#2086df", "#ae5f42", "#c5678d", "#6a9b08", "#ae4298", "#2a60f4"),
    *("#0a9c9b", "#a45b05", "#c82d69", "#4667d7", "#e1605c", "#0e94c8"),
)
"""The seats' colours, in order, then again from the first.

Searched for by computation: at least 3.3:1 against white and against a dark page, 20 apart (CIE
L*a*b*) for normal sight, and each half for protanopia and deuteranopia, too (Machado et al. 2009).
The first six differ where a terminal has only eight colours; the others' names are underlined.
Names are printed everywhere: no colour carries meaning.
"""
PLAIN_SEATS = 6

MEASURE = 80
"""Cells in a line of words, at most: longer ones tire the eye."""

GUTTER = 5
_NARROW, _NARROW_GUTTER = 40, 2
_LABEL = 12
_UNRECORDED = "finished, and the message could not be recorded"
_SHORT = 240
_GRAVE = frozenset(
    {"attempt", "interrupted", "length", "context_full", "refusal", "content_filter", "error"}
)
_GRAVE_STYLE, _MARK_STYLE, _LABEL_STYLE = "bold reverse #c9362f", "reverse #8a7a2f", "dim"
_SECONDS_A_MINUTE = 60
_MINUTES_AN_HOUR = 60


class Sheet(msgspec.Struct, frozen=True):
    """What a page is laid out on.

    Attributes:
        width: cells in a line; None where lines are as long as they are.
        coloured: whether reverse and colour can be seen.
    """

    width: int | None
    coloured: bool

    @property
    def gutter(self) -> int:
        """Cells to the left of words."""
        return _NARROW_GUTTER if self.width is not None and self.width < _NARROW else GUTTER

    @property
    def measure(self) -> int | None:
        """Cells in a line of words."""
        return None if self.width is None else max(1, min(MEASURE, self.width - self.gutter - 1))


Draw = Callable[[Sheet], Iterable[Text]]


def joined(*parts: Text) -> Text:
    """Texts after each other, each in its own style."""
    whole = Text()
    for part in parts:
        whole.append_text(part)
    return whole


class Page:
    """Lines that are laid out when they are printed."""

    def __init__(self, draw: Draw) -> None:
        """Take what makes the lines."""
        self.draw = draw

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Every line as it is: never cropped or wrapped again, never read as markup."""
        width = options.max_width if console.is_terminal else None
        for line in self.draw(Sheet(width, console.color_system is not None)):
            # ``render`` loses a text's own style; as a part of another it is a span, and stays.
            yield from joined(line).render(console, end="\n")


def console() -> Console:
    """Standard output; characters that its encoding lacks are escaped, not an error."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    out = Console(highlight=False)
    if out.is_dumb_terminal and "COLUMNS" not in os.environ:
        # Rich takes a dumb terminal to be 80 by 25; the system knows better.
        out.size = ConsoleDimensions(*shutil.get_terminal_size((80, 25)))
    return out


def write(out: Console, data: bytes) -> None:
    """Exact bytes, whatever the encoding of the output is, at once."""
    if hasattr(out.file, "buffer"):
        out.file.buffer.write(data)
    else:
        out.file.write(data.decode())
    out.file.flush()


def put(out: Console, page: Page) -> None:
    """Print a page, every line whole, at once."""
    out.print(page, crop=False, end="")


def colours(names: Iterable[str]) -> dict[str, str]:
    """A style for each name, by its place."""
    return {name: _style(place % len(SEATS)) for place, name in enumerate(names)}


def _style(seat: int) -> str:
    """A seat's colour, and what else tells it apart."""
    return f"bold {'underline ' if seat >= PLAIN_SEATS else ''}{SEATS[seat]}"


def below(*pages: Page) -> Page:
    """Pages below each other, without anything between."""

    def draw(sheet: Sheet) -> Iterator[Text]:
        for page in pages:
            yield from page.draw(sheet)

    return Page(draw)


def spaced(*pages: Page) -> Page:
    """Pages below each other, a blank line before each but the first."""
    blank = Page(lambda _: [Text()])
    return below(*[each for page in pages for each in (blank, page)][1:])


def title(names: Sequence[str]) -> Page:
    """Who speaks, each in its colour."""

    def draw(sheet: Sheet) -> Iterable[Text]:
        line = Text()
        for place, (name, style) in enumerate(colours(names).items()):
            line.append_text(Text(" ↔ " if place else "", _LABEL_STYLE))
            line.append_text(one_line(name, style))
        return wrapped(line, sheet.width, 2)

    return Page(draw)


def message(item: Spoken, styles: Mapping[str, str]) -> Page:
    """A message: its number, its author, what must not be missed, and the words."""
    said = item.entry.message

    def draw(sheet: Sheet) -> Iterator[Text]:
        yield from heading(item.entry.turn, said.author, styles, _explained(item))(sheet)
        yield from as_said(said.text)(sheet)

    return Page(draw)


def as_said(text: str) -> Draw:
    """The words of a message; a silence spelled out, nothing where there is nothing."""
    if not text:
        return lambda _: ()
    if silence(text):
        return lambda sheet: _set_in(spelled(text), sheet)
    return words(text)


def _explained(item: Spoken) -> Iterator[Mark]:
    """A message's marks; a silence also says of what it is made."""
    for mark in item.marks:
        made = characters(item.entry.message.text) if mark.kind == "silence" else ""
        yield msgspec.structs.replace(mark, text=f"{mark.text} ({made})") if made else mark


def heading(turn: int, author: str, styles: Mapping[str, str], marks: Iterable[Mark] = ()) -> Draw:
    """The line above a message."""
    marks = tuple(marks)

    def draw(sheet: Sheet) -> Iterator[Text]:
        number = f"{turn:>{GUTTER - 2}}  " if sheet.gutter == GUTTER else f"{turn} "
        name = one_line(author, styles.get(author, "bold"))
        parts = [joined(Text(number, _LABEL_STYLE), name), *badges(marks, sheet)]
        yield from flow(parts, sheet)

    return draw


def badges(marks: Iterable[Mark], sheet: Sheet) -> Iterator[Text]:
    """Marks as badges: reversed where that can be seen, in brackets where not."""
    for mark in marks:
        style = _GRAVE_STYLE if mark.kind in _GRAVE else _MARK_STYLE
        before, after = (" ", " ") if sheet.coloured else ("[", "]")
        yield joined(Text(before, style), one_line(mark.text, style), Text(after, style))


def badge(kind: str, text: str) -> Page:
    """A mark on a line of its own, for what happens after its message was printed."""
    return Page(
        lambda sheet: flow(
            [Text(" " * (sheet.gutter - 2)), *badges([Mark(kind, text)], sheet)], sheet
        )
    )


def flow(parts: Sequence[Text], sheet: Sheet) -> Iterator[Text]:
    """Parts beside each other, two blanks between, and below each other where they don't fit."""
    line = parts[0]
    for part in parts[1:]:
        if sheet.width is None or line.cell_len + 2 + part.cell_len <= sheet.width:
            line = joined(line, Text("  "), part)
            continue
        if line.plain.strip():
            yield from wrapped(line, sheet.width, sheet.gutter)
        line = joined(Text(" " * sheet.gutter), part)
    yield from wrapped(line, sheet.width, sheet.gutter)


def wrapped(line: Text, width: int | None, hang: int = 2) -> list[Text]:
    """A line as it is, or wrapped at a width."""
    if width is None or line.cell_len <= width:
        return [line]
    return wrap(line, max(1, width), min(hang, width // 2))


def words(text: str, style: str = "") -> Draw:
    """Words as verse: line breaks and leading blanks kept, long lines wrapped.

    A line that stands alone is a paragraph and wraps flush; within a stanza or a list the rest of
    a long line hangs, so that it can be seen where a new one begins.
    """
    lines = text.split("\n")

    def draw(sheet: Sheet) -> Iterator[Text]:
        for place, line in enumerate(lines):
            near = lines[max(0, place - 1) : place] + lines[place + 1 : place + 2]
            stanza = any(other.strip() for other in near)
            yield from _set_in(visible(line, style), sheet, hang=2 * stanza)

    return draw


def _set_in(line: Text, sheet: Sheet, hang: int = 0) -> Iterator[Text]:
    """One line of words, off the margin."""
    if sheet.measure is None:
        lines = [line]
    else:
        line.expand_tabs(TAB)
        blanks = len(line.plain) - len(line.plain.lstrip(" "))
        lines = wrap(line, sheet.measure, min(blanks + hang, sheet.measure // 2))
    for each in lines:
        if each.plain:
            each.pad_left(sheet.gutter)
        yield each


def attempt(failed: AttemptFailed, styles: Mapping[str, str]) -> Page:
    """An attempt that failed, and what had arrived of it."""
    mark = failed_mark(failed)
    page = Page(heading(failed.turn, failed.participant, styles, [mark]))
    return below(page, Page(words(failed.partial, "dim"))) if failed.partial else page


# Facts: a label and what it says, in two columns.


class Fact(msgspec.Struct, frozen=True):
    """One line of facts.

    Attributes:
        label: what it is about, one or two words; the same as above where it is empty.
        value: what is so, as text that may be hostile.
        style: of the value.
        label_style: of the label.
    """

    label: str
    value: str
    style: str = ""
    label_style: str = _LABEL_STYLE


def facts(rows: Iterable[Fact], margin: int = 0) -> Page:
    """Facts below each other, their values aligned; on a narrow screen below their labels."""
    kept = list(rows)

    def draw(sheet: Sheet) -> Iterator[Text]:
        widest = max((cell_len(row.label) for row in kept), default=0)
        column = max(_LABEL, min(widest, 2 * _LABEL)) + 2
        for row in kept:
            if sheet.width is not None and sheet.width < _NARROW:
                yield from _stacked(row, sheet.width)
            else:
                yield from _beside(row, margin, column, sheet)

    return Page(draw)


def _stacked(row: Fact, width: int) -> Iterator[Text]:
    """A fact on a narrow screen."""
    if row.label:
        yield from wrap(one_line(row.label, row.label_style), width)
    for line in row.value.split("\n"):
        yield from wrap(joined(Text("  "), visible(line, row.style)), width, 2)


def _beside(row: Fact, margin: int, column: int, sheet: Sheet) -> Iterator[Text]:
    """A fact with its value in the second column."""
    label = one_line(row.label, row.label_style)
    room = None if sheet.width is None else min(MEASURE, max(1, sheet.width - margin - column - 1))
    for line in row.value.split("\n"):
        for part in wrapped(visible(line, row.style), room, 0):
            pad = max(1, column - label.cell_len)
            yield joined(Text(" " * margin), label, Text(" " * pad), part)
            label = Text()


# A conversation as a whole.


class Reading(msgspec.Struct, frozen=True):
    """A conversation of the library, read.

    Attributes:
        id: its id.
        folder: its run's folder.
        transcript: what people read.
        began: when its first record was written.
        last: when its last record was written.
        busy: whether a process is writing its run.
        unrecorded: whether its last turn was finished and could not be recorded, which only
            whoever held it knows.
        command: how duologue is called for the same library.
    """

    id: str
    folder: Path
    transcript: Transcript
    began: str
    last: str
    busy: bool = False
    unrecorded: bool = False
    command: str = "duologue"


def command(library: Path, default: Path) -> str:
    """How duologue is to be called so that it looks into ``library``."""
    library = library.absolute()
    if library == default.absolute():
        return "duologue"
    return f"duologue --library {shlex.quote(str(library))}"


def head(reading: Reading) -> Page:
    """Who, when, how much, what was given and told, where it comes from, and how it ended."""
    names = reading.transcript.names
    styles = colours(names)
    started = reading.transcript.state.begun()
    rows = [
        *_seats(started.spec, started.seats, styles),
        Fact("when", when(reading)),
        Fact("messages", _amount(reading.transcript.state)),
        *_given(started.spec),
        *_told(started.spec),
        *_rules(started.spec),
        *_origin(reading),
        ending(reading),
        Fact("id", reading.id),
    ]
    return spaced(title(names), facts(rows))


def beginning(started: ConversationStarted, conv: str) -> Page:
    """Who is about to speak, and what they were told."""
    names = started.spec.names()
    seats = _seats(started.spec, started.seats, colours(names))
    rows = [*seats, *_told(started.spec), *_rules(started.spec), Fact("id", conv)]
    return spaced(title(names), facts(rows))


def _seats(
    spec: ConversationSpec, seats: Mapping[str, Seat], styles: Mapping[str, str]
) -> Iterator[Fact]:
    """Each participant and its model."""
    for participant in spec.participants:
        name, model = participant.name, participant.model
        seat = seats.get(name)
        resolved = f"{seat.provider}:{seat.model}" if seat else ""
        if model == IMPORTED_MODEL:
            model = "model unknown (imported)"
        elif seat and seat.model not in model:
            model = f"{model} → {resolved}"
        yield Fact(name, model, label_style=styles[name])


def when(reading: Reading) -> str:
    """When a conversation was held, as far as it is known."""
    source = reading.transcript.state.begun().source
    began = _moment(reading.began)
    if source is None:
        seconds = (_time(reading.last) - _time(reading.began)).total_seconds()
        return f"{began}, {duration(seconds)}"
    held = [source.fields[key] for key in ("started", "ended") if source.fields.get(key)]
    return f"{' to '.join(held) or 'not known'}\nimported {began}"


def _time(at: str) -> datetime:
    """A record's time."""
    return datetime.fromisoformat(at)


def _moment(at: str) -> str:
    """A time for a person, to the second."""
    return f"{at[:19].replace('T', ' ')} UTC"


def duration(seconds: float) -> str:
    """A length of time for a person."""
    if seconds < _SECONDS_A_MINUTE:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), _SECONDS_A_MINUTE)
    if minutes < _MINUTES_AN_HOUR:
        return f"{minutes} min {rest} s"
    return f"{minutes // _MINUTES_AN_HOUR} h {minutes % _MINUTES_AN_HOUR} min"


def clock_time(seconds: float) -> str:
    """A running time that does not jump about: ``0:07``, ``12:34``."""
    return f"{int(seconds) // _SECONDS_A_MINUTE}:{int(seconds) % _SECONDS_A_MINUTE:02d}"


def count(number: int, what: str) -> str:
    """``1 message``, ``1,234 messages``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _amount(state: State) -> str:
    """How many messages, and what generating them took."""
    done = [entry.completed for entry in state.entries if entry.completed]
    tokens = sum(fact.usage.output or 0 for fact in done)
    seconds = sum(fact.seconds or 0.0 for fact in done)
    parts = [f"{len(state.entries):,}"]
    if tokens:
        parts.append(f"{count(tokens, 'token')} generated")
    if tokens and seconds:
        parts.append(f"in {duration(seconds)} of model time, {tokens / seconds:.1f} a second")
    return " · ".join(parts)


def _given(spec: ConversationSpec) -> Iterator[Fact]:
    """The lines that nobody generated."""
    for place, line in enumerate(spec.opening):
        yield Fact("" if place else "opening", f"{line.author}: {_quoted(line)}")
    for seat in spec.participants:
        if seat.private:
            alone = count(len(seat.private), "line")
            yield Fact("private", f"{seat.name} alone was given {alone} before the first")


def _quoted(line: Line) -> str:
    """An opening line in a head."""
    if made := characters(line.text) if silence(line.text) else "":
        return made
    return f"“{_shortened(line.text)}”" if line.text else "an empty message"


def _shortened(text: str) -> str:
    """The beginning of a text."""
    more = len(text) - _SHORT
    return text if more <= 0 else f"{text[:_SHORT]}… (and {more:,} characters more)"


def _told(spec: ConversationSpec) -> Iterator[Fact]:
    """What the participants were told: of the rules every word, of their own prompts enough."""
    if _imported(spec):
        return
    alike: dict[str, list[str]] = {}
    for seat in spec.participants:
        if seat.system is not None:
            alike.setdefault(seat.system, []).append(seat.name)
    rows = [] if spec.told is None else [f"everyone: “{spec.told}”"]
    rows += [f"tool {tool.name}: “{tool.description}”" for tool in offered(spec)]
    rows += [f"{', '.join(who)}: “{_shortened(text)}”" for text, who in alike.items()]
    for place, row in enumerate(rows or ["nothing: no system prompt at all"]):
        yield Fact("" if place else "told", row)


def _rules(spec: ConversationSpec) -> Iterator[Fact]:
    """How it may end."""
    if not _imported(spec):
        yield Fact("may end", "\n".join(worded(rule) for rule in spec.ending))


def _imported(spec: ConversationSpec) -> bool:
    """Whether the conversation was read from a file of another format, which declares nothing."""
    return any(seat.model == IMPORTED_MODEL for seat in spec.participants)


def _origin(reading: Reading) -> Iterator[Fact]:
    """Where a branch or an import comes from."""
    started = reading.transcript.state.begun()
    if fork := started.fork:
        yield Fact("branch", f"of {fork.conversation}, after message {fork.turn}")
    if started.source:
        yield from _source(started.source)


def _source(source: Source) -> Iterator[Fact]:
    """A foreign file and every doubt about how to read it."""
    yield Fact("imported", f"from {source.file} ({source.format})")
    for place, note in enumerate(source.notes):
        yield Fact("" if place else "doubts", note)


def ending(reading: Reading) -> Fact:
    """How a conversation ended, or that it did not."""
    read = reading.transcript
    if read.state.ended is not None:
        failed = read.status is Status.FAILED
        label = "failed" if failed else "ended"
        return Fact(label, _told_once(read.state), "bold #c9362f" if failed else "")
    if reading.busy:
        return Fact("going on", "it is being held now")
    unfinished = [mark.text for mark in read.pending] or ["between two messages"]
    if reading.unrecorded and (started := read.state.pending):
        unfinished[-1] = f"turn {started.turn}: {started.participant} {_UNRECORDED}"
    return Fact("interrupted", "\n".join(unfinished), "bold #c9362f")


def how(ended: ConversationEnded) -> str:
    """The rule by which a conversation ended, by whose turn, and what there is to say about it."""
    by = f", by {ended.by}" if ended.by else ""
    sign = f" {ended.sign}" if ended.sign else ""
    return f"{ended.reason}{sign}{by}" + (f": {ended.detail}" if ended.detail else "")


def _told_once(state: State) -> str:
    """How it ended; what the failed attempt above it says already is not said again."""
    ended, attempts = state.ended, state.attempts
    last = attempts[-1] if attempts else None
    if ended and last and ended.detail == f"{last.boundary}: {last.detail}":
        ended = msgspec.structs.replace(ended, detail=None)
    return how(ended) if ended else ""


def foot(reading: Reading, *, held: bool = False) -> Page:
    """How it ended, where the record is, and what to type next.

    Args:
        reading: the conversation.
        held: whether it was just held, so that the reader has not typed ``show``.
    """
    state = reading.transcript.state
    rows = [ending(reading), Fact("record", str(reading.folder.absolute()))]
    if held:
        rows[1:1] = [Fact("messages", _amount(state))]
    steps = [Fact(*step, label_style="bold") for step in next_steps(reading, held=held)]
    return spaced(facts(rows), Page(lambda sheet: _steps(steps, sheet)))


def next_steps(reading: Reading, *, held: bool) -> Iterator[tuple[str, str]]:
    """What to type next, and what it does."""
    read, typed = reading.transcript, reading.command
    done = len(read.state.entries)
    if held:
        yield f"{typed} show {reading.id}", "read it again"
    if reading.busy and read.state.ended is None:
        yield f"{typed} tail {reading.id}", "follow it"
        return
    if read.status in (Status.INTERRUPTED, Status.FAILED):
        yield f"{typed} resume {reading.id}", "go on"
    if wanted := room(read.state):
        yield _roomier(f"{typed} branch {reading.id} --at {wanted.at}", wanted)
    else:
        yield f"{typed} branch {reading.id} --at {(done + 1) // 2}", "leave it halfway"
    yield f"{typed} export {reading.id} --to founding", "as a file"


def _roomier(typed: str, wanted: Room) -> tuple[str, str]:
    """How to go on where a context was full: a longer one, or a model that has one."""
    if wanted.context is not None:
        return f"{typed} --context {wanted.context}", "go on with a longer context"
    seat = shlex.quote(f"{wanted.name}=MODEL")
    return f"{typed} --model {seat}", "go on with a model that has a longer context"


def _steps(steps: Sequence[Fact], sheet: Sheet) -> Iterator[Text]:
    """Commands, each whole on its line, with what they do beside or below them."""
    widest = max(cell_len(step.label) for step in steps)
    room = widest + 3 + max(cell_len(step.value) for step in steps)
    for step in steps:
        line = one_line(step.label, step.label_style)
        if sheet.width is None or room <= sheet.width:
            pad = Text(" " * (widest + 3 - line.cell_len))
            line = joined(line, pad, Text(step.value, _LABEL_STYLE))
        yield from wrapped(line, sheet.width)


def unfinished(reading: Reading) -> Page | None:
    """A turn that was started and not finished, if there is one and nobody is at it."""
    started = reading.transcript.state.pending
    if started is None or reading.busy:
        return None
    text = "interrupted: started, not finished; nothing of it is kept"
    if reading.unrecorded:
        text = "finished, but not recorded; its words stand in the error message, and nowhere else"
    mark = Mark("interrupted", text)
    styles = colours(reading.transcript.names)
    return Page(heading(started.turn, started.participant, styles, [mark]))


def conversation(reading: Reading) -> Page:
    """All of it."""
    read, styles = reading.transcript, colours(reading.transcript.names)
    said = [message(item, styles) for item in read.spoken]
    failed = [attempt(each, styles) for each in read.state.attempts]
    left = unfinished(reading)
    rest = [left] if left else []
    return spaced(head(reading), *said, *failed, *rest, foot(reading))
