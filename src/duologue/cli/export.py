"""``duologue export``: a conversation as a file of a foreign format."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from duologue.cli.completing import Id, complete_format
from duologue.core.transcript import transcript
from duologue.errors import ConfigurationError, StoreError
from duologue.formats.crossing import FORMATS, left_out, send_out


def export(
    ctx: typer.Context,
    id_: Id,
    to: Annotated[
        str,
        typer.Option(metavar="FORMAT", help="founding or jsonl.", autocompletion=complete_format),
    ] = "founding",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where to write; standard output by default.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file.")] = False,
) -> None:
    """Write a conversation as a file of another format.

    What the format cannot hold is listed on standard error.
    """
    if to not in FORMATS:
        raise ConfigurationError(f"unknown format {to!r}; known: {', '.join(FORMATS)}")
    run, conv = ctx.obj.find(id_)
    records = run.conversation(conv)
    read = transcript(record.event for record in records)
    stamps = (records[0].at, records[-1].at)
    data = send_out(read, to, *stamps)
    if out is None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    else:
        _write(out, data, force=force)
    for line in left_out(read, to, *stamps):
        typer.echo(f"not in the {to} file: {line}", err=True)


def _write(path: Path, data: bytes, *, force: bool) -> None:
    """Write a file that is not there, or that may be written over."""
    try:
        with path.open("wb" if force else "xb") as file:
            file.write(data)
    except FileExistsError as error:
        raise ConfigurationError(f"{path} is there already: --force writes over it") from error
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from error
