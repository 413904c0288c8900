"""Kills the parent and the workers of an experiment at moments drawn from a seed, again and again.

A *kill* is a process of ours ended by SIGKILL while a run of 100 scripted conversations is held.
After a worker's kill its parent is left to mend it; after a parent's, the same command is typed
again. Whatever stood in the log before a kill must stand there after it, byte for byte, and in the
end every conversation must hold the very messages of the run that nothing interrupted.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec

from duologue.core.event import ConversationEnded, Record, TurnCompleted
from duologue.store.run import Run
from duologue.verify import verify

NAME = "tortured"
CONVERSATIONS = 100
TURNS = 12
_PATIENCE_S = 600
_LONGEST_S = 0.6
_LONGEST_BYTES = 60_000

Told = dict[str, list[tuple[int, str, str]]]
"""Turn, author and words of every message, by conversation."""


class Tally(msgspec.Struct):
    """What came of all kills.

    Attributes:
        parents: parents killed.
        workers: workers killed.
        late: moments that came after the end; they are not kills.
        runs: experiments that were held through kills to their end.
        commands: how often the command was typed.
        torn: tails of segments that were found without a newline, and set aside.
        lost: whole lines that were in the log once, and later not.
        doubled: messages that are there twice.
        missing: messages of the uninterrupted run that are not there.
        equal: conversations that hold the very messages of the uninterrupted run.
        spread: conversations whose records stand in more than one segment.
        faults: whatever else was not as it should be.
    """

    parents: int = 0
    workers: int = 0
    late: int = 0
    runs: int = 0
    commands: int = 0
    torn: int = 0
    lost: int = 0
    doubled: int = 0
    missing: int = 0
    equal: int = 0
    spread: int = 0
    faults: list[str] = []

    @property
    def kills(self) -> int:
        """All of them."""
        return self.parents + self.workers


class Scene(msgspec.Struct, frozen=True):
    """What is held, again and again: an experiment's file, and how it ends uninterrupted."""

    folder: Path
    file: Path
    told: Told


def stage(folder: Path) -> Scene:
    """Write scripts and the experiment, and hold it once without interruption."""
    for letter, size in (("a", 3), ("b", 40)):
        said = [f"{letter} says {place}: " + f"wörd{place} " * size for place in range(TURNS)]
        script = "".join(f"{json.dumps(reply)}\n" for reply in said)
        (folder / f"{letter}.jsonl").write_text(script, "utf-8")
    file = folder / "experiment.toml"
    file.write_text(
        f'name = "{NAME}"\npairs = "cross"\nopener = " "\nturns = {TURNS}\nseed = 5\n'
        f"replicates = {CONVERSATIONS // 2}\n"
        f'participants = ["scripted:{folder}/a.jsonl", "scripted:{folder}/b.jsonl"]\n',
        "utf-8",
    )
    scene = Scene(folder, file, {})
    started = start(scene, "whole", 1)
    _, complaint = started.communicate(timeout=_PATIENCE_S)
    assert started.returncode == 0, complaint.decode(errors="replace")
    found = told(_run(scene, "whole"))
    assert len(found) == CONVERSATIONS
    return msgspec.structs.replace(scene, told=found)


