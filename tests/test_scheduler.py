"""Laws 1 and 5, through the one function that writes conversations down."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from duologue.core.event import AttemptFailed, Event, Record, TurnCompleted, TurnStarted
from duologue.core.provider import Delta
from duologue.core.state import fold
from duologue.core.transcript import Mark, Transcript, transcript
from duologue.errors import ConfigurationError, OverloadError, StoreError, UnrecordedError
from duologue.providers.scripted import Reply, Scripted
from duologue.scheduler import record
from duologue.store.run import Run
from duologue.store.segment import Segment
from duologue.verify import verify
from recording import (
    CONV,
    PAIR,
    TRIO,
    Play,
    folder,
    hold,
    log_of,
    play,
    scratch,
    ticking,
    unsynced,
    unwatched,
)


@pytest.fixture(autouse=True, scope="module")
def _no_waiting() -> Iterator[None]:
    with unsynced():
        yield


async def test_every_fact_is_in_the_log_before_the_loop_goes_on(tmp_path: Path) -> None:
    run = folder(tmp_path / "run")
    on_disk: list[int] = []
    seen: list[Record | Delta] = []

    def watch(item: Record | Delta) -> None:
        seen.append(item)
        on_disk.append(log_of(run).read_bytes().count(b"\n"))

    with run.writing(ticking()) as log:
        await record(log, CONV, PAIR.spec, PAIR.cast(), watch=watch)
    records = [item for item in seen if isinstance(item, Record)]
    assert [item.event for item in records] == await PAIR.events(CONV)
    assert records == run.conversation(CONV)
    written = 0
    for item, lines in zip(seen, on_disk, strict=True):
        written += isinstance(item, Record)
        assert lines == written
    assert any(isinstance(item, Delta) for item in seen)


async def test_what_is_recorded_in_bulk_leaves_no_live_text_beside_the_log(tmp_path: Path) -> None:
    run, beside = folder(tmp_path / "run"), set[str]()

    def watch(item: Record | Delta) -> None:
        if isinstance(item, Delta):
            beside.update(path.name.split("-")[0] for path in run.path.iterdir())

    with run.writing(ticking()) as log:
        await record(log, CONV, PAIR.spec, PAIR.cast(), watch=watch)
    assert "log" in beside
    assert "live" not in beside


async def test_a_conversation_that_ended_is_left_as_it_is(tmp_path: Path) -> None:
    run = folder(tmp_path / "run")
    await hold(run, TRIO)
    before = log_of(run).read_bytes()
    await hold(run, TRIO)
    assert log_of(run).read_bytes() == before


async def test_a_cast_that_does_not_fit_leaves_no_trace(tmp_path: Path) -> None:
    run, cast = folder(tmp_path / "run"), {"Ada": PAIR.cast()["Ada"]}
    with run.writing() as log, pytest.raises(ConfigurationError, match="'Bo'"):
        await record(log, CONV, PAIR.spec, cast, watch=unwatched)
    assert log_of(run).read_bytes() == b""


async def test_a_disk_that_refuses_stops_the_conversation_with_what_it_has(tmp_path: Path) -> None:
    run = folder(tmp_path / "run")

    def watch(item: Record | Delta) -> None:
        if isinstance(item, Record) and item.seq == 4:
            raise StoreError("the disk is full")

    with run.writing(ticking()) as log, pytest.raises(StoreError, match="full"):
        await record(log, CONV, PAIR.spec, PAIR.cast(), watch=watch)
    assert run.events(CONV) == (await PAIR.events(CONV))[:5]


@pytest.mark.parametrize("what", [PAIR, TRIO], ids=["two seats", "three seats"])
async def test_a_log_cut_at_any_byte_resumes_to_the_same_end(what: Play) -> None:
    """Every cut is opened; what that leaves depends on whole lines only, so not all are resumed."""
    whole = await what.events(CONV)
    with scratch() as run:
        await hold(run, what)
        data = log_of(run).read_bytes()
        assert data.count(b"\n") == len(whole) > 7
        for cut in range(len(data) + 1):
            left = data[:cut]
            _open(run, left, whole)
            if cut % 11 == 0 or b"\n" in data[max(cut - 2, 0) : cut + 2]:
                await _resume(run, what, left, whole)


def _cut(run: Run, left: bytes) -> None:
    """Put the run into the state in which a kill could have left it."""
    for path in run.path.glob("log-*.torn-*"):
        path.unlink()
    log_of(run).write_bytes(left)


def _open(run: Run, left: bytes, whole: list[Event]) -> None:
    """Nothing completed is lost, and the torn tail is set aside byte for byte."""
    _cut(run, left)
    kept, torn = left[: left.rfind(b"\n") + 1], left[left.rfind(b"\n") + 1 :]
    Segment(log_of(run)).close()
    assert log_of(run).read_bytes() == kept
    assert _aside(run) == ({f"log-1.jsonl.torn-{len(kept)}": torn} if torn else {})
    assert run.events(CONV) == whole[: kept.count(b"\n")]


async def _resume(run: Run, what: Play, left: bytes, whole: list[Event]) -> None:
    """Go on from a cut, and compare with what nothing interrupted."""
    _cut(run, left)
    await hold(run, what)
    events = run.events(CONV)
    assert events[: left.count(b"\n")] == whole[: left.count(b"\n")]
    assert fold(events) == fold(whole)
    assert _read(events) == _read(whole)
    assert _turns(events) == _turns(whole)
    proof = verify(run)
    assert proof.faults == ()
    assert proof.unfinished == 0
    assert proof.records == len(events)
    assert proof.requests == sum(isinstance(event, TurnStarted) for event in events)
    assert proof.torn == tuple(_aside(run))


def _aside(run: Run) -> dict[str, bytes]:
    """What was set aside, byte for byte."""
    return {path.name: path.read_bytes() for path in run.path.glob("*.torn-*")}


def _turns(events: list[Event]) -> list[tuple[int, str]]:
    """What was said in which turn, as often as the log says so."""
    return [(item.turn, item.message.text) for item in events if isinstance(item, TurnCompleted)]


def _read(events: list[Event]) -> tuple[object, ...]:
    """The transcript without the mark that an interrupted turn rightly carries."""
    found = transcript(events)
    return (found.status, found.pending, found.names, [_marks(found, n) for n in _places(found)])


def _places(found: Transcript) -> range:
    return range(len(found.spoken))


def _marks(found: Transcript, number: int) -> tuple[object, list[Mark]]:
    spoken = found.spoken[number]
    return spoken.entry, [mark for mark in spoken.marks if mark.kind != "interrupted"]


async def test_a_provider_that_never_waits_lets_others_be_heard_after_its_turn(
    tmp_path: Path,
) -> None:
    what = play({"Ada": ("a",) * 60, "Ben": ("b",) * 60}, 100)
    run = folder(tmp_path / "run")
    with run.writing(ticking()) as log:
        talk = record(log, CONV, what.spec, what.cast(), watch=unwatched)
        talking = asyncio.create_task(talk)
        await asyncio.sleep(0)
        talking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await talking
    said = [event for event in run.events(CONV) if isinstance(event, TurnCompleted)]
    assert len(said) == 1


async def test_an_interruption_is_marked_and_nothing_else_is(tmp_path: Path) -> None:
    run = folder(tmp_path / "run")
    await hold(run, PAIR)
    data = log_of(run).read_bytes()
    started = [at for at, line in enumerate(data.split(b"\n")) if b'"turn_started"' in line]
    cut = b"\n".join(data.split(b"\n")[: started[1] + 1]) + b"\n"
    log_of(run).write_bytes(cut)
    await hold(run, PAIR)
    marked = [
        (item.entry.turn, mark.text)
        for item in transcript(run.events(CONV)).spoken
        for mark in item.marks
        if mark.kind == "interrupted"
    ]
    assert marked == [(3, "interrupted: this turn was started 2 times")]


async def test_the_log_grows_in_proportion_to_the_turns() -> None:
    sizes, longest = {}, {}
    for turns in (50, 100, 200):
        with scratch() as run:
            await hold(run, play({"Ada": ("a" * 200,), "Bo": ("b" * 200,)}, turns))
            data = log_of(run).read_bytes()
        sizes[turns] = len(data)
        longest[turns] = max(map(len, data.split(b"\n")[1:]))
    first, second = sizes[100] - sizes[50], sizes[200] - sizes[100]
    # Numbers of three digits instead of two are all that may be added.
    assert second == pytest.approx(2 * first, rel=0.01)
    assert longest[200] - longest[50] <= 4


_FINISHED = """Message 2, by Bo, was finished and could not be recorded. These were its words:
two
lines
Before them it thought:
hm"""
_FAILED = """Message 2, by Bo, failed (overload) and could not be recorded. This had arrived of it:
half a"""


@pytest.mark.parametrize(
    ("refused", "said"),
    [
        (Reply("two\nlines", reasoning="hm"), _FINISHED),
        (OverloadError("busy", partial="half a"), _FAILED),
        (OverloadError("busy"), "the disk is full"),
    ],
    ids=["a message", "a part of one", "nothing"],
)
async def test_words_that_the_disk_refuses_are_handed_to_the_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Reply | OverloadError, said: str
) -> None:
    made = folder(tmp_path / "full")
    cast = PAIR.cast() | {"Bo": Scripted([refused], "Bo")}
    with made.writing() as log:
        append = log.append

        def refuse(conv: str, event: Event) -> Record:
            if isinstance(event, TurnCompleted | AttemptFailed):
                raise StoreError("the disk is full")
            return append(conv, event)

        monkeypatch.setattr(log, "append", refuse)
        with pytest.raises(StoreError) as told:
            await record(log, CONV, PAIR.spec, cast, watch=unwatched)
    assert isinstance(told.value, UnrecordedError) == isinstance(refused, Reply)
    assert str(told.value).endswith(said)
    assert str(told.value).startswith("the disk is full")
