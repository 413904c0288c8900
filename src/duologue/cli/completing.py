"""What the shell is offered when a person presses the tab key.

A completion that fails must not spoil the line that is being typed: errors of ours offer nothing.
"""

from pathlib import Path

import click
from click.shell_completion import CompletionItem

from duologue.errors import DuologueError


def complete_model(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Models: the local ones that are known, and ``scripted:``."""
    from duologue.providers.local.models import KNOWN

    offers = [CompletionItem(model.name, help=model.title) for model in KNOWN]
    offers.append(CompletionItem("scripted:", help="replies from a JSON Lines file"))
    return [offer for offer in offers if offer.value.startswith(incomplete)]


def complete_id(ctx: click.Context, incomplete: str) -> list[tuple[str, str]]:
    """Ids of the library's conversations, and who speaks in them."""
    from duologue.store.library import Library

    given = ctx.find_root().params.get("library")
    try:
        everything = Library(None if given is None else Path(given)).listing()
    except DuologueError:
        return []
    return [
        (item.id, f"{' ↔ '.join(item.names)}, {item.messages} messages")
        for item in everything
        if item.id.startswith(incomplete)
    ]


def complete_format(incomplete: str) -> list[str]:
    """Names of the foreign formats."""
    from duologue.formats.crossing import FORMATS

    return [name for name in FORMATS if name.startswith(incomplete)]
