"""What is known of providers, and short names for models: data, and the user's own data over it.

``catalog.toml`` and ``aliases.toml`` stand beside this module; files of the same form in the user's
configuration folder are merged over them, so a provider is added without code. This module opens
no connection, and knows no key's value and no conversation.
"""

import os
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from duologue.core.toml_document import Document, Fault, parse, spelt
from duologue.core.toml_shape import fill
from duologue.errors import ConfigurationError

Environ = Mapping[str, str]

LOOPBACK = ("127.0.0.1", "::1", "localhost")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_TAKEN = ("function", "human", "import", "llm", "local", "replay", "scripted")


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of some of a provider's models; None where nothing is said.

    Attributes:
        match: their ids, as a shell pattern: ``*``, ``?``, ``[a-c]``.
        refuses: parameters that make the provider refuse a request; ``a+b`` for two together.
        ignores: parameters that it drops without a word.
        pins: parameters of which it takes only this value.
        quirks: what the encoders read from a seat's settings.
    """

    match: str = "*"
    refuses: tuple[str, ...] | None = None
    ignores: tuple[str, ...] | None = None
    pins: dict[str, float] | None = None
    quirks: dict[str, Any] = {}


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One provider, as a catalogue says it; what is left out is the catalogue's below.

    Attributes:
        dialect: which wire it speaks.
        base_url: where; the dialect adds the rest of the address.
        keys: environment variables in which its key may stand, the first one first.
        own: whether it is a server of one's own, which needs no key.
        start: what to type to start such a server.
        refuses: as in ``Rule``, for all of its models.
        ignores: as in ``Rule``.
        pins: as in ``Rule``.
        quirks: as in ``Rule``.
        models: what is different for some models; the last word holds.
    """

    dialect: Literal["openai", "anthropic", "google"] | None = None
    base_url: str | None = None
    keys: tuple[str, ...] | None = None
    own: bool | None = None
    start: str | None = None
    refuses: tuple[str, ...] | None = None
    ignores: tuple[str, ...] | None = None
    pins: dict[str, float] | None = None
    quirks: dict[str, Any] = {}
    models: tuple[Rule, ...] = ()


class Listed(msgspec.Struct, frozen=True):
    """One provider of the whole catalogue.

    Attributes:
        name: what stands before the colon.
        dialect: which wire it speaks.
        base_url: where.
        keys: environment variables in which its key may stand.
        own: whether it is a server of one's own.
        start: what to type to start it.
        rules: what is known of its models, the last word last.
    """

    name: str
    dialect: str
    base_url: str
    keys: tuple[str, ...]
    own: bool
    start: str | None
    rules: tuple[Rule, ...]

    def ways(self, model: str) -> Rule:
        """What is known of one model, in one rule."""
        known = Rule(model, (), (), {})
        for rule in self.rules:
            if fnmatchcase(model, rule.match):
                known = _over(known, rule)
        return known


