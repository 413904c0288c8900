"""How conversations stand, from a glance at each line."""

import os
from pathlib import Path

import pytest

from duologue.core.event import (
    AttemptFailed,
    ConversationEnded,
    EndReason,
    Event,
    TurnCompleted,
    TurnStarted,
)
from duologue.core.message import Message
from duologue.core.provider import Usage
from duologue.errors import BusyError, LeavingError, RecordError, StoreError
from duologue.store import standing
from duologue.store.run import Run
from duologue.store.segment import whose
from duologue.store.standing import Dearest, Fact, Spend, Standings, spent
from recording import CONV, OTHER, PAIR, folder, log_of, ticking, write


async def _pair(run: Run) -> list[Event]:
    """One whole conversation, and one that was interrupted in its second turn."""
    events = await PAIR.events(CONV)
    write(run, CONV, events)
    write(run, OTHER, events[:4])
    return events


async def test_what_ended_is_over_and_what_did_not_says_where_it_stands(tmp_path: Path) -> None:
    run = folder(tmp_path / "run")
    events = await _pair(run)
    found = Standings(run).catch_up()
    assert found.of[CONV].over
    assert found.of[CONV].places == []
    assert found.of[CONV].messages == 4
    left = found.of[OTHER]
    assert (left.over, left.failed, left.damage) == (False, False, None)
    assert [record.event for record in run.sound(OTHER, left.places)] == events[:4]
    assert found.spend.turns == 4
    assert found.unfinished == 1


async def test_only_what_was_appended_is_read_again(tmp_path: Path) -> None:
    run = folder(tmp_path / "run")
    events = await _pair(run)
    found = Standings(run).catch_up()
    assert list(found.read_on()) == []
    write(run, OTHER, events[4:])
    assert len(list(found.read_on())) == len(events) - 4
    assert found.of[OTHER].over


async def test_a_line_that_is_still_being_written_is_waited_for(tmp_path: Path) -> None:
    run = folder(tmp_path / "run")
    await _pair(run)
    whole = log_of(run).read_bytes()
    log_of(run).write_bytes(whole[:-5])
    found = Standings(run).catch_up()
    assert found.of[OTHER].records == 3
    log_of(run).write_bytes(whole)
    assert found.catch_up().of[OTHER].records == 4


async def test_a_conversation_that_goes_on_in_an_earlier_segment_is_one(tmp_path: Path) -> None:
    run = folder(tmp_path / "run")
    events = await PAIR.events(CONV)
    with run.held(), run.appending(2, ticking()) as log:
        for event in events[:3]:
            log.append(CONV, event)
    places = Standings(run).catch_up().of[CONV].places
    with run.held(), run.appending(1, ticking()) as log:
        assert log.take_up(CONV, places) == events[:3]
        for event in events[3:]:
            log.append(CONV, event)
    found = Standings(run).catch_up().of[CONV]
    assert (found.over, found.damage, found.places) == (True, None, [])
    assert run.events(CONV) == events


async def test_damage_is_named_and_the_rest_can_be_read(tmp_path: Path) -> None:
    run = folder(tmp_path / "run")
    await _pair(run)
    lines = log_of(run).read_bytes().splitlines(keepends=True)
    newer = lines[1].replace(b'{"v":1', b'{"v":9')
    nameless = b"\xff\n"
    log_of(run).write_bytes(b"".join([lines[0], newer, *lines[2:-1], b"[" + lines[-1], nameless]))
    found = Standings(run).catch_up()
    assert "line 2: of version 9" in (found.of[CONV].damage or "")
    assert "not a record" in (found.of[OTHER].damage or "")
    assert len(found.problems) == 3


async def test_a_missing_record_is_damage(tmp_path: Path) -> None:
    run = folder(tmp_path / "run")
    await _pair(run)
    lines = log_of(run).read_bytes().splitlines(keepends=True)
    log_of(run).write_bytes(b"".join(lines[:-3] + lines[-2:]))
    found = Standings(run).catch_up()
    assert found.of[OTHER].damage == "records are missing, or there twice"
    with pytest.raises(RecordError, match="is missing"):
        run.sound(OTHER, found.of[OTHER].places)


async def test_a_place_of_another_conversation_is_refused(tmp_path: Path) -> None:
    run = folder(tmp_path / "run")
    await _pair(run)
    places = Standings(run).catch_up().of[OTHER].places
    with pytest.raises(RecordError, match=OTHER):
        run.sound(CONV, places)
    with pytest.raises(StoreError, match="cannot be read"):
        run.sound(CONV, [("log-9.jsonl", 0, 5)])


