"""Proof that a run's record is what was written, and that it holds every request.

The chain is checked line by line; every request body is made again from the facts and its digest
compared with the one that was recorded before it was sent; what ``experiment.toml`` asks for is
compared with what the log says was asked for. The index is not looked at: it is a cache. The run's
name, and comments in that file, stand nowhere else, so nothing can be said of them; nor of
conversations that an experiment's file asked for before it was changed.

This module mends nothing. Three things about the log it cannot prove: that the tail of a file was
not cut off at the end of a line (that is what a kill leaves, too), that no whole file of the log
was put in or taken away, and that a forger did not compute every hash anew. Note a run's heads
elsewhere to be safe from all three.
"""

import json
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import groupby
from pathlib import Path

import msgspec
import tomli_w

from duologue.core.event import ConversationEnded, ConversationStarted, Event, Record
from duologue.core.experiment import Experiment
from duologue.core.experimentfile import is_experiment
from duologue.core.plan import plan
from duologue.core.rebuild import Rebuilt, rebuild
from duologue.core.specfile import Asked, document
from duologue.core.state import fold
from duologue.core.toml_document import Document, parse, spelt
from duologue.core.toml_lines import Path as Key
from duologue.core.toml_shape import fill
from duologue.errors import DuologueError, SpecError
from duologue.store.chain import Head, intact
from duologue.store.run import SPEC_FILE, Run
from duologue.store.segment import Line, read

_SHOWN = 40  # characters of a value that differs
_GONE = object()


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
        messages: how many messages each conversation holds; one whose facts cannot follow one
            another is not in it.
        endings: why each conversation ended; None where no ending is on record: interrupted, or
            cut off.
        asked: whether ``experiment.toml`` asks for what the log says was asked for.
        faults: what is wrong, first things first; empty when all is well. A run in which nothing
            is recorded has one.
    """

    conversations: int
    records: int
    requests: int
    request_bytes: int
    torn: tuple[str, ...]
    unfinished: int
    heads: dict[str, str]
    messages: dict[str, int]
    endings: dict[str, str | None]
    asked: bool
    faults: tuple[Fault, ...]


class _Chains:
    """The chains of a run, followed line by line.

    A conversation may go on in another segment than it began in, so a record that comes before the
    one it follows is kept until all segments were read.
    """

    def __init__(self) -> None:
        self.heads: dict[str, Head] = {}
        self.events: dict[str, list[Event]] = {}
        self.records = 0
        self.faults: dict[str, list[tuple[int, str]]] = {}
        self._early: dict[str, list[tuple[str, Line, Record]]] = {}

    def read(self, segment: Path) -> int:
        """Follow a segment's lines; where the last one ends."""
        found = self.faults.setdefault(segment.name, [])
        before, end = "", 0
        for line in read(segment):
            record = line.record
            if record is None:
                found.append((line.number, line.problem or "not a record"))
            else:
                if record.p != before:
                    what = "a line before this one was taken out, put in, moved or edited"
                    found.append((line.number, what))
                self._place(segment.name, line, record)
            before, end = (record.h if record else ""), line.end
        return end

    def finish(self) -> None:
        """Follow what came before the record that it follows; nothing is left to read."""
        for early in self._early.values():
            for name, line, record in sorted(early, key=lambda each: each[2].seq):
                self._follow(name, line, record)
        for found in self.faults.values():
            found.sort(key=lambda each: each[0])

    def _place(self, name: str, line: Line, record: Record) -> None:
        """Follow a record, or keep it until it is its turn."""
        if record.seq > self.heads.get(record.conv, Head()).seq:
            self._early.setdefault(record.conv, []).append((name, line, record))
        else:
            self._follow(name, line, record)

    def _follow(self, name: str, line: Line, record: Record) -> None:
        """Check a record against its conversation's chain."""
        head = self.heads.get(record.conv, Head())
        if record.seq != head.seq:
            what = f"record {record.seq} of {record.conv} stands where {head.seq} should be"
            self.faults[name].append((line.number, what))
        elif not intact(line.data, record, head):
            what = f"the bytes of record {record.seq} of {record.conv} are not those written"
            self.faults[name].append((line.number, what))
        else:
            self.records += 1
        self.heads[record.conv] = Head(record.seq + 1, record.h)
        self.events.setdefault(record.conv, []).append(record.event)


class _Checked(msgspec.Struct, frozen=True):
    """What came of making a conversation's requests again.

    Attributes:
        agreed: how many have the digest that was recorded.
        size: how many bytes these are together.
        messages: how many messages the conversation holds; None where its facts do not say.
        faults: what does not agree.
    """

    agreed: int
    size: int
    messages: int | None
    faults: tuple[Fault, ...]


def verify(run: Run) -> Proof:
    """Check everything in a run that can be checked from its folder alone.

    Raises:
        StoreError: the folder cannot be read.
    """
    chains, faults = _Chains(), list[Fault]()
    unfinished = 0
    for segment in run.segments():
        unfinished += segment.stat().st_size - chains.read(segment)
    chains.finish()
    faults += [fault for name, found in chains.faults.items() for fault in _gathered(name, found)]
    if not chains.events and not faults:
        what = "nothing is recorded: no log, or one without a whole line"
        faults.append(Fault("log-1.jsonl, line 1", what))
    checked = {conv: _requests(conv, events) for conv, events in chains.events.items()}
    faults += [fault for each in checked.values() for fault in each.faults]
    asked = list(_asked(run.path / SPEC_FILE, chains.events))
    return Proof(
        conversations=len(chains.events),
        records=chains.records,
        requests=sum(each.agreed for each in checked.values()),
        request_bytes=sum(each.size for each in checked.values()),
        torn=tuple(_torn(run.path)),
        unfinished=unfinished,
        heads={conv: head.h for conv, head in chains.heads.items()},
        messages={
            conv: each.messages for conv, each in checked.items() if each.messages is not None
        },
        endings={conv: _ending(events) for conv, events in chains.events.items()},
        asked=(len(chains.events) == 1 or _many(run.path / SPEC_FILE)) and not asked,
        faults=(*faults, *asked),
    )


