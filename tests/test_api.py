"""What a program calls: every verb of the library, with scripts instead of models."""

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator, Mapping
from pathlib import Path

import pytest
from msgspec.structs import replace

import duologue
from duologue import api
from duologue.api import Change, Recorded
from duologue.core.event import ConversationStarted, EndReason, Event, Record, TurnCompleted
from duologue.core.message import Message, Origin
from duologue.core.provider import Call, Completion, Delta, Provider
from duologue.core.spec import ConversationSpec, Line, Participant, TurnCap
from duologue.core.specfile import Asked, document, read
from duologue.core.transcript import Spoken, Status
from duologue.errors import (
    BusyError,
    ConfigurationError,
    FormatError,
    OverloadError,
    RecordError,
    ReplayError,
    StoreError,
    UnknownIdError,
)
from duologue.providers.scripted import Scripted
from duologue.store.library import Library
from duologue.store.run import SPEC_FILE, Log, Run
from duologue.verify import verify
from recording import PAIR, TRIO, Play, log_of, scratch, unsynced

FOUNDING = """\
# A ↔ B

**Started:** 2025-10-26 17:12:18
**Ended:** 2025-10-26 17:14:42
**Messages:** 2

---

### A

the first words

---

### B

the answer

---

"""


@pytest.fixture(autouse=True, scope="module")
def _no_waiting() -> Iterator[None]:
    with unsynced():
        yield


@pytest.fixture
def library() -> Iterator[Library]:
    with scratch() as run:
        yield Library(run.path / "runs")


class StopHere(Exception):  # noqa: N818 - it stands for a kill, not for an error
    """What a watcher raises to stop a conversation from outside."""


