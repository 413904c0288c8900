"""What the shell is offered when a person presses the tab key.

A completion that fails must not spoil the line that is being typed: errors of ours offer nothing.
"""

from contextlib import suppress
from pathlib import Path

import typer

from duologue.errors import DuologueError


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


def complete_id(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
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
