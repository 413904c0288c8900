"""What pages show of a conversation: its turns, its head and its strip, as values.

Made from a reading; no HTML is made here, and nothing is read.
"""

from collections.abc import Iterable, Iterator, Sequence
from math import log10

import msgspec

from duologue.core.event import (
    AttemptFailed,
    ConversationEnded,
    ConversationStarted,
    EndReason,
    MessageInjected,
    Source,
    TurnCompleted,
)
from duologue.core.message import Silence, silence
from duologue.core.policies import worded
from duologue.core.provider import Usage
from duologue.core.spec import (
    ConversationSpec,
    EndAtSilence,
    Keep,
    Nudge,
    RefusalPolicy,
    Resend,
)
from duologue.core.state import State
from duologue.core.transcript import Mark, Spoken, Status, characters
from duologue.endings.codebook import Annotation, Arc, EndState, Label
from duologue.endings.strip import CELLS
from duologue.formats.crossing import IMPORTED_MODEL
from duologue.web.readings import Reading
from duologue.web.words import between, count, duration, moment

COLOURS = 12
"""So many seats have a colour of their own; then again from the first."""

GRAVE = frozenset(
    {"attempt", "interrupted", "length", "context_full", "refusal", "content_filter", "served"}
)
"""Kinds of marks that say that something went wrong, or is not what was asked for."""

WINDOW_TURNS, WINDOW_CHARACTERS = 200, 200_000
CELLS_AT_MOST = 240
_HEIGHTS = 8


class Turn(msgspec.Struct, frozen=True):
    """One message, ready to be shown.

    Attributes:
        turn: its number.
        author: who said it.
        colour: the number of the author's colour, from 0.
        origin: who made the words.
        text: the words, exactly.
        silent: how it is silent, if it is.
        made_of: the characters of a silent message, in words.
        marks: what must not be missed.
        reasoning: what was thought before it.
        attempts: failed attempts before it.
        label: what it does towards the end of the conversation.
        repeats: the number of the turn that it repeats.
        likeness: how alike the two are, from 0 to 1.
        asked: whether a participant was sent a request for it.
        at: when it was recorded.
        tokens: generated for it, if counted.
        seconds: that took, if measured.
    """

    turn: int
    author: str
    colour: int
    origin: str
    text: str
    silent: Silence | None
    made_of: str
    marks: tuple[Mark, ...]
    reasoning: str | None
    attempts: tuple[AttemptFailed, ...]
    label: Label
    repeats: int | None
    likeness: float | None
    asked: bool
    at: str
    tokens: int | None = None
    seconds: float | None = None


class Fact(msgspec.Struct, frozen=True):
    """One line about a conversation.

    Attributes:
        label: what it is about.
        values: what is known, a line each.
        grave: whether it says that something went wrong.
    """

    label: str
    values: tuple[str, ...]
    grave: bool = False


class Name(msgspec.Struct, frozen=True):
    """Somebody who speaks.

    Attributes:
        name: as displayed.
        colour: the number of the colour.
        model: which model holds the seat; None for a voice without a seat.
    """

    name: str
    colour: int
    model: str | None


class Cell(msgspec.Struct, frozen=True):
    """One or more turns in the strip.

    Attributes:
        first: the first turn of it.
        last: the last one.
        author: who says the first.
        colour: of that author.
        height: from 0 (nothing) to 8, by the logarithm of the longest turn's length.
        label: the most telling label of these turns.
    """

    first: int
    last: int
    author: str
    colour: int
    height: int
    label: Label


class Moment(msgspec.Struct, frozen=True):
    """A place in a conversation that its arc names.

    Attributes:
        what: what happens there.
        first: the turn where it begins.
        last: the turn where it ends.
        label: the label whose colour it has.
    """

    what: str
    first: int
    last: int
    label: Label


class Head(msgspec.Struct, frozen=True):
    """What stands above a conversation.

    Attributes:
        id: its id.
        run: its run's name.
        names: who speaks.
        status: how far it has come.
        running: whether it is being held now.
        growing: whether more of it may come: a failed one may be tried again while its run is
            being written.
        summary: the one line under the title.
        facts: everything else.
        ended: how it ended; empty while it goes on.
        moments: where it closes, opens again, repeats itself.
        end_state: where it stands, by its last turns.
        turns: how many messages.
        records: how many records its log holds; a reader who has read so many has read all.
    """

    id: str
    run: str
    names: tuple[Name, ...]
    status: Status
    running: bool
    growing: bool
    summary: str
    facts: tuple[Fact, ...]
    ended: str
    moments: tuple[Moment, ...]
    end_state: EndState
    turns: int
    records: int


