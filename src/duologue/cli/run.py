"""``duologue run``: hold a conversation and watch it being spoken."""

import inspect
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from duologue.cli.asking import LETTERS, Options, assemble
from duologue.cli.completing import complete_file, complete_model, complete_policy
from duologue.cli.experiment import (
    AtOnce,
    Chosen,
    Manner,
    Most,
    On,
    Only,
    RetryFailed,
    Workers,
    begin_named,
    named,
    refuse,
)
from duologue.cli.holding import Showing, hold
from duologue.errors import ConfigurationError

_SHOWN = 3


def with_seats(verb: Callable[..., None]) -> Callable[..., None]:
    """Give a verb the options of each seat, ``-a MODEL --name-a NAME …``: a list, as letters.

    Typer reads options from a function's signature, and eight seats with five options each are
    not to be written out; so the signature is made, and the verb gets ``seats`` instead.
    """
    own = inspect.signature(verb, eval_str=True)
    kept = [parameter for parameter in own.parameters.values() if parameter.name != "seats"]
    made = list(_parameters())

    @wraps(verb)
    def typed(**values: Any) -> None:  # noqa: ANN401 - whatever the options hold
        seats: dict[str, dict[str, Any]] = {}
        for parameter in made:
            field, _, letter = parameter.name.rpartition("_")
            if (value := values.pop(parameter.name)) is not None:
                seats.setdefault(letter, {})[field] = value
        verb(**values, seats=seats)

    typed.__signature__ = own.replace(parameters=[*kept, *made])  # type: ignore[attr-defined]
    typed.__annotations__ = {parameter.name: parameter.annotation for parameter in (*kept, *made)}
    return typed


def _parameters() -> Iterator[inspect.Parameter]:
    """The options of every seat; those of later seats work, and are not shown."""
    for place, letter in enumerate(LETTERS):
        later = place >= _SHOWN
        yield _parameter(
            f"model_{letter}",
            str,
            typer.Option(
                f"-{letter}",
                metavar="MODEL",
                help=f"The model of seat {letter}.",
                hidden=later,
                autocompletion=complete_model,
            ),
        )
        for field, kind, metavar, help_ in (
            ("name", str, "NAME", "The name of seat"),
            ("system", str, "TEXT|FILE", "The system prompt of seat"),
            ("temperature", float, "NUMBER", "The temperature of seat"),
            ("base_url", str, "URL", "Where to reach the hosted model of seat"),
        ):
            yield _parameter(
                f"{field}_{letter}",
                kind,
                typer.Option(
                    f"--{field.replace('_', '-')}-{letter}",
                    metavar=metavar,
                    help=f"{help_} {letter}.",
                    hidden=place > 0,
                ),
            )


def _parameter(name: str, kind: type, option: Any) -> inspect.Parameter:  # noqa: ANN401 - Typer's
    """One optional option as a parameter."""
    annotation = Annotated[kind | None, option]  # type: ignore[valid-type] # made at run time
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )


@with_seats
def run(
    *,
    ctx: typer.Context,
    seats: dict[str, dict[str, Any]],
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILE|PRESET]",
            help="A TOML file with all of it, or a preset: hello (the default), founding.",
            autocompletion=complete_file,
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
    context: Annotated[
        int | None, typer.Option(min=1, metavar="TOKENS", help="Of context, every local seat.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Makes chances repeatable where they are.")
    ] = None,
    budget_usd: Annotated[
        float | None, typer.Option(metavar="USD", help="End before more is spent.")
    ] = None,
    budget_tokens: Annotated[
        int | None, typer.Option(min=1, help="End before more are read and said.")
    ] = None,
    budget_minutes: Annotated[
        float | None, typer.Option(metavar="MINUTES", help="End before the models need more.")
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show what would be sent, and its price; send nothing."),
    ] = False,
    stream: Annotated[
        bool, typer.Option("--stream/--no-stream", help="Hosted replies piece by piece, or whole.")
    ] = True,
    ending: Annotated[
        list[str] | None,
        typer.Option(
            metavar="POLICY",
            help="How it may end besides the cap: pure, exit, mutual, unanimous, last-word, alone, "
            "phrase, tool, pass, silence, detector.",
            autocompletion=complete_policy,
            show_default="exit and silence, if you name models",
        ),
    ] = None,
    told: Annotated[
        str | None,
        typer.Option(metavar="TEXT|none", help="What everybody is told; a policy has its words."),
    ] = None,
    sentinel: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="The line of its own by which a participant leaves."),
    ] = None,
    pure: Annotated[
        bool, typer.Option("--pure", help="The same as --ending pure: told nothing, only the cap.")
    ] = False,
    name: Annotated[str | None, typer.Option(help="The run's name.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the id.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the log's lines.")] = False,
    open_: Annotated[
        bool, typer.Option("--open", help="Watch it in the browser, too: the reading room.")
    ] = False,
    only: Only = None,
    max_conversations: Most = None,
    retry_failed: RetryFailed = False,
    workers: Workers = None,
    at_once: AtOnce = None,
    on: On = None,
) -> None:
    """Hold a conversation, or an experiment: two small local models, or whatever you say."""
    wanted = Chosen(only, max_conversations, workers, at_once, on, retry_failed=retry_failed)
    if named(file, Path.cwd()):
        refuse(
            {
                "opener": opener,
                "opener-by": opener_by,
                "first": first,
                "order": order,
                "turns": turns,
                "system": system,
                "temperature": temperature,
                "max-tokens": max_tokens,
                "context": context,
                "seed": seed,
                "pure": pure,
                "ending": ending,
                "told": told,
                "sentinel": sentinel,
                "no-stream": not stream,
                "dry-run": dry_run,
                **{
                    letter if field == "model" else f"{field.replace('_', '-')}-{letter}": value
                    for letter, seat in seats.items()
                    for field, value in seat.items()
                },
            }
        )
        budget = (budget_tokens, budget_usd, budget_minutes)
        manner = Manner(quiet, json, read=open_)
        begin_named(ctx.obj, str(file), wanted, budget, name=name, manner=manner)
        return
    wanted.refuse()
    if pure and ending:
        raise ConfigurationError("--pure is --ending pure: leave out one of them")
    options = Options(
        file=file,
        seats=seats,
        opener=opener,
        opener_by=opener_by,
        first=first,
        order=order,
        turns=turns,
        system=system,
        temperature=temperature,
        max_tokens=max_tokens,
        context=context,
        seed=seed,
        budget_usd=budget_usd,
        budget_tokens=budget_tokens,
        budget_minutes=budget_minutes,
        stream=stream,
        ending=("pure",) if pure else tuple(ending or ()),
        told=told,
        sentinel=sentinel,
        name=name,
    )
    asked = assemble(options, Path.cwd())
    if dry_run:
        import asyncio

        from duologue.cli.planning import show
        from duologue.estimate import plan

        show(asyncio.run(plan(asked.spec)))
        return
    from duologue.api import hold as begin

    hold(
        asked.spec,
        Showing(ctx.obj, quiet=quiet, json=json, read=open_),
        lambda watch: begin(asked, ctx.obj, watch=watch),
    )
