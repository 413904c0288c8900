"""Live text beside the log: offered, begun anew, taken away, and never in the way."""

import errno
import os
from itertools import count
from pathlib import Path

import pytest

from duologue.core.event import Event, Record, TurnCompleted, TurnStarted
from duologue.core.provider import Delta
from duologue.store.live import EVERY_S, SHARE, Live, Ration, Typed, live_path, typed
from recording import CONV, PAIR

_OPEN = Path("/proc/self/fd")


def _record(seq: int, event: Event) -> Record:
    return Record(1, CONV, seq, "2026-01-01T00:00:00.000000Z", event, "", "")


class Clock:
    """Stands still, or goes on by so much at each look."""

    def __init__(self, step: float = 0.0) -> None:
        self.now, self._step = 0.0, step

    def __call__(self) -> float:
        self.now += self._step
        return self.now


def _files(folder: Path) -> int:
    return len(list(folder.iterdir()))


def _slow(path: Path) -> Live:
    """The live text of somebody who speaks so slowly that every word is offered."""
    return Live(path, Ration(Clock(1.0e6), share=1))


async def _turn() -> tuple[Record, Record]:
    """A turn's beginning and its end."""
    events = await PAIR.events(CONV)
    at = next(place for place, event in enumerate(events) if isinstance(event, TurnStarted))
    assert isinstance(events[at + 1], TurnCompleted)
    return _record(at, events[at]), _record(at + 1, events[at + 1])


async def test_what_is_being_said_can_be_read_until_it_is_recorded(tmp_path: Path) -> None:
    path, (started, completed) = live_path(tmp_path, CONV), await _turn()
    live = _slow(path)
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
    assert not path.exists()
    live.hear(started)
    live.hear(Delta("again"))
    assert typed(path) == Typed(started.seq, started.event.turn, seat, "again", "")
    live.close()
    assert not path.exists()


async def test_a_reply_that_is_there_at_once_touches_no_file(tmp_path: Path) -> None:
    path, (started, completed), clock = tmp_path / "live", await _turn(), Clock()
    live = Live(path, Ration(clock))
    live.hear(started)
    clock.now += EVERY_S * 0.9
    live.hear(Delta("words"))
    live.hear(completed)
    assert _files(tmp_path) == 0


async def test_a_slow_reply_is_offered_now_and_then(tmp_path: Path) -> None:
    path, (started, _), clock = tmp_path / "live", await _turn(), Clock()
    live, offered = Live(path, Ration(clock)), list[str]()
    live.hear(started)
    for number in range(40):
        clock.now += EVERY_S / 4
        live.hear(Delta(f"{number} "))
        now = typed(path)
        if now and now.text not in offered:
            offered.append(now.text)
    assert len(offered) in {9, 10}
    assert offered[-1] == "".join(f"{number} " for number in range(len(offered[-1].split())))
    assert len(path.read_bytes().splitlines()) == len(offered) + 1
    live.close()


async def test_no_file_is_kept_open(tmp_path: Path) -> None:
    started, _ = await _turn()
    ration, before = Ration(Clock(1.0e-3)), _files(_OPEN)
    many = [Live(tmp_path / f"live-{number}", ration) for number in range(300)]
    for _round in range(100):
        for live in many:
            live.hear(started)
            live.hear(Delta("a"))
    assert _files(_OPEN) == before
    for live in many:
        live.close()
    assert _files(tmp_path) == 0


async def test_many_slow_replies_on_a_slow_disk_keep_within_their_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (started, _), clock, wrote = await _turn(), Clock(), count()
    ration = Ration(clock)

    def slow(_file: int, data: bytes) -> int:
        next(wrote)
        clock.now += 0.02
        return len(data)

    many = [Live(tmp_path / f"live-{number}", ration) for number in range(100)]
    for live in many:
        live.hear(started)
    monkeypatch.setattr(os, "write", slow)
    for _round in range(200):
        for live in many:
            clock.now += 0.001
            live.hear(Delta("a"))
    spent = 0.02 * next(wrote)
    assert spent <= SHARE * clock.now + 0.02
    assert spent >= SHARE * clock.now / 2
    for live in many:
        live.close()


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
    live = _slow(path)
    live.hear(started)
    live.hear(Delta("a\ud83d"))
    assert (now := typed(path))
    assert now.text == "a\ufffd"
    live.hear(Delta("\ude00b"))
    assert (now := typed(path))
    assert now.text == "a\U0001f600b"
    live.close()


async def test_what_a_kill_left_is_taken_away_by_whoever_goes_on(tmp_path: Path) -> None:
    path, (started, _) = live_path(tmp_path, CONV), await _turn()
    live = _slow(path)
    for item in (started, Delta("never finished")):
        live.hear(item)
    Live(path, Ration())
    assert typed(path) is None
    assert _files(tmp_path) == 0


async def test_a_folder_that_is_not_there_stops_nothing(tmp_path: Path) -> None:
    started, completed = await _turn()
    live = _slow(tmp_path / "missing" / "live")
    for item in (started, Delta("a"), completed):
        live.hear(item)
    live.close()
    assert not (tmp_path / "missing").exists()


async def test_a_full_disk_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_file: int, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, "no space left")

    path, (started, completed) = live_path(tmp_path, CONV), await _turn()
    live = _slow(path)
    monkeypatch.setattr(os, "write", full)
    for item in (started, Delta("a"), Delta("b"), completed):
        live.hear(item)
    assert typed(path) is None
    live.close()
    assert not path.exists()


async def test_a_file_that_somebody_took_away_is_not_missed(tmp_path: Path) -> None:
    path, (started, _) = live_path(tmp_path, CONV), await _turn()
    live = _slow(path)
    live.hear(started)
    live.hear(Delta("a"))
    path.unlink()
    live.hear(Delta("a"))
    live.close()
    assert not path.exists()
