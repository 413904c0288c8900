"""Kills real processes that hold a scripted conversation, resumes them, and looks for damage.

A *kill* is a process ended by SIGKILL. When it comes is drawn from a seed: when so many lines of
``--json`` were read, when the log has so many bytes, or after so many seconds. Every kill is
followed by a look at the record and by ``duologue resume``, which may be killed in its turn.
"""

import json
import os
import random
import select
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from duologue.core.event import Event, TurnCompleted
from duologue.store.run import SPEC_FILE, Run
from duologue.store.segment import read
from duologue.verify import verify

NAME = "killed"
UNKNOWN = 2
_PROGRAM = (sys.executable, "-m", "duologue")
_PATIENCE_S = 60


class Scene(msgspec.Struct, frozen=True):
    """What is held, again and again.

    Attributes:
        name: for the table.
        folder: where its scripts are, and its library.
        options: of ``duologue run``.
        length: of the log of an uninterrupted run, in bytes.
        lines: of that log.
        seconds: how long an uninterrupted run takes, start to end.
        told: author and words of every message of it.
    """

    name: str
    folder: Path
    options: tuple[str, ...]
    length: int
    lines: int
    seconds: float
    told: list[tuple[str, str]]


class Kill(msgspec.Struct, frozen=True):
    """When a process is to be killed: after so many lines read, bytes logged, or seconds."""

    kind: str
    amount: float


class Tally(msgspec.Struct):
    """What came of all kills."""

    kills: Counter[str] = msgspec.field(default_factory=Counter)
    by_trigger: Counter[str] = msgspec.field(default_factory=Counter)
    printed: int = 0
    recorded: int = 0
    lost: int = 0
    doubled: int = 0
    torn: int = 0
    torn_bytes: int = 0
    resumed: int = 0
    conversations: int = 0
    equal: int = 0
    faults: list[str] = []

    @property
    def total(self) -> int:
        """Processes that were killed."""
        return self.kills.total()


def stage(folder: Path, name: str, scripts: dict[str, list[str]], turns: int) -> Scene:
    """Write the scripts, and hold the conversation once without interruption."""
    seats = []
    for letter, replies in zip("abcdefgh", scripts.values(), strict=False):
        file = folder / f"{name}-{letter}.jsonl"
        file.write_text("".join(f"{json.dumps(reply)}\n" for reply in replies), "utf-8")
        seats += [f"-{letter}", f"scripted:{file}"]
    options = (*seats, "--opener", " ", "--turns", str(turns), "--seed", "7", "--pure")
    scene = Scene(name, folder, options, 0, 0, 0.0, [])
    began = time.monotonic()
    done = _start(scene, "whole", "run", *options, "--name", "whole")
    rest, _ = done.communicate(timeout=_PATIENCE_S)
    seconds = time.monotonic() - began
    if done.returncode:
        raise AssertionError(rest.decode(errors="replace"))
    run = Run(_library(scene, "whole") / "whole")
    data = _log(run)
    told = _told(_events(run))
    return msgspec.structs.replace(
        scene, length=len(data), lines=data.count(b"\n"), seconds=seconds, told=told
    )


def _library(scene: Scene, place: str) -> Path:
    return scene.folder / "libraries" / scene.name / place


