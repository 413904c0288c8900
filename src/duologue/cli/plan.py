"""``duologue plan``: what an experiment comes to, and about what it takes, before it is held.

Here an experiment's file, or the name of one that comes with the package, becomes a plan. The
estimate is ``duologue.estimate``'s; nothing is opened, sent or spent.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib import resources
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from duologue.core.experiment import OUTCOMES, Experiment
from duologue.core.experimentfile import read
from duologue.core.plan import Plan
from duologue.core.plan import plan as planned

if TYPE_CHECKING:
    from duologue.estimate import Forecast, Model, Rate, Share
    from duologue.store.library import Library

_MEASURED = 20
"""So many of the newest conversations of a library say how fast its models are."""
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def ready() -> list[str]:
    """The names of the experiments that come with the package."""
    folder = resources.files("duologue") / "experiments"
    names = (file.name for file in folder.iterdir())
    return sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml"))


def source(name: str, folder: Path) -> str:
    """The text of an experiment's file: by its path, or by its name if it comes with the package.

    Raises:
        ConfigurationError: there is no such file and no such experiment, or it cannot be read.
    """
    from duologue.cli.asking import missing, text_of

    path = folder / name
    if path.exists() and not (name in ready() and path.is_dir()):
        return text_of(path)
    if name in ready():
        return (resources.files("duologue") / "experiments" / f"{name}.toml").read_text("utf-8")
    raise missing(name, experiments=ready())


def load(name: str, folder: Path) -> Experiment:
    """An experiment by its file's path, or by its name if it comes with the package.

    Raises:
        ConfigurationError: there is none, or it makes no sense.
    """
    from duologue.endings.detectors import Lookout
    from duologue.providers.registry import find

    where = name if name not in ready() else f"{name}.toml"
    return read(source(name, folder), where, known=find, eyes=Lookout)


def complete_experiment(incomplete: str) -> list[str]:
    """The experiments that come with the package; a file's path is the shell's to complete."""
    return [name for name in ready() if name.startswith(incomplete)]


def plan(
    *,
    ctx: typer.Context,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE|NAME",
            help="An experiment's TOML file, or one of: long-goodbye, persona-drift, round-robin, "
            "seat-order.",
            autocompletion=complete_experiment,
        ),
    ],
    print_: Annotated[
        bool, typer.Option("--print", help="Print the file itself, to copy and change.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print all of it, ids included, as one JSON object.")
    ] = False,
) -> None:
    """Show what an experiment comes to: cells, conversations, tokens, money, time."""
    if print_:
        typer.echo(source(file, Path.cwd()), nl=False)
        return
    from duologue.estimate import forecast
    from duologue.providers.pricing import price

    whole = planned(load(file, Path.cwd()))
    today = datetime.now(UTC)
    wanted = {seat.model for each in whole.conversations for seat in each.spec.participants}
    expected = forecast(
        whole, lambda seat, usage: price(seat, usage, today), _rates(ctx.obj, wanted)
    )
    if json:
        _say_json(whole, expected)
    else:
        _show(whole, expected)


def _rates(library: "Library", models: set[str]) -> "Mapping[Model, Rate]":
    """How fast models were in the newest conversations of a library in which they spoke."""
    from duologue.core.transcript import Status
    from duologue.estimate import rates
    from duologue.store.run import Run

    told = (item for item in reversed(library.listing()) if models & set(item.models))
    sound = (item for item in told if item.problem is None and item.status != Status.IMPORTED)
    return rates(Run(library.path / item.run).events(item.id) for item in islice(sound, _MEASURED))


def _say_json(whole: Plan, expected: "Forecast") -> None:
    """Everything as one JSON object."""
    import msgspec

    ids: dict[str, list[str]] = {}
    for each in whole.conversations:
        ids.setdefault(each.cell.key, []).append(each.id)
    seconds = expected.seconds()
    told: dict[str, Any] = {
        "name": whole.name,
        "outcome": whole.outcome,
        "conversations": len(whole.conversations),
        "low": expected.low,
        "high": expected.high,
        "seconds": None if seconds is None else {"low": seconds[0], "high": seconds[1]},
        "models": expected.models,
        "cells": [
            {
                "key": each.cell.key,
                "factors": each.cell.factors,
                "ids": ids[each.cell.key],
                "low": each.low,
                "high": each.high,
            }
            for each in expected.cells
        ],
    }
    typer.echo(msgspec.json.encode(told).decode())


def _show(whole: Plan, expected: "Forecast") -> None:
    """Print a plan; words are made fit for a terminal, and every line stays whole."""
    from rich.text import Text

    from duologue.cli.screen import console
    from duologue.cli.words import visible

    out = console()
    for line in (*_head(whole), *_table(expected), *_sums(expected)):
        out.print(visible(line) if line else Text(), soft_wrap=True)


def _head(whole: Plan) -> Iterator[str]:
    """What is crossed."""
    cells, held = len(whole.cells), len(whole.conversations)
    yield "Nothing was sent, and nothing was spent."
    yield ""
    yield f"{whole.name}: {_many(cells, 'cell')}, {_many(held, 'conversation')}"
    if whole.outcome is not None:
        yield f"  primary outcome: {whole.outcome}, {OUTCOMES[whole.outcome]}"
    if seats := _seats(whole):
        yield f"  seats: {', '.join(f'{name} is {model}' for name, model in seats.items())}"
    levels: dict[str, dict[str, None]] = {}
    for cell in whole.cells:
        for factor, level in cell.factors.items():
            levels.setdefault(factor, {})[level] = None
    for factor, names in levels.items():
        yield f"  {factor}: {', '.join(names)}"
    yield f"  replicates: {held // cells}, each with its own seed, the same in every cell"
    yield ""


def _seats(whole: Plan) -> dict[str, str]:
    """The model behind each name that does not say it; whoever sits twice is named once."""
    found = {
        seat.name: seat.model for each in whole.conversations for seat in each.spec.participants
    }
    twice = {f"{name} 2" for name in found}
    return {n: m for n, m in found.items() if n not in twice and not m.endswith(n)}


def _many(count: int, noun: str) -> str:
    """``1 cell``, ``2 cells``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _table(expected: "Forecast") -> Iterator[str]:
    """The cells, a line each, under a line that says what is what."""
    from rich.cells import cell_len

    from duologue.cli.words import padded

    rows = [("cell", "conversations", "tokens said", "cost")]
    for each in expected.cells:
        said = _between(each.low.output, each.high.output)
        cost = _cost(each.low, each.high)
        rows.append((each.cell.key, f"{each.conversations:,}", said, cost))
    widths = [max(cell_len(row[column]) for row in rows) for column in range(3)]
    for key, count, said, cost in rows:
        yield f"{padded(key, widths[0])}  {count:>{widths[1]}}  {said:>{widths[2]}}  {cost}"


