"""Holds an experiment on a Ray cluster of two nodes, and kills what holds it, again and again.

``python tests/on_ray.py FOLDER``, in a process of its own: Ray opens sockets of this machine, which
the tests may not. Each node has one core, hence one worker. What came of it is printed as JSON.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from ray.cluster_utils import Cluster

from duologue.store.run import Run
from duologue.verify import verify
from torturing import Told, told

CONVERSATIONS = 40
TURNS = 12
KILLS = 4
GROWTH = 20_000
STEP = 500
_PATIENCE_S = 300

_MODEL = """
import asyncio
from pathlib import Path
from duologue.core.provider import Completion, Usage

HERE = Path(__file__).parent

def more():
    return sum(log.stat().st_size for log in HERE.glob("killed/rayed/log-*")) < int(
        (HERE / "until").read_text()
    )

async def reply(view):
    await asyncio.sleep(0.1)  # how long the model takes
    while not more():
        await asyncio.sleep(0.02)
    words = f"{view.participant} says {len(view.messages)}: " + "wörd " * len(view.messages)
    return Completion(words, usage=Usage(6, 4))
"""


class Came(msgspec.Struct):
    """What came of it.

    Attributes:
        workers: workers killed.
        nodes: nodes killed, each with its worker.
        parents: parents killed.
        nodes_used: on how many nodes workers were seen at once, at the most.
        missing: messages of the uninterrupted run that are not there.
        doubled: messages that are there twice.
        equal: conversations that hold the very messages of the uninterrupted run.
        spread: conversations whose records stand in more than one segment.
        faults: what ``verify`` finds, and whatever was said on standard error.
        budget: tokens spent by an execution that might spend 205; a turn takes 10.
    """

    workers: int = 0
    nodes: int = 0
    parents: int = 0
    nodes_used: int = 0
    missing: int = 0
    doubled: int = 0
    equal: int = 0
    spread: int = 0
    faults: list[str] = []
    budget: int = 0


def write(folder: Path) -> Path:
    """The experiment and its model."""
    (folder / "slowly.py").write_text(_MODEL, "utf-8")
    file = folder / "rayed.toml"
    seats = ", ".join(f'{{ name = "{name}", model = "function:slowly:reply" }}' for name in "AB")
    file.write_text(
        f'name = "rayed"\npairs = "cross"\nopener = " "\nturns = {TURNS}\nseed = 5\n'
        f"replicates = {CONVERSATIONS // 2}\nparticipants = [{seats}]\n",
        "utf-8",
    )
    return file


def start(file: Path, library: str, *more: str) -> "subprocess.Popen[bytes]":
    """Type the command."""
    command = [sys.executable, "-m", "duologue", "--library", str(file.parent / library)]
    command += ["run", str(file), "--quiet", "--at-once", "5", *more]
    return subprocess.Popen(  # noqa: S603 - our own program
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def end(process: "subprocess.Popen[bytes]", came: Came) -> None:
    """Wait until it has ended; what it complains of is a fault."""
    _, complaint = process.communicate(timeout=_PATIENCE_S)
    if process.returncode not in (0, -signal.SIGKILL):
        came.faults.append(complaint.decode(errors="replace"))


def workers(cluster: Any) -> dict[int, Any]:
    """The process of each worker that is at work, and its node."""
    found = {}
    for node in cluster.list_all_nodes():
        raylet = node.all_processes["raylet"][0].process.pid
        children = Path(f"/proc/{raylet}/task/{raylet}/children").read_text("ascii").split()
        for pid in map(int, children):
            with suppress(OSError):  # one that has just gone
                if b"ray::Post" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found[pid] = node
    return found


def let(folder: Path, until: int) -> None:
    """Models say nothing once the log is so long: nothing can end, however slow this machine is."""
    (folder / "new").write_text(str(until), "ascii")
    (folder / "new").replace(folder / "until")


def victim(cluster: Any, run: Run, came: Came) -> tuple[int, Any]:
    """A worker to kill, not on the node that holds the cluster together, and its node.

    Each segment holds a conversation by then that somebody has to go on with.
    """
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until:
        found = workers(cluster)
        came.nodes_used = max(came.nodes_used, len({id(node) for node in found.values()}))
        if len(found) == 2 and underway(run) < 2:
            let(run.path.parents[1], size(run) + STEP)
        for pid, node in found.items():
            if node != cluster.head_node and underway(run) == 2:
                return pid, node
        time.sleep(0.1)
    raise AssertionError(f"there was nobody to kill: {came}")


def size(run: Run) -> int:
    """How long the log is."""
    return sum(run.lengths().values()) if run.path.exists() else 0


def grown(run: Run, process: "subprocess.Popen[bytes]", wanted: int) -> bool:
    """Wait until the log is so long; False if it ended before."""
    until = time.monotonic() + _PATIENCE_S
    while process.poll() is None and time.monotonic() < until:
        if size(run) >= wanted:
            return True
        time.sleep(0.01)
    return False


def underway(run: Run) -> int:
    """In how many segments conversations stand that do not end with the turn in hand."""
    latest: dict[str, tuple[int, Path, int]] = {}
    for segment in run.segments():
        for record in map(json.loads, segment.read_bytes().split(b"\n")[:-1]):
            here = (record["seq"], segment, record["event"].get("turn", TURNS))
            latest[record["conv"]] = max(here, latest.get(record["conv"], here))
    return len({segment for _, segment, turn in latest.values() if turn < TURNS - 1})


def suffer(cluster: Any, file: Path, came: Came) -> None:
    """Hold the experiment; kill a worker, a node, a worker and the parent on the way.

    One worker alone then has to go on, in its own segment, from what stands in the other one's.
    """
    run, address, until = Run(file.parent / "killed" / "rayed"), cluster.address, 0
    let(file.parent, GROWTH)
    process = start(file, "killed", f"--on=ray={address}")
    for kill in range(KILLS):
        until = max(until, size(run)) + GROWTH
        let(file.parent, until)
        assert grown(run, process, until), f"there was nothing more to kill: {came}"
        pid, node = victim(cluster, run, came)
        if kill == KILLS - 1:
            process.kill()
            came.parents += 1
        elif kill == 1:
            cluster.remove_node(node, allow_graceful=False)
            cluster.add_node(num_cpus=1)
            came.nodes += 1
        else:
            os.kill(pid, signal.SIGKILL)
            came.workers += 1
    end(process, came)
    let(file.parent, sys.maxsize)
    end(start(file, "killed", f"--on=ray={address}", "--workers", "1"), came)


def compare(run: Run, whole: Told, came: Came) -> None:
    """Compare a run with what nothing interrupted."""
    everything = told(run)
    for conv, expected in whole.items():
        found = everything.get(conv, [])
        came.doubled += sum(count - 1 for count in Counter(turn for turn, _, _ in found).values())
        came.missing += len(set(expected) - set(found))
        came.equal += found == expected
    places: dict[str, set[str]] = {}
    for segment in run.segments():
        for line in segment.read_bytes().splitlines():
            places.setdefault(json.loads(line)["conv"], set()).add(segment.name)
    came.spread = sum(len(found) > 1 for found in places.values())
    came.faults += [f"{fault.place}: {fault.what}" for fault in verify(run).faults]


def main(folder: Path) -> Came:
    """Hold it here, uninterrupted, then on the cluster; and once within a budget."""
    came, file = Came(), write(folder)
    let(folder, sys.maxsize)
    os.environ["PYTHONPATH"] = f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    end(start(file, "whole", "--workers", "2"), came)
    whole = told(Run(folder / "whole" / "rayed"))
    assert len(whole) == CONVERSATIONS
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        cluster.add_node(num_cpus=1)
        suffer(cluster, file, came)
        frugal = start(file, "frugal", f"--on=ray={cluster.address}", "--budget-tokens", "205")
        frugal.communicate(timeout=_PATIENCE_S)
    finally:
        cluster.shutdown()
    compare(Run(folder / "killed" / "rayed"), whole, came)
    came.budget = 10 * sum(len(said) for said in told(Run(folder / "frugal" / "rayed")).values())
    return came


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(main(Path(sys.argv[1]))))
