"""One message with everything known about it, and one request as its participant saw it.

Pages from values. What was sent is made again from the log by ``core.rebuild``; this module shows
it, what of it was new, and whether its digest agrees. It sends and reads nothing.
"""

import shlex
from collections.abc import Iterator, Sequence
from difflib import get_close_matches

import msgspec
from rich.text import Text

from duologue.cli import screen
from duologue.cli.screen import Fact, Page, Reading
from duologue.cli.words import one_line
from duologue.core.event import Event, Record, TurnCompleted, TurnStarted
from duologue.core.message import Origin
from duologue.core.rebuild import Rebuilt, rebuild
from duologue.core.spec import Framing
from duologue.core.transcript import Mark, Spoken
from duologue.core.wire import digest
from duologue.errors import ConfigurationError


class Seen(msgspec.Struct, frozen=True):
    """A request, and the same participant's request before it.

    Attributes:
        now: the request.
        before: what the participant had been sent last; None for its first request.
        starts: how often the turn was started; more than once after failures and interruptions.
    """

    now: Rebuilt
    before: Rebuilt | None
    starts: int

    @property
    def known(self) -> int:
        """How many messages of the view the participant had seen before."""
        if self.before is None:
            return 0
        old, new = self.before.request.messages, self.now.request.messages
        shared = (a == b for a, b in zip(old, new, strict=False))
        return next((place for place, same in enumerate(shared) if not same), len(old))


def closely(reading: Reading, records: Sequence[Record], item: Spoken) -> Page:
    """One message with all its facts."""
    entry, styles = item.entry, screen.colours(reading.transcript.names)
    said = [record for record in records if getattr(record.event, "turn", 0) == entry.turn]
    rows = [
        Fact("origin", _ORIGINS[entry.message.origin]),
        *_generation(entry.completed),
        *(_request(entry.started) if entry.started else ()),
        *(Fact("said", f"{each.at} (record {each.seq})") for each in said if _says(each.event)),
        Fact("words", _size(entry.message.text)),
    ]
    failed = [screen.attempt(each, styles) for each in entry.attempts]
    thought = _thought(entry.completed)
    steps = Page(lambda sheet: screen.wrapped(_step(reading, item), sheet.width, sheet.gutter))
    return screen.spaced(
        *failed, *thought, screen.message(item, styles), screen.facts(rows, margin=5), steps
    )


_ORIGINS = {
    Origin.MODEL: "model: generated",
    Origin.OPENING: "opening: given, not generated",
    Origin.SCENARIO: "scenario: given, not generated",
    Origin.NUDGE: "nudge: added by the system",
    Origin.HUMAN: "human: a person's words",
    Origin.IMPORT: "import: as a file of another format has it; who made the words is not known",
}


def _says(event: Event) -> bool:
    """Whether an event brought a message."""
    return not isinstance(event, TurnStarted) and hasattr(event, "message")


def _size(text: str) -> str:
    """How long a message is."""
    size = len(text.encode())
    return f"{screen.count(len(text), 'character')}, {screen.count(size, 'byte')}"


def _generation(done: TurnCompleted | None) -> Iterator[Fact]:
    """How a message was generated."""
    if done is None:
        return
    raw = f" (the provider says {done.finish_raw!r})" if done.finish_raw is not None else ""
    yield Fact("finish", f"{done.finish}{raw}")
    yield Fact("served by", done.served or "the reply does not say")
    yield Fact("tokens", _usage(done))
    if done.seconds is not None:
        first = done.first_token_s
        after = "" if first is None else f", the first token after {first:.2f} s"
        yield Fact("time", f"{done.seconds:.2f} s{after}")


def _usage(done: TurnCompleted) -> str:
    """Tokens, as far as the provider counts them."""
    usage = done.usage
    counted = {
        "read": usage.input,
        "of them cached": usage.cached,
        "generated": usage.output,
        "of them reasoning": usage.reasoning,
    }
    told = [f"{number:,} {what}" for what, number in counted.items() if number is not None]
    if usage.output and done.seconds:
        told.append(f"{usage.output / done.seconds:.1f} a second")
    return ", ".join(told) or "not counted"


def _request(started: TurnStarted) -> Iterator[Fact]:
    """The request that a message answers."""
    yield Fact("request", f"BLAKE2b-256 {started.request}")
    for edit in started.edits:
        where = "" if edit.message is None else f" (message {edit.message} of the view)"
        yield Fact("edit", f"{edit.what}: {edit.detail}{where}")


def _thought(done: TurnCompleted | None) -> list[Page]:
    """What a model thought before it spoke."""
    if done is None or not done.reasoning:
        return []
    label = Page(lambda sheet: [Text(" " * sheet.gutter + "thought first, kept apart:", "dim")])
    return [screen.below(label, Page(screen.words(done.reasoning, "dim")))]


def _step(reading: Reading, item: Spoken) -> Text:
    """What to type to see what was sent."""
    if item.entry.started is None:
        return Text("     nobody was asked for these words, so there is no request", "dim")
    author = item.entry.message.author
    typed = f"{reading.command} show {reading.id} --turn {item.entry.turn} --seen-by "
    return screen.joined(Text("     what was sent:  ", "dim"), one_line(typed + _typed(author)))


def _typed(name: str) -> str:
    """A name as a shell takes it."""
    return shlex.quote(name)


