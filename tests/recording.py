"""Scripted conversations written into run folders: what the tests of the record are about."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
import tomli_w

from duologue.conversation import converse
from duologue.core.event import ConversationStarted, Event, Record
from duologue.core.provider import Delta
from duologue.core.spec import (
    ConversationSpec,
    Ending,
    Exit,
    ExitRule,
    Framing,
    Line,
    Participant,
    Shuffled,
    TurnCap,
)
from duologue.core.specfile import Asked, document
from duologue.providers.scripted import Reply, Scripted
from duologue.scheduler import record
from duologue.store.run import SPEC_FILE, Run
from duologue.store.segment import Clock
from duologue.verify import Proof

CONV = "lusab-babad-gutih"
OTHER = "tugad-bojub-zonof"
LOG = "log-1.jsonl"


class Play(msgspec.Struct, frozen=True):
    """A conversation that can be held again and again, and what its participants say."""

    spec: ConversationSpec
    lines: dict[str, tuple[str | Reply, ...]]

    def cast(self) -> dict[str, Scripted]:
        """Fresh providers."""
        return {name: Scripted(lines, name) for name, lines in self.lines.items()}

    async def events(self, key: str = "") -> list[Event]:
        """Every fact of the play when nothing interrupts it."""
        facts = converse(self.spec, self.cast(), key=key)
        return [item async for item in facts if not isinstance(item, Delta)]


def play(
    lines: dict[str, tuple[str | Reply, ...]],
    turns: int,
    *,
    opening: str = " ",
    ending: Sequence[Ending] = (),
) -> Play:
    """A round robin of the named participants, cut after ``turns`` messages."""
    names = tuple(lines)
    spec = ConversationSpec(
        tuple(Participant(name, f"scripted:{name}") for name in names),
        opening=(Line(names[0], opening),),
        ending=(*ending, TurnCap(turns)),
        seed=7,
    )
    return Play(spec, lines)


# Words that a careless store would break: newlines, quotes, controls, silence, look-alike JSON.
PAIR = play(
    {
        "Ada": ('\u200b"quoted" \\u0041 {"h":"0"}',),
        "Bo": ("two\nlines\u2028 and a\ttab \0 end", Reply("", reasoning="世 hm")),
    },
    4,
)
_TRIO = play(
    {"Ada": ("[END]",), "Bo": ("<|im_end|> Zoë\n[End]",), "Cy": ("世界 🌊\n\n*[END]*",)},
    6,
    ending=(Exit(rule=ExitRule.MUTUAL),),
)
TRIO = msgspec.structs.replace(
    _TRIO,
    spec=msgspec.structs.replace(
        _TRIO.spec,
        order=Shuffled(3),
        participants=(
            *_TRIO.spec.participants[:2],
            Participant(
                "Cy",
                "scripted:Cy",
                system="Be brief.",
                framing=Framing.SCRIPT,
                private=(Line("Cy", "a secret"),),
            ),
        ),
    ),
)


def ticking() -> Clock:
    """A clock that goes on by a millisecond whenever somebody looks at it."""
    ticks = count()
    start = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    return lambda: start + timedelta(milliseconds=next(ticks))


def unwatched(_item: Record | Delta) -> None:
    """Look at nothing."""


def ask(run: Run, spec: ConversationSpec) -> None:
    """Let a run ask for what it is to hold."""
    asked = tomli_w.dumps(document(Asked(run.name, spec)))
    (run.path / SPEC_FILE).write_text(asked, "utf-8")


async def hold(run: Run, what: Play, conv: str = CONV) -> None:
    """Hold a play, or go on with it, and write it down."""
    ask(run, what.spec)
    with run.writing(ticking()) as log:
        history = log.take_up(conv)
        await record(log, conv, what.spec, what.cast(), history=history, watch=unwatched)


def write(run: Run, conv: str, events: Sequence[Event]) -> None:
    """Append facts to a run as they are."""
    if isinstance(events[0], ConversationStarted):
        ask(run, events[0].spec)
    with run.writing(ticking()) as log:
        log.take_up(conv)
        for event in events:
            log.append(conv, event)


def interleave(run: Run, tracks: dict[str, Sequence[Event]]) -> None:
    """Append the facts of several conversations in turn, as a busy worker would."""
    with run.writing(ticking()) as log:
        for place in range(max(map(len, tracks.values()))):
            for conv, events in tracks.items():
                if place < len(events):
                    log.append(conv, events[place])


def folder(path: Path) -> Run:
    """An empty run; it asks for ``PAIR`` until something else is written or held."""
    return Run.create(path, document(Asked(path.name, PAIR.spec)))


@contextmanager
def scratch() -> Iterator[Run]:
    """An empty run that is gone afterwards; for tests that need many."""
    memory = Path("/dev/shm")  # noqa: S108 - thousands of small files; a disk would do, slowly
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as path:
        yield folder(Path(path) / "run")


def log_of(run: Run) -> Path:
    """The only segment of a run."""
    return run.path / LOG


def place(proof: Proof) -> int:
    """The line of the first fault."""
    found = re.fullmatch(r"log-1\.jsonl, line (\d+)", proof.faults[0].place)
    assert found, proof.faults[0]
    return int(found[1])


@contextmanager
def unsynced() -> Iterator[None]:
    """No waiting for the disk: for tests that open a log hundreds of times."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("duologue.store.segment._sync", lambda _file: None)
        yield
