# ruff: noqa: INP001, T201 - a script, not a package; it prints
"""Kill real processes two hundred times and print, as Markdown, what came of it.

    python scripts/kill_table.py [--kills 200] [--cuts 60] [--seed 1]

Three out of four kills hit a conversation of many short turns, the others one of a few very long
turns, where a kill can fall into the middle of a write. The seed decides when to kill; where that
hits, the machine decides. Exits with 1 if anything was lost, doubled, changed or not resumed.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from killing import Kill, Ordeal, Scene, Tally, moments, stage

SHORT = (("hello there", "", "a b c d", "[END]?"), ("yes\nno", "\u200b", "what? " + "x" * 500))
LONG = (("x" * 3_000_000, "a"), ("y" * 5_000_000,))
ORDER = (
    "before the run's folder was there",
    "before the first record",
    "after the start was recorded",
    "in a turn",
    "in a write: a torn tail",
    "after a completed turn",
    "after the end was recorded",
    "while an earlier record was taken up",
)


def main() -> None:
    """Kill, cut, and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--cuts", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    typed = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        tallies = _suffer(Path(folder), typed.kills, typed.cuts, typed.seed)
    print(table(*tallies, time.monotonic() - began))
    for tally in tallies:
        print("".join(f"FAULT {fault}\n" for fault in tally.faults), end="")
    sys.exit(any(unsound(tally) for tally in tallies))


def _suffer(folder: Path, kills: int, cuts: int, seed: int) -> tuple[Tally, Tally]:
    """All kills, and all cuts."""
    chance = random.Random(seed)  # noqa: S311 - the same moments for the same seed
    short, long = stage(folder, "short", SHORT, 100), stage(folder, "long", LONG, 6)
    killed, cut = Tally(), Tally()
    _kill(
        short,
        moments(chance, ("lines", "lines", "bytes", "bytes", "seconds", "folder")),
        kills - kills // 4,
        killed,
    )
    _kill(long, moments(chance, ("bytes", "bytes", "bytes", "seconds")), kills, killed)
    for place in range(cuts):
        _cut(Ordeal(short, f"cut-{place}", cut), chance.randrange(short.length))
    return killed, cut


def _kill(scene: Scene, when: Iterator[Kill], until: int, tally: Tally) -> None:
    """Hold one conversation after another, until so many processes were killed."""
    while (left := until - tally.kills.total()) > 0:
        Ordeal(scene, f"killed-{tally.conversations}", tally).suffer(when, left)


def _cut(ordeal: Ordeal, size: int) -> None:
    """Hold a conversation to its end, cut its log, and let it go on."""
    ordeal.finish()
    ordeal.cut(size)
    ordeal.finish()


def unsound(tally: Tally) -> bool:
    """Whether anything was not as it should be."""
    missing = tally.conversations - tally.equal or tally.torn - tally.kept
    return bool(tally.lost or tally.doubled or tally.faults or missing)


def table(killed: Tally, cut: Tally, seconds: float) -> str:
    """Both tallies as Markdown."""
    rows = [
        "| where the kill hit | kills |",
        "|---|---:|",
        *(f"| {where} | {killed.kills[where]} |" for where in ORDER),
        f"| **all** | **{killed.kills.total()}** |",
        "",
        f"| | {killed.kills.total()} kills | {cut.cuts} cuts by hand |",
        "|---|---:|---:|",
        *(f"| {what} | {one} | {other} |" for what, one, other in _rows(killed, cut)),
        "",
        f"{seconds:.0f} seconds in all.",
    ]
    return "\n".join(rows)


def _rows(killed: Tally, cut: Tally) -> Iterator[tuple[str, object, object]]:
    """What is told of both, row by row."""
    yield (
        "conversations held to their end (a cut one twice)",
        killed.conversations,
        cut.conversations,
    )
    yield "processes that resumed", killed.resumed, cut.resumed
    yield "processes that ended before their moment came (not kills)", killed.late, cut.late
    yield "records printed before a kill", killed.printed, "-"
    yield "**records lost**", killed.lost, cut.lost
    yield "**messages doubled**", killed.doubled, cut.doubled
    yield "torn tails", killed.torn, cut.torn
    yield "bytes in torn tails", killed.torn_bytes, cut.torn_bytes
    yield "torn tails set aside, byte for byte", killed.kept, cut.kept
    yield "records not verified clean, or changed", len(killed.faults), len(cut.faults)
    yield "transcripts equal to the uninterrupted one", killed.equal, cut.equal


if __name__ == "__main__":
    main()
