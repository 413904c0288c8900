"""``duologue list``: what there is, and what was said where."""

from typing import Annotated

import msgspec
import typer

from duologue.core.transcript import Status
from duologue.store.index import Listed

_STYLES = {
    Status.ENDED: "green",
    Status.FAILED: "red",
    Status.IMPORTED: "cyan",
    Status.INTERRUPTED: "yellow",
}


def list_(
    ctx: typer.Context,
    search: Annotated[
        str | None,
        typer.Option(metavar="WORDS", help="Only messages that hold all of these words."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List every conversation, newest last, or find what was said."""
    if search is not None:
        _search(ctx, search, json=json)
        return
    everything = ctx.obj.listing()
    if json:
        for item in everything:
            typer.echo(msgspec.json.encode(item).decode())
    elif everything:
        _table(ctx, everything)
    else:
        typer.echo(f"nothing in {ctx.obj.path} yet: 'duologue run' holds a first conversation")


def _table(ctx: typer.Context, everything: list[Listed]) -> None:
    """The conversations as a table; in a pipe, fields between tabs."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    busy = {run.name for run in ctx.obj.runs() if run.busy()}
    rows = [(item, _state(item, busy)) for item in everything]
    console = Console()
    if not console.is_terminal:
        for item, (word, _) in rows:
            typer.echo(
                "\t".join((item.id, item.began, str(item.messages), word, _who(item), item.run))
            )
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("id", "began (UTC)", "messages", "state", "who", "run"):
        table.add_column(
            heading, overflow="fold", justify="right" if heading == "messages" else "left"
        )
    for item, (word, style) in rows:
        state = Text(word, style)
        name = Text(item.run if item.run != item.id else "", "dim")
        began = item.began[:16].replace("T", " ")
        table.add_row(
            Text(item.id, "bold"), began, str(item.messages), state, Text(_who(item)), name
        )
    console.print(table)


def _state(item: Listed, busy: set[str]) -> tuple[str, str]:
    """How far a conversation has come, in a word, and its style."""
    if item.problem is not None:
        return "damaged", "bold red"
    if item.status is Status.INTERRUPTED and item.run in busy:
        return "running", "bold yellow"
    if item.status is Status.ENDED and item.reason is not None:
        return item.reason, _STYLES[item.status]
    return item.status.value, _STYLES[item.status]


def _who(item: Listed) -> str:
    """Who speaks, and where it comes from."""
    who = " ↔ ".join(item.names)
    return f"{who}  ⑂ {item.parent} at {item.parent_turn}" if item.parent else who


def _search(ctx: typer.Context, words: str, *, json: bool) -> None:
    """What was said where."""
    found = False
    for run, hit in ctx.obj.search(words):
        found = True
        if json:
            typer.echo(
                msgspec.json.encode({"run": run.name, **msgspec.structs.asdict(hit)}).decode()
            )
        else:
            snippet = " ".join(hit.snippet.split())
            typer.echo(f"{hit.id}  {hit.turn:>4}  {hit.author}: {snippet}")
    if not found and not json:
        typer.echo(f"nobody said {words!r}")
