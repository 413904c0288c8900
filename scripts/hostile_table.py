"""Hold a conversation through every misbehaviour of the hostile server, and print the table.

    python scripts/hostile_table.py [--write] [SCENARIO ...]

``--write`` puts the table into ``docs/hostile.md``. The exit status is 1 if a record does not say
what happened. This script only prints; ``tests/hostile/holding.py`` holds and judges.
"""

# ruff: noqa: INP001, T201 - a script that prints

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "hostile.md"
BEGIN, END = "<!-- table -->\n", "<!-- end of table -->\n"

sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from hostile import SCENARIOS  # noqa: E402 - the tests are no package that is installed
from hostile.holding import DIALECTS, ROWS, Cell, cell  # noqa: E402

ABOUT = {
    "stall:700": "nothing for longer than anybody waits, in the middle",
    "slow_first_byte:700": "the same, before the head",
    "slow_first_token:700": "the same, after the head",
    "overloaded*6": "529, as often as it is asked",
    "cut*6": "the connection is closed in the middle, every time",
}
COLUMNS = [(dialect, stream) for dialect in DIALECTS for stream in (True, False)]


def main() -> int:
    """Read the command line; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"into {PAGE.relative_to(ROOT)}")
    parser.add_argument("scenarios", nargs="*", default=ROWS, metavar="SCENARIO")
    options = parser.parse_args()
    began = time.perf_counter()
    table = {name: row(name) for name in options.scenarios}
    text = shown(table)
    if options.write:
        before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", "utf-8")
    print(text)
    failing = [found for cells in table.values() for found in cells if found.faults]
    for fault in dict.fromkeys(fault for found in failing for fault in found.faults):
        print(f"FAILS: {fault}", file=sys.stderr)
    count, took = len(table) * len(COLUMNS), time.perf_counter() - began
    print(f"{count} cells, {len(failing)} failing, {took:.1f} s", file=sys.stderr)
    return 1 if failing else 0


def row(name: str) -> list[Cell]:
    """One scenario in every dialect, streamed and whole."""
    return [cell(name, dialect, stream=stream) for dialect, stream in COLUMNS]


def shown(table: Mapping[str, Sequence[Cell]]) -> str:
    """Markdown. What is the same in neighbouring cells still stands in each."""
    heads = [f"{dialect}, {'streamed' if stream else 'whole'}" for dialect, stream in COLUMNS]
    lines = [f"| scenario | {' | '.join(heads)} |", f"|---|{'---|' * len(heads)}"]
    for name, cells in table.items():
        about = ABOUT.get(name) or SCENARIOS[name].about
        said = [found.said if not found.faults else "**FAILS**" for found in cells]
        lines.append(f"| `{name}`: {about} | {' | '.join(said)} |".replace("<|", "<\\|"))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
