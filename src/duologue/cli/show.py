"""``duologue show``: read a conversation, one message of it, or what a participant was sent.

``--raw`` writes the exact bytes. To a terminal it refuses words with control characters, because
a transcript is what a stranger wrote and a terminal obeys it; a pipe or a file takes anything.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from duologue.cli.completing import NewestId
from duologue.core.event import Record
from duologue.core.transcript import Spoken, Transcript, transcript
from duologue.errors import ConfigurationError, RecordError, UnknownIdError
from duologue.store.library import Library, default_path
from duologue.store.run import Run

if TYPE_CHECKING:
    from duologue.cli.screen import Page, Reading


def show(
    ctx: typer.Context,
    id_: NewestId = None,
    turn: Annotated[
        int | None, typer.Option(min=1, help="One message, with everything known about it.")
    ] = None,
    seen_by: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="What NAME was sent for that turn (or for its last)."),
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="The exact words, or request, only.")] = False,
    json: Annotated[bool, typer.Option("--json", help="The log's lines.")] = False,
    pager: Annotated[
        bool, typer.Option(help="Use $PAGER, or less, for what is longer than the screen.")
    ] = True,
) -> None:
    """Read a conversation in the terminal."""
    if json and (raw or seen_by is not None):
        raise ConfigurationError(
            "--json prints the log's lines: leave out --raw and --seen-by, or leave out --json "
            "(--seen-by NAME --raw prints the exact request)"
        )
    run, conv = find(ctx.obj, id_)
    records = run.conversation(conv)
    if json:
        _write(lines(records, turn))
    elif seen_by is not None:
        _show_view(reading(ctx.obj, run, records), records, (turn, seen_by), raw=raw, pager=pager)
    elif raw:
        _write(exact(transcript(record.event for record in records), turn))
    else:
        read = reading(ctx.obj, run, records)
        _show(_page(read, records, turn), pager=pager)


def find(library: Library, prefix: str | None) -> tuple[Run, str]:
    """The conversation that ``prefix`` names, or the newest.

    Raises:
        UnknownIdError: there is none.
    """
    if prefix is not None:
        return library.find(prefix)
    everything = library.listing()
    if not everything:
        raise UnknownIdError(
            f"there is no conversation in {library.path} yet: 'duologue run' holds a first one"
        )
    return Run(library.path / everything[-1].run), everything[-1].id


def reading(library: Library, run: Run, records: Sequence[Record]) -> "Reading":
    """A conversation's records, read, with what the folder tells besides."""
    from duologue.cli.screen import Reading, command

    return Reading(
        id=records[0].conv,
        folder=run.path,
        transcript=transcript(record.event for record in records),
        began=records[0].at,
        last=records[-1].at,
        busy=run.busy(),
        command=command(library.path, default_path()),
    )


def lines(records: Sequence[Record], turn: int | None = None) -> bytes:
    """The log's lines, byte for byte; of one turn only, if one is given."""
    kept = [item for item in records if turn in {None, getattr(item.event, "turn", None)}]
    return b"".join(msgspec.json.encode(record) + b"\n" for record in kept)


def exact(read: Transcript, turn: int | None = None) -> bytes:
    """One message's bytes and nothing else; or all messages, a line feed after each."""
    if turn is not None:
        return numbered(read, turn).entry.message.text.encode()
    return b"".join(item.entry.message.text.encode() + b"\n" for item in read.spoken)


def numbered(read: Transcript, turn: int) -> Spoken:
    """A message by its number.

    Raises:
        ConfigurationError: there is no such message.
    """
    if turn > len(read.spoken):
        raise ConfigurationError(
            f"there is no message {turn}: the conversation holds {len(read.spoken)}"
        )
    return read.spoken[turn - 1]


def _page(read: "Reading", records: Sequence[Record], turn: int | None) -> "Page":
    """All of a conversation, or one message of it."""
    from duologue.cli import screen
    from duologue.cli.closely import closely

    if turn is None:
        return screen.conversation(read)
    return closely(read, records, numbered(read.transcript, turn))


def _show_view(
    read: "Reading",
    records: Sequence[Record],
    wanted: tuple[int | None, str],
    *,
    raw: bool,
    pager: bool,
) -> None:
    """What a participant was sent, and whether that agrees with the record."""
    from duologue.cli.closely import seen, view_page

    found = seen([record.event for record in records], read, *wanted)
    if raw:
        _write(found.now.wire.body)
    else:
        _show(view_page(found, read), pager=pager)
    if not found.now.agrees:
        raise RecordError(
            f"the request of turn {found.now.started.turn} made again from the log has another "
            f"digest than the one recorded: 'duologue verify {read.id}' names every fault"
        )


def _write(data: bytes) -> None:
    """Exact bytes to standard output; never a control character to a terminal."""
    from duologue.cli.words import executes

    if _to_terminal() and executes(data.decode()):
        raise ConfigurationError(
            "these words hold control characters, which a terminal would obey: send them to a "
            "file (> words.txt) or through 'cat -v'; without --raw they are shown as symbols"
        )
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _to_terminal() -> bool:
    """Whether standard output is a terminal."""
    return sys.stdout.isatty()


def _show(page: "Page", *, pager: bool) -> None:
    """Print a page, through a pager if it is longer than the screen."""
    from duologue.cli import paging, screen

    console = screen.console()
    if not (pager and console.is_terminal and paging.page_through(console, page)):
        screen.put(console, page)
