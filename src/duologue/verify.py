"""Proof that a run's record is what was written, and that it holds every request.

The chain is checked line by line; every request body is made again from the facts and its digest
compared with the one that was recorded before it was sent. This module mends nothing. Three things
it cannot prove: that the tail of a file was not cut off at the end of a line (that is what a kill
leaves, too), that no whole file of the log was put in or taken away, and that a forger did not
compute every hash anew. Note a run's heads elsewhere to be safe from all three.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from duologue.core.event import ConversationEnded, Event
from duologue.core.rebuild import Rebuilt, rebuild
from duologue.core.state import fold
from duologue.errors import DuologueError
from duologue.store.chain import Head, intact
from duologue.store.run import Run
from duologue.store.segment import Line, read


class Fault(msgspec.Struct, frozen=True):
    """Something that is not as it was written.

    Attributes:
        place: the file and line, or the conversation and turn.
        what: what is wrong there.
    """

    place: str
    what: str


class Proof(msgspec.Struct, frozen=True):
    """What was proved of a run.

    Attributes:
        conversations: how many were read.
        records: how many lines have the hash that was written with them.
        requests: how many request bodies were made again with the digest that was recorded.
        request_bytes: how long these bodies are together.
        torn: files beside the log that hold what a kill left unfinished.
        unfinished: bytes after the last newline: being written now, or torn.
        heads: each conversation's last hash.
        faults: what is wrong, first things first; empty when all is well.
        unended: conversations without an ending on record: interrupted, or cut off.
    """

    conversations: int
    records: int
    requests: int
    request_bytes: int
    torn: tuple[str, ...]
    unfinished: int
    heads: dict[str, str]
    faults: tuple[Fault, ...]
    unended: tuple[str, ...] = ()


class _Chains:
    """The chains of a run, followed line by line."""

    def __init__(self) -> None:
        self.heads: dict[str, Head] = {}
        self.events: dict[str, list[Event]] = {}
        self.records = 0

    def follow(self, line: Line, before: str) -> Iterator[str]:
        """What is wrong with a line, given the hash of the line before it in its file."""
        record = line.record
        if record is None:
            yield line.problem or "not a record"
            return
        head = self.heads.get(record.conv, Head())
        if record.p != before:
            yield "a line before this one was taken out, put in, moved or edited"
        if record.seq != head.seq:
            yield f"record {record.seq} of {record.conv} stands where {head.seq} should be"
        elif not intact(line.data, record, head):
            yield f"the bytes of record {record.seq} of {record.conv} are not those written"
        else:
            self.records += 1
        self.heads[record.conv] = Head(record.seq + 1, record.h)
        self.events.setdefault(record.conv, []).append(record.event)


def verify(run: Run) -> Proof:
    """Check everything in a run that can be checked from its folder alone.

    Raises:
        StoreError: the folder cannot be read.
    """
    chains, faults = _Chains(), list[Fault]()
    unfinished = 0
    for segment in run.segments():
        before, end = "", 0
        for line in read(segment):
            place = f"{segment.name}, line {line.number}"
            faults += [Fault(place, what) for what in chains.follow(line, before)]
            before, end = (line.record.h if line.record else ""), line.end
        unfinished += segment.stat().st_size - end
    checked = [_requests(conv, events) for conv, events in chains.events.items()]
    return Proof(
        conversations=len(chains.events),
        records=chains.records,
        requests=sum(agreed for agreed, _, _ in checked),
        request_bytes=sum(size for _, size, _ in checked),
        torn=tuple(_torn(run.path)),
        unfinished=unfinished,
        heads={conv: head.h for conv, head in chains.heads.items()},
        faults=(*faults, *(fault for _, _, found in checked for fault in found)),
        unended=tuple(
            conv
            for conv, events in chains.events.items()
            if not isinstance(events[-1], ConversationEnded)
        ),
    )


def _torn(folder: Path) -> list[str]:
    """The files into which torn tails were set aside."""
    return sorted(path.name for path in folder.glob("log-*.jsonl.torn-*"))


def _requests(conv: str, events: list[Event]) -> tuple[int, int, list[Fault]]:
    """How many requests agree, how long they are together, and what does not agree."""
    agreed, size = 0, 0
    faults: list[Fault] = []
    grown: dict[tuple[str, int, int], Rebuilt] = {}
    try:
        for again in rebuild(events):
            faults += _compare(conv, again, grown)
            agreed += again.agrees
            size += len(again.wire.body)
        fold(events)
    except (DuologueError, LookupError, TypeError, ValueError) as error:
        # The settings of a seat are anything that JSON can hold, and may have been edited.
        faults.append(Fault(conv, f"its facts cannot follow one another: {error}"))
    return agreed, size, faults


def _compare(conv: str, again: Rebuilt, grown: dict[tuple[str, int, int], Rebuilt]) -> list[Fault]:
    """One request against its recorded digest, and against the same participant's last one.

    A view grows from one context reset to the next.
    """
    name = again.started.participant
    period = (name, again.generation, again.first)
    place = f"{conv}, turn {again.started.turn}"
    faults = []
    if not again.agrees:
        faults.append(Fault(place, f"the request to {name} made again has another digest"))
    last = grown.get(period)
    if last and not again.wire.body.startswith(last.wire.body[: last.wire.stable]):
        faults.append(Fault(place, f"the view of {name} does not extend its view before"))
    grown[period] = again
    return faults
