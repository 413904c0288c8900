"""A library with a scripted conversation in it, and a terminal that remembers what it was sent."""

import asyncio
import io
import re
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from duologue.api import Recorded, hold
from duologue.core.spec import ConversationSpec, Exit, Line, Participant, TurnCap
from duologue.core.specfile import Asked
from duologue.errors import ProviderError
from duologue.providers.scripted import Reply, Scripted
from duologue.scheduler import Watch
from duologue.store.library import Library

Replies = Sequence[str | Reply | ProviderError]
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def spec(turns: int = 4, opening: str = " ") -> ConversationSpec:
    """Ada and Ben, Ada's first message given."""
    return ConversationSpec(
        (Participant("Ada", "scripted:a", system="Be brief."), Participant("Ben", "scripted:b")),
        opening=(Line("Ada", opening),),
        ending=(TurnCap(turns), Exit()),
        seed=7,
    )


def held(
    folder: Path,
    ada: Replies = ("one", "two"),
    ben: Replies = ("eins", "zwei"),
    *,
    turns: int = 4,
    watch: Watch = lambda _: None,
) -> tuple[Library, Recorded]:
    """The conversation, held and recorded."""
    library = Library(folder)
    cast = {"Ada": Scripted(ada, "a"), "Ben": Scripted(ben, "b")}
    asked = Asked("play", spec(turns))
    return library, asyncio.run(hold(asked, library, providers=cast, watch=watch))


def terminal(width: int = 80, height: int = 24, *, colour: str | None = "truecolor") -> Console:
    """A terminal of that size."""
    return Console(
        file=io.StringIO(),
        force_terminal=True,
        width=width,
        height=height,
        color_system=colour,  # type: ignore[arg-type] # rich's own names
        legacy_windows=False,
        _environ={},
    )


def pipe() -> Console:
    """Not a terminal."""
    return Console(file=io.StringIO(), force_terminal=False, _environ={})


def sent(console: Console) -> str:
    """Every character that was sent to a console."""
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def shown(console: Console) -> str:
    """What was sent, without the escapes that colour it."""
    return _ESCAPES.sub("", sent(console))