async def test_lines_may_be_counted_from_any_of_them(tmp_path: Path) -> None:
    run = folder(tmp_path / "run")
    await _pair(run)
    everything = list(whose(log_of(run)))
    assert {conv for conv, _, _ in everything} == {CONV, OTHER}
    assert list(whose(log_of(run), everything[3][1])) == everything[3:]
    with log_of(run).open("ab") as file:
        file.write(b"half")
    assert list(whose(log_of(run))) == everything
    with pytest.raises(StoreError, match="cannot be read"):
        list(whose(run.path / "log-9.jsonl"))


async def test_a_record_that_is_read_late_does_not_undo_an_end(tmp_path: Path) -> None:
    run = folder(tmp_path / "run")
    events = await PAIR.events(CONV)
    write(run, CONV, events)
    whole = log_of(run).read_bytes().splitlines(keepends=True)
    log_of(run).write_bytes(b"".join(whole[-1:]))
    run.segment(2).write_bytes(b"".join(whole[:-1]))
    found = Standings(run).catch_up().of[CONV]
    assert (found.over, found.places, found.damage) == (True, [], None)


async def test_a_folder_in_the_place_of_a_segment_cannot_be_read(tmp_path: Path) -> None:
    run = folder(tmp_path / "run")
    (run.path / "log-1.jsonl").mkdir()
    with pytest.raises(StoreError, match="cannot be read"):
        Standings(run).catch_up()


async def test_whoever_was_written_to_since_the_mark_is_held_now(tmp_path: Path) -> None:
    run = folder(tmp_path / "run")
    events = await _pair(run)
    with run.held():
        mark = run.mark()
        with run.appending(1, ticking()) as log:
            log.take_up(OTHER)
            log.append(OTHER, events[4])
        found = Standings(run, mark).catch_up()
    assert [found.at_work(found.of[conv]) for conv in (CONV, OTHER)] == [False, True]
    assert run.mark() is None
    found = Standings(run).catch_up()
    assert not any(found.at_work(each) for each in found.of.values())


def test_a_lock_file_that_says_nothing_gives_no_mark(tmp_path: Path) -> None:
    run = folder(tmp_path / "run")
    with run.held():
        (run.path / "run.lock").write_bytes(b"")
        assert run.mark() is None
        with pytest.raises(BusyError, match="another process"), run.held():
            pass


def test_workers_that_outlive_their_parent_keep_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = folder(tmp_path / "run")

    def gone(_pid: int, _signal: int) -> None:
        raise ProcessLookupError

    def foreign(_pid: int, _signal: int) -> None:
        raise PermissionError

    with run.held():
        monkeypatch.setattr(os, "kill", gone)
        with pytest.raises(LeavingError, match="finish their turns"), run.held():
            pass
        monkeypatch.setattr(os, "kill", foreign)
        with pytest.raises(BusyError, match="is being written by process"), run.held():
            pass


async def test_torn_tails_are_set_aside_and_a_damaged_segment_is_left_as_it_is(
    tmp_path: Path,
) -> None:
    run = folder(tmp_path / "run")
    await _pair(run)
    whole = log_of(run).read_bytes()
    log_of(run).write_bytes(whole + b"torn")
    assert run.mended(3) == ([1, 2, 3], [])
    assert log_of(run).read_bytes() == whole
    damaged = whole[:-3] + b"x\n"
    log_of(run).write_bytes(damaged)
    run.segment(4).write_bytes(b"")
    (run.path / "log-new.jsonl").write_bytes(b"")
    numbers, wrong = run.mended(2)
    assert (numbers, len(wrong)) == ([4, 5], 1)
    assert "log-1.jsonl" in wrong[0]
    assert log_of(run).read_bytes() == damaged


def test_a_segment_that_cannot_be_synced_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = folder(tmp_path / "run")
    log_of(run).write_bytes(b"")

    def refuse(_path: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("duologue.store.run.sync", refuse)
    with pytest.raises(StoreError, match="cannot be synced"):
        run.mended(1)


def test_each_writer_keeps_room_of_its_own(tmp_path: Path) -> None:
    run = folder(tmp_path / "run")
    with run.held(), run.appending(2) as log:
        log.append(CONV, TurnStarted(1, "Ada", ""))
        assert (run.path / "run-2.spare").exists()
    assert not (run.path / "run-2.spare").exists()


def test_what_an_outcome_took_is_counted_and_what_it_does_not_say_too() -> None:
    said = Fact("turn_completed", usage=Usage(10, 5), cost=0.25, seconds=2.0)
    assert spent(said) == Spend(1, 0, 10, 5, 0.25, 2.0)
    assert spent(Fact("turn_completed")) == Spend(1, uncounted=1, unpriced=1)
    assert spent(Fact("attempt_failed", boundary="overload")) == Spend(0, 1)
    assert spent(Fact("turn_started")) is None


def test_the_most_that_one_outcome_took_is_known_of_each_kind_by_itself(tmp_path: Path) -> None:
    run = folder(tmp_path / "run")
    said = Message("Ada", "so")
    with run.writing() as log:
        for turn, (read, cost, seconds) in enumerate(
            ((9, 0.5, 1.0), (1, 0.75, 0.5), (2, 0.1, 3.0))
        ):
            taken = Usage(read, 1)
            log.append(CONV, TurnCompleted(turn, said, usage=taken, cost=cost, seconds=seconds))
    assert Standings(run).catch_up().dearest == Dearest(10, 0.75, 3.0)


async def test_what_failed_says_what_broke_and_may_be_tried_again(tmp_path: Path) -> None:
    run = folder(tmp_path / "run")
    events = await PAIR.events(CONV)
    failed = AttemptFailed(2, "Bo", "overload", "too busy")
    write(run, CONV, [*events[:2], failed, ConversationEnded(EndReason.ERROR)])
    found = Standings(run).catch_up().of[CONV]
    assert (found.failed, found.over, found.cause) == (True, False, "overload")
    assert len(found.places) == 4


@pytest.fixture
def _every_byte_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "WORTH", 1)


