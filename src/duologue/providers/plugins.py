"""The door for providers that others make: the entry points of the group ``duologue.providers``.

An entry point's name is the provider's, and it names a callable ``open(model)`` that returns a
provider, or is ``async`` and does so. What a plug-in does wrong is told under the name of its
distribution, and stands in nobody else's way. This module knows no plug-in, and no built-in
provider: the registry asks here last.
"""

from collections import defaultdict
from importlib.metadata import EntryPoint, entry_points
from inspect import isawaitable
from typing import Any

import msgspec

from duologue.core.provider import Provider, Seat
from duologue.errors import ConfigurationError, DuologueError

GROUP = "duologue.providers"


class Plugin(msgspec.Struct, frozen=True):
    """A provider that a distribution brings.

    Attributes:
        name: the provider's name, which stands before the colon.
        distribution: the name and version of what was installed.
        problem: why it cannot be used; None if it can.
    """

    name: str
    distribution: str
    problem: str | None = None


def names() -> tuple[str, ...]:
    """The names of all providers that plug-ins bring; none is imported."""
    return tuple(_found())


def plugins() -> tuple[Plugin, ...]:
    """Every plug-in, tried out as far as its import."""
    return tuple(_tried(name, entries) for name, entries in _found().items())


async def open_plugin(provider: str, model: str) -> Provider:
    """Whoever answers for ``provider:model``, from the plug-in that brings ``provider``.

    Raises:
        ConfigurationError: there is none, or more than one, or it does not work as it should.
    """
    entries = _found().get(provider, [])
    if not entries:
        raise ConfigurationError(f"no plug-in brings the provider {provider!r}: install one")
    opened = _loaded(provider, entries)
    try:
        made: object = opened(model)
        if isawaitable(made):
            made = await made
    except DuologueError:
        raise
    except Exception as error:  # a plug-in may raise anything: it is told, and is not a crash
        raise _wrong(entries[0], f"cannot open {model!r}: {_words(error)}") from error
    return _checked(entries[0], made)


def _found() -> dict[str, list[EntryPoint]]:
    """The entry points by name, sorted; Python itself takes a distribution's first copy only."""
    found: dict[str, list[EntryPoint]] = defaultdict(list)
    for entry in sorted(entry_points(group=GROUP), key=lambda each: (each.name, each.value)):
        found[entry.name].append(entry)
    return dict(found)


def _tried(name: str, entries: list[EntryPoint]) -> Plugin:
    """What can be said of one plug-in."""
    try:
        _loaded(name, entries)
    except ConfigurationError as error:
        return Plugin(name, _distribution(entries[0]), str(error))
    return Plugin(name, _distribution(entries[0]))


def _loaded(name: str, entries: list[EntryPoint]) -> Any:  # noqa: ANN401 - a plug-in's own
    """The callable that opens a model."""
    if len(entries) > 1:
        who = " and ".join(_distribution(entry) for entry in entries)
        raise ConfigurationError(f"{who} each bring a provider {name!r}: uninstall all but one")
    (entry,) = entries
    try:
        opened = entry.load()
    except Exception as error:  # whatever a plug-in raises while it is imported
        raise _wrong(entry, f"cannot be imported: {_words(error)}") from error
    if not callable(opened):
        raise _wrong(entry, f"is a {type(opened).__name__}, not a callable open(model)")
    return opened


def _checked(entry: EntryPoint, made: Any) -> Provider:  # noqa: ANN401 - a plug-in's own
    """What a plug-in opened, if it is a provider under its own name."""
    seat = getattr(made, "seat", None)
    if not isinstance(seat, Seat) or not all(
        callable(getattr(made, name, None)) for name in ("stream", "aclose")
    ):
        raise _wrong(entry, f"opened a {type(made).__name__}, which has not seat, stream, aclose")
    if seat.provider != entry.name:
        raise _wrong(entry, f"opened a seat of {seat.provider!r}, which is not its own name")
    provider: Provider = made
    return provider


def _wrong(entry: EntryPoint, what: str) -> ConfigurationError:
    """An error that says whose it is, and what to do."""
    who = _distribution(entry)
    return ConfigurationError(
        f"the plug-in {entry.name!r} ({entry.value}) of {who} {what}. Update or uninstall "
        f"{who.split(' ', 1)[0]}"
    )


def _distribution(entry: EntryPoint) -> str:
    """The name and version of what brought an entry point."""
    return "an unknown distribution" if entry.dist is None else _titled(entry.dist)


def _titled(dist: Any) -> str:  # noqa: ANN401 - its type differs from one Python to the next
    """A distribution's name and version."""
    return f"{dist.name} {dist.version}"


def _words(error: Exception) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {error}"
