"""What a program calls: hold a conversation, go on with one, branch, replay, import.

Here specs meet providers and the library; everything below is passed to everything else from
here. The command line is a thin layer over this module. It knows nothing about terminals.
"""

import os
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from pathlib import Path

import msgspec
from msgspec.structs import replace

from duologue.conversation import converse as _converse
from duologue.conversation import rehearse
from duologue.core.branch import branch as _branch
from duologue.core.detectors import Detectors, require
from duologue.core.event import EndReason, Event, Record
from duologue.core.ids import ID_BYTES, speakable
from duologue.core.message import Message
from duologue.core.provider import Delta, Provider
from duologue.core.spec import ConversationSpec, Ending, Participant, bound, capped, check
from duologue.core.specfile import Asked, document, read
from duologue.core.state import State, fold
from duologue.core.transcript import Transcript, transcript
from duologue.endings.detectors import Lookout
from duologue.errors import ConfigurationError, FormatError, RecordError, StoreError, UnknownIdError
from duologue.formats.crossing import IMPORTED_MODEL, take_in
from duologue.providers.registry import seated, split
from duologue.replaying import replay as _replay
from duologue.scheduler import Watch, record
from duologue.store.disk import move
from duologue.store.library import Library, folder_name
from duologue.store.run import SPEC_FILE, Run
from duologue.verify import verify


class Recorded(msgspec.Struct, frozen=True):
    """A conversation in the library.

    Attributes:
        id: its id.
        folder: its run's folder.
        transcript: the conversation as it stands.
    """

    id: str
    folder: Path
    transcript: Transcript


def _unseen(_: Record | Delta) -> None:
    """Watch nothing."""


async def converse(
    spec: ConversationSpec,
    providers: Mapping[str, Provider] | None = None,
    history: Iterable[Event] = (),
    *,
    detectors: Detectors | None = None,
) -> AsyncGenerator[Event | Delta, None]:
    """Hold a conversation without recording it: the loop itself.

    Args:
        spec: what to hold.
        providers: who answers, by participant's name; by default whoever the models name.
        history: the facts so far; they are not yielded again.
        detectors: what sees the signs that the spec's detectors name; by default duologue's own.

    Yields:
        Event: a fact.
        Delta: live text of the turn in progress.

    Raises:
        ConfigurationError: a model is unknown or not installed, or the spec does not make sense.
    """
    async with AsyncExitStack() as stack:
        seeing = Lookout() if detectors is None else detectors
        require(spec.ending, seeing)
        if providers is None:
            providers = await stack.enter_async_context(seated(check(spec)))
        held = _converse(spec, providers, history, detectors=seeing)
        facts = await stack.enter_async_context(aclosing(held))
        async for item in facts:
            yield item


async def hold(
    asked: Asked,
    library: Library,
    *,
    providers: Mapping[str, Provider] | None = None,
    watch: Watch = _unseen,
) -> Recorded:
    """Hold a new conversation in a run of its own.

    Args:
        asked: what to hold, and the run's name, if it is to have one.
        library: where to keep the run.
        providers: who answers, by participant's name; by default whoever the models name.
        watch: sees every record after it was written, and every delta.

    Raises:
        ConfigurationError: nothing was started, and nothing was left behind.
        StoreError: the disk refused; everything before is in the log.
    """
    conv = new_id()
    require(asked.spec.ending, Lookout())
    async with AsyncExitStack() as stack:
        if providers is None:
            providers = await stack.enter_async_context(seated(check(asked.spec)))
        made = _settle(library, asked, conv)
        try:
            with made.writing() as log:
                await record(log, conv, asked.spec, providers, watch=watch, detectors=Lookout())
        finally:
            library.tidy(made)
    return recorded(made, conv)


def _settle(library: Library, asked: Asked, conv: str, facts: Sequence[Event] = ()) -> Run:
    """A new run that holds ``facts``, all of them or none: whoever is killed leaves no half.

    It is made in a corner of the library where nobody looks, and moved to its place when whole.

    Raises:
        ConfigurationError: there is such a run already.
        StoreError: the disk refused; nothing is left behind.
    """
    place = library.path / folder_name(asked.name or conv)
    if os.path.lexists(place):
        raise ConfigurationError(
            f"there is a run named {place.name!r} already in {library.path}: choose another --name"
        )
    try:
        with library.corner() as corner:
            made = corner.create(conv, document(asked))
            if facts:
                with made.writing() as log:
                    for event in facts:
                        log.append(conv, event)
            move(made.path, place)
    except OSError as error:
        raise StoreError(
            f"the run folder {place} cannot be made: {error.strerror}; give another --library"
        ) from error
    return Run(place)