def _remembering(run: Run) -> Standings:
    found = Standings(run).catch_up()
    found.remember()
    return found


def _lines_read(run: Run) -> tuple[Standings, int]:
    found, count = Standings(run), 0
    taken = found._take  # noqa: SLF001 - what is read, and what is remembered, look the same

    def counting(raw: bytes, place: tuple[str, int, int], number: int) -> standing.Glance | None:
        nonlocal count
        count += 1
        return taken(raw, place, number)

    found._take = counting  # type: ignore[method-assign] # noqa: SLF001
    return found.catch_up(), count


@pytest.mark.usefixtures("_every_byte_counts")
async def test_what_is_remembered_is_not_read_again_and_says_the_same(tmp_path: Path) -> None:
    run = folder(tmp_path / "run")
    events = await _pair(run)
    write(run, "other", [TurnCompleted(1, Message("Ada", "so"), usage=Usage(9, 1), cost=0.5)])
    first = _remembering(run)
    again, lines = _lines_read(run)
    assert lines == 0
    assert (again.of, again.problems) == (first.of, first.problems)
    assert (again.spend, again.dearest) == (first.spend, first.dearest)
    assert (again.dearest, again.unfinished) == (Dearest(10, 0.5), first.unfinished)
    write(run, OTHER, events[4:])
    grown, lines = _lines_read(run)
    assert lines == len(events) - 4
    whole = Standings(run)
    assert sum(1 for _ in whole.read_on()) == 2 * len(events) + 1
    assert (grown.of, grown.spend) == (whole.of, whole.spend)
    assert grown.unfinished == whole.unfinished


@pytest.mark.usefixtures("_every_byte_counts")
async def test_one_byte_that_is_not_as_it_was_and_nothing_is_remembered(tmp_path: Path) -> None:
    run = folder(tmp_path / "run")
    events = await _pair(run)
    _remembering(run)
    log, memory = log_of(run), run.path / standing.MEMORY
    whole, kept = log.read_bytes(), memory.read_bytes()
    for place in range(0, len(whole), 97):
        if whole[place] != 10:
            log.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            assert _lines_read(run)[1] == len(events) + 4
    log.write_bytes(whole[: whole.rfind(b"\n", 0, -1) + 1])
    found, lines = _lines_read(run)
    assert (lines, found.of[OTHER].records) == (len(events) + 3, 3)
    log.write_bytes(whole)
    for place in range(0, len(kept), 7):
        memory.write_bytes(kept[:place] + bytes([kept[place] ^ 1]) + kept[place + 1 :])
        assert _lines_read(run)[1] == len(events) + 4
    memory.write_bytes(kept)
    log.rename(log.with_name("log-7.jsonl"))
    assert _lines_read(run)[1] == len(events) + 4, "a segment that is gone is nothing to rely on"


@pytest.mark.usefixtures("_every_byte_counts")
async def test_a_memory_of_another_form_or_that_cannot_be_written_is_no_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = folder(tmp_path / "run")
    events = await _pair(run)
    (run.path / f".{standing.MEMORY}").mkdir()
    _remembering(run)
    assert not (run.path / standing.MEMORY).exists()
    (run.path / f".{standing.MEMORY}").rmdir()
    _remembering(run)
    monkeypatch.setattr(standing, "_FORM", 0)
    assert _lines_read(run)[1] == len(events) + 4


async def test_little_that_is_new_is_not_worth_remembering(tmp_path: Path) -> None:
    run = folder(tmp_path / "run")
    await _pair(run)
    _remembering(run)
    assert not (run.path / standing.MEMORY).exists()
