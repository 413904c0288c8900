"""``duologue verify``: prove that a record is what was written."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from duologue.cli.completing import complete_id
from duologue.cli.words import one_line
from duologue.core.toml_document import nearest
from duologue.errors import RecordError, UnknownIdError
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
    """Check every hash, make every request again, compare digests and experiment.toml."""
    run = located(ctx.obj, what)
    proof = prove(run)
    if json:
        typer.echo(msgspec.json.encode(proof).decode())
    else:
        _tell(run, proof)
    if proof.faults:
        first = proof.faults[0]
        raise RecordError(f"{run.path}: {first.place}: {first.what}")


def located(library: Library, what: str) -> Run:
    """The run of that name or folder, or the one in which a conversation is."""
    for path in (library.path / what, Path(what)):
        run = Run(path)
        if (path / SPEC_FILE).is_file() or run.segments():  # one without the other is a fault
            return run
    try:
        return library.find(what)[0]
    except UnknownIdError as error:
        meant = nearest(what, [run.name for run in library.runs()])
        if meant is None:
            raise
        raise UnknownIdError(f"{error} ({meant})") from error


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
    if proof.asked:
        typer.echo(f"asked          {SPEC_FILE} asks for what the log says was asked for")
    for conv, head in proof.heads.items():
        typer.echo(one_line(f"head           {conv} {head}  {_held(proof, conv)}").plain)
    for fault in proof.faults:
        typer.echo(one_line(f"FAULT          {fault.place}: {fault.what}").plain)
    typer.echo(_verdict(proof))


def _verdict(proof: Proof) -> str:
    """All of it in a line; a record without an end is not called whole."""
    if count := len(proof.faults):
        return f"{count} fault{'s' if count > 1 else ''}"
    if proof.unfinished or None in proof.endings.values():
        return "no fault was found; only a head noted earlier can tell whether the end was cut off"
    return "the record is whole"


def _held(proof: Proof, conv: str) -> str:
    """How many messages a conversation holds and how it ended, beside its head."""
    count, reason = proof.messages.get(conv), proof.endings[conv]
    messages = "? messages" if count is None else f"{count} message{'s' if count != 1 else ''}"
    ended = "no ending on record: interrupted, or its end was cut off"
    return f"{messages}, {f'ended: {reason}' if reason else ended}"
