"""``duologue list``: what there is, and what was said where."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated

import msgspec
import typer

from duologue.core.transcript import Status
from duologue.store.index import Listed
from duologue.store.library import Library
from duologue.store.run import SPEC_FILE

_PAIRS = 3

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
        typer.Option(
            metavar="WORDS",
            help="Only messages that hold all of these words, the last of them or its beginning; "
            'words "in quotation marks" stand side by side.',
        ),
    ] = None,
    all_: Annotated[
        bool, typer.Option("--all", help="Each conversation of an experiment, too.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line, for each conversation.")
    ] = False,
) -> None:
    """List conversations and experiments, newest last, or find what was said."""
    if search is not None:
        _search(ctx, search, json=json)
        return
    everything = ctx.obj.listing()
    if json:
        for item in everything:
            typer.echo(msgspec.json.encode(item).decode())
    elif everything:
        busy = {run.name for run in ctx.obj.runs() if run.busy()}
        _table(list(_rows(everything, busy, set() if all_ else _experiments(ctx.obj))))
    else:
        typer.echo(f"nothing in {ctx.obj.path} yet: 'duologue run' holds a first conversation")


class _Row(msgspec.Struct, frozen=True):
    """A line of the list: a conversation, or an experiment with all of its own.

    Attributes:
        id: what it answers to.
        began: when, in UTC.
        messages: how many.
        state: how far it has come, in a word or a few.
        style: of that.
        who: who speaks.
        run: its run's name.
    """

    id: str
    began: str
    messages: int
    state: str
    style: str
    who: str
    run: str


def _experiments(library: Library) -> set[str]:
    """The names of the runs that are of an experiment; a file that cannot be read is none."""
    from duologue.core.experimentfile import is_experiment
    from duologue.errors import SpecError

    found = set()
    for run in library.runs():
        with suppress(OSError, UnicodeDecodeError, SpecError):
            if is_experiment((run.path / SPEC_FILE).read_text("utf-8"), SPEC_FILE):
                found.add(run.name)
    return found


def _rows(everything: list[Listed], busy: set[str], experiments: set[str]) -> Iterator[_Row]:
    """The lines: each conversation, but those of an experiment as one, where it began."""
    whole: dict[str, list[Listed]] = {}
    for item in everything:
        whole.setdefault(item.run, []).append(item)
    for item in everything:
        if item.run not in experiments:
            state, style = _state(item, busy)
            yield _Row(item.id, item.began, item.messages, state, style, _who(item), item.run)
        elif whole[item.run][0] is item:
            yield _experiment(whole[item.run], busy)


def _experiment(items: list[Listed], busy: set[str]) -> _Row:
    """An experiment in a line."""
    first = items[0]
    held = first.run in busy
    wrong = sum(item.status is Status.FAILED or item.problem is not None for item in items)
    done = sum(item.status is Status.ENDED and item.problem is None for item in items)
    counts = {"ended": done, "running" if held else "open": len(items) - done - wrong}
    counts["failed"] = wrong
    state = ", ".join(f"{count:,} {word}" for word, count in counts.items() if count)
    style = "red" if wrong else "yellow" if done < len(items) else "green"
    pairs = list(dict.fromkeys(_who(item) for item in items))
    more = f" and {len(pairs) - _PAIRS:,} more" if len(pairs) > _PAIRS else ""
    who = f"{', '.join(pairs[:_PAIRS])}{more}"
    return _Row(first.run, first.began, sum(i.messages for i in items), state, style, who, "")


def _table(rows: list[_Row]) -> None:
    """The rows as a table; in a pipe, fields between tabs."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        for row in rows:
            fields = (row.id, row.began, str(row.messages), row.state, row.who, row.run or row.id)
            typer.echo("\t".join(fields))
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("id", "began (UTC)", "messages", "state", "who", "run"):
        table.add_column(
            heading, overflow="fold", justify="right" if heading == "messages" else "left"
        )
    for row in rows:
        table.add_row(
            Text(row.id, "bold"),
            row.began[:16].replace("T", " "),
            f"{row.messages}",
            Text(row.state, row.style),
            Text(row.who),
            Text(row.run if row.run != row.id else "", "dim"),
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
