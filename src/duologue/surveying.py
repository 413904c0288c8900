"""How conversations of a library, or in files, end: described all at once, and judged.

It brings together what was said and what the endings make of it. It knows nothing about terminals.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from duologue.api import go_on, hold, recorded
from duologue.core.event import ConversationEnded, EndReason
from duologue.core.message import Message
from duologue.core.plan import Plan
from duologue.core.provider import Provider
from duologue.core.specfile import Asked
from duologue.core.state import State, fold
from duologue.endings.described import Described, described, pair, policy
from duologue.endings.judge import Verdict, commission, heard
from duologue.endings.outcome import Outcome, Value, outcome, value
from duologue.errors import ConfigurationError, FormatError, RecordError
from duologue.formats.crossing import IMPORTED_MODEL, take_in
from duologue.store.library import Library
from duologue.store.run import Run
from duologue.store.segment import Line, read

JUDGED = "judged"
"""The library inside a library in which judges' conversations are kept."""
ALL = "all cells"
"""What a table of outcomes calls them all together."""


Damaged = Callable[[str, RecordError], None]
"""Is told of a conversation that is not as it was written, and is left out; of nobody's lines, too,
with an empty id."""


def _refused(_conv: str, error: RecordError) -> None:
    """Leave nothing out."""
    raise error


class Surveyed(msgspec.Struct, frozen=True):
    """A conversation that was looked at.

    Attributes:
        described: what was found.
        messages: what was said.
    """

    described: Described
    messages: tuple[Message, ...]


def survey(
    library: Library, wanted: Iterable[str] = (), damaged: Damaged = _refused
) -> Iterator[Surveyed]:
    """Describe conversations one after another.

    Args:
        library: where to look.
        wanted: files, names of runs (all of their conversations), or beginnings of ids; by
            default everything in the library.
        damaged: is told of a run's conversations that are not as they were written; the others
            are described all the same. By default, one stops it all.

    Raises:
        UnknownIdError: nothing answers to a name.
        ConfigurationError: a file cannot be read.
        FormatError: a file is of no known format.
        RecordError: a run's log is damaged.
    """
    runs = {run.name: run for run in library.runs()}
    for name in list(wanted) or runs:
        if name in runs:
            yield from _of_run(runs[name], damaged)
        elif Path(name).is_file():
            yield _of_file(Path(name))
        else:
            found, conv = library.find(name)
            yield _of_state(conv, fold(found.events(conv)))


def _of_run(run: Run, damaged: Damaged) -> Iterator[Surveyed]:
    """Every conversation of a run, in the order in which they began; its log is read once."""
    met: dict[str, list[Line]] = {}
    stray: list[str] = []
    for segment in run.segments():
        for line in read(segment):
            if line.conv:
                met.setdefault(line.conv, []).append(line)
            else:
                stray.append(f"{segment.name}, line {line.number}: {line.problem}")
    if stray:
        damaged("", _nobodys(run, stray))
    for conv, lines in met.items():
        if (state := _state(run, conv, lines, damaged)) is not None:
            yield _of_state(conv, state)


def _nobodys(run: Run, stray: list[str]) -> RecordError:
    """Lines of which nobody can tell whose they were: what they held is in no conversation."""
    more = f", and {len(stray) - 1:,} more such" if len(stray) > 1 else ""
    return RecordError(
        f"{run.name}: a line of which it cannot be told whose it is ({stray[0]}){more}: the "
        f"conversations are described without it; 'duologue verify {run.name}' names every place"
    )


