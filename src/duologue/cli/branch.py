"""``duologue branch``: a new conversation from any message of another."""

from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from duologue.cli.completing import complete_id, complete_seat
from duologue.cli.holding import Showing, hold
from duologue.core.message import Message, Origin
from duologue.core.spec import TurnCap
from duologue.core.state import State, fold
from duologue.errors import ConfigurationError
from duologue.store.library import default_path

if TYPE_CHECKING:
    from duologue.api import Change


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
        list[str] | None,
        typer.Option(
            metavar="NAME=MODEL", help="Another model for a seat.", autocompletion=complete_seat
        ),
    ] = None,
    turns: Annotated[int | None, typer.Option(min=1, help="Messages in all.")] = None,
    context: Annotated[
        int | None, typer.Option(min=1, metavar="TOKENS", help="Of context, every local seat.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Another seed.")] = None,
    name: Annotated[str | None, typer.Option(help="The new run's name.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the id.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the log's lines.")] = False,
    open_: Annotated[
        bool, typer.Option("--open", help="Watch it in the browser, too: the reading room.")
    ] = False,
) -> None:
    """Leave a conversation at a message, perhaps with something changed."""
    from duologue.api import Change, changed
    from duologue.api import branch as begin
    from duologue.cli.screen import command
    from duologue.providers.registry import unseeded

    run, conv = ctx.obj.find(id_)
    change = Change(
        models=_models(model or []),
        turns=turns,
        seed=seed,
        say=_said(say, as_),
        name=name,
        context=context,
    )
    parent = fold(run.events(conv))
    _need_models(parent, change, at, f"{command(ctx.obj.path, default_path())} branch {id_}")
    spec = changed(parent, change, at)
    if seed is not None:
        for line in unseeded(spec):
            typer.echo(f"duologue: {line}", err=True)
    showing = Showing(ctx.obj, quiet=quiet, json=json, read=open_)
    hold(spec, showing, lambda watch: begin(ctx.obj, conv, at, change, watch=watch))


def _need_models(parent: State, change: "Change", at: int, typed: str) -> None:
    """Refuse to guess who held the seats of an imported conversation: all of them, at once.

    Raises:
        ConfigurationError: seats whose model is not known, and a command that gives each one.
    """
    from duologue.formats.crossing import IMPORTED_MODEL

    spec = parent.begun().spec
    lacking = [
        seat.name
        for seat in spec.participants
        if seat.model == IMPORTED_MODEL and seat.name not in change.models
    ]
    if not lacking or not set(change.models) <= set(spec.names()):
        return
    given = [f"--model {quote(f'{name}={model}')}" for name, model in change.models.items()]
    wanted = [f"--model {quote(f'{name}=MODEL')}" for name in lacking]
    held = at + (change.say is not None)
    cap = min(rule.turns for rule in spec.ending if isinstance(rule, TurnCap))
    turns = change.turns or (held + 10 if cap <= held else None)
    more = [] if turns is None else [f"--turns {turns}"]
    if change.say is not None:
        more.append(f"--say {quote(change.say.text)} --as {quote(change.say.author)}")
    if change.context is not None:
        more.append(f"--context {change.context}")
    if change.seed is not None:
        more.append(f"--seed {change.seed}")
    if change.name is not None:
        more.append(f"--name {quote(change.name)}")
    seats = " and ".join(repr(name) for name in lacking)
    raise ConfigurationError(
        f"which model held the seat of {seats} is not known, the conversation was imported. "
        f"Choose for each, and type: {' '.join([typed, f'--at {at}', *more, *given, *wanted])}"
    )


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
