"""Live text beside the log: offered, begun anew, taken away, and never in the way."""

import errno
import os
from pathlib import Path

import pytest

from duologue.core.event import Event, Record, TurnCompleted, TurnStarted
from duologue.core.provider import Delta
from duologue.store.live import Live, Typed, live_path, typed
from recording import CONV, PAIR


def _record(seq: int, event: Event) -> Record:
    return Record(1, CONV, seq, "2026-01-01T00:00:00.000000Z", event, "", "")


async def _turn() -> tuple[Record, Record]:
    """A turn's beginning and its end."""
    events = await PAIR.events(CONV)
    at = next(place for place, event in enumerate(events) if isinstance(event, TurnStarted))
    assert isinstance(events[at + 1], TurnCompleted)
    return _record(at, events[at]), _record(at + 1, events[at + 1])


async def test_what_is_being_said_can_be_read_until_it_is_recorded(tmp_path: Path) -> None:
    path, (started, completed) = live_path(tmp_path, CONV), await _turn()
    live = Live(path)
    assert typed(path) is None
    live.hear(started)
    live.hear(Delta("hm", reasoning=True))
    live.hear(Delta("so "))
    live.hear(Delta("far"))
    assert isinstance(started.event, TurnStarted)
    seat = started.event.participant
    assert typed(path) == Typed(started.seq, started.event.turn, seat, "so far", "hm")
    live.hear(completed)
    assert typed(path) is None
    live.hear(started)
    assert typed(path) == Typed(started.seq, started.event.turn, seat, "", "")
    live.close()
    assert not path.exists()


@pytest.mark.parametrize(
    "data", [b"", b"{", b"nonsense\n", b"\xff\n", b'{"text":"a"}\n', b'{"seq":1}\n']
)
def test_a_file_without_a_beginning_holds_nothing(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "live").write_bytes(data)
    assert typed(tmp_path / "live") is None


def test_half_a_line_is_waited_for(tmp_path: Path) -> None:
    (tmp_path / "live").write_bytes(b'{"seq":1,"turn":2,"participant":"A"}\n["a",false]\n["te')
    assert typed(tmp_path / "live") == Typed(1, 2, "A", "a", "")


async def test_half_a_character_waits_for_its_other_half(tmp_path: Path) -> None:
    path, (started, _) = live_path(tmp_path, CONV), await _turn()
    live = Live(path)
    live.hear(started)
    live.hear(Delta("a\ud83d"))
    assert (now := typed(path))
    assert now.text == "a\ufffd"
    live.hear(Delta("\ude00b"))
    assert (now := typed(path))
    assert now.text == "a\U0001f600b"
    live.close()


async def test_a_folder_that_is_not_there_stops_nothing(tmp_path: Path) -> None:
    started, completed = await _turn()
    live = Live(tmp_path / "missing" / "live")
    for item in (started, Delta("a"), completed):
        live.hear(item)
    live.close()
    assert not (tmp_path / "missing").exists()


async def test_a_full_disk_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_file: int, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, "no space left")

    path, (started, completed) = live_path(tmp_path, CONV), await _turn()
    live = Live(path)
    monkeypatch.setattr(os, "write", full)
    for item in (started, Delta("a"), completed):
        live.hear(item)
    assert typed(path) is None
    live.close()
    assert not path.exists()


async def test_a_file_that_somebody_took_away_is_not_missed(tmp_path: Path) -> None:
    path, (started, _) = live_path(tmp_path, CONV), await _turn()
    live = Live(path)
    live.hear(started)
    path.unlink()
    live.hear(Delta("a"))
    live.close()
    assert not path.exists()
