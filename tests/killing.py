"""Kills real processes that hold a scripted conversation, resumes them, and looks for damage.

A *kill* is a process ended by SIGKILL. When it comes is drawn from a seed: when so many lines of
``--json`` were read, when the log has so many bytes, or after so many seconds. Every kill is
followed by a look at the record and by ``duologue resume``, which may be killed in its turn.
"""

import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from duologue.core.event import Event, TurnCompleted
from duologue.store.run import Run
from duologue.store.segment import read
from duologue.verify import verify

NAME = "killed"
LOG = "log-1.jsonl"
_PROGRAM = (sys.executable, "-m", "duologue")
_PATIENCE_S = 600
_AHEAD = 4096
"""Bytes that whoever is killed by ``lines`` can be ahead of its reader: it cannot end first."""
_REACH = 2000
_KINDS = {
    b'"kind":"conversation_started"': "after the start was recorded",
    b'"kind":"turn_started"': "in a turn",
    b'"kind":"conversation_ended"': "after the end was recorded",
}
_ELSE = "after a completed turn"


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
    """When a process is to be killed.

    Attributes:
        kind: by ``lines`` that it printed, ``bytes`` that it logged, or ``seconds``; ``folder``,
            for the first process of a conversation, is as soon as the run's folder is there.
        part: of the lines or bytes that it has still to write, or of the time that all takes.
    """

    kind: str
    part: float


class Tally(msgspec.Struct):
    """What came of all kills.

    Attributes:
        kills: processes killed, by where the kill hit, as the record tells.
        triggers: processes killed, by what the moment was drawn from.
        late: processes that had ended before their moment came; they are not kills.
        cuts: logs that were cut by hand.
        conversations: how many were held through kills to their end.
        resumed: processes that went on with a record that another had left.
        printed: records that a process had printed before it was killed or ended.
        lost: records, printed or whole in the log, that were not there later.
        doubled: messages that were there twice.
        torn: tails of the log without a newline.
        torn_bytes: how long they are together.
        kept: of these, how many were set aside, byte for byte, by whoever went on.
        equal: conversations that ended with the very messages of the uninterrupted run.
        faults: whatever else was not as it should be.
    """

    kills: Counter[str] = msgspec.field(default_factory=Counter)
    triggers: Counter[str] = msgspec.field(default_factory=Counter)
    late: int = 0
    cuts: int = 0
    conversations: int = 0
    resumed: int = 0
    printed: int = 0
    lost: int = 0
    doubled: int = 0
    torn: int = 0
    torn_bytes: int = 0
    kept: int = 0
    equal: int = 0
    faults: list[str] = []


def stage(folder: Path, name: str, replies: Sequence[Sequence[str]], turns: int) -> Scene:
    """Write the scripts, and hold the conversation once without interruption."""
    seats = []
    for letter, said in zip("abcdefgh", replies, strict=False):
        file = folder / f"{name}-{letter}.jsonl"
        file.write_text("".join(f"{json.dumps(reply)}\n" for reply in said), "utf-8")
        seats += [f"-{letter}", f"scripted:{file}"]
    options = (*seats, "--opener", " ", "--turns", str(turns), "--seed", "7", "--pure")
    scene = Scene(name, folder, options, 0, 0, 0.0, [])
    began = time.monotonic()
    process = _start(scene, "whole", "run", *options, "--name", NAME)
    _, complaint = process.communicate(timeout=_PATIENCE_S)
    seconds = time.monotonic() - began
    if process.returncode:
        raise AssertionError(complaint.decode(errors="replace"))
    run = Run(_library(scene, "whole") / NAME)
    size = (run.path / LOG).stat().st_size
    lines = len(list(run.records()))
    told = _told(_events(run))
    return msgspec.structs.replace(scene, length=size, lines=lines, seconds=seconds, told=told)


def _library(scene: Scene, place: str) -> Path:
    return scene.folder / "libraries" / scene.name / place


def _start(
    scene: Scene, place: str, *typed: str, json_: bool = True, ahead: int = -1
) -> subprocess.Popen[bytes]:
    """Start ``duologue``; it can print so many bytes ahead of whoever reads them."""
    command = [*_PROGRAM, "--library", str(_library(scene, place)), *typed]
    command.append("--json" if json_ else "--quiet")
    return subprocess.Popen(  # noqa: S603 - our own program
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, pipesize=ahead
    )


def _log(run: Run) -> bytes:
    """The log's bytes; none where there is no log."""
    path = run.path / LOG
    return path.read_bytes() if path.exists() else b""


def _events(run: Run) -> list[Event]:
    """The facts of the only conversation of a run."""
    return [line.record.event for line in read(run.path / LOG) if line.record is not None]


def _told(events: list[Event]) -> list[tuple[str, str]]:
    """Author and words of every message."""
    messages = (event.message for event in events if hasattr(event, "message"))
    return [(message.author, message.text) for message in messages]


def moments(chance: random.Random, kinds: Sequence[str]) -> Iterator[Kill]:
    """Moments at which to kill, for ever."""
    while True:
        yield Kill(chance.choice(kinds), chance.random())


