"""A conversation as far as its lines have been read, and the rows that are made of it.

It is handed lines; where they come from it does not know.
"""

from collections.abc import Iterator
from itertools import islice

from duologue.catalogue.shape import TURN_BITS, Shelved, first_row
from duologue.core.spec import ConversationSpec
from duologue.core.state import Entry, State, apply
from duologue.core.transcript import status
from duologue.endings.arc import arc
from duologue.endings.described import describe, pair, policy
from duologue.endings.strip import strip
from duologue.errors import RecordError
from duologue.formats.crossing import IMPORTED_MODEL
from duologue.store.fulltext import given
from duologue.store.segment import Line

Place = tuple[str, int, int]
"""A line by its segment's name, its offset and its size without the newline."""

_NOBODY = ConversationSpec(())


class Growing:
    """One conversation. An accumulator: it takes lines in, in the order of their numbers.

    Attributes:
        places: where its lines are.
        muddled: whether a line came before one that precedes it: read it again from its places.
    """

    def __init__(self) -> None:
        """Nothing has been read."""
        self.places: list[Place] = []
        self.muddled = False
        self._state = State()
        self._seq = 0
        self._began = self._last = ""
        self._problem: str | None = None

    @property
    def began(self) -> str:
        """When its first record was written."""
        return self._began

    def take(self, line: Line, segment: str) -> None:
        """One more line."""
        self.places.append((segment, line.offset, len(line.data)))
        record = line.record
        if record is None:
            self._problem = self._problem or line.problem
            return
        self.muddled = self.muddled or record.seq != self._seq
        self._seq = record.seq + 1
        self._began, self._last = self._began or record.at, record.at
        if self._problem is not None:
            return
        try:
            self._state = apply(self._state, record.event)
        except RecordError as error:
            self._problem = str(error)

    def said(self, key: int, after: int) -> Iterator[tuple[int, str, str]]:
        """Rows of its messages after a number."""
        for entry in islice(self._state.entries, after, (1 << TURN_BITS) - 1):
            yield first_row(key) + entry.turn, entry.message.author, given(entry.message.text)

    def shelved(self, key: int, run: str, conv: str) -> Shelved:
        """Its row."""
        state, entries = self._state, self._state.entries
        started = state.started
        spec = started.spec if started else _NOBODY
        annotations = describe(entry.message for entry in entries)
        whole = arc(annotations)
        foreign = any(seat.model == IMPORTED_MODEL for seat in spec.participants)
        return Shelved(
            key,
            run,
            conv,
            names=spec.names(),
            models=tuple(seat.model for seat in spec.participants),
            pair=" × ".join(spec.names()) if foreign else pair(spec),
            policy="imported" if foreign else policy(spec),
            began=self._began,
            last=self._last,
            turns=len(entries),
            tokens=sum(map(_generated, entries)),
            spend=_spend(state),
            status=status(state),
            reason=state.ended.reason.value if state.ended else None,
            end_state=whole.end_state,
            strip=strip(annotations),
            first_closing=whole.first_closing,
            mutual_closing=whole.mutual_closing,
            reopenings=len(whole.reopenings),
            parent=started.fork.conversation if started and started.fork else None,
            parent_turn=started.fork.turn if started and started.fork else None,
            source=started.source.format if started and started.source else None,
            problem=self._problem,
        )


def _generated(entry: Entry) -> int:
    """Tokens generated for one message, as far as they are known."""
    return (entry.completed.usage.output or 0) if entry.completed else 0


def _spend(state: State) -> float | None:
    """Dollars for all messages and failed attempts together, as far as they are known."""
    done = [entry.completed.cost for entry in state.entries if entry.completed]
    tried = (*(entry.attempts for entry in state.entries), state.attempts)
    failed = [attempt.cost for attempts in tried for attempt in attempts]
    known = [cost for cost in (*done, *failed) if cost is not None]
    return sum(known) if known else None
