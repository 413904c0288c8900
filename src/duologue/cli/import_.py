"""``duologue import``: a file of a foreign format as a conversation of the library."""

from pathlib import Path
from typing import Annotated

import typer

from duologue.cli.completing import complete_format
from duologue.errors import ConfigurationError
from duologue.formats.crossing import FORMATS


def import_(
    ctx: typer.Context,
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="What to read.")],
    form: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="FORMAT",
            help="founding or jsonl; else what a file looks like.",
            autocompletion=complete_format,
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The run's name; the file's by default.")] = None,
) -> None:
    """Read conversations from files of another format.

    Every doubt about how to read one is told on standard error.
    """
    from duologue.api import bring_in

    if form is not None and form not in FORMATS:
        raise ConfigurationError(f"unknown format {form!r}; known: {', '.join(FORMATS)}")
    if name is not None and len(files) > 1:
        raise ConfigurationError("--name names one run, and each file becomes a run of its own")
    for file in files:
        recorded = bring_in(ctx.obj, file, name=name, form=form)
        read = recorded.transcript
        who = " ↔ ".join(read.names)
        typer.echo(f"{recorded.id}  {len(read.spoken)} messages  {who}  {recorded.folder}")
        source = read.state.begun().source
        for note in source.notes if source else ():
            typer.echo(f"{file}, {note}", err=True)