def _start(scene: Scene, place: str, *typed: str, json_: bool = True) -> subprocess.Popen[bytes]:
    """Start ``duologue``."""
    command = [*_PROGRAM, "--library", str(_library(scene, place)), *typed]
    command.append("--json" if json_ else "--quiet")
    return subprocess.Popen(  # noqa: S603 - our own program
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def _log(run: Run) -> bytes:
    """The log's bytes; none where there is no log."""
    path = run.path / "log-1.jsonl"
    return path.read_bytes() if path.exists() else b""


def _events(run: Run) -> list[Event]:
    """The facts of the only conversation of a run."""
    return [line.record.event for line in read(run.path / "log-1.jsonl") if line.record is not None]


def _told(events: list[Event]) -> list[tuple[str, str]]:
    """Author and words of every message."""
    messages = (event.message for event in events if hasattr(event, "message"))
    return [(message.author, message.text) for message in messages]


def kills(scene: Scene, seed: int, kinds: tuple[str, ...] = ("lines", "bytes", "seconds")) -> Iterator[Kill]:
    """Moments at which to kill, for ever, drawn from a seed."""
    chance = random.Random(seed)  # noqa: S311 - the same kills for the same seed
    reach = {"lines": scene.lines, "bytes": scene.length, "seconds": scene.seconds}
    while True:
        kind = chance.choice(kinds)
        yield Kill(kind, chance.random() * reach[kind])


def play(scene: Scene, moments: Iterator[Kill], place: str, tally: Tally, most: int) -> None:
    """Hold one conversation through as many kills as it takes, but not more than ``most``."""
    run = Run(_library(scene, place) / NAME)
    tally.conversations += 1
    before = b""
    while tally.total < most and not _ended(run):
        moment = next(moments)
        typed = ("resume", NAME) if run.path.exists() else ("run", *scene.options, "--name", NAME)
        process = _start(scene, place, *typed, json_=moment.kind != "bytes")
        printed, killed = _killed(process, moment, run)
        before = _look(scene, run, before, printed, tally)
        if killed:
            tally.kills[_where(run)] += 1
            tally.by_trigger[moment.kind] += 1
    _finish(scene, run, place, before, tally)


def _ended(run: Run) -> bool:
    return _log(run).rpartition(b"\n")[0].rpartition(b"\n")[2].find(b'"conversation_ended"') > 0


def _killed(process: subprocess.Popen[bytes], moment: Kill, run: Run) -> tuple[bytes, bool]:
    """Wait for the moment, kill, and collect what had been printed; False if it was too late."""
    assert process.stdout is not None
    assert process.stderr is not None
    printed = b""
    match moment.kind:
        case "lines":
            for _ in range(int(moment.amount) + 1):
                printed += process.stdout.readline()
        case "bytes":
            _await_bytes(process, run, int(moment.amount))
        case _:
            with _watched(process) as end:
                select.select([end], [], [], moment.amount)
    process.kill()
    rest, complaint = process.communicate(timeout=_PATIENCE_S)
    if process.returncode not in (0, -9):
        raise AssertionError(complaint.decode(errors="replace"))
    return printed + rest, process.returncode != 0


def _watched(process: subprocess.Popen[bytes]) -> Any:
    """Something that can be waited for until the process ends."""
    return os.fdopen(os.pidfd_open(process.pid), "rb", buffering=0)


def _await_bytes(process: subprocess.Popen[bytes], run: Run, size: int) -> None:
    """Wait, without a pause, until the log is longer than ``size`` or the process has ended."""
    path = run.path / "log-1.jsonl"
    while process.poll() is None:
        try:
            if os.stat(path).st_size > size:  # noqa: PTH116 - every microsecond counts here
                return
        except FileNotFoundError:
            continue


def _where(run: Run) -> str:
    """Where a kill has hit, as the record tells."""
    data = _log(run)
    whole, _, torn = data.rpartition(b"\n")
    if torn:
        return "in a write: a torn tail"
    if not whole:
        return "before the first record" if run.path.exists() else "before the run's folder"
    last = whole.rpartition(b"\n")[2]
    kinds = {
        b'"kind":"conversation_started"': "after the start was recorded",
        b'"kind":"turn_started"': "in a turn",
        b'"kind":"conversation_ended"': "after the end was recorded",
    }
    return next((said for kind, said in kinds.items() if kind in last), "after a completed turn")


def _look(scene: Scene, run: Run, before: bytes, printed: bytes, tally: Tally) -> bytes:
    """Compare the record with what it was and with what was printed; the bytes to stay for ever."""
    data = _log(run)
    whole = data[: data.rfind(b"\n") + 1]
    if not whole.startswith(before):
        tally.faults.append(f"{run.path}: what was recorded has changed")
    if torn := data[len(whole) :]:
        tally.torn += 1
        tally.torn_bytes += len(torn)
    lines = whole.splitlines(keepends=True)
    for line in printed.splitlines(keepends=True):
        if line.startswith(b"{") and line.endswith(b"\n"):
            tally.printed += 1
            tally.lost += lines.count(line) == 0
    told = _told(_events(run)) if whole else []
    tally.recorded = tally.recorded
    if told != scene.told[: len(told)]:
        tally.faults.append(f"{run.path}: the messages are not those of the uninterrupted run")
    if whole and (proof := verify(run)).faults:
        tally.faults.append(f"{run.path}: {proof.faults[0]}")
    return whole


def _finish(scene: Scene, run: Run, place: str, before: bytes, tally: Tally) -> None:
    """Let it come to its end, and compare the whole."""
    if not _ended(run):
        typed = ("resume", NAME) if run.path.exists() else ("run", *scene.options, "--name", NAME)
        process = _start(scene, place, *typed)
        printed, complaint = process.communicate(timeout=_PATIENCE_S)
        if process.returncode:
            tally.faults.append(f"{run.path}: {complaint.decode(errors='replace')}")
            return
        _look(scene, run, before, printed, tally)
    events = _events(run)
    turns = Counter(event.turn for event in events if isinstance(event, TurnCompleted))
    tally.doubled += sum(count - 1 for count in turns.values())
    tally.equal += _told(events) == scene.told