class Stopping:
    """Lets so many records pass, then stops everything."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, item: Record | Delta) -> None:
        if isinstance(item, Record):
            self.left -= 1
            if not self.left:
                raise StopHere


async def _held(library: Library, what: Play = PAIR, name: str | None = "play") -> Recorded:
    return await api.hold(Asked(name, what.spec), library, providers=what.cast())


async def _stopped(library: Library, what: Play, after: int, name: str = "play") -> None:
    asked = Asked(name, what.spec)
    with pytest.raises(StopHere):
        await api.hold(asked, library, providers=what.cast(), watch=Stopping(after))


def _facts(library: Library, recorded: Recorded) -> list[Event]:
    return Run(recorded.folder).events(library.find(recorded.id)[1])


def _words(recorded: Recorded) -> list[str]:
    return [item.entry.message.text for item in recorded.transcript.spoken]


def _folders(library: Library) -> list[str]:
    return sorted(path.name for path in library.path.glob("*")) if library.path.exists() else []


# Holding.


async def test_a_held_conversation_is_in_the_library_as_it_was_held(library: Library) -> None:
    seen: list[Record | Delta] = []
    asked = Asked("play", PAIR.spec)
    recorded = await api.hold(asked, library, providers=PAIR.cast(), watch=seen.append)
    for prefix in ("play", recorded.id, recorded.id[:4].upper()):
        run, conv = library.find(prefix)
        assert (run.path, conv) == (recorded.folder, recorded.id)
    assert _facts(library, recorded) == await PAIR.events(recorded.id)
    assert recorded.transcript.status is Status.ENDED
    records = [item for item in seen if isinstance(item, Record)]
    assert records == Run(recorded.folder).conversation(recorded.id)
    assert _folders(library) == ["play"]


async def test_what_is_being_said_can_be_read_beside_the_log(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("duologue.store.live.EVERY_S", 0.0)
    offered = set[int]()

    def watch(item: Record | Delta) -> None:
        if isinstance(item, Delta):
            offered.add(len(list(library.path.glob("*/live-*.jsonl"))))

    recorded = await api.hold(Asked("play", PAIR.spec), library, providers=PAIR.cast(), watch=watch)
    assert 1 in offered
    assert not list(recorded.folder.glob("live-*"))


async def test_a_run_keeps_what_was_asked_for(library: Library) -> None:
    recorded = await _held(library, TRIO)
    kept = (recorded.folder / SPEC_FILE).read_text("utf-8")
    assert read(kept, SPEC_FILE) == Asked("play", TRIO.spec)


async def test_a_run_without_a_name_is_named_by_its_conversation(library: Library) -> None:
    recorded = await _held(library, name=None)
    assert recorded.folder.name == recorded.id
    assert re.fullmatch(r"[a-z]{5}-[a-z]{5}-[a-z]{5}", recorded.id)


async def test_a_name_that_is_taken_is_refused_and_the_first_run_stays(library: Library) -> None:
    first = await _held(library)
    with pytest.raises(ConfigurationError, match=r"run named 'play' already in .*--name"):
        await _held(library)
    assert _facts(library, first) == await PAIR.events(first.id)
    assert _folders(library) == ["play"]


async def test_what_cannot_be_held_leaves_nothing_behind(library: Library, tmp_path: Path) -> None:
    twice = replace(PAIR.spec, participants=PAIR.spec.participants[:1] * 2)
    for spec in (
        twice,
        PAIR.spec,  # its models name files that are not there
        _selfplay(tmp_path / "missing.jsonl"),
    ):
        with pytest.raises(ConfigurationError):
            await api.hold(Asked("play", spec), library)
    with pytest.raises(ConfigurationError, match="no provider was given for the participant 'Bo'"):
        await api.hold(Asked("play", PAIR.spec), library, providers={"Ada": Scripted(["x"])})
    assert _folders(library) == []


def test_a_program_needs_no_event_loop(library: Library) -> None:
    recorded = duologue.run(PAIR.spec, name="play", library=library, providers=PAIR.cast())
    assert recorded.folder == library.path / "play"
    assert _facts(library, recorded) == asyncio.run(PAIR.events(recorded.id))


def _selfplay(script: Path) -> ConversationSpec:
    model = f"scripted:{script}"
    seats = (Participant("Ada", model), Participant("Ada 2", model))
    return ConversationSpec(seats, opening=(Line("Ada", " "),), ending=(TurnCap(4),))


def _write_script(path: Path, *lines: str) -> Path:
    path.write_text("".join(f'"{line}"\n' for line in lines), "utf-8")
    return path


async def test_one_model_may_hold_both_seats_under_two_names(
    library: Library, tmp_path: Path
) -> None:
    script = _write_script(tmp_path / "s.jsonl", "one", "two")
    recorded = await api.hold(Asked(None, _selfplay(script)), library)
    said = [(item.entry.message.author, item.entry.message.text) for item in _spoken(recorded)]
    assert said == [("Ada", " "), ("Ada 2", "one"), ("Ada", "two"), ("Ada 2", "two")]
    started = _facts(library, recorded)[0]
    assert isinstance(started, ConversationStarted)
    assert started.seats["Ada"] == started.seats["Ada 2"]


def _spoken(recorded: Recorded) -> tuple[Spoken, ...]:
    return recorded.transcript.spoken


async def test_the_loop_alone_yields_the_facts_and_opens_the_models(tmp_path: Path) -> None:
    script = _write_script(tmp_path / "s.jsonl", "one two", "three")
    items = [item async for item in duologue.converse(_selfplay(script))]
    texts = [item.message.text for item in items if isinstance(item, TurnCompleted)]
    assert texts == ["one two", "three", "three"]
    deltas = [item.text for item in items if isinstance(item, Delta)]
    assert deltas == ["one ", "two", "three", "three"]


async def test_a_conversation_that_is_not_listened_to_lets_its_models_go() -> None:
    closed: list[str] = []

    class Closing(Scripted):
        async def stream(self, call: Call) -> AsyncGenerator[Delta | Completion, None]:
            try:
                async for item in super().stream(call):
                    yield item
            finally:
                closed.append(call.key)

    facts = duologue.converse(PAIR.spec, {name: Closing(["a b"]) for name in PAIR.spec.names()})
    async for item in facts:
        if isinstance(item, Delta):
            break
    await facts.aclose()
    assert closed == ["/Bo"]


# Going on.


async def _pieces(library: Library, what: Play, after: int) -> tuple[Recorded, list[Event]]:
    await _stopped(library, what, after)
    while True:
        try:
            done = await api.go_on(library, "play", providers=what.cast(), watch=Stopping(after))
        except StopHere:
            continue
        return done, _facts(library, done)


@pytest.mark.parametrize("what", [PAIR, TRIO], ids=["pair", "trio"])
async def test_resuming_again_and_again_ends_as_without_interruption(what: Play) -> None:
    with scratch() as run:
        whole = await _held(Library(run.path / "whole"), what)
    # Two records at a time is the least that gets anywhere: a turn started, a turn completed.
    for after in range(2, len(await what.events()) + 1):
        with scratch() as run:
            library = Library(run.path / "runs")
            done, events = await _pieces(library, what, after)
            assert _words(done) == _words(whole)
            assert done.transcript.status is whole.transcript.status
            assert [item.entry for item in _spoken(done)] == [item.entry for item in _spoken(whole)]
            assert verify(Run(done.folder)).faults == ()
            completed = [item for item in events if isinstance(item, TurnCompleted)]
            assert len({item.turn for item in completed}) == len(completed)


async def test_going_on_with_what_is_over_writes_nothing(library: Library) -> None:
    recorded = await _held(library)
    before = log_of(Run(recorded.folder)).read_bytes()
    again = await api.go_on(library, recorded.id[:4], providers=PAIR.cast())
    assert again == recorded
    assert log_of(Run(recorded.folder)).read_bytes() == before
    with pytest.raises(ConfigurationError, match=rf"is over \(max_turns\).*--at {4} --turns 14"):
        api.unfinished(library, "play")


async def test_a_conversation_does_not_go_on_with_another_script(library: Library) -> None:
    await _stopped(library, PAIR, 4)
    others = {name: Scripted(["other words"], name) for name in PAIR.spec.names()}
    before = log_of(Run(library.path / "play")).read_bytes()
    with pytest.raises(ConfigurationError, match=r"'Ada' was held by .* branch with --model"):
        await api.go_on(library, "play", providers=others)
    assert log_of(Run(library.path / "play")).read_bytes() == before


class Failing(Scripted):
    """The same model on a bad day."""

    async def stream(self, call: Call) -> AsyncGenerator[Delta | Completion, None]:
        """Say a word and break."""
        yield Delta("half ")
        raise OverloadError(f"too many requests for {call.key.rpartition('/')[2]}")


async def test_a_failed_conversation_goes_on_and_keeps_the_failure(library: Library) -> None:
    bad: Mapping[str, Provider] = {
        name: Failing(list(lines), name) for name, lines in PAIR.lines.items()
    }
    failed = await api.hold(Asked("play", PAIR.spec), library, providers=bad)
    assert failed.transcript.status is Status.FAILED
    assert api.unfinished(library, "play") == PAIR.spec
    done = await api.go_on(library, "play", providers=PAIR.cast())
    assert done.transcript.status is Status.ENDED
    (attempt,) = done.transcript.spoken[1].entry.attempts
    assert (attempt.boundary, attempt.partial) == ("overload", "half ")
    assert [mark.kind for mark in done.transcript.spoken[1].marks][:1] == ["attempt"]
    assert await api.replay(library, "play") == len(_facts(library, done))
    assert verify(Run(done.folder)).faults == ()


async def test_a_run_that_is_being_written_is_left_alone(library: Library) -> None:
    await _stopped(library, PAIR, 4)
    run = Run(library.path / "play")
    with run.writing(), pytest.raises(BusyError, match="'play' is being written by process"):
        await api.go_on(library, "play", providers=PAIR.cast())


async def test_what_was_killed_before_its_first_record_begins_when_it_is_resumed(
    library: Library,
) -> None:
    for torn in (None, b"", b'{"v":1,"co'):
        made = library.create("early", {"name": "early", **_plain(TRIO)})
        if torn is not None:
            log_of(made).write_bytes(torn)
        assert api.unfinished(library, "early") == TRIO.spec
        done = await api.go_on(library, "early", providers=TRIO.cast())
        assert _facts(library, done) == await TRIO.events(done.id)
        assert api.recorded(*library.find("early")) == done
        for path in made.path.iterdir():
            path.unlink()
        made.path.rmdir()


async def test_an_unnamed_run_that_begins_late_keeps_its_id(library: Library) -> None:
    made = library.create("lusab-babad-gutih", _plain(PAIR))
    done = await api.go_on(library, made.name, providers=PAIR.cast())
    assert (done.id, done.folder) == (made.name, made.path)


async def test_an_unknown_id_is_unknown_though_its_folder_is_there(library: Library) -> None:
    (library.path / "mine").mkdir(parents=True)
    for name in ("mine", "nobody", "", "..", "."):
        with pytest.raises(UnknownIdError):
            await api.go_on(library, name)
    assert _folders(library) == ["mine"]


def _plain(what: Play) -> dict[str, object]:
    return document(Asked(None, what.spec))


# Branching.


async def test_a_branch_begins_as_its_parent_did_at_every_message(library: Library) -> None:
    parent = await _held(library)
    for at in range(5):
        change = Change(turns=7)
        seen: list[Record | Delta] = []
        made = await api.branch(
            library, parent.id, at, change, providers=PAIR.cast(), watch=seen.append
        )
        assert _words(made)[:at] == _words(parent)[:at]
        assert len(made.transcript.spoken) == 7
        assert [item for item in seen if isinstance(item, Record)] == Run(made.folder).conversation(
            made.id
        )
        assert await api.replay(library, made.id) > at
        assert verify(Run(made.folder)).faults == ()
    assert len(_folders(library)) == 6


async def test_a_branch_of_a_branch_needs_neither_parent(library: Library) -> None:
    parent = await _held(library)
    say = Message("Ada", "what?", origin=Origin.HUMAN)
    child = await api.branch(
        library, parent.id, 3, Change(say=say, turns=6, name="child"), providers=PAIR.cast()
    )
    grandchild = await api.branch(
        library, child.id, 5, Change(turns=8, seed=11), providers=PAIR.cast()
    )
    assert _words(child)[:4] == [*_words(parent)[:3], "what?"]
    assert _words(grandchild)[:5] == _words(child)[:5]
    for folder in (parent.folder, child.folder):
        for path in folder.iterdir():
            path.unlink()
    again = api.recorded(Run(grandchild.folder), grandchild.id)
    assert again == grandchild
    forks = []
    started: ConversationStarted | None = again.transcript.state.begun()
    while started is not None and started.fork is not None:
        forks.append((started.fork.conversation, started.fork.turn))
        started = started.fork.started
    assert forks == [(child.id, 5), (parent.id, 3)]
    assert await api.replay(library, grandchild.id) > 8
    proof = verify(Run(grandchild.folder))
    assert (proof.faults, proof.requests) == ((), 6)


async def test_of_a_branch_all_that_it_inherits_is_there_or_nothing(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = await _held(library)
    append = Log.append
    for after in range(6):
        left = iter(range(after))

        def stopped(log: Log, conv: str, event: Event, left: Iterator[int] = left) -> Record:
            if next(left, None) is None:
                raise StopHere
            return append(log, conv, event)

        monkeypatch.setattr(Log, "append", stopped)
        with pytest.raises(StopHere):
            await api.branch(library, parent.id, 3, Change(turns=9), providers=PAIR.cast())
        monkeypatch.undo()
        if runs := [name for name in _folders(library) if name != "play"]:
            assert len(Run(library.path / runs[0]).events(runs[0])) == 5 == after
            break
    else:
        raise AssertionError("no branch ever began")


async def test_a_branch_that_is_interrupted_goes_on(library: Library) -> None:
    parent = await _held(library)
    say = Message("Cy", "what?", origin=Origin.HUMAN)
    change = Change(say=say, turns=9, name="child")
    whole = await api.branch(
        library, parent.id, 3, replace(change, name=None), providers=PAIR.cast()
    )
    count = len(_facts(library, whole))
    for after in range(1, count + 1):
        run = Run(library.path / "child")
        with pytest.raises(StopHere):
            await api.branch(
                library, parent.id, 3, change, providers=PAIR.cast(), watch=Stopping(after)
            )
        done = await api.go_on(library, "child", providers=PAIR.cast())
        assert _words(done) == _words(whole)
        assert verify(run).faults == ()
        for path in run.path.iterdir():
            path.unlink()
        run.path.rmdir()


async def test_an_interrupted_conversation_can_be_branched(library: Library) -> None:
    await _stopped(library, PAIR, 5)
    made = await api.branch(library, "play", 2, Change(turns=4), providers=PAIR.cast())
    assert len(made.transcript.spoken) == 4


@pytest.mark.parametrize(
    ("at", "change", "match"),
    [
        (5, Change(turns=9), "has 4 messages: it cannot be left at 5"),
        (-1, Change(), "cannot be left at -1"),
        (4, Change(), "begins with 4 messages and its cap is 4.*--turns 14"),
        (3, Change(say=Message("Ada", "x", origin=Origin.HUMAN)), "begins with 4 messages"),
        (2, Change(models={"Zed": "scripted:z"}), "names 'Zed', but the participants are Ada, Bo"),
        (2, Change(turns=9, models={"Bo": "nope:z"}), "unknown provider 'nope'"),
        (2, Change(turns=9, say=Message("Ada", "x")), "would pass for a model's"),
        (2, Change(turns=0), "not valid|cap is 0"),
    ],
)
async def test_a_branch_that_makes_no_sense_is_refused_and_leaves_nothing(
    library: Library, at: int, change: Change, match: str
) -> None:
    parent = await _held(library)
    providers = None if "Bo" in change.models else PAIR.cast()
    if providers is None:
        script = _write_script(library.path / "s.jsonl", "x")
        change = replace(change, models={"Ada": f"scripted:{script}", **change.models})
    with pytest.raises(ConfigurationError, match=match):
        await api.branch(library, parent.id, at, change, providers=providers)
    assert [name for name in _folders(library) if name != "s.jsonl"] == ["play"]


async def test_another_model_takes_a_seat_in_a_branch(library: Library, tmp_path: Path) -> None:
    script = _write_script(tmp_path / "s.jsonl", "one", "two")
    parent = await api.hold(Asked("play", _selfplay(script)), library)
    other = _write_script(tmp_path / "o.jsonl", "three", "four")
    change = Change(models={"Ada": f"scripted:{other}"})
    made = await api.branch(library, parent.id, 2, change)
    assert _words(made) == [" ", "one", "four", "two"]
    spec = made.transcript.state.begun().spec
    assert [seat.model for seat in spec.participants] == [f"scripted:{other}", f"scripted:{script}"]


async def test_a_branch_whose_name_is_taken_leaves_both_runs_alone(library: Library) -> None:
    parent = await _held(library)
    before = log_of(Run(parent.folder)).read_bytes()
    with pytest.raises(ConfigurationError, match="there is a run named 'play' already"):
        await api.branch(library, "play", 1, Change(name="play"), providers=PAIR.cast())
    assert log_of(Run(parent.folder)).read_bytes() == before
    assert _folders(library) == ["play"]


# Replaying.


async def test_replaying_shows_the_words_and_writes_nothing(library: Library) -> None:
    recorded = await _held(library)
    before = {path.name: path.read_bytes() for path in recorded.folder.glob("log-*")}
    seen: list[Record | Delta] = []
    assert await api.replay(library, "play", watch=seen.append) == len(await PAIR.events())
    texts = _words(recorded)[1:]
    assert [item.text for item in seen if isinstance(item, Delta)] == [t for t in texts if t]
    assert before == {path.name: path.read_bytes() for path in recorded.folder.glob("log-*")}


@pytest.mark.parametrize("word", ["the cap of", "two", '"turn":3'])
async def test_a_changed_log_is_not_replayed_wherever_it_was_changed(
    library: Library, word: str
) -> None:
    recorded = await _held(library)
    log = log_of(Run(recorded.folder))
    assert word.encode() in log.read_bytes()
    log.write_bytes(log.read_bytes().replace(word.encode(), word.encode()[:-1] + b"5", 1))
    with pytest.raises(RecordError, match=r"log-1\.jsonl, line \d+: "):
        await api.replay(library, recorded.id)


async def test_a_log_with_a_line_taken_out_is_not_replayed(library: Library) -> None:
    recorded = await _held(library)
    log = log_of(Run(recorded.folder))
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:3] + lines[4:]))
    with pytest.raises(RecordError, match="line 4: a line before this one was taken out"):
        await api.replay(library, recorded.id)


# Importing.


def _file(library: Library, data: str | bytes, name: str = "talk.md") -> Path:
    folder = library.path.parent / "files"
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_bytes(data.encode() if isinstance(data, str) else data)
    return file


async def test_an_imported_conversation_is_read_like_any_other(library: Library) -> None:
    recorded = api.bring_in(library, _file(library, FOUNDING))
    assert recorded.folder.name == f"talk-{recorded.id}"
    assert _words(recorded) == ["the first words", "the answer"]
    assert recorded.transcript.status is Status.IMPORTED
    assert {item.entry.message.origin for item in _spoken(recorded)} == {Origin.IMPORT}
    assert verify(Run(recorded.folder)).faults == ()
    kept = read((recorded.folder / SPEC_FILE).read_text("utf-8"), SPEC_FILE)
    assert kept.spec == recorded.transcript.state.begun().spec
    assert recorded.transcript.state.ended is not None
    assert recorded.transcript.state.ended.reason is EndReason.IMPORT


async def test_an_import_cannot_be_resumed_or_replayed_but_branched_with_models(
    library: Library, tmp_path: Path
) -> None:
    recorded = api.bring_in(library, _file(library, FOUNDING), name="old")
    with pytest.raises(ConfigurationError, match=r"is over \(import\).*branch .* --at 2"):
        api.unfinished(library, "old")
    with pytest.raises(ReplayError, match="nothing to replay"):
        await api.replay(library, "old")
    with pytest.raises(ConfigurationError, match=r"seat of 'A' is not known.*--model 'A=MODEL'"):
        await api.branch(library, "old", 2, Change(turns=4))
    model = f"scripted:{_write_script(tmp_path / 's.jsonl', 'one', 'two')}"
    change = Change(models={"A": model, "B": model}, turns=4)
    made = await api.branch(library, recorded.id, 2, change)
    assert _words(made) == ["the first words", "the answer", "two", "two"]
    assert await api.replay(library, made.id) > 2
    assert verify(Run(made.folder)).faults == ()


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "looks like none of the known formats"),
        (b"PK\x03\x04", "looks like none of the known formats"),
        (b"# A\xff\n", "not UTF-8|UTF-8"),
        (FOUNDING.replace("Messages:** 2", "Messages:** 3").encode(), "line"),
        (b'{"author": "A"}\n', "line 1: `text` must be a string"),
    ],
)
def test_a_file_that_is_not_a_conversation_is_refused_and_leaves_nothing(
    library: Library, data: bytes, match: str
) -> None:
    with pytest.raises(FormatError, match=match):
        api.bring_in(library, _file(library, data))
    assert _folders(library) == []


def test_a_file_that_cannot_be_read_is_named(library: Library) -> None:
    with pytest.raises(ConfigurationError, match=r"gone\.md cannot be read: No such file"):
        api.bring_in(library, library.path / "gone.md")
    library.path.mkdir()
    with pytest.raises(ConfigurationError, match="cannot be read: Is a directory"):
        api.bring_in(library, library.path)


def test_a_file_whose_name_is_not_utf8_is_imported_with_the_byte_as_its_escape(
    library: Library,
) -> None:
    recorded = api.bring_in(library, _file(library, FOUNDING, "caf\udce9.md"))
    source = recorded.transcript.state.begun().source
    assert source is not None
    assert source.file == "caf\\xe9.md"


def test_an_import_that_the_disk_refuses_leaves_no_half(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    file = _file(library, FOUNDING)
    monkeypatch.setattr("duologue.store.segment.Segment._write", full)
    with pytest.raises(StoreError, match="No space left on device"):
        api.bring_in(library, file, name="old")
    assert _folders(library) == []


def test_a_run_that_cannot_be_moved_to_its_place_is_not_made(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(39, "Directory not empty")

    monkeypatch.setattr("pathlib.Path.rename", refuse)
    with pytest.raises(StoreError, match="cannot be made: Directory not empty"):
        api.bring_in(library, _file(library, FOUNDING), name="old")
    assert _folders(library) == []


async def test_a_run_in_which_nothing_came_to_be_recorded_is_removed(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("duologue.store.segment.Segment._write", full)
    with pytest.raises(StoreError, match="No space left on device"):
        await _held(library)
    assert _folders(library) == []