class Ordeal:
    """One conversation, held through kills to its end."""

    def __init__(self, scene: Scene, place: str, tally: Tally) -> None:
        """Prepare a library of its own for ``scene``; what happens is counted in ``tally``."""
        self.scene, self.place, self.tally = scene, place, tally
        self.run = Run(_library(scene, place) / NAME)
        self._before: list[bytes] = []
        self._torn = b""

    def suffer(self, when: Iterator[Kill], most: int) -> None:
        """Kill whoever holds the conversation, until it has ended or ``most`` were killed."""
        while most and not self.ended():
            moment, left = next(when), _log(self.run)
            if moment.kind == "folder" and self.run.path.exists():
                continue
            if self.kill(moment):
                self.tally.kills[self.where(left)] += 1
                self.tally.triggers[moment.kind] += 1
                most -= 1
            else:
                self.tally.late += 1
        self.finish()

    def cut(self, size: int) -> None:
        """Cut the log by hand to so many bytes, as a crash of the machine may."""
        os.truncate(self.run.path / LOG, size)
        whole, newline, self._torn = _log(self.run).rpartition(b"\n")
        self._before = (whole + newline).splitlines(keepends=True)
        self.tally.cuts += 1
        self.tally.torn += bool(self._torn)
        self.tally.torn_bytes += len(self._torn)

    def finish(self) -> None:
        """Let the conversation come to its end, and compare the whole."""
        self.tally.conversations += 1
        if not self.ended():
            process = self._start()
            printed, complaint = process.communicate(timeout=_PATIENCE_S)
            if process.returncode:
                self._fault(complaint.decode(errors="replace"))
                return
            self.look(printed)
        events = _events(self.run)
        turns = Counter(event.turn for event in events if isinstance(event, TurnCompleted))
        self.tally.doubled += sum(count - 1 for count in turns.values())
        self.tally.equal += _told(events) == self.scene.told

    def ended(self) -> bool:
        """Whether the record says that it is over."""
        return b'"kind":"conversation_ended"' in _log(self.run).rpartition(b"\n")[0][-_REACH:]

    def where(self, left: bytes) -> str:
        """Where a kill has hit, as the record tells, and what was ``left`` by the one before."""
        data = _log(self.run)
        if data and data == left:
            return "while an earlier record was taken up"
        whole, _, torn = data.rpartition(b"\n")
        if torn:
            return "in a write: a torn tail"
        if not whole:
            there = self.run.path.exists()
            return "before the first record" if there else "before the run's folder was there"
        last = whole.rpartition(b"\n")[2]
        return next((said for kind, said in _KINDS.items() if kind in last), _ELSE)

    def _start(self, *, json_: bool = True, ahead: int = -1) -> subprocess.Popen[bytes]:
        """Begin, or go on."""
        typed: tuple[str, ...] = ("resume", NAME)
        if self.run.path.exists():
            self.tally.resumed += 1
        else:
            typed = ("run", *self.scene.options, "--name", NAME)
        return _start(self.scene, self.place, *typed, json_=json_, ahead=ahead)

    def kill(self, moment: Kill) -> bool:
        """Start somebody, kill it at the moment, look at what it left; False if it was too late."""
        data = _log(self.run)
        ahead = _AHEAD if moment.kind == "lines" else -1
        process = self._start(json_=moment.kind != "bytes", ahead=ahead)
        assert process.stdout is not None
        printed = b""
        if moment.kind == "lines":
            for _ in range(1 + int(moment.part * (self.scene.lines - data.count(b"\n")))):
                printed += process.stdout.readline()
        elif moment.kind == "bytes":
            size = len(data) + moment.part * (self.scene.length - len(data))
            _await_bytes(process, self.run.path / LOG, size)
        elif moment.kind == "folder":
            _await_bytes(process, self.run.path, 0)
        else:
            _await_seconds(process, moment.part * self.scene.seconds)
        process.kill()
        rest, complaint = process.communicate(timeout=_PATIENCE_S)
        if process.returncode not in (0, -signal.SIGKILL):
            self._fault(complaint.decode(errors="replace"))
        self.look(printed + rest)
        return process.returncode != 0

    def look(self, printed: bytes) -> None:
        """Compare the record with what it was, and with what was printed."""
        data = _log(self.run)
        whole, torn = data[: data.rfind(b"\n") + 1], data[data.rfind(b"\n") + 1 :]
        lines = whole.splitlines(keepends=True)
        if lines[: len(self._before)] != self._before:
            self._fault("what was recorded has changed")
        told = [line for line in printed.splitlines(keepends=True) if line.endswith(b"\n")]
        told = [line for line in told if line.startswith(b"{")]
        self.tally.printed += len(told)
        self.tally.lost += len({*told, *self._before} - set(lines))
        self._look_aside(torn)
        self._before, self._torn = lines, torn
        if lines:
            self._look_inside()

    def _look_aside(self, torn: bytes) -> None:
        """Count a new torn tail; one that was there before must have been set aside whole."""
        if torn == self._torn:
            return
        self.tally.torn += bool(torn)
        self.tally.torn_bytes += len(torn)
        if self._torn:
            end = sum(map(len, self._before))
            aside = self.run.path / f"{LOG}.torn-{end}"
            kept = aside.exists() and aside.read_bytes().endswith(self._torn)
            self.tally.kept += kept
            if not kept:
                self._fault(f"a torn tail of {len(self._torn)} bytes is not in {aside}")

    def _look_inside(self) -> None:
        """Verify the record, and compare its messages with the uninterrupted ones."""
        told = _told(_events(self.run))
        if told != self.scene.told[: len(told)]:
            self._fault("the messages are not those of the uninterrupted run")
        for fault in verify(self.run).faults:
            self._fault(f"{fault.place}: {fault.what}")

    def _fault(self, what: str) -> None:
        self.tally.faults.append(f"{self.run.path}: {what}")


def _await_bytes(process: subprocess.Popen[bytes], path: Path, size: float) -> None:
    """Wait, without a pause, until a file is longer than ``size`` or the process has ended."""
    while process.poll() is None:
        try:
            if os.stat(path).st_size > size:  # noqa: PTH116 - every microsecond counts here
                return
        except FileNotFoundError:
            continue


def _await_seconds(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait for so long, or until the process has ended."""
    end = os.pidfd_open(process.pid)
    try:
        select.select([end], [], [], seconds)
    finally:
        os.close(end)