class Window(msgspec.Struct, frozen=True):
    """A part of a conversation that is shown at once.

    Attributes:
        first: its first turn.
        last: its last turn.
    """

    first: int
    last: int


def colours(names: Sequence[str]) -> dict[str, int]:
    """A colour for each name, by its place."""
    return {name: place % COLOURS for place, name in enumerate(names)}


def turns(reading: Reading, window: Window) -> Iterator[Turn]:
    """The turns of a part of a conversation."""
    painted = colours(reading.transcript.names)
    times = _times(reading)
    for place in range(window.first - 1, window.last):
        item, one = reading.transcript.spoken[place], reading.annotations[place]
        yield shown(item, one, painted, times.get(place + 1, reading.records[0].at))


def shown(item: Spoken, one: Annotation, painted: dict[str, int], at: str) -> Turn:
    """One message as it is shown."""
    entry, done = item.entry, item.entry.completed
    text = entry.message.text
    quiet = silence(text)
    return Turn(
        turn=entry.turn,
        author=entry.message.author,
        colour=painted.get(entry.message.author, 0),
        origin=entry.message.origin.value,
        text=text,
        silent=quiet,
        made_of=characters(text) if quiet else "",
        marks=tuple(mark for mark in item.marks if mark.kind != "reasoning"),
        reasoning=(done.reasoning or None) if done else None,
        attempts=entry.attempts,
        label=one.label,
        repeats=one.repeat.turn if one.repeat else None,
        likeness=one.repeat.likeness if one.repeat else None,
        asked=entry.started is not None and bool(entry.started.request),
        at=at,
        tokens=done.usage.output if done else None,
        seconds=done.seconds if done else None,
    )


def _times(reading: Reading) -> dict[int, str]:
    """When each message was recorded; those given at the beginning are not in it."""
    return {
        record.event.turn: record.at
        for record in reading.records
        if isinstance(record.event, TurnCompleted | MessageInjected)
    }


def windows(spoken: Sequence[Spoken]) -> list[Window]:
    """A conversation in parts that a browser draws at once: so many turns, or so many words."""
    parts, first, weight = list[Window](), 1, 0
    for item in spoken:
        turn, size = item.entry.turn, len(item.entry.message.text)
        full = turn - first >= WINDOW_TURNS or weight + size > WINDOW_CHARACTERS
        if full and turn > first:
            parts.append(Window(first, turn - 1))
            first, weight = turn, 0
        weight += size
    parts.append(Window(first, len(spoken)))
    return parts


def window_of(parts: Sequence[Window], turn: int) -> int:
    """The place of the part that holds a turn; the last one for a turn that is not there yet."""
    found = (place for place, part in enumerate(parts) if part.first <= turn <= part.last)
    return next(found, len(parts) - 1)


# The most telling first: of several turns in one cell the rarest happening counts.
_TELLING = (
    *(Label.REFUSAL, Label.REOPENING, Label.CLOSING, Label.LOOP, Label.SILENCE, Label.TOKEN),
    *(Label.PRE_CLOSING, Label.TALK),
)


