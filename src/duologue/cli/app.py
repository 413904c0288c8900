"""The verbs put together, and errors made into messages and exit codes.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | a conversation failed, or whoever read the output went away: the record says how far it came |
| 2 | what was asked for cannot be: option, file, model, id |
| 3 | the record is not what was written, or a replay differs from it |
| 4 | the disk refused |
| 5 | another process is writing the run |
| 130 | Ctrl-C |
"""

import io
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, TextIO

import typer

from duologue.cli import (
    branch,
    endings,
    export,
    listing,
    models,
    plan,
    replay,
    resume,
    run,
    show,
    status,
    tail,
    verify,
)
from duologue.cli import import_ as importing
from duologue.cli import open as open_
from duologue.errors import DuologueError, StoreError
from duologue.store.library import Library, place

_STREAMS = 3


def say(message: str) -> None:
    """One message for a person, on standard error; control characters do not reach the terminal."""
    shown = "".join(
        char if char.isprintable() or char == "\n" else repr(char)[1:-1] for char in message
    )
    print(shown, file=sys.stderr)  # noqa: T201 - this is where messages are shown


app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="A laboratory for conversations between language models.",
    epilog="'duologue run' holds a first conversation: no key, no GPU, no account.",
)


def _version(*, wanted: bool) -> None:
    """Print the version and leave."""
    if wanted:
        from importlib.metadata import version

        typer.echo(f"duologue {version('duologue')}")
        raise typer.Exit


def _folder(given: str) -> Path:
    """The library's folder, by its path or URL."""
    if (path := place(given)).is_file():
        raise typer.BadParameter(f"{given!r} is a file.")
    return path


@app.callback()
def common(
    ctx: typer.Context,
    library: Annotated[
        Path | None,
        typer.Option(
            envvar="DUOLOGUE_LIBRARY",
            help="The folder in which runs are kept; a path, or file:///path.",
            show_default="duologue/runs in your data folder",
            parser=_folder,
            metavar="PATH",
        ),
    ] = None,
    version: Annotated[  # noqa: ARG001 - its callback does everything
        bool,
        typer.Option(
            "--version",
            callback=lambda value: _version(wanted=value),
            is_eager=True,
            help="Show the version.",
        ),
    ] = False,
) -> None:
    """Options of every verb."""
    ctx.obj = Library(library)


for verb, name in (
    (run.run, "run"),
    (plan.plan, "plan"),
    (listing.list_, "list"),
    (show.show, "show"),
    (tail.tail, "tail"),
    (status.status, "status"),
    (resume.resume, "resume"),
    (branch.branch, "branch"),
    (replay.replay, "replay"),
    (endings.endings, "endings"),
    (verify.verify, "verify"),
    (export.export, "export"),
    (importing.import_, "import"),
    (models.models, "models"),
    (open_.open_, "open"),
):
    app.command(name)(verb)


def main() -> None:
    """The program: an error of ours becomes one message and an exit code, never a traceback."""
    _open_streams()
    try:
        app(prog_name="duologue")
    except DuologueError as error:
        say(f"duologue: {error}")
        sys.exit(error.exit_code)
    except OSError as error:
        say(f"duologue: {error.filename or 'the output'} cannot be written: {error.strerror}")
        sys.exit(StoreError.exit_code)
    finally:
        _let_go(sys.stdout)


def _let_go(stream: TextIO) -> None:
    """What a stream could not write goes nowhere: Python would try again at exit, with code 120."""
    try:
        stream.flush()
    except OSError:
        with suppress(OSError):  # one that has no file behind it
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _open_streams() -> None:
    """A standard stream that is closed becomes the null device; no stream chokes on a character.

    Else the next file to be opened takes its number, and whatever is printed ends up in a log. And
    what a terminal's encoding has no character for is shown as its escape.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) < _STREAMS:
        os.set_inheritable(number, True)  # noqa: FBT003 - os has it so
    os.close(number)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
