"""How long it takes to know that nothing is left to do, over a run of many finished conversations.

    python benchmarks/resume.py [CONVERSATIONS [MESSAGES]]

Writes a synthetic log by the code that writes every log: each conversation of an experiment, come
to its end. Then types ``duologue run`` again: the same experiment, and not one turn to take. What
is timed is the whole command, from its start to its exit:

- *log alone*: the file that remembers how all stood was deleted;
- *remembered*: with that file, each of whose claims is compared with the log's bytes;
- *tenth new*: with that file, from when a tenth of the log was not there yet;
- *status*: ``duologue status``, with the file.

The yardstick is one pass over the log with BLAKE2b, in one thread, and nothing else.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from hashlib import blake2b
from pathlib import Path

from duologue.core.event import (
    ConversationEnded,
    ConversationStarted,
    EndReason,
    Event,
    TurnCompleted,
    TurnStarted,
)
from duologue.core.experimentfile import read
from duologue.core.message import Message, Origin
from duologue.core.plan import Planned, plan
from duologue.core.provider import Usage
from duologue.scale.experiment import folder
from duologue.store.chain import Head, seal
from duologue.store.library import Library
from duologue.store.run import Run
from duologue.store.standing import MEMORY, Standings

_MIB = 1 << 20
_SEGMENTS = 2
_WORDS = "It was good to talk with you; shall we look at the harbour once more before we go? "
_AT = "2026-11-24T03:00:00.000000Z"


def events(each: Planned, messages: int) -> Iterator[Event]:
    """The facts of a conversation that came to its end."""
    names = each.spec.names()
    yield ConversationStarted(each.spec, key=each.id)
    for turn in range(1, messages + 1):
        author = names[(turn - 1) % len(names)]
        request = blake2b(f"{each.id}/{turn}".encode(), digest_size=32).hexdigest()
        yield TurnStarted(turn, author, request)
        said = Message(author, f"{turn}: {_WORDS * (1 + turn % 3)}", Origin.MODEL)
        usage = Usage(40 * turn, 40)
        yield TurnCompleted(
            turn, said, usage=usage, first_token_s=0.21, seconds=0.83, served="m", cost=0.0001
        )
    yield ConversationEnded(EndReason.MAX_TURNS)


def write(run: Run, planned: tuple[Planned, ...], messages: int) -> None:
    """The whole log, conversation by conversation, over several segments."""
    for number in range(1, _SEGMENTS + 1):
        before = ""
        with run.segment(number).open("wb") as file:
            for each in planned[number - 1 :: _SEGMENTS]:
                head = Head()
                for event in events(each, messages):
                    line, record = seal(each.id, event, _AT, head, before=before)
                    head, before = Head(record.seq + 1, record.h), record.h
                    file.write(line)


def command(library: Path, *typed: str) -> tuple[float, float, int]:
    """Wall and CPU seconds of a command, and the most memory it held, in MiB."""
    began = time.perf_counter()
    process = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-m", "duologue", "--library", str(library), *typed],
        stdout=subprocess.DEVNULL,
    )
    _, code, used = os.wait4(process.pid, 0)
    assert code == 0, f"{typed}: exit code {code}"  # noqa: S101 - a benchmark of what works
    took = time.perf_counter() - began
    return took, used.ru_utime + used.ru_stime, used.ru_maxrss // 1024


def digest(run: Run) -> float:
    """Seconds for one pass over the log with nothing but BLAKE2b."""
    began = time.perf_counter()
    for segment in run.segments():
        hashed = blake2b()
        with segment.open("rb") as file:
            while piece := file.read(_MIB):
                hashed.update(piece)
    return time.perf_counter() - began


def row(name: str, took: tuple[float, float, int], yardstick: float) -> None:
    """A line of the table."""
    wall, cpu, memory = took
    print(f"{name:<12} {wall:>8.2f} {cpu:>8.2f} {memory:>9,} {wall / yardstick:>10.1f}")


def shortened(run: Run, act: Callable[[], None]) -> None:
    """Do something while the last tenth of each segment is not there."""
    kept = {}
    for segment in run.segments():
        cut = segment.stat().st_size * 9 // 10
        with segment.open("r+b") as file:
            file.seek(cut)
            cut += len(file.readline())
            kept[segment] = file.read()
            file.truncate(cut)
    act()
    for segment, rest in kept.items():
        with segment.open("ab") as file:
            file.write(rest)


def main(count: int, messages: int) -> None:
    """Write the log, and print the table."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as place:
        scripts = Path(place) / "a.jsonl"
        scripts.write_text('"x"\n', "utf-8")
        text = (
            f'name = "many"\npairs = "self"\nturns = {messages}\nreplicates = {count}\n'
            f'participants = ["scripted:{scripts}"]\n'
        )
        file = Path(place) / "many.toml"
        file.write_text(text, "utf-8")
        library = Path(place) / "runs"
        experiment = read(text, str(file))
        run = folder(Library(library), experiment)
        write(run, plan(experiment).conversations, messages)
        size = sum(run.lengths().values())
        print(f"{count:,} conversations of {messages} messages: {size / _MIB:,.0f} MiB of log")
        again = ("run", str(file), "--quiet")
        yardstick = min(digest(run) for _ in range(3))
        print(f"one pass with BLAKE2b: {yardstick:.2f} s\n")
        print(f"{'':<12} {'wall s':>8} {'CPU s':>8} {'RSS MiB':>9} {'x one pass':>10}")
        row("log alone", command(library, *again), yardstick)
        row("remembered", command(library, *again), yardstick)
        shortened(run, lambda: _remember(run))
        row("tenth new", command(library, *again), yardstick)
        row("status", command(library, "status", "many"), yardstick)


def _remember(run: Run) -> None:
    """Write the memory of the log as it is now."""
    (run.path / MEMORY).unlink()
    Standings(run).catch_up().remember()


if __name__ == "__main__":
    main(*map(int, [*sys.argv[1:], *("100000", "10")[len(sys.argv) - 1 :]]))
