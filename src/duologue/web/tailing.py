"""A running conversation, followed: what its log has got since, and what is being typed.

It reads the log from its beginning, so whoever comes back with the number of the last record that
was seen gets every later one, once. It makes values; it knows no HTTP and no clock.
"""

from collections import Counter
from collections.abc import Iterator

import msgspec
from msgspec.structs import replace

from duologue.catalogue.asking import Where
from duologue.core.event import AttemptFailed, ContextReset, Event, Record, TurnStarted
from duologue.core.state import State, apply
from duologue.core.transcript import Spoken, failed_mark, marks, seated
from duologue.endings.annotate import Memory, annotate
from duologue.endings.codebook import Annotation
from duologue.endings.described import GIVEN
from duologue.store.live import Typed, live_path, typed
from duologue.store.run import Run
from duologue.store.segment import read
from duologue.web.turns import Cell, Turn, cell, colours, how, shown


class News(msgspec.Struct, frozen=True):
    """Something new.

    Attributes:
        kind: ``turn``, ``started``, ``failed``, ``ended`` or ``typing``.
        seq: the record that says so; None for what is in no record yet.
        turn: the message that is there now.
        cell: its cell in the strip.
        who: who has started to speak, or failed to.
        colour: of whoever that is.
        number: the turn that was started or failed.
        words: how it ended, why it failed, or what was typed since the last news.
        thought: what was thought since the last news.
        anew: whether what was typed begins from its beginning.
    """

    kind: str
    seq: int | None = None
    turn: Turn | None = None
    cell: Cell | None = None
    who: str = ""
    colour: int = 0
    number: int = 0
    words: str = ""
    thought: str = ""
    anew: bool = False


class Tail:
    """The end of a conversation's log."""

    def __init__(self, run: Run, conv: str, after: int, known: Where | None = None) -> None:
        """Tell what comes after the record ``after``; -1 tells everything.

        Args:
            run: whose log.
            conv: which conversation.
            after: the number of the last record that was seen.
            known: where its lines stand, if that is known; else the log is read from the start.
        """
        self._run, self._conv, self._after = run, conv, after
        self._known = known
        self._ends: dict[str, int] = dict(known.ends) if known else {}
        self._state = State()
        self._memory = Memory()
        self._annotations: list[Annotation] = []
        self._starts = Counter[int]()
        self._resets: list[ContextReset] = []
        self._began = ""
        self._last = -1
        self._typed: Typed | None = None
        self._names: dict[str, None] = {}
        self._named = 0

    def more(self) -> tuple[list[News], bool]:
        """What is new, and whether nothing more will come: ended for good, or nobody is writing.

        Raises:
            RecordError: the record cannot be followed.
            StoreError: the log cannot be read.
        """
        # Asked before reading: what a writer wrote before it went away is read in this round.
        busy = self._run.busy()
        news = [each for record in self._records() for each in self._take(record)]
        if not busy or self._state.over:
            return news, True
        return [*news, *self._typing()], False

    def _records(self) -> list[Record]:
        """The records that were appended since the last look."""
        known, self._known = self._known, None
        lines = list(self._run.lines_at(known.places)) if known else []
        for segment in self._run.segments():
            start = self._ends.get(segment.name, 0)
            if segment.stat().st_size > start:
                for line in read(segment, start):
                    self._ends[segment.name] = line.end
                    if line.conv == self._conv:
                        lines.append(line)
        found = [line.record for line in lines if line.record is not None]
        return sorted(found, key=lambda record: record.seq)

    def _take(self, record: Record) -> Iterator[News]:
        """One record, and what it says that is new to this reader."""
        before = len(self._state.entries)
        self._state = apply(self._state, record.event)
        self._last = record.seq
        self._began = self._began or record.at
        self._note(record.event)
        while len(self._annotations) < len(self._state.entries):
            self._annotate()
        if record.seq > self._after:
            yield from self._news(record, before)

    def _note(self, event: Event) -> None:
        """Keep what the marks of a message need."""
        if isinstance(event, TurnStarted):
            self._starts[event.turn] += 1
        elif isinstance(event, ContextReset):
            self._resets.append(event)

    def _annotate(self) -> None:
        """The next message's label."""
        message = self._state.entries[len(self._annotations)].message
        self._memory, one = annotate(self._memory, message.author, message.text)
        given = message.origin in GIVEN
        self._annotations.append(replace(one, given=True, leaves=False) if given else one)

    def _news(self, record: Record, before: int) -> Iterator[News]:
        """What a record says."""
        event, painted = record.event, self._painted()
        fresh = range(before, len(self._state.entries))
        if not fresh and event.__class__.__name__ in {"ParticipantLeft", "TurnPassed"}:
            fresh = range(len(self._state.entries) - 1, len(self._state.entries))
        for place in fresh:
            yield self._turn(place, record)
        if isinstance(event, TurnStarted | AttemptFailed):
            failed = isinstance(event, AttemptFailed)
            yield News(
                "failed" if failed else "started",
                record.seq,
                who=event.participant,
                colour=painted.get(event.participant, 0),
                number=event.turn,
                words=failed_mark(event).text if isinstance(event, AttemptFailed) else "",
            )
        elif self._state.ended is not None and not fresh:
            yield News("ended", record.seq, words=how(self._state.ended))

    def _turn(self, place: int, record: Record) -> News:
        """A message, as it stands now."""
        entry, painted = self._state.entries[place], self._painted()
        seat = seated(self._state, entry)
        item = Spoken(entry, marks(entry, self._starts[entry.turn], seat=seat, resets=self._resets))
        one = self._annotations[place]
        return News(
            "turn",
            record.seq,
            turn=shown(item, one, painted, record.at),
            cell=cell([one], painted),
        )

    def _painted(self) -> dict[str, int]:
        """Everybody's colour."""
        for name in self._state.begun().spec.names():
            self._names.setdefault(name)
        for entry in self._state.entries[self._named :]:
            self._names.setdefault(entry.message.author)
        self._named = len(self._state.entries)
        return colours(tuple(self._names))

    def _typing(self) -> Iterator[News]:
        """What was typed since the last look, if it belongs to the turn in hand."""
        now, before = typed(live_path(self._run.path, self._conv)), self._typed
        if now is None or now.seq != self._last or self._state.pending is None:
            return
        self._typed = now
        grown = before is not None and before.seq == now.seq
        words = now.text[len(before.text) :] if before and grown else now.text
        thought = now.reasoning[len(before.reasoning) :] if before and grown else now.reasoning
        if words or thought:
            yield News(
                "typing",
                who=now.participant,
                colour=self._painted().get(now.participant, 0),
                number=now.turn,
                words=words,
                thought=thought,
                anew=not grown,
            )