def run(
    spec: ConversationSpec,
    *,
    name: str | None = None,
    library: Library | None = None,
    providers: Mapping[str, Provider] | None = None,
) -> Recorded:
    """Hold a new conversation, record it, and return it; the synchronous form of ``hold``.

    Raises:
        ConfigurationError: nothing was started.
        StoreError: the disk refused; everything before is in the log.
    """
    import asyncio  # noqa: PLC0415 - most readers of a record never need a loop

    return asyncio.run(hold(Asked(name, spec), library or Library(), providers=providers))


async def go_on(
    library: Library,
    prefix: str,
    *,
    providers: Mapping[str, Provider] | None = None,
    watch: Watch = _unseen,
) -> Recorded:
    """Go on with a conversation that was interrupted, or that failed.

    One that was stopped before its first record is begun, as its run's ``experiment.toml`` asks.

    Args:
        library: where it is.
        prefix: the beginning of its id, or its run's name.
        providers: who answers; by default whoever the recorded models name.
        watch: sees every new record after it was written, and every delta.

    Raises:
        ConfigurationError: its models are not what they were; nothing was written.
        BusyError: another process is writing the run.
    """
    found, conv = _located(library, prefix)
    async with AsyncExitStack() as stack:
        log = stack.enter_context(found.writing())
        history = log.take_up(conv)
        spec = fold(history).begun().spec if history else _asked(found).spec
        if providers is None:
            providers = await stack.enter_async_context(seated(spec))
        await record(log, conv, spec, providers, history=history, watch=watch, detectors=Lookout())
    return recorded(found, conv)


def unfinished(library: Library, prefix: str) -> ConversationSpec:
    """What a conversation that can be gone on with was begun, or is to begin, with.

    Raises:
        ConfigurationError: it is over.
        UnknownIdError: nothing, or more than one thing, answers to ``prefix``.
    """
    found, conv = _located(library, prefix)
    events = found.events(conv)
    if not events:
        return _asked(found).spec
    state = fold(events)
    count = len(state.entries)
    if (ended := state.ended) is not None and ended.stands:
        unknown = " --model NAME=MODEL …" if ended.reason is EndReason.IMPORT else ""
        raise ConfigurationError(
            f"{conv} is over ({ended.reason.value}): 'duologue branch {conv} --at {count} "
            f"--turns {count + 10}{unknown}' goes on from its end"
        )
    return state.begun().spec


def _located(library: Library, prefix: str) -> tuple[Run, str]:
    """The run and the id of a conversation, or of one that is still to begin.

    A process that is killed between making its run and writing the first record leaves a run
    without a conversation, which only its name can find.
    """
    try:
        return library.find(prefix)
    except UnknownIdError:
        left = Run(library.path / folder_name(prefix))
        if not (left.path / SPEC_FILE).is_file() or any(left.records()):
            raise
        return left, left.name if _asked(left).name is None else new_id()


def _asked(found: Run) -> Asked:
    """What was asked for when a run was made."""
    file = found.path / SPEC_FILE
    return read(file.read_text("utf-8"), str(file))


class Change(msgspec.Struct, frozen=True):
    """What a branch changes.

    Attributes:
        models: other models for participants, by name.
        turns: another cap of messages in all.
        seed: another seed.
        say: a message to inject after the inherited ones.
        name: the new run's name.
        context: tokens of context for every local model.
    """

    models: Mapping[str, str] = {}
    turns: int | None = None
    seed: int | None = None
    say: Message | None = None
    name: str | None = None
    context: int | None = None


async def branch(
    library: Library,
    prefix: str,
    at: int,
    change: Change,
    *,
    providers: Mapping[str, Provider] | None = None,
    watch: Watch = _unseen,
) -> Recorded:
    """Start a conversation from the first ``at`` messages of another, in a run of its own.

    Args:
        library: where the parent is, and where the branch will be.
        prefix: the beginning of the parent's id, or its run's name.
        at: the last message that is inherited, counted from 1; 0 inherits none.
        change: what is different from the parent.
        providers: who answers; by default whoever the models name.
        watch: sees every record after it was written, inherited ones too, and every delta.

    Raises:
        ConfigurationError: the parent has no such message, or a model is not known.
    """
    found, parent = library.find(prefix)
    events = found.events(parent)
    spec = changed(fold(events), change, at)
    conv = new_id()
    async with AsyncExitStack() as stack:
        if providers is None:
            providers = await stack.enter_async_context(seated(spec))
        seats = {name: providers[name].seat for name in spec.names()}
        history = _branch(events, parent, at, spec=spec, seats=seats, say=change.say)
        rehearse(fold(history))
        begun = fold(history).begun().spec
        made = _settle(library, Asked(change.name, begun), conv, history)
        with made.writing() as log:
            log.take_up(conv)
            for inherited in made.conversation(conv):
                watch(inherited)
            await record(
                log, conv, begun, providers, history=history, watch=watch, detectors=Lookout()
            )
    return recorded(made, conv)


