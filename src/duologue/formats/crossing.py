"""From a foreign conversation to facts, and from facts to a foreign conversation.

What comes in keeps every word, under origin ``import``, and whatever its file needs to be written
again. What goes out is listed beside what cannot go with it. This module reads no files.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b

import msgspec

from duologue.core.event import (
    ConversationEnded,
    ConversationStarted,
    EndReason,
    Event,
    MessageInjected,
    Source,
)
from duologue.core.message import Message, Origin
from duologue.core.spec import ConversationSpec, Participant, TurnCap
from duologue.core.state import Entry
from duologue.core.transcript import Transcript
from duologue.errors import FormatError
from duologue.formats import founding, jsonl
from duologue.formats.foreign import Ambiguity, Foreign, ForeignMessage

IMPORTED_MODEL = "import:unknown"
# Keys of ``Source.fields`` that are ours and not the foreign format's.
_NAMES, _ORIGINS, _TURNS = "duologue.names", "duologue.origins", "duologue.turns"
_OURS = frozenset({_NAMES, _ORIGINS, _TURNS})


class Format(msgspec.Struct, frozen=True):
    """A foreign format.

    Attributes:
        suffix: of its files.
        parse: bytes to a conversation and what is doubtful about it.
        render: a conversation to bytes.
        cannot_hold: what ``render`` would lose of a conversation.
        holds: which of our facts it has a place for, beside authors and words.
    """

    suffix: str
    parse: Callable[[bytes], tuple[Foreign, tuple[Ambiguity, ...]]]
    render: Callable[[Foreign], bytes]
    cannot_hold: Callable[[Foreign], tuple[str, ...]]
    holds: frozenset[str] = frozenset()


FORMATS = {
    founding.FORMAT: Format(".md", founding.parse, founding.render, founding.cannot_hold),
    jsonl.FORMAT: Format(
        ".jsonl", jsonl.parse, jsonl.render, jsonl.cannot_hold, frozenset({"origins"})
    ),
}


def take_in(data: bytes, file: str, name: str | None = None) -> tuple[Event, ...]:
    """The facts of an imported conversation.

    Args:
        data: the file's bytes.
        file: its name, without its folder.
        name: the format's name; by default what the file looks like.

    Raises:
        FormatError: the file is not of that format.
    """
    chosen = _recognise(data) if name is None else name
    foreign, doubts = FORMATS[chosen].parse(data)
    digest = blake2b(data, digest_size=32).hexdigest()
    seats, said = _seated(foreign)
    notes = tuple(f"line {doubt.line}: {doubt.detail}" for doubt in doubts)
    source = Source(chosen, digest, file, _fields(foreign, seats), (*notes, *_shared(foreign)))
    spec = ConversationSpec(
        tuple(Participant(seat, IMPORTED_MODEL) for seat in seats),
        ending=(TurnCap(max(1, len(said))),),
    )
    ended = ConversationEnded(
        EndReason.IMPORT, detail=f"the {chosen} file ends here; why is not known"
    )
    injected = (MessageInjected(turn, message) for turn, message in enumerate(said, start=1))
    return (ConversationStarted(spec, source=source), *injected, ended)


def _recognise(data: bytes) -> str:
    """The format that a file looks like."""
    if data.removeprefix(b"\xef\xbb\xbf").startswith(b"# "):
        return founding.FORMAT
    if data.lstrip(b"\xef\xbb\xbf \r\n").startswith(b"{"):
        return jsonl.FORMAT
    raise FormatError(
        f"this looks like none of the known formats ({', '.join(FORMATS)}): a founding "
        "transcript begins with '# A ↔ B', a JSONL file with '{'; import it with --from to say "
        "which",
        line=1,
    )


def _seated(foreign: Foreign) -> tuple[tuple[str, ...], list[Message]]:
    """A seat for each speaker, and the messages under the seats' names.

    Where two speakers share a name, the second is called ``NAME 2``, and they take its messages
    in turn.
    """
    seats = tuple(_distinct(foreign.names))
    holders: dict[str, list[str]] = {}
    for name, seat in zip(foreign.names, seats, strict=True):
        holders.setdefault(name, []).append(seat)
    spoken = Counter[str]()
    said = []
    for each in foreign.messages:
        named = holders[each.author]
        said.append(
            Message(named[spoken[each.author] % len(named)], each.text, origin=Origin.IMPORT)
        )
        spoken[each.author] += 1
    return seats, said


def _distinct(names: tuple[str, ...]) -> Iterator[str]:
    """The names, numbered where one comes again."""
    taken: set[str] = set()
    for name in names:
        seat, number = name, 2
        while seat in taken or (seat != name and seat in names):
            seat, number = f"{name} {number}", number + 1
        taken.add(seat)
        yield seat


def _shared(foreign: Foreign) -> tuple[str, ...]:
    """What is to be said about speakers who share a name."""
    twice = sorted(name for name, count in Counter(foreign.names).items() if count > 1)
    return tuple(
        f"{name!r} names more than one speaker; its messages are given to them in turn"
        for name in twice
    )


def _fields(foreign: Foreign, seats: tuple[str, ...]) -> dict[str, str]:
    """Everything that writing the file again needs, beside seats and words."""
    fields = dict(foreign.fields)
    if foreign.names != seats:
        fields[_NAMES] = json.dumps(foreign.names)
    origins = [None if each.origin is None else each.origin.value for each in foreign.messages]
    if any(origin is not None for origin in origins):
        fields[_ORIGINS] = json.dumps(origins)
    turns = [each.turn for each in foreign.messages]
    if any(turn is not None for turn in turns):
        fields[_TURNS] = json.dumps(turns)
    return fields


def send_out(transcript: Transcript, name: str, began: str, last: str) -> bytes:
    """The file in which a conversation is written in a foreign format.

    Args:
        transcript: the conversation.
        name: the format's name.
        began: when its first record was written (ISO 8601, UTC).
        last: when its last record was written.

    Raises:
        FormatError: the format cannot hold these names or characters at all.
    """
    return FORMATS[name].render(foreign(transcript, name, began, last))


def left_out(transcript: Transcript, name: str, began: str, last: str) -> tuple[str, ...]:
    """What the record holds and a file of that format does not, one line each."""
    held = FORMATS[name]
    return (
        *(line for kind, line in _facts(transcript) if kind not in held.holds),
        *held.cannot_hold(foreign(transcript, name, began, last)),
    )


def foreign(transcript: Transcript, name: str, began: str, last: str) -> Foreign:
    """A conversation as a foreign format holds it; see ``send_out``."""
    source = transcript.state.begun().source
    fields = dict(source.fields) if source is not None and source.format == name else {}
    seats = transcript.names
    names = tuple(json.loads(fields[_NAMES])) if _NAMES in fields else seats
    heading = dict(zip(seats, names, strict=True))
    count = len(transcript.spoken)
    origins: list[str | None] = json.loads(fields.get(_ORIGINS, "[]")) or [None] * count
    turns: list[int | None] = json.loads(fields.get(_TURNS, "[]")) or [None] * count
    said = tuple(
        ForeignMessage(
            heading[item.entry.message.author],
            item.entry.message.text,
            origin=_origin(item.entry.message, name, source, origin),
            turn=turn,
        )
        for item, origin, turn in zip(transcript.spoken, origins, turns, strict=True)
    )
    rest = {key: value for key, value in fields.items() if key not in _OURS}
    if not rest and name == founding.FORMAT:
        rest = {"started": _second(began), "ended": _second(last)}
    return Foreign(name, names, said, rest)


def _origin(message: Message, name: str, source: Source | None, said: str | None) -> Origin | None:
    """What a file is to say of a message's origin: what it said, or what the record says."""
    if name == founding.FORMAT:
        return None
    if source is not None and source.format == name:
        return None if said is None else Origin(said)
    return message.origin