def seen(events: Sequence[Event], reading: Reading, turn: int | None, name: str) -> Seen:
    """What ``name`` was sent for ``turn``, or for its last turn.

    Raises:
        ConfigurationError: it was sent nothing then; the message says whose turn it was.
    """
    names = reading.transcript.state.begun().spec.names()
    if name not in names:
        near = get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"they are {', '.join(names)}"
        raise ConfigurationError(f"no participant is named {name!r}: {hint}")
    started = [event for event in events if isinstance(event, TurnStarted)]
    own = [event.turn for event in started if event.participant == name]
    if not own or turn not in (None, *own):
        raise ConfigurationError(_nothing_sent(started, own, (turn, name), reading))
    return _found(events, own[-1] if turn is None else turn, name)


def _found(events: Sequence[Event], turn: int, name: str) -> Seen:
    """The last request to ``name`` for ``turn``, and its last one for a turn before."""
    before: Rebuilt | None = None
    now: list[Rebuilt] = []
    for again in rebuild(events):
        if again.started.participant == name and again.started.turn < turn:
            before = again
        elif again.started.participant == name and again.started.turn == turn:
            now.append(again)
    return Seen(now[-1], before, len(now))


def _nothing_sent(
    started: Sequence[TurnStarted],
    own: Sequence[int],
    wanted: tuple[int | None, str],
    reading: Reading,
) -> str:
    """Why there is no view, and what to type instead."""
    turn, name = wanted
    typed = f"{reading.command} show {reading.id} --turn"
    if not own:
        return f"{name!r} was never sent anything in {reading.id}: no request of it is recorded"
    nearest = min(own, key=lambda each: abs(each - (turn or 0)))
    instead = f"'{typed} {nearest} --seen-by {_typed(name)}' shows what {name} was sent"
    for event in started:
        if event.turn == turn:
            whose = f"turn {turn} was {event.participant}'s"
            return f"{whose}, so nothing was sent to {name} for it: {instead}"
    if turn is not None and turn <= len(reading.transcript.spoken):
        return f"message {turn} was given, nobody was asked for it: {instead}"
    return f"there is no turn {turn}: {instead}"


def view_page(found: Seen, reading: Reading) -> Page:
    """A request as its participant saw it, and the proof."""
    request, started = found.now.request, found.now.started
    styles = screen.colours(reading.transcript.names)
    top = Page(
        lambda sheet: screen.wrapped(
            screen.joined(
                Text("What "),
                one_line(started.participant, styles.get(started.participant, "bold")),
                Text(f" was sent for turn {started.turn}"),
            ),
            sheet.width,
        )
    )
    system = [_part("system", "", request.system)] if request.system is not None else []
    script = request.framing is Framing.SCRIPT
    heard = [
        _part(
            "line" if script else each.role.value,
            each.author,
            each.text,
            styles,
            new=place >= found.known,
        )
        for place, each in enumerate(request.messages)
    ]
    if not heard and not system:
        heard = [Page(lambda sheet: [Text(" " * sheet.gutter + "no message, no system prompt")])]
    return screen.spaced(top, *system, *heard, screen.facts(_proof(found)))


def _part(
    role: str,
    author: str,
    text: str,
    styles: dict[str, str] | None = None,
    *,
    new: bool = False,
) -> Page:
    """One message of a view: the role it was sent in, who said it, and the words as sent."""

    def draw(sheet: screen.Sheet) -> Iterator[Text]:
        parts = [Text(f"{role:<9}" if author else role, "dim")]
        if author:
            parts.append(one_line(author, (styles or {}).get(author, "bold")))
        yield from screen.flow([*parts, *screen.badges([_NEW] if new else [], sheet)], sheet)
        yield from screen.as_said(text)(sheet)

    return Page(draw)


_NEW = Mark("new", "new")


def _proof(found: Seen) -> Iterator[Fact]:
    """What was made again, and whether it is what was sent."""
    now = found.now
    if now.request.framing is Framing.SCRIPT:
        yield Fact("framing", "script: sent as one running text, without roles")
    sampling = msgspec.json.encode(now.request.sampling).decode()
    yield Fact("sampling", sampling if sampling != "{}" else "left to the provider")
    if now.request.seed is not None:
        yield Fact("seed", str(now.request.seed))
    total, new = len(now.request.messages), len(now.request.messages) - found.known
    since = f"since turn {found.before.started.turn}" if found.before else "its first view"
    yield Fact("messages", f"{total}, {new} of them new ({since})")
    if found.starts > 1:
        yield Fact("started", f"{found.starts} times; this is the last request of them")
    for edit in now.started.edits:
        yield Fact("edit", f"{edit.what}: {edit.detail}")
    if now.inherited:
        yield Fact("inherited", "the conversation that this one branched from sent it")
    yield Fact("rebuilt", f"{len(now.wire.body):,} bytes, made again from the log alone")
    yield Fact("recorded", f"BLAKE2b-256 {now.started.request}")
    yield _verdict(now)


def _verdict(now: Rebuilt) -> Fact:
    """Whether the bytes made again have the recorded digest."""
    if now.agrees:
        return Fact("agrees", "these are, byte for byte, the bytes that were sent", "bold")
    return Fact("DOES NOT AGREE", f"BLAKE2b-256 {digest(now.wire.body)}", "bold #c9362f")