def _between(low: int, high: int) -> str:
    """From one number to another."""
    return f"{low:,} to {high:,}" if low != high else f"{low:,}"


def _cost(low: "Share", high: "Share") -> str:
    """From one price to another."""
    if low.usd is None or high.usd is None:
        return "unknown"
    return "none" if high.usd == 0 else f"${low.usd:,.2f} to ${high.usd:,.2f}"


def _sums(expected: "Forecast") -> Iterator[str]:
    """All together, model by model, and what was assumed."""
    from duologue.estimate import HIGH, LOW

    low, high = expected.low, expected.high
    yield ""
    yield (
        f"Together: {_many(high.turns, 'turn')} at the most, if every conversation goes up to its "
        "number of turns"
    )
    yield f"  tokens said: {_between(low.output, high.output)}"
    yield f"  tokens read: {_between(low.input, high.input)}"
    yield f"  cost: {_cost(low, high)}"
    yield f"  time, one turn after another: {_time(expected.seconds())}"
    for span in expected.models:
        yield f"  {span.seat.provider}:{span.seat.model}: {_speed(span.rate, span.seconds())}"
    yield "Assumed"
    for guess in (LOW, HIGH):
        yield f"  {guess.told()}"
    yield "  tokens are guessed from characters; no model was opened or asked"


def _speed(rate: "Rate", seconds: tuple[float, float] | None) -> str:
    """How long a model takes, and how that is known."""
    if seconds is None:
        return "time unknown: it has not spoken in this library yet; hold one conversation first"
    if rate.per_token is None:
        return "takes no time of its own"
    return (
        f"{_time(seconds)}, at {rate.per_token * 1000:,.0f} ms for each token said, as measured "
        f"here in {_many(rate.turns, 'turn')}, reading included"
    )


def _time(seconds: tuple[float, float] | None) -> str:
    """From one length of time to another; conversations side by side take less."""
    if seconds is None:
        return "unknown"
    low, high = seconds
    return f"{_long(low)} to {_long(high)}" if _long(low) != _long(high) else _long(low)


def _long(seconds: float) -> str:
    """A length of time in the unit that fits it."""
    for unit, name in ((_DAY, "days"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:,.1f} {name}"
    return f"{seconds:,.0f} s"
