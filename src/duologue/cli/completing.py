"""How a conversation is named on the command line, and what the shell is offered at the tab key.

A completion that fails must not spoil the line that is being typed: errors of ours offer nothing.
"""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from duologue.core.state import fold
from duologue.errors import DuologueError

if TYPE_CHECKING:
    from duologue.store.library import Library


def complete_model(incomplete: str) -> list[tuple[str, str]]:
    """Models: local ones, short names, then ``provider:``; whatever cannot be read is left out."""
    from duologue.providers.catalog import aliases, catalog
    from duologue.providers.local.models import KNOWN

    offers = [(model.name, model.title) for model in KNOWN]
    with suppress(DuologueError):
        offers += sorted(aliases().items())
    with suppress(DuologueError):
        offers += [(f"{each.name}:", each.base_url) for each in catalog().values()]
    offers += [
        ("function:", "a Python callable"),
        ("human:", "yourself"),
        ("llm:", "a model of a plug-in of llm"),
        ("scripted:", "replies from a JSON Lines file"),
    ]
    return [offer for offer in offers if offer[0].startswith(incomplete)]


def complete_policy(incomplete: str) -> list[tuple[str, str]]:
    """Ending policies, and what each is."""
    from duologue.core.policies import POLICIES

    offers = [(name, policy.about) for name, policy in POLICIES.items()]
    return [offer for offer in offers if offer[0].startswith(incomplete)]


def complete_file(incomplete: str) -> list[tuple[str, str]]:
    """Presets, then TOML files and folders beside what is being typed."""
    from duologue.cli.asking import presets

    offers = [(name, "a preset") for name in presets() if name.startswith(incomplete)]
    typed = incomplete.rpartition("/")
    with suppress(OSError, ValueError):
        for path in sorted(Path(typed[0] + typed[1] or ".").iterdir()):
            if (
                path.name.startswith(typed[2])
                and path.name[0] != "."
                and (path.is_dir() or path.suffix == ".toml")
            ):
                end = "/" if path.is_dir() else ""
                offers.append((f"{typed[0]}{typed[1]}{path.name}{end}", ""))
    return offers


def complete_seat(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """``NAME=`` for the seats of the conversation that was typed, then models after it."""
    name, equals, model = incomplete.partition("=")
    if equals:
        return [(f"{name}={offer}", about) for offer, about in complete_model(model)]
    try:
        run, conv = _library(ctx).find(ctx.params.get("id_") or "")
        seats = fold(run.events(conv)).begun().spec.participants
    except DuologueError:
        return []
    return [(f"{each.name}=", each.model) for each in seats if each.name.startswith(name)]


def complete_id(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Ids of the library's conversations, and who speaks in them."""
    try:
        everything = _library(ctx).listing()
    except DuologueError:
        return []
    return [
        (item.id, f"{' ↔ '.join(item.names)}, {item.messages} messages")
        for item in everything
        if item.id.startswith(incomplete)
    ]


def _library(ctx: typer.Context) -> "Library":
    """The library that was typed, or the person's own."""
    from duologue.store.library import Library

    given = ctx.find_root().params.get("library")
    return Library(None if given is None else Path(given))


def complete_format(incomplete: str) -> list[str]:
    """Names of the foreign formats."""
    from duologue.formats.crossing import FORMATS

    return [name for name in FORMATS if name.startswith(incomplete)]


Id = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="The beginning of its id, or its run's name.",
        autocompletion=complete_id,
    ),
]
"""A conversation, by what a person types."""

NewestId = Annotated[
    str | None,
    typer.Argument(
        metavar="[ID]",
        help="The beginning of its id, or its run's name; the newest by default.",
        autocompletion=complete_id,
    ),
]
"""A conversation, or the newest."""
