"""``duologue endings``: how conversations end, a line each, and how often, with n and intervals."""

import csv
import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from duologue.cli.completing import complete_id, complete_model
from duologue.errors import ConfigurationError, RecordError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from duologue.endings.codebook import Annotation, Arc, EndState
    from duologue.endings.described import Described
    from duologue.endings.judge import Verdict
    from duologue.endings.rates import Group, Rate
    from duologue.surveying import Surveyed

# Dark letters on light grounds, so that they can be read on a dark page and on a light one.
_STYLES = {
    "talk": "dim",
    "pre_closing": "#1a1a1a on #e5d38a",
    "closing": "#1a1a1a on #e8a15c",
    "refusal": "bold #1a1a1a on #e87d74",
    "token": "#1a1a1a on #7fc4c9",
    "silence": "#1a1a1a on #c9c9c9",
    "loop": "#1a1a1a on #9fb4ee",
    "reopening": "bold #1a1a1a on #93cf8a",
}
_RULER = 10
_SHOWN = 8  # lines about things of one kind
_NUMBER = 5  # figures in front of a row of cells
_WIDEST = 1000
_POLICY, _RATE = 24, 13  # cells: of a policy at the least, of "100 [34, 100]"


def endings(
    ctx: typer.Context,
    wanted: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN|ID|FILE]…",
            help="Runs, conversations, or files to import; by default the whole library.",
            autocompletion=complete_id,
        ),
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Also ask MODEL for its labels, blind; asked and answered on the record.",
            autocompletion=complete_model,
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a conversation.")] = False,
    csv_: Annotated[bool, typer.Option("--csv", help="One row a conversation.")] = False,
) -> None:
    """Show how conversations end: one cell a turn, the end state, and rates with intervals."""
    from duologue.surveying import survey

    if json and csv_:
        raise ConfigurationError("--json and --csv are two ways to print the same: leave one out")
    damaged: list[str] = []

    def note(conv: str, error: RecordError) -> None:
        damaged.append(f"left out: {error}" if conv else str(error))

    found = list(survey(ctx.obj, wanted or (), note))
    verdicts = _judged(ctx, found, judge) if judge is not None else {}
    if json:
        _print_json(found, verdicts)
    elif csv_:
        sys.stdout.write(_rows(one.described for one in found))
    elif found:
        _print([one.described for one in found], verdicts)
    elif not damaged:
        typer.echo(f"nothing in {ctx.obj.path} yet: 'duologue run' holds a first conversation")
    if damaged:
        raise RecordError("\n".join(damaged))


def _judged(ctx: typer.Context, found: Iterable["Surveyed"], model: str) -> "dict[str, Verdict]":
    """What the judge says of each conversation, by id."""
    import asyncio

    from duologue.cli.words import one_line
    from duologue.surveying import judge as ask

    async def each() -> "dict[str, Verdict]":
        verdicts = {}
        for one in found:
            typer.echo(f"{model} reads {one_line(one.described.id)}", err=True)
            verdicts[one.described.id] = await ask(ctx.obj, one.messages, model)
        return verdicts

    return asyncio.run(each())


def _print_json(found: Iterable["Surveyed"], verdicts: "dict[str, Verdict]") -> None:
    """Everything that is known of each conversation, a line each."""
    for one in found:
        plain: dict[str, Any] = msgspec.to_builtins(one.described)
        if verdict := verdicts.get(one.described.id):
            plain["judge"] = msgspec.to_builtins(verdict)
        typer.echo(msgspec.json.encode(plain).decode())


_COLUMNS = (
    "id",
    "pair",
    "policy",
    "reason",
    "turns",
    "first_closing",
    "mutual_closing",
    "after_closing",
    "length_after",
    "reopenings",
    "reopened_by",
    "loops",
    "collapse",
    "end_state",
    "labels",
)


