"""Keys of providers: where they stand, and how they are kept out of everything that is shown.

A key comes from the environment, else from ``keys.toml`` in the user's configuration folder, a
file that nobody else may read. Its value is a ``Secret``, which hides itself. This module sends
nothing and knows no wire.
"""

import os
import re
import stat
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from duologue.errors import ConfigurationError
from duologue.providers.catalog import Environ, Listed, config_file
from duologue.providers.secret import Secret

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class Key(msgspec.Struct, frozen=True):
    """A key that was found.

    Attributes:
        secret: the key, hidden.
        source: where it stood, for people.
    """

    secret: Secret
    source: str


def find_key(known: Listed, environ: Environ = os.environ) -> Key | None:
    """A provider's key, if there is one.

    Raises:
        ConfigurationError: the key file can be read by others, or is malformed; or the key could
            not be sent.
    """
    for variable in known.keys:
        if value := environ.get(variable, "").strip():
            return _sendable(value, f"${variable}")
    path = key_file(environ)
    value = _kept(path).get(known.name, "").strip() if path else ""
    return _sendable(value, str(path)) if value else None


def need_key(known: Listed, environ: Environ = os.environ) -> Key:
    """A provider's key.

    Raises:
        ConfigurationError: there is none; the message names the variable and the file.
    """
    key = find_key(known, environ)
    if key is None:
        raise ConfigurationError(f"there is no key for {known.name}: {remedy(known, environ)}")
    return key


def remedy(known: Listed, environ: Environ = os.environ) -> str:
    """What to do where a provider's key is missing."""
    ways = []
    if known.keys:
        ways.append(f"set {' or '.join(known.keys)}")
    if path := key_file(environ):
        name = known.name if re.fullmatch(r"[A-Za-z0-9_-]+", known.name) else f'"{known.name}"'
        ways.append(f'write {name} = "…" under [keys] in {path}')
    return ", or ".join(ways)


def key_file(environ: Environ = os.environ) -> Path | None:
    """Where the key file is; it need not be there."""
    return config_file("keys.toml", "DUOLOGUE_KEYS", environ)


def _sendable(value: str, source: str) -> Key:
    """A key that can stand in a header."""
    try:
        return Key(Secret(value), source)
    except ConfigurationError as error:
        raise ConfigurationError(f"{source}: {error}") from None


def _kept(path: Path) -> dict[str, str]:
    """The keys in the key file, by provider; empty where there is no file."""
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & _OTHERS:
                raise ConfigurationError(
                    f"the key file {path} can be read by others: type `chmod 600 {path}`"
                )
            text = file.read()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigurationError(f"the key file {path} cannot be read: {error.strerror}") from error
    return _parsed(text, path)


def _parsed(text: bytes, path: Path) -> dict[str, str]:
    """The keys in a key file's text. An error shows no line of it: it may be a key's."""
    try:
        kept: Any = tomllib.loads(text.decode()).get("keys", {})
    except UnicodeDecodeError:
        raise ConfigurationError(f"the key file {path} is not UTF-8: save it as UTF-8") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        line = re.search(r"at line (\d+)", str(error))
        where = f"{path}, line {line[1]}" if line else str(path)
        raise ConfigurationError(
            f'{where}: this is not TOML; under [keys] a line is provider = "key"'
        ) from None
    for name, value in kept.items() if isinstance(kept, dict) else [("keys", None)]:
        if not isinstance(value, str):
            raise ConfigurationError(
                f'{path}: {name} is not a string; under [keys] a line is provider = "key"'
            )
    return dict(kept)
