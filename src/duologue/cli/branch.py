"""``duologue branch``: a new conversation from any message of another."""

from typing import Annotated

import typer

from duologue.cli.completing import complete_id
from duologue.cli.holding import Showing, hold
from duologue.core.message import Message, Origin
from duologue.core.state import fold
from duologue.errors import ConfigurationError


def branch(
    ctx: typer.Context,
    id_: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="The parent: the beginning of its id, or its run's name.",
            autocompletion=complete_id,
        ),
    ],
    at: Annotated[int, typer.Option(min=0, help="The last message to keep; 0 keeps none.")],
    say: Annotated[
        str | None, typer.Option(metavar="TEXT", help="A message to inject after it.")
    ] = None,
    as_: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="Under whose name it stands.")
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(metavar="NAME=MODEL", help="Another model for a seat.")
    ] = None,
    turns: Annotated[int | None, typer.Option(min=1, help="Messages in all.")] = None,
    seed: Annotated[int | None, typer.Option(help="Another seed.")] = None,
    name: Annotated[str | None, typer.Option(help="The new run's name.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the id.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the log's lines.")] = False,
) -> None:
    """Leave a conversation at a message, perhaps with something changed."""
    from duologue.api import Change, changed
    from duologue.api import branch as begin

    run, conv = ctx.obj.find(id_)
    change = Change(
        models=_models(model or []), turns=turns, seed=seed, say=_said(say, as_), name=name
    )
    spec = changed(fold(run.events(conv)), change, at)
    showing = Showing(ctx.obj, quiet=quiet, json=json)
    hold(spec, showing, lambda watch: begin(ctx.obj, conv, at, change, watch=watch))


def _models(typed: list[str]) -> dict[str, str]:
    """``NAME=MODEL`` pairs."""
    models = {}
    for pair in typed:
        name, equals, model = pair.partition("=")
        if not (name and equals and model):
            raise ConfigurationError(f"--model wants NAME=MODEL, not {pair!r}")
        models[name] = model
    return models


def _said(text: str | None, author: str | None) -> Message | None:
    """The message to inject."""
    if (text is None) != (author is None):
        raise ConfigurationError("--say and --as go together: what is said, and under whose name")
    if author == "":
        raise ConfigurationError("--as wants a name: under whose name the words stand")
    return None if text is None or author is None else Message(author, text, origin=Origin.HUMAN)
