"""duologue beside other harnesses: CPU a message, wall, memory; every ratio measured in one run.

    sh benchmarks/peers/environments.sh
    PYTHONPATH=src python benchmarks/peers/run.py one --messages 50
    PYTHONPATH=src python benchmarks/peers/run.py one --messages 400 --rounds 1
    PYTHONPATH=src python benchmarks/peers/run.py many --conversations 200

All talk to ``../harness/server.py`` in a process of its own, each from a process and an environment
of its own, one at a time, round by round. ``one``: a single conversation, the server answers at
once, CPU counts. ``many``: conversations of 20 messages, the server takes 0.2 s, wall and memory
count. Memory is the sum of what the contestant's processes hold, looked at every 0.1 s. Whoever
says fewer messages than were asked for is shown as wrong.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "harness"))

from memory import watched  # noqa: E402 - beside the folder, not in a package
from server import running  # noqa: E402

ENVIRONMENTS = Path.home() / ".cache" / "duologue-peers"
OURS = "duologue"
# contestant -> environment; none is the one that runs this file
CONTESTANTS = {
    OURS: None,
    "loop": None,
    "openai": "openai",
    "pidgin": "pidgin",
    "inspect": "inspect",
    "autogen": "autogen",
    "camel": "camel",
}
ALWAYS_STREAMS = {"pidgin"}
Told = dict[str, float]


def hold(
    name: str, base: str, conversations: int, messages: int, *, stream: bool, limit_s: float
) -> Told | str:
    """What a contestant tells, and its memory; or in words why it tells nothing."""
    environment = CONTESTANTS[name]
    python = ENVIRONMENTS / environment / "bin" / "python" if environment else sys.executable
    command = [str(python), str(HERE / f"with_{name}.py"), base]
    command += ["--conversations", str(conversations), "--messages", str(messages)]
    command += ["--stream"] if stream else []
    with subprocess.Popen(  # noqa: S603 - the files beside this one
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    ) as process:
        peak = watched(process, limit_s)
        said = process.stdout.read() if process.stdout else b""
        wrong = process.stderr.read() if process.stderr else b""
    if peak is None:
        return f"not finished in {limit_s:.0f} s"
    if process.returncode or not said.strip():
        return f"failed: {wrong.decode(errors='replace').strip().splitlines()[-1:]}"
    told: Told = json.loads(said.splitlines()[-1]) | {"peak_mb": peak}
    wanted = conversations * messages
    return told if told["messages"] >= wanted else f"{told['messages']:.0f} of {wanted} messages"


def one(names: Sequence[str], messages: int, rounds: int, limit_s: float) -> None:
    """CPU a message of a single conversation, in both modes."""
    with running() as base:
        for stream in (True, False):
            mode = "streaming" if stream else "whole replies"
            told: dict[str, list[Told | str]] = {name: [] for name in names}
            for _ in range(rounds):
                for name in names:
                    if stream or name not in ALWAYS_STREAMS:
                        told[name].append(
                            hold(name, base, 1, messages, stream=stream, limit_s=limit_s)
                        )
            print(f"\nOne conversation of {messages} messages, {mode}: CPU a message, ms\n")
            print("| contestant | CPU, ms | times duologue's | memory, MB |\n|---|--:|--:|--:|")
            ours = _median(told[OURS], "cpu_s")
            for name in names:
                if told[name]:
                    print(_row(name, told[name], "cpu_s", ours=ours, scale=1e3 / messages))


def many(names: Sequence[str], conversations: int, limit_s: float, *, streams: bool) -> None:
    """Wall and memory of many conversations at once."""
    ceiling = [sys.executable, str(HERE.parent / "harness" / "server.py")]
    ceiling += ["--ceiling", str(conversations), "20", "--latency", "0.2"]
    print(subprocess.run(ceiling, check=True, capture_output=True, text=True).stdout)  # noqa: S603 - ours
    with running(latency_s=0.2) as base:
        for stream in (False, True) if streams else (False,):
            mode = "streaming" if stream else "whole replies"
            told = {
                name: [hold(name, base, conversations, 20, stream=stream, limit_s=limit_s)]
                for name in names
                if stream or name not in ALWAYS_STREAMS
            }
            print(f"\n{conversations:,} conversations of 20 messages, 0.2 s, {mode}: wall, s\n")
            print("| contestant | wall, s | times duologue's | memory, MB |\n|---|--:|--:|--:|")
            ours = _median(told[OURS], "wall_s")
            for name, each in told.items():
                print(_row(name, each, "wall_s", ours=ours), flush=True)


def _median(told: Sequence[Told | str], key: str) -> float:
    """Of what was told; not a number where nothing was."""
    numbers = [each[key] for each in told if not isinstance(each, str)]
    return statistics.median(numbers) if numbers else float("nan")


def _row(
    name: str, told: Sequence[Told | str], key: str, *, ours: float, scale: float = 1.0
) -> str:
    """A line of the table."""
    if wrong := [each for each in told if isinstance(each, str)]:
        return f"| {name} | {wrong[0]} | | |"
    value, memory = _median(told, key), _median(told, "peak_mb")
    return f"| {name} | {value * scale:.2f} | {value / ours:.1f} | {memory:.0f} |"


def main() -> None:
    """What is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("one", "many"))
    parser.add_argument("--messages", type=int, default=50)
    parser.add_argument("--conversations", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=float, default=120.0)
    parser.add_argument("--no-stream", action="store_true")
    parser.add_argument("--only", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS))
    given = parser.parse_args()
    if given.what == "one":
        one(given.only, given.messages, given.rounds, given.limit)
    else:
        many(given.only, given.conversations, given.limit, streams=not given.no_stream)


if __name__ == "__main__":
    main()