def strip(reading: Reading) -> tuple[Cell, ...]:
    """The whole conversation as a row of cells; long ones have several turns in a cell."""
    painted = colours(reading.transcript.names)
    size = -(-max(1, len(reading.annotations)) // CELLS_AT_MOST)
    starts = range(0, len(reading.annotations), size)
    return tuple(cell(reading.annotations[at : at + size], painted) for at in starts)


def cell(ones: Sequence[Annotation], painted: dict[str, int]) -> Cell:
    """A cell of the strip."""
    first = ones[0]
    longest = max(one.length for one in ones)
    return Cell(
        first=first.turn,
        last=ones[-1].turn,
        author=first.author,
        colour=painted.get(first.author, 0),
        height=min(_HEIGHTS, round(2 * log10(1 + longest))),
        label=min((one.label for one in ones), key=_TELLING.index),
    )


WORDS = {
    Label.TALK: "talk",
    Label.PRE_CLOSING: "about to close",
    Label.CLOSING: "takes leave",
    Label.REFUSAL: "will not go on",
    Label.TOKEN: "token",
    Label.SILENCE: "silence",
    Label.LOOP: "repeats itself",
    Label.REOPENING: "re-opens",
}
"""Each label as the margin says it."""

LETTERS = {label.value: letter for label, letter in CELLS.items()}

STATES = {
    EndState.OPEN: "open",
    EndState.CLOSED: "closed",
    EndState.FAREWELL_LOOP: "a loop of farewells",
    EndState.TOKEN_COLLAPSE: "collapsed into tokens",
    EndState.SILENCE: "silence",
    EndState.VERBATIM_LOOP: "a loop of the same words",
    EndState.REFUSAL_LOOP: "a loop of refusals",
    EndState.OTHER: "ended, unlike any other",
}
"""Each end state as a head says it."""


def moments(arc: Arc) -> tuple[Moment, ...]:
    """What happens in a conversation, in the order in which it does."""
    return tuple(sorted(_moments(arc), key=lambda each: (each.first, each.last)))


def _moments(arc: Arc) -> Iterator[Moment]:
    """What an arc names."""
    if arc.first_closing is not None:
        yield Moment("first leave", arc.first_closing, arc.first_closing, Label.CLOSING)
    if arc.mutual_closing is not None:
        yield Moment("both have left", arc.mutual_closing, arc.mutual_closing, Label.CLOSING)
    for again in arc.reopenings:
        yield Moment(f"{again.author} re-opens", again.turn, again.turn, Label.REOPENING)
    for loop in arc.loops:
        what = "same words again" if loop.verbatim else "loop"
        yield Moment(what, loop.first, loop.last, Label.LOOP)
    if arc.collapse is not None:
        yield Moment("talk collapses", arc.collapse, arc.collapse, Label.TOKEN)


def head(reading: Reading) -> Head:
    """What stands above a conversation."""
    read, started = reading.transcript, reading.transcript.state.begun()
    growing = not read.state.over and reading.run.busy()
    return Head(
        id=reading.id,
        run=reading.run.name,
        names=tuple(_names(read.names, started.spec)),
        status=read.status,
        running=growing and read.state.ended is None,
        growing=growing,
        summary=" · ".join(_summary(reading)),
        facts=tuple(fact for fact in _facts(reading, started) if fact.values),
        ended=how(read.state.ended) if read.state.ended else "",
        moments=moments(reading.arc),
        end_state=reading.arc.end_state,
        turns=len(read.spoken),
        records=len(reading.records),
    )


def _names(names: Sequence[str], spec: ConversationSpec) -> Iterator[Name]:
    """Who speaks, and which model holds the seat."""
    models = {seat.name: seat.model for seat in spec.participants}
    for name, colour in colours(names).items():
        yield Name(name, colour, models.get(name))


def _summary(reading: Reading) -> Iterator[str]:
    """How much, when, and how long it took."""
    count = len(reading.transcript.spoken)
    yield f"{count:,} message{'' if count == 1 else 's'}"
    source = reading.transcript.state.begun().source
    if source is not None:
        held = [source.fields[key] for key in ("started", "ended") if source.fields.get(key)]
        yield " to ".join(held) or "when is not known"
        return
    first, last = reading.records[0].at, reading.records[-1].at
    yield moment(first)
    yield duration(between(first, last))


def _facts(reading: Reading, started: ConversationStarted) -> Iterator[Fact]:
    """Everything about a conversation, a line each; a line without values is left out."""
    spec, foreign = started.spec, started.source is not None
    yield Fact("participants", tuple(_seats(started)))
    if foreign:
        yield Fact("imported", (f"{moment(reading.records[0].at)}, {_file(started.source)}",))
    else:
        yield Fact("may end", tuple(_ways_out(spec)))
        yield Fact("after silence", tuple(_after_silence(spec)))
        yield Fact("were told", tuple(_told(spec)) or ("nothing: no system prompt at all",))
    yield Fact("opening", tuple(f"{line.author}: {_quoted(line.text)}" for line in spec.opening))
    yield Fact("private", tuple(_private(spec)))
    yield Fact("spend", tuple(spend(reading.transcript.state)))
    if started.fork:
        yield Fact(
            "branch", (f"of {started.fork.conversation}, after message {started.fork.turn}",)
        )
    yield Fact("doubts", started.source.notes if started.source else ())
    yield Fact("record", (reading.doubt,) if reading.doubt else (), grave=True)
    yield _ending(reading)


def _file(source: Source | None) -> str:
    """Where an import comes from."""
    return f"from {source.file} ({source.format})" if source else ""


def _seats(started: ConversationStarted) -> Iterator[str]:
    """Each participant and its model."""
    for participant in started.spec.participants:
        model, seat = participant.model, started.seats.get(participant.name)
        if model == IMPORTED_MODEL:
            model = "model unknown"
        elif seat and seat.model not in model:
            model = f"{model} → {seat.provider}:{seat.model}"
        yield f"{participant.name}: {model}"


def _ways_out(spec: ConversationSpec) -> Iterator[str]:
    """Everything that may end a conversation."""
    yield from map(worded, spec.ending)
    if isinstance(spec.silence, EndAtSilence):
        yield "at the first silence"
    if spec.refusal is RefusalPolicy.END:
        yield "at the first refusal"


def _after_silence(spec: ConversationSpec) -> Iterator[str]:
    """What follows a silent turn, unless it is the end."""
    match spec.silence:
        case Keep():
            yield "it is kept, a message like any other"
        case Resend(times):
            yield f"the turn is asked for again, {count(times, 'time')} at the most"
        case Nudge(text):
            yield f"everybody hears: “{text}”"
        case _:
            return


def _told(spec: ConversationSpec) -> Iterator[str]:
    """What the participants were told; those who were told the same stand together."""
    told = [("everyone", spec.told), *((seat.name, seat.system) for seat in spec.participants)]
    alike: dict[str, list[str]] = {}
    for who, text in told:
        if text is not None:
            alike.setdefault(text, []).append(who)
    for text, hearers in alike.items():
        yield f"{', '.join(hearers)}: “{text}”"


def _quoted(text: str) -> str:
    """A given line in a head."""
    if silence(text):
        return characters(text) or "an empty message"
    return f"“{text}”"


def _private(spec: ConversationSpec) -> Iterator[str]:
    """Who alone was given what before the first message."""
    for seat in spec.participants:
        for line in seat.private:
            yield f"{seat.name} alone: {line.author}: {_quoted(line.text)}"


def spend(state: State) -> Iterator[str]:
    """Tokens, model time and money, failed attempts included; what is not known is not in it."""
    facts = list(_paid(state))
    usages = [fact.usage for fact in facts]
    read, made = _sum(usages, "input"), _sum(usages, "output")
    if read or made:
        yield f"{read:,} tokens read, {made:,} generated"
    if seconds := sum(fact.seconds or 0.0 for fact in facts):
        rate = f", {made / seconds:.1f} tokens a second" if made else ""
        yield f"{duration(seconds)} of model time{rate}"
    costs = [fact.cost for fact in facts if fact.cost is not None]
    if costs:
        unknown = len(facts) - len(costs)
        rest = f", and {unknown} replies without a known price" if unknown else ""
        yield f"${sum(costs):.4g}{rest}"


def _paid(state: State) -> Iterator[TurnCompleted | AttemptFailed]:
    """Every reply and every failed attempt."""
    for entry in state.entries:
        yield from entry.attempts
        if entry.completed:
            yield entry.completed
    yield from state.attempts


def _sum(usages: Iterable[Usage], field: str) -> int:
    """Tokens of one kind, as far as they are counted."""
    return sum(getattr(usage, field) or 0 for usage in usages)


def _ending(reading: Reading) -> Fact:
    """How a conversation ended, or that it did not."""
    read = reading.transcript
    if read.state.ended is not None:
        failed = read.status is Status.FAILED
        return Fact("failed" if failed else "ended", (how(read.state.ended),), failed)
    if reading.run.busy():
        return Fact("going on", ("it is being held now",))
    unfinished = tuple(mark.text for mark in read.pending) or ("between two messages",)
    return Fact("interrupted", unfinished, grave=True)


_REASONS = {
    "exit": "an exit",
    "mutual_exit": "everybody's exit",
    "silence": "silence",
    "max_turns": "the cap on messages",
    "budget": "the budget",
    "refusal": "a refusal",
    "content_filter": "a content filter",
    "stop_phrase": "a stop phrase",
    "pass": "passing",
    "detector": "a declared detector",
    "context_full": "a full context",
    "error": "an error",
    "import": "the end of its file",
}


def how(ended: ConversationEnded) -> str:
    """The rule by which a conversation ended, by whose turn, and what there is to say about it."""
    if ended.reason is EndReason.MAX_TURNS and ended.detail:
        return ended.detail
    reason = _REASONS.get(ended.reason.value, ended.reason.value.replace("_", " "))
    sign = f" ({ended.sign.replace('_', ' ')})" if ended.sign else ""
    by = f", by {ended.by}" if ended.by else ""
    return f"{reason}{sign}{by}" + (f": {ended.detail}" if ended.detail else "")
