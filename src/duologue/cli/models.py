"""``duologue models``: which models can take a seat now, and what those need that cannot."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from duologue.cli.completing import complete_model

if TYPE_CHECKING:
    from duologue.providers.catalog import Listed
    from duologue.providers.listening import Heard
    from duologue.providers.secret import Secret

_SHOWN = 8
_FORMS = {
    "yourself": "human:NAME",
    "replies from a file": "scripted:FILE.jsonl",
    "a Python callable": "function:PACKAGE.MODULE:NAME",
    "a plug-in of llm": "llm:MODEL",
}


class Local(msgspec.Struct, frozen=True):
    """A local model: its name, what is known of it, and how to get it if it is not installed."""

    name: str
    title: str
    licence: str
    bytes: int
    usable: bool
    needs: str | None


class Reached(msgspec.Struct, frozen=True):
    """A provider behind HTTP: where it is, where its key was found, and what it needs.

    ``models`` are those that a server of one's own lists; a hosted provider is not asked.
    """

    provider: str
    base_url: str
    usable: bool
    key: str | None
    needs: str | None
    models: tuple[str, ...] = ()


class Plugged(msgspec.Struct, frozen=True):
    """A provider that an installed plug-in brings, and why it cannot be used, if it cannot."""

    provider: str
    distribution: str
    usable: bool
    needs: str | None


class Listing(msgspec.Struct, frozen=True):
    """Everything that can take a seat, and the user's files that say so."""

    local: tuple[Local, ...]
    hosted: tuple[Reached, ...]
    servers: tuple[Reached, ...]
    plugins: tuple[Plugged, ...]
    aliases: dict[str, str]
    files: dict[str, str]


def models(
    fetch: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Install a local model; 'default' means the default pair.",
            autocompletion=complete_model,
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print all of it as JSON.")] = False,
) -> None:
    """List the models that can take a seat here; install more."""
    if fetch:
        _fetch(fetch)
        return
    listing = _listing()
    if json:
        typer.echo(msgspec.json.encode(listing).decode())
    else:
        _tell(listing)


def _fetch(typed: list[str]) -> None:
    """Install the models that were typed."""
    from rich.console import Console

    from duologue.cli.fetching import fetch_with_bar
    from duologue.providers.local.models import DEFAULT_PAIR, find

    names = [name for one in typed for name in (DEFAULT_PAIR if one == "default" else [one])]
    fetch_with_bar([find(name) for name in names], Console(stderr=True))


def _listing() -> Listing:
    """All of it, as it is now. Only servers of one's own are asked, half a second at most."""
    from duologue.providers.catalog import aliases, catalog, config_file
    from duologue.providers.keys import key_file
    from duologue.providers.plugins import plugins

    known = catalog().values()
    places = {
        "catalog": config_file("catalog.toml", "DUOLOGUE_CATALOG"),
        "aliases": config_file("aliases.toml", "DUOLOGUE_ALIASES"),
        "keys": key_file(),
    }
    return Listing(
        local=_locals(),
        hosted=tuple(_hosted(provider) for provider in known if not provider.own),
        servers=_servers([provider for provider in known if provider.own]),
        plugins=tuple(
            Plugged(each.name, each.distribution, each.problem is None, each.problem)
            for each in plugins()
        ),
        aliases=aliases(),
        files={name: str(place) for name, place in places.items() if place},
    )


def _locals() -> tuple[Local, ...]:
    """The local models that are known."""
    from duologue.providers.local.fetch import installed
    from duologue.providers.local.models import KNOWN

    there = {model.name for model in installed()}
    return tuple(
        Local(
            model.name,
            model.title,
            model.licence,
            model.size,
            model.name in there,
            None if model.name in there else f"duologue models --fetch {model.name}",
        )
        for model in KNOWN
    )


def _hosted(known: "Listed") -> Reached:
    """A hosted provider: usable when its key is there, or its address is this machine's."""
    from duologue.providers.catalog import loopback, shown
    from duologue.providers.keys import remedy
    from duologue.providers.registry import address

    url = address(known)
    source, _, fault = _key(known)
    usable = source is not None or (fault is None and loopback(url))
    short = f"set {' or '.join(known.keys)}" if known.keys else remedy(known)
    needs = None if usable else fault or short
    return Reached(known.name, shown(url), usable, source, needs)


def _servers(known: list["Listed"]) -> tuple[Reached, ...]:
    """Servers of one's own: usable when they answer."""
    from duologue.providers.catalog import unfit
    from duologue.providers.listening import Asked, Heard, listening
    from duologue.providers.registry import address

    urls = {server.name: address(server) for server in known}
    asked = [
        Asked(server.name, urls[server.name], _key(server)[1])
        for server in known
        if not unfit(urls[server.name])
    ]
    heard = listening(asked)
    unasked = Heard(None, "its base URL is unfit")
    return tuple(_server(server, urls, heard.get(server.name, unasked)) for server in known)


def _server(known: "Listed", urls: Mapping[str, str], heard: "Heard") -> Reached:
    """A server of one's own, and what it said."""
    from duologue.providers.catalog import shown

    source, _, fault = _key(known)
    needs = None
    if heard.models is None:
        remedies = [fault, f"start it: {known.start}" if known.start else None]
        needs = "; ".join([heard.why, *(remedy for remedy in remedies if remedy)])
    url = shown(urls[known.name])
    return Reached(known.name, url, heard.models is not None, source, needs, heard.models or ())


def _key(known: "Listed") -> "tuple[str | None, Secret | None, str | None]":
    """Where a provider's key stands, the key, and what is wrong with it: each None if nothing."""
    from duologue.errors import ConfigurationError
    from duologue.providers.keys import find_key

    try:
        found = find_key(known)
    except ConfigurationError as error:
        return None, None, str(error)
    return (found.source, found.secret, None) if found else (None, None, None)


def _tell(listing: Listing) -> None:
    """The listing for a person, what is usable first; a server may name its models anything."""
    from duologue.cli.words import one_line

    for line in _lines(listing):
        typer.echo(one_line(line).plain)


def _lines(listing: Listing) -> Iterator[str]:
    """The lines of the listing."""
    from duologue.providers.local.fetch import megabytes

    yield "local models"
    for model in listing.local:
        about = f"{megabytes(model.bytes):>9}  {model.licence:10}"
        yield f"  {model.name:22} {about}  {model.needs or 'installed'}"
    yield "  any GGUF file          local:/path/to/file.gguf"
    for title, group in (("servers of your own", listing.servers), ("hosted", listing.hosted)):
        yield f"{title}, typed PROVIDER:MODEL"
        for one in sorted(group, key=lambda each: not each.usable):
            yield f"  {one.provider:22} {_state(one)}"
    yield "without a server"
    for what, form in _FORMS.items():
        yield f"  {what:22} {form}"
    for plug in listing.plugins:
        yield f"  {plug.provider:22} {plug.needs or f'ready ({plug.distribution})'}"
    yield "short names"
    for name, full in sorted(listing.aliases.items()):
        yield f"  {name:22} {full}"
    yield "your own, if you write them"
    for name, place in listing.files.items():
        yield f"  {name:22} {place}"


def _state(one: Reached) -> str:
    """One provider's line."""
    if not one.usable:
        return f"needs: {one.needs}"
    more = len(one.models) - _SHOWN
    listed = ", ".join(one.models[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
    ready = f"ready ({one.key})" if one.key else "ready"
    return f"{ready}  {listed}".rstrip()