def start(scene: Scene, place: str, workers: int) -> "subprocess.Popen[bytes]":
    """Type the command."""
    command = [sys.executable, "-m", "duologue", "--library", str(scene.folder / place)]
    command += ["run", str(scene.file), "--workers", str(workers), "--at-once", "20", "--quiet"]
    return subprocess.Popen(  # noqa: S603 - our own program
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def _run(scene: Scene, place: str) -> Run:
    return Run(scene.folder / place / NAME)


def told(run: Run) -> Told:
    """All that was said, by conversation, in the order of the records."""
    found: dict[str, list[tuple[int, int, str, str]]] = {}
    for record in run.records():
        said = found.setdefault(record.conv, [])
        if isinstance(record.event, TurnCompleted):
            message = record.event.message
            said.append((record.seq, record.event.turn, message.author, message.text))
    return {conv: [line[1:] for line in sorted(said)] for conv, said in found.items()}


class Ordeal:
    """One experiment, held through kills to its end."""

    def __init__(self, scene: Scene, place: str, tally: Tally, chance: random.Random) -> None:
        """Prepare a library of its own for ``scene``; what happens is counted in ``tally``."""
        self.scene, self.place, self.tally = scene, place, tally
        self.run = _run(scene, place)
        self._chance = chance
        self._before: dict[str, bytes] = {}
        self._torn = 0

    def suffer(self, most: int) -> None:
        """Kill until the experiment has ended, or ``most`` were killed; then let it end."""
        left = most
        while left and not self._ended():
            left -= self._live(left)
        process = self._type()
        _, complaint = process.communicate(timeout=_PATIENCE_S)
        if process.returncode:
            self._fault(complaint.decode(errors="replace"))
        self._compare()

    def _live(self, most: int) -> int:
        """Type the command once, and kill until the parent is dead or all is over; how often."""
        process, kills = self._type(), 0
        while kills < most and self._await_moment(process):
            worker = self._victim(process)
            try:
                os.kill(worker or process.pid, signal.SIGKILL)
            except ProcessLookupError:  # a worker that has just gone by itself
                continue
            kills += 1
            if worker is None:
                self.tally.parents += 1
                break
            self.tally.workers += 1
        else:
            self.tally.late += process.poll() is not None
        if kills == most and process.poll() is None:
            process.kill()  # no kill of the count: the next command is to end it all
        _, complaint = process.communicate(timeout=_PATIENCE_S)
        if process.returncode not in (0, -signal.SIGKILL):
            self._fault(complaint.decode(errors="replace"))
        self._settle()
        return kills

    def _type(self) -> "subprocess.Popen[bytes]":
        """Type the command, with as many workers as are due."""
        self.tally.commands += 1
        workers = 1 if self.place.startswith("one") else self._chance.choice((2, 2, 2, 1))
        return start(self.scene, self.place, workers)

    def _await_moment(self, process: "subprocess.Popen[bytes]") -> bool:
        """Wait for the next moment; False if the process ended before."""
        until = time.monotonic() + _PATIENCE_S
        wanted = self._size() + self._chance.random() * _LONGEST_BYTES
        if self._chance.random() < 0.4:
            until, wanted = time.monotonic() + self._chance.random() * _LONGEST_S, float("inf")
        while process.poll() is None:
            if self._size() >= wanted or time.monotonic() >= until:
                return True
            time.sleep(0.0005)
        return False

    def _victim(self, process: "subprocess.Popen[bytes]") -> int | None:
        """A worker to kill; None for the parent."""
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        try:
            workers = [int(pid) for pid in children.read_text("ascii").split()]
        except OSError:
            workers = []
        return self._chance.choice(workers) if workers and self._chance.random() < 0.75 else None

    def _size(self) -> int:
        """How long the log is."""
        return sum(segment.stat().st_size for segment in self.run.segments())

    def _settle(self) -> None:
        """Wait until orphans have gone, and compare the log with what it was."""
        until = time.monotonic() + _PATIENCE_S
        while self.run.path.exists() and self.run.busy():
            if time.monotonic() > until:
                self._fault("the workers do not go")
                return
            time.sleep(0.002)
        for segment in self.run.segments():
            data = segment.read_bytes()
            whole = data[: data.rfind(b"\n") + 1]
            before = self._before.get(segment.name, b"")
            if not whole.startswith(before):
                self.tally.lost += len(set(before.splitlines()) - set(whole.splitlines()))
                self._fault(f"{segment.name}: what was recorded has changed")
            self._before[segment.name] = whole

    def _ended(self) -> bool:
        """Whether every conversation has an end on record."""
        ended = sum(isinstance(each.event, ConversationEnded) for each in self._records())
        return ended >= CONVERSATIONS

    def _records(self) -> Iterator[Record]:
        return self.run.records() if self.run.path.exists() else iter(())

    def _compare(self) -> None:
        """Compare the whole with what nothing interrupted."""
        self._settle()
        self.tally.runs += 1
        self.tally.torn += len(list(self.run.path.glob("*.torn-*")))
        everything = told(self.run)
        for conv, expected in self.scene.told.items():
            found = everything.get(conv, [])
            turns = Counter(turn for turn, _, _ in found)
            self.tally.doubled += sum(count - 1 for count in turns.values())
            self.tally.missing += len(set(expected) - set(found))
            self.tally.equal += found == expected
        for conv in everything.keys() - self.scene.told.keys():
            self._fault(f"{conv} was not asked for")
        self.tally.spread += self._spread()
        for fault in verify(self.run).faults:
            self._fault(f"{fault.place}: {fault.what}")

    def _spread(self) -> int:
        """How many conversations stand in more than one segment."""
        places: dict[str, set[str]] = {}
        for segment in self.run.segments():
            for line in segment.read_bytes().splitlines():
                places.setdefault(json.loads(line)["conv"], set()).add(segment.name)
        return sum(len(found) > 1 for found in places.values())

    def _fault(self, what: str) -> None:
        self.tally.faults.append(f"{self.run.path}: {what}")


def torture(scene: Scene, name: str, kills: int, seed: int) -> Tally:
    """As many kills, over as many runs as they take."""
    tally, chance, place = Tally(), random.Random(seed), 0  # noqa: S311 - nothing is secret
    while (left := kills - tally.kills) > 0:
        Ordeal(scene, f"{name}-{place}", tally, chance).suffer(left)
        place += 1
    return tally
