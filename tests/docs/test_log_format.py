"""The readers in docs/log-format.md are run against real logs, whole and damaged."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pages import DOCS, blocks

from duologue.core.branch import branch
from duologue.core.event import ConversationStarted
from duologue.core.message import Message, Origin
from duologue.core.state import fold
from duologue.core.transcript import transcript
from duologue.store.run import Run
from duologue.verify import verify
from recording import CONV, OTHER, PAIR, TRIO, ask, folder, interleave, log_of, place, unsynced

PAGE = DOCS / "log-format.md"
BRANCH = "babad-lusab-gutih"
READERS = {
    "python": ("reader.py", [sys.executable]),
    "js": ("reader.mjs", [shutil.which("node") or "node is not installed"]),
}
needs_node = pytest.param(
    "js", marks=pytest.mark.skipif(shutil.which("node") is None, reason="there is no node here")
)
both = pytest.mark.parametrize("tongue", ["python", needs_node])


@pytest.fixture
async def run(tmp_path: Path) -> Run:
    """Two conversations and a branch of one of them, interleaved in one log."""
    made = folder(tmp_path / "run")
    pair, trio = await PAIR.events(), await TRIO.events()
    started = fold(pair).begun()
    said = Message("Zoë", "a word\u2028 from outside", origin=Origin.HUMAN)
    left = branch(pair, CONV, 2, spec=started.spec, seats=started.seats, say=said)
    with unsynced():
        interleave(made, {CONV: pair, OTHER: trio, BRANCH: left})
    return made


def read(tongue: str, run: Run) -> subprocess.CompletedProcess[str]:
    """What the page's reader in that language prints of a run."""
    name, command = READERS[tongue]
    (code,) = blocks(PAGE, tongue)
    program = run.path / name
    program.write_text(code, "utf-8")
    return subprocess.run(  # noqa: S603 - the page's own program
        [*command, program, run.path], capture_output=True, encoding="utf-8", check=False
    )


@both
def test_the_reader_prints_every_message_and_every_head(run: Run, tongue: str) -> None:
    expected = []
    for conv, head in verify(run).heads.items():
        expected.append(f"{conv} {head}")
        for item in transcript(run.events(conv)).spoken:
            message = item.entry.message
            words = json.dumps(message.text, ensure_ascii=False)
            expected.append(f"  {message.author} ({message.origin.value}): {words}")
    done = read(tongue, run)
    assert done.stderr == ""
    assert done.stdout.split("\n")[:-1] == expected
    assert done.returncode == 0


@both
@pytest.mark.parametrize("at", [0, 200, 900, 2500, -200, -10])
def test_the_reader_finds_a_flipped_bit_where_verify_finds_it(
    run: Run, tongue: str, at: int
) -> None:
    data = bytearray(log_of(run).read_bytes())
    data[at] ^= 1
    log_of(run).write_bytes(data)
    first = place(verify(run))
    done = read(tongue, run)
    assert done.returncode == 3
    told = next(line for line in done.stdout.split("\n") if line.startswith("FAULT"))
    assert told.startswith(f"FAULT log-1.jsonl, line {first}: ")


@both
def test_the_reader_misses_a_line_that_was_taken_out(run: Run, tongue: str) -> None:
    lines = log_of(run).read_bytes().splitlines(keepends=True)
    log_of(run).write_bytes(b"".join(lines[:4] + lines[5:]))
    done = read(tongue, run)
    assert "FAULT log-1.jsonl, line 5: a line before it" in done.stdout


@both
def test_the_reader_leaves_a_torn_tail_alone(run: Run, tongue: str) -> None:
    whole = read(tongue, run).stdout
    with log_of(run).open("ab") as log:
        log.write(b'{"v":1,"conv":"lus')
    assert read(tongue, run).stdout == whole


def test_the_lines_on_the_page_are_lines_of_a_log(tmp_path: Path) -> None:
    (lines,) = blocks(PAGE, "json")
    made = folder(tmp_path / "run")
    log_of(made).write_text(lines, "utf-8")
    (first, *_) = made.events(CONV)
    assert isinstance(first, ConversationStarted)
    ask(made, first.spec)
    assert read("python", made).returncode == 0
    proof = verify(made)
    assert (proof.records, proof.requests, proof.faults) == (3, 1, ())


def test_a_line_is_as_long_as_the_page_says_after_its_payload(run: Run) -> None:
    line = log_of(run).read_bytes().split(b"\n")[0]
    assert line[-40:].startswith(b',"h":"')
    assert line[:-40] + line[-40:-34] + json.loads(line)["h"].encode() + b'"}' == line