def outcomes(
    run: Run, plan: Plan, over: Collection[str], damaged: Damaged = _refused
) -> list[tuple[str, Outcome]]:
    """The declared outcome of an experiment, cell by cell, then over all; the log is read once.

    Args:
        run: where the conversations are.
        plan: what they were planned as; it declares an outcome.
        over: the ids of those that came to an end that stands; the others count for nothing.
        damaged: is told of those that are not as they were written, which count for nothing,
            either. By default, one stops it all.

    Raises:
        RecordError: one is not as it was written, and nobody else is told.
    """
    assert plan.outcome is not None  # noqa: S101 - whoever asks has looked
    values: dict[str, Value] = {}
    for conv, state in _ended(run, over, damaged):
        one = _of_state(conv, state)
        values[conv] = value(plan.outcome, one.described, one.messages)
    cells: dict[str, list[Value]] = {cell.key: [] for cell in plan.cells}
    for each in plan.conversations:
        if each.id in values:
            cells[each.cell.key].append(values[each.id])
    everything = [found for some in cells.values() for found in some]
    table = {**{key: some for key, some in cells.items() if some}, ALL: everything}
    return [(key, outcome(plan.outcome, some)) for key, some in table.items()]


def _ended(run: Run, over: Collection[str], damaged: Damaged) -> Iterator[tuple[str, State]]:
    """Those of some conversations that are whole and have ended for good, each as it was left.

    What goes on in another segment may be met before what it goes on from.
    """
    open_: dict[str, list[Line]] = {}
    lengths: dict[str, int] = {}
    for line in run.lines():
        if (conv := line.conv) not in over:
            continue
        found = open_.setdefault(conv, [])
        found.append(line)
        event = line.record.event if line.record is not None else None
        if line.record is not None and isinstance(event, ConversationEnded) and event.stands:
            lengths[conv] = line.record.seq + 1
        if lengths.get(conv) == len(found):
            state = _state(run, conv, open_.pop(conv), damaged)
            if state is not None:
                yield conv, state


def _state(run: Run, conv: str, lines: list[Line], damaged: Damaged) -> State | None:
    """A conversation from its lines, in whatever order; None if it is not as it was written."""
    try:
        return fold(record.event for record in run.gathered(conv, lines))
    except RecordError as error:
        damaged(conv, error)
        return None


def _of_file(file: Path) -> Surveyed:
    """The conversation in a file; nothing is recorded."""
    try:
        events = take_in(file.read_bytes(), file.name)
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}") from error
    except FormatError as error:
        raise FormatError(f"{file}: {error}") from error
    return _of_state(str(file), fold(events))


def _of_state(id_: str, state: State) -> Surveyed:
    """A conversation as it stands."""
    spec = state.begun().spec
    messages = tuple(entry.message for entry in state.entries)
    foreign = any(seat.model == IMPORTED_MODEL for seat in spec.participants)
    found = described(
        id_,
        messages,
        pair=" × ".join(spec.names()) if foreign else pair(spec),
        policy="imported" if foreign else policy(spec),
        reason=_reason(state),
    )
    return Surveyed(found, messages)


def _reason(state: State) -> str | None:
    """Why a conversation ended, if it did so here."""
    if state.ended is None or state.ended.reason is EndReason.IMPORT:
        return None
    return state.ended.reason.value


async def judge(
    library: Library,
    messages: tuple[Message, ...],
    model: str,
    *,
    providers: Mapping[str, Provider] | None = None,
) -> Verdict:
    """Ask a model for its labels, or read what it answered when it was asked before.

    The conversation with it is kept in the library ``judged`` inside ``library``, under a name
    that is a digest of everything that it was asked.

    Raises:
        ConfigurationError: the model is not known.
        StoreError: the disk refused.
    """
    spec = commission(messages, model)
    digest = hashlib.blake2b(msgspec.json.encode(spec), digest_size=12).hexdigest()
    place = Library(library.path / JUDGED)
    if (place.path / digest).is_dir():
        done = recorded(*place.find(digest))
        if not done.transcript.state.over:
            done = await go_on(place, digest, providers=providers)
    else:
        done = await hold(Asked(digest, spec), place, providers=providers)
    replies = [entry.message.text for entry in done.transcript.state.entries if entry.completed]
    return Verdict(model, heard("\n".join(replies), len(messages)), done.id)
