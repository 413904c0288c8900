"""Many conversations at once: ``duologue run FILE`` beside what server and machine allow.

    PYTHONPATH=src python benchmarks/harness/crowd.py                       # 200 and 1,000
    PYTHONPATH=src python benchmarks/harness/crowd.py --conversations 1000 --rounds 5

Conversations of 20 messages, two seats, a server that takes 0.2 s for a reply. 4 s is what nobody
can do better; the server's ceiling is what a client on bare sockets that knows all answers needs
for the same replies on this machine, measured in every round, right before. *Talk* is from the
first line of the log to the last; *all* is the whole command, from its start to its exit, with
three interpreters to start. CPU is the command's, all processes. Memory is the sum over all
processes, looked at every 0.1 s. Whatever is missing in the log afterwards, or failed, is counted.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec
from bare import OPENER, SEATS
from memory import watched
from server import WORDS, ceiling, running

MESSAGES = 20
LATENCY_S = 0.2
LEAST_S = MESSAGES * LATENCY_S
LIMIT_S = 300.0
EXPERIMENT = """
name = "crowd"
pairs = "cross"
order = "as_given"
turns = {messages}
replicates = {conversations}
opener = "{opener}"
base_url = "{base}"
stream = {stream}
participants = [
  {{ name = "{one}", model = "vllm:fake" }},
  {{ name = "{two}", model = "vllm:fake-2" }},
]
"""


class _Event(msgspec.Struct):
    """As much of an event as is counted."""

    kind: str


class _Line(msgspec.Struct):
    """As much of a line of the log as is counted."""

    at: datetime
    event: _Event


class Round(msgspec.Struct):
    """One execution."""

    ceiling: float
    talk: float
    all: float
    cpu: float
    peak_mb: float
    missing: int
    failed: int

    @property
    def ratio(self) -> float:
        """Talk beside the best that was possible."""
        return self.talk / max(LEAST_S, self.ceiling)


def _lines(folder: Path) -> Iterator[_Line]:
    """Every line of the log."""
    decoder = msgspec.json.Decoder(_Line)
    for log in folder.rglob("log-*.jsonl"):
        yield from map(decoder.decode, log.read_bytes().splitlines())


def once(base: str, conversations: int, *, stream: bool) -> Round:
    """Measure the server, then the command."""
    best = ceiling(base, conversations, MESSAGES, WORDS, stream=stream)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        file = folder / "crowd.toml"
        file.write_text(
            EXPERIMENT.format(
                messages=MESSAGES, conversations=conversations, opener=OPENER, base=base,
                stream=str(stream).lower(), one=SEATS[0], two=SEATS[1],
            )
        )  # fmt: skip
        command = [sys.executable, "-m", "duologue", "--library", place, "run", str(file)]
        before, began = os.times(), time.perf_counter()
        with subprocess.Popen(  # noqa: S603 - our own program
            command, stdout=subprocess.DEVNULL, start_new_session=True
        ) as process:
            peak = watched(process, LIMIT_S)
        took, after = time.perf_counter() - began, os.times()
        if peak is None or process.returncode:
            raise SystemExit(f"duologue run ended with {process.returncode}")
        cpu = after.children_user + after.children_system
        cpu -= before.children_user + before.children_system
        lines = list(_lines(folder))
    said = sum(line.event.kind == "turn_completed" for line in lines)
    failed = sum(line.event.kind == "attempt_failed" for line in lines)
    times = [line.at for line in lines]
    talk = (max(times) - min(times)).total_seconds()
    missing = conversations * (MESSAGES - 1) - said  # each has an opener, said by nobody
    return Round(best, talk, took, cpu, peak, missing, failed)


COLUMNS = "ceiling, s", "talk, s", "ratio", "all, s", "CPU, s", "memory, MB", "missing", "failed"


def row(conversations: int, rounds: list[Round], *, stream: bool) -> str:
    """Medians of the rounds, and all that was missing or failed in any."""
    names = "ceiling", "talk", "ratio", "all", "cpu", "peak_mb"
    middle = [statistics.median(getattr(each, name) for each in rounds) for name in names]
    cells = [f"{value:.2f}" for value in middle[:4]] + [f"{value:.0f}" for value in middle[4:]]
    cells += [str(sum(each.missing for each in rounds)), str(sum(each.failed for each in rounds))]
    mode = "streaming" if stream else "whole"
    return f"| {conversations:,} | {mode} | {' | '.join(cells)} |"


def main() -> None:
    """A row for each number of conversations and mode."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--conversations", type=int, nargs="+", default=[200, 1000])
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    print(f"load before: {os.getloadavg()[0]:.1f}; medians of {given.rounds} rounds\n")
    print(f"| conversations | mode | {' | '.join(COLUMNS)} |\n|--:|---|{'--:|' * len(COLUMNS)}")
    with running(latency_s=LATENCY_S) as base:
        for conversations in given.conversations:
            for stream in (False, True):
                rounds = [once(base, conversations, stream=stream) for _ in range(given.rounds)]
                print(row(conversations, rounds, stream=stream), flush=True)


if __name__ == "__main__":
    main()