def _rows(conversations: "Iterable[Described]") -> str:
    """The conversations as comma-separated values, with a head."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for one in conversations:
        arc = one.arc
        writer.writerow(
            (
                *(one.id, one.pair, one.policy, one.reason, arc.turns),
                *(arc.first_closing, arc.mutual_closing, arc.after_closing, arc.length_after),
                " ".join(str(again.turn) for again in arc.reopenings),
                "; ".join(dict.fromkeys(again.author for again in arc.reopenings)),
                " ".join(f"{loop.first}-{loop.last}/{loop.period}" for loop in arc.loops),
                *(arc.collapse, arc.end_state.value),
                " ".join(annotation.label.value for annotation in one.annotations),
            )
        )
    return text.getvalue()


def _print(conversations: "Sequence[Described]", verdicts: "dict[str, Verdict]") -> None:
    """Strips, a legend, and the table of rates."""
    from rich.console import Console
    from rich.text import Text

    from duologue.cli.words import one_line
    from duologue.endings.rates import groups

    console = Console(highlight=False, soft_wrap=True)
    room = console.width if console.is_terminal else sys.maxsize
    width = max(len(one_line(one.id).plain) for one in conversations)
    for one in conversations:
        fits = width + one.arc.turns + len(_state(one)) + 4 <= room
        indent = width + 2 if fits else 2
        lines = _beside(one, indent) if fits else [*_under(one, room)]
        if len(conversations) == 1:
            lines += [Text(" " * indent + ruler(one.arc.turns), "dim")] if fits else []
            words = [one_line(line) for line in in_words(one.arc)]
            hang = indent if indent + max(map(len, words)) <= room else 2
            lines += [Text(" " * hang).append_text(line) for line in words]
        if verdict := verdicts.get(one.id):
            lines += _judged_lines(one, verdict, indent, room)
        for line in lines:
            console.print(line)
    console.print()
    console.print(legend(), soft_wrap=not console.is_terminal)
    console.print()
    console.print("% of n conversations [95 % interval, Wilson]; median first closing", style="dim")
    console.print()
    for _, same in groupby(groups(conversations), key=lambda group: group.pair):
        _print_pair(console, list(same))


def _beside(one: "Described", indent: int) -> "list[Text]":
    """A conversation on one line: its name, its cells, its end state."""
    from rich.text import Text

    from duologue.cli.words import one_line

    name = one_line(one.id, "bold")
    name.pad_right(indent - len(name))
    return [Text.assemble(name, cells(one.annotations), "  ", _state(one))]


def _under(one: "Described", room: int) -> "Iterator[Text]":
    """A conversation that is too long for that: its cells in rows under its name."""
    from rich.text import Text

    from duologue.cli.words import one_line

    yield Text.assemble(one_line(one.id, "bold"), "  ", _state(one))
    yield from _numbered(cells(one.annotations), room)


def _numbered(cells: "Text", room: int) -> "Iterator[Text]":
    """Cells in rows, each behind the number of its first turn."""
    from rich.text import Text

    row = max(_RULER, (room - _NUMBER - 2) // _RULER * _RULER)
    for first in range(0, len(cells), row):
        number = Text(f"{first + 1:>{_NUMBER}}  ", "dim")
        yield Text.assemble(number, cells[first : first + row])


def cells(annotations: "Iterable[Annotation]") -> "Text":
    """One cell a turn; its letter stands for its label, its colour too."""
    from rich.text import Text

    from duologue.endings.strip import CELLS

    text = Text()
    for one in annotations:
        style = "dim" if one.given else _STYLES[one.label]
        text.append("'" if one.given else CELLS[one.label], style)
    return text


def ruler(turns: int) -> str:
    """The numbers of every tenth turn, each ending under its cell, the first turn too."""
    line = "1"
    for turn in range(_RULER, turns + 1, _RULER):
        line += str(turn).rjust(turn - len(line))
    return line


def legend() -> "Text":
    """What the cells mean."""
    from rich.text import Text

    from duologue.endings.strip import CELLS

    text = Text()
    for label, cell in CELLS.items():
        text.append(cell, _STYLES[label])
        text.append(f" {label.replace('_', ' ')}   ", "dim")
    return text.append("' given", "dim")


def _state(one: "Described") -> "Text":
    """The end state, and the recorded reason beside it."""
    from rich.text import Text

    text = Text(one.arc.end_state.replace("_", " "), "bold")
    return text.append(f"  ({one.reason})", "dim") if one.reason else text


def in_words(arc: "Arc") -> list[str]:
    """The arc as short lines that a person reads."""
    opened = [
        f"re-opened at {again.turn} by {again.author}, after {again.after.replace('_', ' ')}"
        for again in arc.reopenings
    ]
    repeated = [
        f"turns {loop.first}-{loop.last} repeat, period {loop.period}, "
        f"{'verbatim' if loop.verbatim else 'near-verbatim'}"
        for loop in arc.loops
    ]
    collapse = [] if arc.collapse is None else [f"first collapse at {arc.collapse}"]
    return [_closings(arc), *_some(opened, "re-openings"), *_some(repeated, "loops"), *collapse]


def _some(lines: list[str], name: str) -> list[str]:
    """The first of them, and how many more there are."""
    more = len(lines) - _SHOWN
    return [*lines[:_SHOWN], f"and {more:,} more {name}: --json has all"] if more > 1 else lines


def _closings(arc: "Arc") -> str:
    """When leave was taken, and what followed."""
    if arc.first_closing is None:
        return "nobody took leave"
    if arc.mutual_closing is None:
        return f"first closing at {arc.first_closing}, never mutual"
    turns = "turn" if arc.after_closing == 1 else "turns"
    characters = "character" if arc.length_after == 1 else "characters"
    return (
        f"first closing at {arc.first_closing}, mutual at {arc.mutual_closing}, then "
        f"{arc.after_closing} more {turns} and {arc.length_after:,} {characters}"
    )


def _judged_lines(one: "Described", verdict: "Verdict", indent: int, room: int) -> "Iterator[Text]":
    """The judge's cells under the deterministic ones, and a note."""
    from rich.text import Text

    from duologue.endings.strip import CELLS

    text = Text()
    for label in verdict.labels:
        text.append(CELLS[label] if label else "?", _STYLES[label] if label else "bold")
    note = _note(one, verdict)
    if indent + len(text) + 2 + len(note) <= room:
        yield Text.assemble(" " * indent, text, "  ", note)
    else:
        yield note
        yield from _numbered(text, room)


