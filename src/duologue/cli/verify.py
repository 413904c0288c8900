"""``duologue verify``: prove that a record is what was written."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from duologue.cli.completing import complete_id
from duologue.errors import RecordError
from duologue.store.library import Library
from duologue.store.run import SPEC_FILE, Run
from duologue.verify import Proof
from duologue.verify import verify as prove


def verify(
    ctx: typer.Context,
    what: Annotated[
        str,
        typer.Argument(
            metavar="RUN|ID", help="A run's name or folder, or an id.", autocompletion=complete_id
        ),
    ],
    json: Annotated[bool, typer.Option("--json", help="Print the proof as JSON.")] = False,
) -> None:
    """Check every hash, make every request again, compare digests."""
    run = _run(ctx.obj, what)
    proof = prove(run)
    if json:
        typer.echo(msgspec.json.encode(proof).decode())
    else:
        _tell(run, proof)
    if not proof.conversations:
        raise RecordError(f"{run.path}: nothing is recorded: no log, or an empty one")
    if proof.faults:
        first = proof.faults[0]
        raise RecordError(f"{run.path}: {first.place}: {first.what}")


def _run(library: Library, what: str) -> Run:
    """The run of that name or folder, or the one in which a conversation is."""
    for path in (library.path / what, Path(what)):
        if (path / SPEC_FILE).is_file():
            return Run(path)
    return library.find(what)[0]


def _tell(run: Run, proof: Proof) -> None:
    """What was proved, in words."""
    typer.echo(f"run            {run.path}")
    typer.echo(f"conversations  {proof.conversations}")
    typer.echo(f"records        {proof.records} lines have the hash that was written with them")
    typer.echo(
        f"requests       {proof.requests} bodies ({proof.request_bytes} bytes) were made again "
        "from the log and have the recorded digest"
    )
    for name in proof.torn:
        typer.echo(f"torn           {name} holds what a kill left unfinished")
    if proof.unfinished:
        typer.echo(
            f"unfinished     {proof.unfinished} bytes after the last line: being written, or torn"
        )
    for conv, head in proof.heads.items():
        open_end = "  no ending on record: interrupted, or its end was cut off"
        typer.echo(f"head           {conv} {head}{open_end if conv in proof.unended else ''}")
    for fault in proof.faults:
        typer.echo(f"FAULT          {fault.place}: {fault.what}")
    if proof.conversations:
        typer.echo("the record is whole" if not proof.faults else f"{len(proof.faults)} faults")