def _gathered(name: str, found: Iterable[tuple[int, str]]) -> Iterator[Fault]:
    """Faults of a file; lines one after the other with the same fault are one.

    A log of a newer version has as many such lines as it is long.
    """
    # Numbers that count up as their places do differ from them by the same amount.
    runs = groupby(enumerate(found), key=lambda each: (each[1][0] - each[0], each[1][1]))
    for (_, what), lines in runs:
        (_, (number, _)), *others = lines
        following = f" (and the {len(others)} lines that follow)" if len(others) > 1 else ""
        following = " (and the line that follows)" if len(others) == 1 else following
        yield Fault(f"{name}, line {number}", what + following)


def _ending(events: list[Event]) -> str | None:
    """Why a conversation ended, if it did."""
    last = events[-1]
    return last.reason.value if isinstance(last, ConversationEnded) else None


def _torn(folder: Path) -> list[str]:
    """The files into which torn tails were set aside."""
    return sorted(path.name for path in folder.glob("log-*.jsonl.torn-*"))


def _asked(file: Path, conversations: dict[str, list[Event]]) -> Iterator[Fault]:
    """Where a run's ``experiment.toml`` asks for something else than the log says was asked for."""
    try:
        given = parse(file.read_text("utf-8"), file.name)
    except FileNotFoundError:
        yield Fault(file.name, "it is missing: every run is made with one")
    except OSError as error:
        yield Fault(file.name, f"it cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        yield Fault(file.name, f"it is not UTF-8: {error.reason} at byte {error.start}")
    except SpecError as error:
        what, _, _ = str(error).removeprefix(file.name).lstrip(":, ").partition("\n")
        yield Fault(file.name, what)
    else:
        begun = {conv: events[0] for conv, events in conversations.items()}
        if "pairs" in given.data:
            yield from _unplanned(given, begun)
        elif len(begun) == 1:
            yield from (fault for event in begun.values() for fault in _unlike(given, event))


def _many(file: Path) -> bool:
    """Whether a run's file is an experiment's."""
    with suppress(OSError, UnicodeDecodeError, SpecError):
        return is_experiment(file.read_text("utf-8"), file.name)
    return False


def _unplanned(given: Document, begun: dict[str, Event]) -> Iterator[Fault]:
    """Every conversation that an experiment's file asks for otherwise than it was begun.

    One that the file does not ask for at all was asked for before the file was changed.
    """
    try:
        planned = plan(fill(given, Experiment)).conversations
    except DuologueError as error:
        yield Fault(given.where, str(error))
        return
    for each in planned:
        event = begun.get(each.id)
        if isinstance(event, ConversationStarted) and event.spec != each.spec:
            yield Fault(given.where, f"{each.id} was begun with another spec than it asks for")


def _unlike(given: Document, begun: Event) -> Iterator[Fault]:
    """Every place where a file and the spec on record differ."""
    if not isinstance(begun, ConversationStarted):
        return
    try:
        recorded = tomllib.loads(tomli_w.dumps(document(Asked(None, begun.spec))))
    except DuologueError as error:
        yield Fault(given.where, f"it cannot ask for what the log says was asked for: {error}")
        return
    asked = {key: value for key, value in given.data.items() if key != "name"}
    for key, here, there in _differences(asked, recorded, ()):
        what = f"{spelt(key)} is {_shown(here)} here and {_shown(there)} in the log"
        yield Fault(given.place(key), what)


def _differences(here: object, there: object, key: Key) -> Iterator[tuple[Key, object, object]]:
    """Where two TOML values differ, and both values there; 1, 1.0 and true are not the same."""
    if isinstance(here, dict) and isinstance(there, dict):
        for name in here | there:
            yield from _differences(here.get(name, _GONE), there.get(name, _GONE), (*key, name))
    elif isinstance(here, list) and isinstance(there, list) and len(here) == len(there):
        for place, (one, other) in enumerate(zip(here, there, strict=True)):
            yield from _differences(one, other, (*key, place))
    elif type(here) is not type(there) or here != there:
        yield key, here, there


def _shown(value: object) -> str:
    """A value on one short line."""
    if value is _GONE:
        return "not given"
    told = json.dumps(value, default=str)
    return told if len(told) <= _SHOWN else f"{told[:_SHOWN]}…"


def _requests(conv: str, events: list[Event]) -> _Checked:
    """Make every request again and compare it with what was recorded of it."""
    agreed, size = 0, 0
    messages = None
    faults: list[Fault] = []
    grown: dict[tuple[str, int, int], Rebuilt] = {}
    try:
        for again in rebuild(events):
            faults += _compare(conv, again, grown)
            agreed += again.agrees
            size += len(again.wire.body) if again.agrees else 0
        messages = len(fold(events).entries)
    except (DuologueError, LookupError, TypeError, ValueError) as error:
        # The settings of a seat are anything that JSON can hold, and may have been edited.
        faults.append(Fault(conv, f"its facts cannot follow one another: {error}"))
    return _Checked(agreed, size, messages, tuple(faults))


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