def _second(stamp: str) -> str:
    """``2026-11-23T18:55:08.123456Z`` as ``2026-11-23 18:55:08``, still UTC."""
    return stamp[:19].replace("T", " ")


def _acts(entries: Sequence[Entry]) -> Iterator[tuple[str, str]]:
    """What participants did beside speaking."""
    calls = sum(len(entry.completed.calls) for entry in entries if entry.completed)
    if calls:
        yield "calls", f"{calls} calls of tools, and with what"
    left = sum(len(entry.left) for entry in entries)
    passed = sum(entry.passed is not None for entry in entries)
    if left or passed:
        yield "acts", f"that participants left {left} times and passed {passed} times, and how"


def _facts(transcript: Transcript) -> Iterator[tuple[str, str]]:
    """What a record may hold beside authors and words, and how much of it there is here."""
    started, entries = transcript.state.begun(), transcript.state.entries
    origins = Counter(entry.message.origin.value for entry in entries)
    if set(origins) - {Origin.MODEL.value}:
        counted = ", ".join(f"{count} {origin}" for origin, count in sorted(origins.items()))
        yield "origins", f"who made the words: {counted}"
    private = sum(entry.message.seen_by is not None for entry in entries)
    if private:
        yield "private", f"that {private} messages were seen by some only"
    requests = sum(entry.started is not None for entry in entries)
    if requests:
        yield "views", f"what each model was sent: {requests} requests, and their digests"
        yield "usage", f"tokens, timings and finish reasons of {requests} turns"
    attempts = sum(len(entry.attempts) for entry in entries) + len(transcript.state.attempts)
    if attempts:
        yield "attempts", f"{attempts} failed attempts"
    yield from _acts(entries)
    if started.spec.told is not None:
        yield "told", f"what everybody was told: {started.spec.told!r}"
    if started.source is None:
        yield "spec", "models, prompts, sampling, order, endings, and whether anybody was told"
        yield "ended", "how the conversation ended"
        yield "times", "when each message was written"
    reasoned = sum(bool(entry.completed and entry.completed.reasoning) for entry in entries)
    if reasoned:
        yield "reasoning", f"the reasoning before {reasoned} messages"
    if started.fork is not None:
        yield "fork", f"that it branched from {started.fork.conversation}"
