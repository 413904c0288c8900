"""What run, resume and branch share: make sure of the models, hold, watch, and say how it ended."""

import sys
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from typing import TYPE_CHECKING

import msgspec
import typer

from duologue.core.event import Record
from duologue.core.provider import Delta
from duologue.core.spec import ConversationSpec
from duologue.core.transcript import Status
from duologue.store.library import Library, default_path

if TYPE_CHECKING:
    from duologue.api import Recorded
    from duologue.scheduler import Watch

FAILED = 1
INTERRUPTED = 130


class Showing(msgspec.Struct, frozen=True):
    """How a conversation is to be shown while it is held.

    Attributes:
        library: where it is kept.
        quiet: print only its id, at the end.
        json: print the log's lines.
        read: open the reading room beside it, on this conversation.
    """

    library: Library
    quiet: bool = False
    json: bool = False
    read: bool = False


Begin = Callable[["Watch"], Coroutine[object, object, "Recorded"]]


def hold(spec: ConversationSpec, showing: Showing, begin: Begin) -> None:
    """Hold a conversation in front of a person.

    Args:
        spec: what will be held; its local models are installed first, if they are not.
        showing: how.
        begin: starts it, given who watches.

    Raises:
        typer.Exit: the conversation failed, or whoever read the output went away (1), or it was
            interrupted (130).
    """
    import asyncio

    from duologue.cli.live import Watcher
    from duologue.cli.open import Beside

    warn(spec)
    fetch_missing(spec)
    held = set[str]()
    room = Beside(showing.library) if showing.read else None

    def watch(item: Record | Delta) -> None:
        if isinstance(item, Record):
            held.add(item.conv)
            if room is not None:
                room.open(item.conv)
        watcher(item)

    with (
        room or nullcontext(),
        Watcher(showing.library, quiet=showing.quiet, json=showing.json) as watcher,
    ):
        try:
            recorded = asyncio.run(begin(watch))
        except KeyboardInterrupt:
            watcher.interrupted()
            if showing.quiet or showing.json:
                _stopped(held, showing.library)
            raise typer.Exit(INTERRUPTED) from None
        except (BrokenPipeError, SystemExit):  # Rich exits by itself when nobody reads any more
            _stopped(held, showing.library)
            raise typer.Exit(FAILED) from None
        watcher.finished(recorded)
        if room is not None:
            room.stay()
    if recorded.transcript.status is Status.FAILED:
        raise typer.Exit(FAILED)


def warn(spec: ConversationSpec) -> None:
    """Tell a person what the providers will refuse or ignore of what the spec declares."""
    from duologue.cli.app import say
    from duologue.providers.registry import warnings

    for warning in warnings(spec):
        say(f"duologue: {warning}")


def _stopped(held: set[str], library: Library) -> None:
    """Say how to go on where standard output does not say it."""
    from duologue.cli.screen import command

    for conv in held:
        typed = command(library.path, default_path())
        typer.echo(f"duologue: stopped; '{typed} resume {conv}' goes on", err=True)


def fetch_missing(spec: ConversationSpec) -> None:
    """Install the known local models among the participants' that are not installed."""
    from duologue.providers.local.models import KNOWN
    from duologue.providers.registry import split

    named = {split(seat.model) for seat in spec.participants}
    if wanted := [model for model in KNOWN if ("local", model.name) in named]:
        from rich.console import Console

        from duologue.cli.fetching import fetch_with_bar

        fetch_with_bar(wanted, Console(file=sys.stderr))