def _note(one: "Described", verdict: "Verdict") -> "Text":
    """How far a judge's labels agree with the deterministic ones, and where its record is."""
    from rich.text import Text

    from duologue.endings.judge import kappa
    from duologue.surveying import JUDGED

    pairs = [
        (annotation.label, label)
        for annotation, label in zip(one.annotations, verdict.labels, strict=True)
        if label is not None and not annotation.given
    ]
    agreed = sum(ours is theirs for ours, theirs in pairs)
    beyond = kappa(pairs)
    note = f"{verdict.model}: same label {agreed} of {len(pairs)}"
    note += f", kappa {beyond:.2f}" if beyond is not None else ""
    if unlabelled := verdict.labels.count(None):
        note += f", {unlabelled} not labelled"
    return Text(f"{note}; on record as {verdict.record} in {JUDGED}/", "dim")


def _print_pair(console: "Console", groups: "Sequence[Group]") -> None:
    """One pair: a row for each policy, or where that is too wide, a list for each."""
    from duologue.cli.words import one_line

    console.print(one_line(groups[0].pair, "bold"))
    table = _matrix(groups)
    room = console.options.update(max_width=_WIDEST)
    if console.measure(table, options=room).minimum <= console.width:
        console.print(table, soft_wrap=False)
        console.print()
        return
    for group in groups:
        console.print(one_line(group.policy, "dim"))
        for name, one in _rates(group, list(group.states)):
            console.print(f"  {name}: {_share(one)}, {one.count} of {one.n}")
        if group.first_closing is not None:
            console.print(f"  first closing: turn {group.first_closing:g}")
        console.print()


def _matrix(groups: "Sequence[Group]") -> "Table":
    """A row for each policy, a column for each end state that any of them came to."""
    from rich.table import Table
    from rich.text import Text

    from duologue.cli.words import one_line

    states = list(dict.fromkeys(state for group in groups for state in group.states))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("could end", min_width=_POLICY, overflow="fold")
    table.add_column("n", justify="right", no_wrap=True)
    for name, _ in _rates(groups[0], states):
        table.add_column(name, justify="right", min_width=max(_RATE, len(name)))
    table.add_column("first closing", justify="right", min_width=len("first closing"))
    for group in groups:
        first = "" if group.first_closing is None else f"turn {group.first_closing:g}"
        cells = [Text(_share(one)) for _, one in _rates(group, states)]
        table.add_row(one_line(group.policy), Text(str(group.n)), *cells, Text(first))
    return table


def _rates(group: "Group", states: "Sequence[EndState]") -> "list[tuple[str, Rate]]":
    """The rates of a group by name: these end states, then mutual closings and re-openings."""
    from duologue.endings.rates import rate

    none = rate(0, group.n)
    ends = [(state.replace("_", " "), group.states.get(state, none)) for state in states]
    return [*ends, ("mutual closing", group.mutual), ("re-opened", group.reopened)]


def _share(rate: "Rate") -> str:
    """A rate in per cent with its interval."""
    return f"{100 * rate.share:.0f} [{100 * rate.low:.0f}, {100 * rate.high:.0f}]"
