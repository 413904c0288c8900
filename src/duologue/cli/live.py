"""A conversation as it is spoken: words as they come, finished messages above them for good.

A ``Watcher`` sees what the scheduler writes and hears. On a terminal the turn in progress is
typed in a region that is drawn a few times a second, whatever the pace of the model; when it is
finished it is printed once, so that the scrollback holds the plain transcript. Elsewhere every
finished message is written at once. It knows no model and writes no record.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import msgspec
from rich.console import Console
from rich.live import Live
from rich.text import Text

from duologue.api import Recorded
from duologue.cli import screen
from duologue.cli.screen import Page, Sheet
from duologue.cli.show import reading
from duologue.cli.words import one_line
from duologue.core.event import (
    AttemptFailed,
    ContextReset,
    ConversationStarted,
    Event,
    MessageInjected,
    ParticipantLeft,
    Record,
    TurnCompleted,
    TurnPassed,
    TurnStarted,
)
from duologue.core.provider import Delta
from duologue.core.spec import bound
from duologue.core.state import State, apply
from duologue.core.transcript import Spoken, left_mark, marks, passed_mark, reset_mark, seated
from duologue.errors import DuologueError, UnrecordedError
from duologue.store.library import Library, default_path

REFRESH = 10
"""How often a second the turn in progress is drawn."""

_BELOW = 3  # lines under the words: a blank one, the status, the cursor's
_ABOVE = 1  # the heading
_LEAST = 2

Clock = Callable[[], float]


class Speaking:
    """A turn in progress, as far as it has been heard."""

    def __init__(self, started: TurnStarted, now: float) -> None:
        """Begin to listen."""
        self.turn = started.turn
        self.name = started.participant
        self.began = now
        self.first: float | None = None
        self.pieces = 0
        self.thought: list[str] = []
        self.said: list[str] = []

    def hear(self, delta: Delta, now: float) -> None:
        """Take what has just come."""
        self.first = now if self.first is None else self.first
        self.pieces += 1
        (self.thought if delta.reasoning else self.said).append(delta.text)

    def rate(self, now: float) -> float | None:
        """Pieces a second since the first; None while that says nothing yet."""
        if self.first is None or now - self.first < 1 / REFRESH:
            return None
        return (self.pieces - 1) / (now - self.first)


class Region:
    """Where the turn in progress is drawn again and again, below what is printed for good.

    Rich's own drawing thread may draw between the moment at which a print learns how many lines
    are to be drawn over and the moment at which it draws over them; then a line of the transcript
    is lost from the screen. So we draw in a thread of ours, and never while something is printed.
    """

    def __init__(self, console: Console, frame: Callable[[], Page]) -> None:
        """Draw what ``frame`` returns on ``console``."""
        self._console = console
        self._live = Live(
            console=console,
            get_renderable=frame,
            auto_refresh=False,
            transient=True,
            vertical_overflow="crop",
        )
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="duologue-live", daemon=True)

    def start(self) -> None:
        """Begin to draw."""
        self._live.start()
        self._thread.start()

    def stop(self) -> None:
        """Remove the region and draw no more."""
        self._ended.set()
        self._thread.join()
        self._live.stop()

    def print(self, page: Page) -> None:
        """Print a page above the region, for good."""
        with self._lock:
            screen.put(self._console, page)

    def _run(self) -> None:
        """Draw a few times a second."""
        while not self._ended.wait(1 / REFRESH):
            with self._lock:
                self._live.refresh()


class Tally(msgspec.Struct):
    """Tokens and the time that they took, over all turns that were watched."""

    tokens: int = 0
    seconds: float = 0.0

    def add(self, done: TurnCompleted) -> None:
        """Count a finished turn."""
        if done.usage.output is not None and done.seconds is not None:
            self.tokens += done.usage.output
            self.seconds += done.seconds


class Watcher:
    """Shows a conversation while it is held; call it with every record and delta.

    ``finished`` and ``interrupted`` print how it ended and what to type next.
    """

    def __init__(
        self,
        library: Library,
        *,
        quiet: bool = False,
        json: bool = False,
        hears: bool = True,
        console: Console | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        """Watch a conversation of ``library``.

        Args:
            library: where its record is read, for what came before and for how it ended.
            quiet: print nothing but its id, at the end.
            json: print the log's lines, as they are written, and nothing else.
            hears: whether deltas will come; else a turn is seen only when it is finished.
            console: where to print; standard output by default.
            clock: seconds, for rates.
        """
        self._library = library
        self._silent = quiet or json
        self._before = "reads" if hears else "speaks"
        self._quiet, self._json = quiet, json
        self._out = screen.console() if console is None else console
        self._clock = clock
        self._began = clock()
        self._state = State()
        self._starts = Counter[int]()
        self._styles: dict[str, str] = {}
        self._id: str | None = None
        self._inherited = 0
        self._speaking: Speaking | None = None
        self._tally = Tally()
        self._live = self._region()

    def _region(self) -> Region | None:
        """Where the turn in progress is drawn; None where nothing can be drawn over."""
        if self._silent or not self._out.is_terminal or self._out.is_dumb_terminal:
            return None
        return Region(self._out, self.frame)

    def __enter__(self) -> Self:
        from duologue.providers.human import PAUSE

        PAUSE.set(self.paused)
        if self._live is not None:
            self._live.start()
        return self

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Draw nothing for a while: a person is typing into the same terminal."""
        if self._live is None:
            yield
            return
        self._live.stop()
        self._live = None
        try:
            yield
        finally:
            self._live = self._region()
            if self._live is not None:
                self._live.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._still()
        if isinstance(error, DuologueError):
            self.interrupted(unrecorded=isinstance(error, UnrecordedError))

    def __call__(self, item: Record | Delta) -> None:
        """See a record that was written, or hear a delta."""
        if isinstance(item, Delta):
            if self._speaking is not None:
                self._speaking.hear(item, self._clock())
            return
        if self._id is None:
            self._take_up(item)
        if self._json:
            screen.write(self._out, msgspec.json.encode(item) + b"\n")
        self._follow(item.event)

    def finished(self, recorded: Recorded) -> None:
        """Say how it ended, where its record is, and what to type next."""
        self._close(recorded.id)

    def interrupted(self, *, unrecorded: bool = False) -> None:
        """Say the same of a conversation that was stopped; nothing if it never began.

        Args:
            unrecorded: whether the disk refused the message that was just finished.
        """
        if self._id is not None:
            self._close(self._id, unrecorded=unrecorded)

    def _still(self) -> None:
        """Draw no more."""
        self._speaking = None
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _close(self, conv: str, *, unrecorded: bool = False) -> None:
        """The last lines."""
        self._still()
        if self._quiet:
            self._out.print(Text(conv), soft_wrap=True)
        if self._silent:
            return
        run, _ = self._library.find(conv)
        read = reading(self._library, run, run.conversation(conv))
        read = msgspec.structs.replace(read, unrecorded=unrecorded)
        if left := screen.unfinished(read):
            self._print(left)
        self._print(screen.foot(read, held=True), end=False)

    def _print(self, page: Page, *, end: bool = True) -> None:
        """Print a page for good, and a blank line below it."""
        if self._silent:
            return
        whole = screen.spaced(page, Page(lambda _: ())) if end else page
        if self._live is None:
            screen.put(self._out, whole)
        else:
            self._live.print(whole)

    # What has been written.

    def _take_up(self, first: Record) -> None:
        """Learn what came before the first record that is seen, and say where it goes on."""
        self._id = first.conv
        if first.seq == 0:
            return
        run, _ = self._library.find(first.conv)
        before = [item for item in run.conversation(first.conv) if item.seq < first.seq]
        for item in before:
            self._learn(item.event)
        self._print(screen.title(tuple(self._styles)))
        self._go_on_from(len(self._state.entries), first.conv)

    def _learn(self, event: Event) -> None:
        """Take in a fact without showing it."""
        self._state = apply(self._state, event)
        if isinstance(event, TurnStarted):
            self._starts[event.turn] += 1
        if isinstance(event, ConversationStarted):
            self._styles = screen.colours(event.spec.names())
            self._inherited = event.fork.turn if event.fork else 0

    def _follow(self, event: Event) -> None:
        """Take in a fact and show it."""
        self._learn(event)
        inherited = getattr(event, "turn", self._inherited + 1) <= self._inherited
        if inherited:
            self._inherit(event)
            return
        match event:
            case ConversationStarted():
                self._begin(event)
            case TurnStarted():
                self._speaking = Speaking(event, self._clock())
            case AttemptFailed():
                self._speaking = None
                self._print(screen.attempt(event, self._styles))
            case TurnCompleted():
                self._speaking = None
                self._tally.add(event)
                self._show_last()
            case MessageInjected():
                self._show_last()
            case ContextReset():
                self._print(screen.badge("reset", reset_mark(event).text))
            case ParticipantLeft():
                self._print(screen.badge("exit", left_mark(event).text))
            case TurnPassed():
                self._print(screen.badge("pass", passed_mark(event).text))
            case _:
                pass

    def _begin(self, event: ConversationStarted) -> None:
        """Who is going to speak, and what is given."""
        self._print(screen.beginning(event, self._id or ""))
        if event.fork is not None:
            self._go_on_from(event.fork.turn, event.fork.conversation)
            return
        for turn in range(1, len(self._state.entries) + 1):
            self._show(turn)

    def _inherit(self, event: Event) -> None:
        """Of what a branch inherits, the last message is shown, so that one can read on."""
        if isinstance(event, TurnCompleted | MessageInjected) and event.turn == self._inherited:
            self._show_last()

    def _go_on_from(self, turn: int, conv: str) -> None:
        """Where a conversation goes on, and its last message."""
        typed = screen.command(self._library.path, default_path())
        text = f"goes on after message {turn} of {conv} ('{typed} show {conv}' shows them all)"
        self._print(Page(lambda sheet: screen.wrapped(one_line(text, "dim"), sheet.width)))
        if 0 < turn <= len(self._state.entries):
            self._show(turn)

    def _show_last(self) -> None:
        self._show(len(self._state.entries))

    def _show(self, turn: int) -> None:
        """Print a message for good."""
        entry = self._state.entries[turn - 1]
        asked = seated(self._state, entry)
        item = Spoken(entry, marks(entry, self._starts[turn], seat=asked))
        self._print(screen.message(item, self._styles))

    # The turn in progress.

    def frame(self) -> Page:
        """The turn in progress as it is drawn now: its heading, the end of its words, a status."""
        speaking, now = self._speaking, self._clock()
        return Page(lambda sheet: self._draw(sheet, speaking, now))

    def _draw(self, sheet: Sheet, speaking: Speaking | None, now: float) -> Iterator[Text]:
        """The lines of the region, never more than the screen has."""
        if speaking is not None:
            yield from list(screen.heading(speaking.turn, speaking.name, self._styles)(sheet))[:1]
            room = max(_LEAST, self._out.height - _ABOVE - _BELOW)
            yield from self._typed(speaking, sheet, room)
            yield Text()
        yield self._status(sheet, speaking, now)

    def _typed(self, speaking: Speaking, sheet: Sheet, room: int) -> list[Text]:
        """The last lines of what has been said so far; of what was thought, until words come."""
        style = "" if speaking.said else "dim"
        text = "".join(speaking.said or speaking.thought)
        # No more than can be seen: drawing must not slow down as a turn grows.
        kept = text[-2 * room * (sheet.measure or screen.MEASURE) :]
        if not kept.strip():
            return []
        return list(screen.words(kept, style)(sheet))[-room:]

    def _status(self, sheet: Sheet, speaking: Speaking | None, now: float) -> Text:
        """One line: what is going on; what does not fit is left out, the last things first."""
        line = Text(" " * sheet.gutter, "dim", no_wrap=True)
        for place, part in enumerate(self._parts(speaking, now)):
            more = one_line(f" · {part}" if place else part)
            if sheet.width is not None and line.cell_len + more.cell_len > sheet.width - 1:
                break
            line.append_text(more)
        return line

    def _parts(self, speaking: Speaking | None, now: float) -> Iterator[str]:
        """What the status line tells, the most important things first."""
        elapsed = screen.clock_time(now - self._began)
        if speaking is None:
            yield "the models are getting ready" if self._id is None else "…"
            yield elapsed
            return
        cap = self._cap()
        yield f"turn {speaking.turn}" if cap is None else f"turn {speaking.turn} of {cap}"
        yield speaking.name if speaking.pieces else f"{speaking.name} {self._before}"
        yield elapsed
        if speaking.pieces:
            yield screen.count(speaking.pieces, "token")
        if (rate := speaking.rate(now)) is not None:
            yield f"{rate:.0f}/s"
        if self._tally.seconds:
            yield f"{self._tally.tokens / self._tally.seconds:.0f}/s overall"

    def _cap(self) -> int | None:
        """At how many messages the conversation will end at the latest."""
        return bound(self._state.begun().spec.ending)
