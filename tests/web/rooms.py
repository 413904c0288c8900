"""Rooms to look at: a library with what a test needs in it, served or asked directly."""

import asyncio
import socket
import sqlite3
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import uvicorn
from starlette.applications import Starlette
from starlette.testclient import TestClient

from duologue.api import Recorded, bring_in, hold
from duologue.catalogue.keeping import Catalogue
from duologue.conversation import converse
from duologue.core.event import Event
from duologue.core.experimentfile import document, read
from duologue.core.plan import plan
from duologue.core.provider import Delta, Provider
from duologue.core.spec import ConversationSpec, Line, Nudge, Participant, TurnCap
from duologue.core.specfile import Asked
from duologue.errors import StoreError
from duologue.providers.scripted import Reply, Scripted
from duologue.store.library import Library
from duologue.store.live import Live, Ration, live_path
from duologue.store.run import Run
from duologue.web.app import room
from recording import CONV

T = TypeVar("T")

FOUNDING = """# Ada ↔ Ben

**Started:** 2025-10-26 17:12:18
**Ended:** 2025-10-26 17:14:42
**Messages:** 2

---

### Ada

{space}

---

### Ben

Hello,
world.

""".replace("{space}", " ")


def spoken(folder: Path, replies: Sequence[str | Reply], turns: int = 6) -> tuple[Library, str]:
    """A library that holds one conversation, in which those replies come in turn."""
    library = Library(folder)
    return library, said(library, replies, turns).id


def said(
    library: Library,
    replies: Sequence[str | Reply],
    turns: int,
    name: str = "play",
    *,
    names: tuple[str, str] = ("Ada", "Ben"),
) -> Recorded:
    """A conversation, held and recorded; its first message is a space that was given."""
    one, other = names
    spec = ConversationSpec(
        (Participant(one, "scripted:a", system="Be brief."), Participant(other, "scripted:b")),
        opening=(Line(one, " "),),
        ending=(TurnCap(turns),),
        silence=Nudge("Go on."),
        seed=7,
    )
    cast = {one: Scripted(replies, "a"), other: Scripted(replies, "b")}
    return apart(hold(Asked(name, spec), library, providers=cast))


def apart(work: Coroutine[Any, Any, T]) -> T:
    """A coroutine's result, from a thread of its own: a browser's driver has a loop here."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def tried(folder: Path, more: Sequence[str] = ()) -> Library:
    """An experiment of two scripts, both ways round and two ways to end; two of its eight held.

    Args:
        folder: where it is put.
        more: names of further ways to end.
    """
    for name in "ab":
        said = "".join(f'"{name} {place}"\n' for place in range(8))
        (folder / f"{name}.jsonl").write_text(said, "utf-8")
    text = (
        f'name = "tried"\npairs = "cross"\nopener = " "\nturns = 4\nreplicates = 2\n'
        f'participants = ["scripted:{folder}/a.jsonl", "scripted:{folder}/b.jsonl"]\n'
        '[endings.cap]\n[endings.out]\nrules = [{ kind = "exit" }]\n'
    )
    for turns, name in enumerate(more, start=2):
        text += f'[endings.{name}]\nrules = [{{ kind = "silence", turns = {turns} }}]\n'
    asked = read(text, "tried.toml")
    library = Library(folder / "library")
    run = library.create("tried", document(asked))
    for each in plan(asked).conversations[:2]:
        cast = {name: Scripted(["one", "two", "three"], name) for name in each.spec.names()}
        with run.writing() as log:
            for fact in apart(_facts(each.spec, cast)):
                log.append(each.id, fact)
    return library


async def _facts(spec: ConversationSpec, cast: Mapping[str, Provider]) -> list[Event]:
    """What happens in a conversation."""
    return [item async for item in converse(spec, cast) if not isinstance(item, Delta)]


def imported(folder: Path) -> tuple[Library, str]:
    """A library that holds a founding transcript."""
    file = folder / "founding.md"
    file.write_text(FOUNDING)
    library = Library(folder / "library")
    return library, bring_in(library, file).id


class Patient(Catalogue):
    """A catalogue that answers when it has read everything, however long that takes."""

    def ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """The answer as of now."""
        with suppress(StoreError):  # a log that cannot be read is the answer's to tell
            self.settle()
        return super().ask(question)


def patient(library: Library, token: str | None = None) -> Starlette:
    """A room that knows of everything that was written before it was asked."""
    app = room(library, token)
    app.state.catalogue = app.state.readings.catalogue = Patient(library)
    return app


def asking(library: Library, token: str | None = None, host: str = "localhost") -> TestClient:
    """Somebody who asks a room."""
    return TestClient(patient(library, token), base_url=f"http://{host}", follow_redirects=False)


def slow_live(run: Run) -> Live:
    """Live text of somebody who speaks so slowly that every word of it is offered."""
    looks = count(1)
    return Live(live_path(run.path, CONV), Ration(lambda: next(looks) * 1.0e6, share=1))


@contextmanager
def served(library: Library, port: int = 0) -> Iterator[str]:
    """A room on loopback, and its address."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", port))
    listening.listen()
    config = uvicorn.Config(
        patient(library), log_level="warning", lifespan="off", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.config.app.state.closing = True  # type: ignore[union-attr] # it is the room above
        server.should_exit = True
        thread.join()
        listening.close()
