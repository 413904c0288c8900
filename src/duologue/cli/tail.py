"""``duologue tail``: follow a conversation that another process is holding.

It reads the log like any other reader and looks for more now and then. A line is shown when it is
whole; half a line is waited for. Whether anybody is still writing, the run's lock tells.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from duologue.cli.completing import NewestId
from duologue.cli.show import find
from duologue.core.event import ConversationEnded, Event, Record, TurnStarted
from duologue.errors import RecordError
from duologue.store.run import Run
from duologue.store.segment import read

INTERVAL_S = 0.2
LEFT_ALONE = 1

Wait = Callable[[], None]


def tail(
    ctx: typer.Context,
    id_: NewestId = None,
    json: Annotated[bool, typer.Option("--json", help="Print the log's lines.")] = False,
) -> None:
    """Follow a conversation from another terminal until it ends."""
    from duologue.cli.live import Watcher

    run, conv = find(ctx.obj, id_)
    with Watcher(ctx.obj, json=json, hears=False) as watcher:
        ended = False
        try:
            for record in follow(run, conv, lambda: time.sleep(INTERVAL_S)):
                watcher(record)
                ended = over(record.event, already=ended)
        except KeyboardInterrupt:
            return
        watcher.interrupted()
    if not ended:
        raise typer.Exit(LEFT_ALONE)


def over(event: Event, *, already: bool) -> bool:
    """Whether a conversation has ended, after one more fact; a turn that starts reopens it."""
    return isinstance(event, ConversationEnded) or (already and not isinstance(event, TurnStarted))


def follow(run: Run, conv: str, wait: Wait) -> Iterator[Record]:
    """The records of a conversation: those that are there, then each as it is written.

    Stops when the conversation has ended, and when nobody is writing to its run any more.

    Args:
        run: where it is.
        conv: its id.
        wait: called when there is nothing new.

    Raises:
        RecordError: a line of it is damaged.
    """
    ends: dict[Path, int] = {}
    ended = False
    while True:
        # Asked before reading: what a writer wrote before it went away is read in this round.
        busy = run.busy()
        for record in _new(run, conv, ends):
            yield record
            ended = over(record.event, already=ended)
        if ended or not busy:
            return
        wait()


def _new(run: Run, conv: str, ends: dict[Path, int]) -> list[Record]:
    """The whole lines of a conversation that were appended since ``ends``, which moves on."""
    found: list[Record] = []
    mark = b'"conv":"%b"' % conv.encode()
    for segment in run.segments():
        if segment.stat().st_size <= ends.get(segment, 0):
            continue
        for line in read(segment, ends.get(segment, 0)):
            ends[segment] = line.end
            if line.record is None and mark in line.data:
                raise RecordError(
                    f"{conv} is damaged at {segment.name}, byte {line.offset}: {line.problem}"
                )
            if line.record is not None and line.record.conv == conv:
                found.append(line.record)
    return sorted(found, key=lambda record: record.seq)
