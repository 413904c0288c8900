"""``duologue run``: hold a conversation and watch it being spoken."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import click
import typer
from typer.core import TyperCommand, TyperOption

from duologue.cli.asking import LETTERS, Options, assemble
from duologue.cli.completing import complete_model
from duologue.cli.holding import Showing, hold

_SEATS = "duologue.seats"
_SHOWN = 3
_FIELDS = {
    "name": ("NAME", "The name of seat {0}."),
    "system": ("TEXT|FILE", "The system prompt of seat {0}."),
    "temperature": ("NUMBER", "The temperature of seat {0}."),
}


class Command(TyperCommand):
    """The command with an option ``-a``, ``-b``, … for each seat: a list, written as letters."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        """Add the seats' options to those that the function declares."""
        super().__init__(*args, **kwargs)  # type: ignore[arg-type] # whatever Typer passes
        self.params.extend(_seat_options())


def _seat_options() -> Sequence[click.Parameter]:
    """``-a MODEL --name-a … --system-a … --temperature-a …`` and so on for every seat."""
    options = []
    for place, letter in enumerate(LETTERS):
        hidden = place >= _SHOWN
        options.append(
            _option(
                f"-{letter}",
                letter,
                "model",
                "MODEL",
                f"The model of seat {letter}.",
                hidden=hidden,
            )
        )
        for field, (metavar, help_) in _FIELDS.items():
            flag = f"--{field}-{letter}"
            options.append(
                _option(flag, letter, field, metavar, help_.format(letter), hidden=place > 0)
            )
    return options


def _option(
    flag: str, letter: str, field: str, metavar: str, help_: str, *, hidden: bool
) -> TyperOption:
    """One option of one seat; its value goes into the context."""

    def keep(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
        if value is not None:
            ctx.meta.setdefault(_SEATS, {}).setdefault(letter, {})[field] = value

    return TyperOption(
        param_decls=[flag, f"seat_{letter}_{field}"],
        type=click.FLOAT if field == "temperature" else click.STRING,
        metavar=metavar,
        help=help_,
        hidden=hidden,
        expose_value=False,
        callback=keep,
        shell_complete=complete_model if field == "model" else None,
        rich_help_panel="Seats (-a, -b, … -h)",
    )


def run(
    ctx: typer.Context,
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILE|PRESET]",
            help="A TOML file with all of it, or a preset: hello (the default), founding.",
        ),
    ] = None,
    opener: Annotated[
        str | None,
        typer.Option(metavar="TEXT|FILE", help="The first message, given; may be a space."),
    ] = None,
    opener_by: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Under whose name it stands; the first seat's."),
    ] = None,
    first: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who takes the first turn.")
    ] = None,
    order: Annotated[
        str | None,
        typer.Option(metavar="ORDER", help="round-robin, shuffled, or names: 'Ada,Ben,Ada'."),
    ] = None,
    turns: Annotated[
        int | None, typer.Option(min=1, help="Messages in all, the opener counted.")
    ] = None,
    system: Annotated[
        str | None, typer.Option(metavar="TEXT|FILE", help="A system prompt for every seat.")
    ] = None,
    temperature: Annotated[float | None, typer.Option(min=0, help="For every seat.")] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="A turn's limit, every seat.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Makes chances repeatable where they are.")
    ] = None,
    pure: Annotated[
        bool, typer.Option("--pure", help="Tell the models nothing; end only at the cap.")
    ] = False,
    name: Annotated[str | None, typer.Option(help="The run's name.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the id.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the log's lines.")] = False,
) -> None:
    """Hold a conversation: two small local models by default, or whatever you say."""
    options = Options(
        file=file,
        seats=ctx.meta.get(_SEATS, {}),
        opener=opener,
        opener_by=opener_by,
        first=first,
        order=order,
        turns=turns,
        system=system,
        temperature=temperature,
        max_tokens=max_tokens,
        seed=seed,
        pure=pure,
        name=name,
    )
    asked = assemble(options, Path.cwd())
    from duologue.api import hold as begin

    hold(
        asked.spec,
        Showing(ctx.obj, quiet=quiet, json=json),
        lambda watch: begin(asked, ctx.obj, watch=watch),
    )