def changed(parent: State, change: Change, at: int) -> ConversationSpec:
    """A parent's spec with the changes of a branch that leaves it at message ``at``.

    Raises:
        ConfigurationError: there is no such message, a change names nobody, a model is not known,
            or no turn would be left.
    """
    if not 0 <= at <= len(parent.entries):
        raise ConfigurationError(
            f"the conversation has {len(parent.entries)} messages: it cannot be left at {at}; "
            f"choose a number from 0 to {len(parent.entries)}"
        )
    spec = parent.begun().spec
    for name in change.models:
        if name not in spec.names():
            raise ConfigurationError(
                f"--model names {name!r}, but the participants are {', '.join(spec.names())}"
            )
    seats = tuple(_moved(seat, change) for seat in spec.participants)
    for seat in seats:
        if seat.model == IMPORTED_MODEL:
            raise ConfigurationError(
                f"which model held the seat of {seat.name!r} is not known, it was imported: "
                f"give one with --model '{seat.name}=MODEL'"
            )
    if change.context is not None and all(seat.context is None for seat in seats):
        raise ConfigurationError(
            "a context is given, and no seat has a local model: a hosted model has its own"
        )
    ending = _with_cap(spec.ending, change.turns, at + (change.say is not None))
    seed = spec.seed if change.seed is None else change.seed
    return check(replace(spec, participants=seats, ending=ending, seed=seed))


def _moved(seat: Participant, change: Change) -> Participant:
    """A seat with another model, if one is given; an address is its provider's and stays behind.

    So does a context, where the other model is not local.
    """
    model = change.models.get(seat.name, seat.model)
    same = model.partition(":")[0] == seat.model.partition(":")[0]
    local = model != IMPORTED_MODEL and split(model)[0] == "local"
    context = seat.context if change.context is None else change.context
    return replace(
        seat,
        model=model,
        base_url=seat.base_url if same else None,
        context=context if local else None,
    )


def _with_cap(ending: tuple[Ending, ...], turns: int | None, held: int) -> tuple[Ending, ...]:
    """The rules with another cap, if one is given; a cap that leaves no turn is refused."""
    if turns is not None:
        ending = capped(ending, turns)
    cap = bound(ending) or 0
    if cap <= held:
        raise ConfigurationError(
            f"the branch begins with {held} messages and its cap is {cap}, so nobody would speak: "
            f"give --turns, for instance --turns {held + 10}"
        )
    return ending


async def replay(library: Library, prefix: str, *, watch: Watch = _unseen) -> int:
    """Execute a conversation again, answered from its own log; nothing is written.

    Args:
        library: where it is.
        prefix: the beginning of its id, or its run's name.
        watch: sees every delta.

    Returns:
        How many facts came out as they are recorded: all of them.

    Raises:
        RecordError: the run's record is not what was written; ``duologue.verify`` finds more.
        ReplayError: a request, or what followed from a reply, is not as recorded.
    """
    found, conv = library.find(prefix)
    for fault in verify(found).faults:
        raise RecordError(f"{found.path}: {fault.place}: {fault.what}")

    def seen(item: Event | Delta) -> None:
        if isinstance(item, Delta):
            watch(item)

    return await _replay(found.events(conv), seen, detectors=Lookout())


def bring_in(
    library: Library, file: Path, *, name: str | None = None, form: str | None = None
) -> Recorded:
    """Import a conversation from a file, into a run of its own.

    Args:
        library: where to keep it.
        file: what to read.
        name: the run's name; by default the file's.
        form: the format's name; by default what the file looks like.

    Raises:
        ConfigurationError: the file cannot be read.
        FormatError: it is not of that format; nothing was made.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}") from error
    try:
        events = take_in(data, _escaped(file.name), form)
    except FormatError as error:
        raise FormatError(f"{file}: {error}") from error
    conv = new_id()
    asked = Asked(name or f"{_escaped(file.stem)}-{conv}", fold(events).begun().spec)
    return recorded(_settle(library, asked, conv, events), conv)


def _escaped(name: str) -> str:
    """A file's name as text that can be written down: a byte that is not UTF-8 as its escape."""
    return os.fsencode(name).decode(errors="backslashreplace")


def recorded(found: Run, conv: str) -> Recorded:
    """A conversation of a run, as it stands in the log.

    Raises:
        RecordError: its record is damaged.
    """
    return Recorded(conv, found.path, transcript(found.events(conv)))


def new_id() -> str:
    """An id for a conversation that no plan names: by chance."""
    return speakable(os.urandom(ID_BYTES))
