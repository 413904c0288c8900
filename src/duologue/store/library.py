"""All runs of a person in one folder, and the way from a short id to a conversation.

This module does not read what was said.
"""

import fcntl
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from duologue.core.ids import plain
from duologue.errors import ConfigurationError, UnknownIdError
from duologue.store.disk import make
from duologue.store.index import Found, Listed, listing, search
from duologue.store.run import SPEC_FILE, Run

_URL = re.compile(r"([a-z][a-z0-9+.-]+):/", re.IGNORECASE)
_FOLDER = re.compile(r"file:(?://(?:localhost)?)?(/[^/].*|/)", re.IGNORECASE)
_SHOWN = 5
_CORNER = ".new"


def place(given: str) -> Path:
    """The folder that a path names, or a URL of a mounted file system: ``file:///shared/runs``.

    Raises:
        ConfigurationError: it is a URL of something else.
    """
    if (url := _URL.match(given)) is None:
        return Path(given)
    if (folder := _FOLDER.fullmatch(given)) is not None:
        return Path(unquote(folder[1]))
    if url[1].lower() == "file":
        raise ConfigurationError(f"the library {given}: a folder's URL is file:///its/path")
    raise ConfigurationError(
        f"the library {given}: a record is appended line by line, synced and locked, and an object "
        f"store ({url[1]}) can do none of these: give a folder (or file:///…) on a file system "
        f"that all machines share, and copy the finished run to {url[1]}; it is files, and whole"
    )


def default_path() -> Path:
    """``$DUOLOGUE_LIBRARY``, else ``duologue/runs`` in the user's data folder (XDG).

    Raises:
        ConfigurationError: the variable holds a URL of something that is no file system.
    """
    if given := os.environ.get("DUOLOGUE_LIBRARY"):
        return place(given)
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "duologue" / "runs"


class Library:
    """The folder in which runs are kept."""

    def __init__(self, path: Path | None = None) -> None:
        """Look at ``path``, by default the user's own library; nothing is read yet."""
        self.path = default_path() if path is None else path

    def runs(self) -> list[Run]:
        """Every run, oldest first by name."""
        if not self.path.is_dir():
            return []
        return [Run(path.parent) for path in sorted(self.path.glob(f"*/{SPEC_FILE}"))]

    def create(self, name: str, asked: dict[str, Any]) -> Run:
        """Make a new run.

        Args:
            name: the run's name; whatever cannot stand in a folder's name becomes a hyphen.
            asked: what was asked for, written as ``experiment.toml``.

        Raises:
            StoreError: there is such a run already, or the folder cannot be made.
        """
        return Run.create(self.path / folder_name(name), asked)

    @contextmanager
    def corner(self) -> Iterator["Library"]:
        """A library within this one where nobody looks, for runs that are still being made.

        Whoever is in it shares a lock on the library's folder. Whoever comes or goes and finds
        nobody else there removes it, and with it what a kill has left.

        Raises:
            OSError: the library cannot be made, or not be locked.
        """
        if not self.path.is_dir():
            with suppress(FileExistsError):
                make(self.path)
        corner, lock = self.path / _CORNER, os.open(self.path, os.O_RDONLY)
        try:
            _clear(corner, lock)
            fcntl.flock(lock, fcntl.LOCK_SH)
            yield Library(corner)
        finally:
            _clear(corner, lock)
            os.close(lock)

    def tidy(self, run: Run) -> None:
        """Remove a run in which nothing was recorded; leave any other as it is.

        A torn tail that was set aside is a record, too.
        """
        with suppress(OSError):  # an error on its way matters more
            with os.scandir(run.path) as files:
                logs = [file for file in files if file.name.startswith("log-")]
            if not any(file.stat().st_size for file in logs):
                shutil.rmtree(run.path)

    def listing(self) -> list[Listed]:
        """Every conversation of every run, oldest first."""
        found = [listed for run in self.runs() for listed in listing(run)]
        return sorted(found, key=lambda listed: (listed.began, listed.id))

    def search(self, words: str) -> Iterator[tuple[Run, Found]]:
        """Every message that holds all of ``words``, run by run."""
        for run in self.runs():
            yield from ((run, found) for found in search(run, words))

    def find(self, prefix: str) -> tuple[Run, str]:
        """The run and the full id of the one conversation that ``prefix`` names.

        The beginning of an id, with or without hyphens, or the name of a run that holds one
        conversation. The whole of either counts before the beginning of another.

        Raises:
            UnknownIdError: nothing, or more than one thing, answers to it.
        """
        everything = self.listing()
        for matches in (_exact(everything, prefix), _beginning(everything, prefix)):
            if len(matches) > 1:
                raise UnknownIdError(f"{prefix!r} could be {_shown(matches)}: type more of it")
            if matches:
                return Run(self.path / matches[0].run), matches[0].id
        raise UnknownIdError(
            f"no conversation answers to {prefix!r} in {self.path}: "
            "'duologue list' shows what there is"
        )


def _clear(corner: Path, lock: int) -> None:
    """Remove the corner, unless somebody else is in it; what will not go, the next one tries."""
    with suppress(OSError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(corner)


def folder_name(name: str) -> str:
    """A name as a folder's: no separators, no leading dot, at most 80 bytes."""
    return _safe(name) or "run"


def _safe(name: str) -> str:
    """As much of a name as can stand in a folder's."""
    safe = re.sub(r"[^\w.+=@-]+", "-", name).strip("-.")
    return safe.encode()[:80].decode(errors="ignore")


def _exact(everything: Sequence[Listed], name: str) -> list[Listed]:
    """Conversations whose id, or whose run's name, is just that."""
    same = [item for item in everything if plain(item.id) == plain(name)]
    return same or [item for item in everything if item.run in {name, _safe(name)}]


def _beginning(everything: Sequence[Listed], prefix: str) -> list[Listed]:
    """Conversations whose id begins so."""
    return [
        item for item in everything if plain(prefix) and plain(item.id).startswith(plain(prefix))
    ]


def _shown(matches: Sequence[Listed]) -> str:
    """A few of several conversations, in words."""
    shown = ", ".join(item.id for item in matches[:_SHOWN])
    return shown if len(matches) <= _SHOWN else f"{shown} or {len(matches) - _SHOWN} more"