class _Catalog(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A catalogue's file."""

    providers: dict[str, Entry] = {}


class _Aliases(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of short names."""

    aliases: dict[str, str] = {}


def config_file(name: str, variable: str, environ: Environ = os.environ) -> Path | None:
    """Where a file of the user's configuration is; it need not be there.

    ``$VARIABLE``, else ``duologue/NAME`` in ``$XDG_CONFIG_HOME``, else in ``~/.config``; None for
    a user without a home.
    """
    if chosen := environ.get(variable):
        return Path(chosen)
    base = Path(environ.get("XDG_CONFIG_HOME", ""))
    if base.is_absolute():  # a relative one is to be ignored, says the specification
        return base / "duologue" / name
    home = environ.get("HOME")
    return Path(home) / ".config" / "duologue" / name if home else None


def catalog(environ: Environ = os.environ) -> dict[str, Listed]:
    """Every provider that is known, by name: ours, with the user's own merged over them.

    Raises:
        SpecError: the user's file is malformed; the message names the file, the key and the line.
        ConfigurationError: it cannot be read.
    """
    document = _users(config_file("catalog.toml", "DUOLOGUE_CATALOG", environ))
    if document is None:
        return dict(_ours())
    theirs = fill(document, _Catalog).providers
    if faults := list(_faults(theirs)):
        raise document.error(faults)
    return dict(_ours()) | {name: _listed(name, entry) for name, entry in theirs.items()}


def aliases(environ: Environ = os.environ) -> dict[str, str]:
    """Every short name and what it stands for: ours, with the user's own over them.

    Raises:
        SpecError: the user's file is malformed.
        ConfigurationError: it cannot be read.
    """
    document = _users(config_file("aliases.toml", "DUOLOGUE_ALIASES", environ))
    if document is None:
        return dict(_short())
    theirs = fill(document, _Aliases).aliases
    faults = [
        Fault(("aliases", name), f"{name!r} stands for {full!r}: give provider:model")
        for name, full in theirs.items()
        if ":" not in full
    ]
    if faults:
        raise document.error(faults)
    return dict(_short()) | theirs


def unfit(url: str) -> str | None:
    """What is wrong with a base URL, in words; None if nothing is.

    A base URL goes on record, so nothing that could be a secret may stand in it.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port  # reading it checks it
    except ValueError as error:
        return f"it is not a URL ({error})"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "it must begin with http:// or https:// and a host"
    if parts.username is not None or parts.password is not None:
        return "it holds a name or password, and it goes on record: take them out"
    if parts.query or parts.fragment:
        return "it must end with its path, without ? or #, and it goes on record"
    return None


def shown(url: str) -> str:
    """A base URL for a message: without what may be a secret in it."""
    return re.sub(r"//[^/]*@", "//…@", re.sub(r"[?#].*", "…", url, flags=re.DOTALL))


def loopback(url: str) -> bool:
    """Whether a base URL is one of this machine."""
    return urlsplit(url).hostname in LOOPBACK


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port: to whom a request would go."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


@cache
def _ours() -> Mapping[str, Listed]:
    """The catalogue that comes with the package."""
    found = fill(_packaged("catalog.toml"), _Catalog).providers
    return {name: _complete(name, entry) for name, entry in found.items()}


@cache
def _short() -> Mapping[str, str]:
    """The short names that come with the package."""
    return fill(_packaged("aliases.toml"), _Aliases).aliases


def _packaged(name: str) -> Document:
    """A file beside this module."""
    return parse((resources.files(__package__) / name).read_text("utf-8"), name)


def _users(path: Path | None) -> Document | None:
    """A file of the user's, if there is one."""
    if path is None:
        return None
    try:
        return parse(path.read_text("utf-8"), str(path))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not UTF-8: save it as UTF-8") from error


def _listed(name: str, entry: Entry) -> Listed:
    """A user's entry over ours of that name, or whole."""
    below = _ours().get(name)
    if below is None:
        return _complete(name, entry)
    said = {
        key: value
        for key in ("dialect", "base_url", "keys", "own", "start")
        if (value := getattr(entry, key)) is not None
    }
    if "base_url" in said:
        said["base_url"] = said["base_url"].rstrip("/")
    return replace(below, **said, rules=(*below.rules, _whole(entry), *entry.models))


def _complete(name: str, entry: Entry) -> Listed:
    """An entry that stands for itself; its dialect and address are there, ``_faults`` saw to it."""
    return Listed(
        name,
        str(entry.dialect),
        str(entry.base_url).rstrip("/"),
        entry.keys or (),
        entry.own or False,
        entry.start,
        (_whole(entry), *entry.models),
    )


def _whole(entry: Entry) -> Rule:
    """What an entry says of all of its models."""
    return Rule("*", entry.refuses, entry.ignores, entry.pins, entry.quirks)


def _over(below: Rule, rule: Rule) -> Rule:
    """One rule over another: what it says holds, quirk by quirk; what it leaves out stays."""
    return Rule(
        below.match,
        below.refuses if rule.refuses is None else rule.refuses,
        below.ignores if rule.ignores is None else rule.ignores,
        below.pins if rule.pins is None else rule.pins,
        below.quirks | rule.quirks,
    )


def _faults(entries: Mapping[str, Entry]) -> Iterator[Fault]:
    """What is wrong with a user's entries beyond their shape."""
    for name, entry in entries.items():
        path = ("providers", name)
        if not _NAME.fullmatch(name) or name in _TAKEN:
            why = "is taken" if name in _TAKEN else "must be small letters, digits, '.', '-', '_'"
            yield Fault(path, f"the provider's name {name!r} {why}")
        elif name not in _ours() and (entry.dialect is None or entry.base_url is None):
            yield Fault(path, f"a provider of your own needs dialect and base_url: {name!r}")
        if entry.base_url is not None and (what := unfit(entry.base_url)):
            yield Fault((*path, "base_url"), f"{spelt((*path, 'base_url'))}: {what}")
