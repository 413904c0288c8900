"""A conversation as one readable page, in parts where it is long."""

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from duologue.core.transcript import Mark
from duologue.errors import UnknownIdError
from duologue.web.answering import Answer, Page, Parameter, number, wants_json, whole
from duologue.web.readings import Reading
from duologue.web.turns import (
    GRAVE,
    LETTERS,
    STATES,
    WORDS,
    Cell,
    Head,
    Turn,
    Window,
    head,
    strip,
    turns,
    window_of,
    windows,
)
from duologue.web.words import MARKDOWN_CHARACTERS


class Conversation(msgspec.Struct, frozen=True):
    """A part of a conversation, and what there is to say about the whole.

    Attributes:
        head: who, when, how it ended, and what else is known.
        strip: the whole of it as a row of cells.
        window: which part this is.
        windows: all its parts.
        turns: the messages of the part.
        pending: marks of a turn that was started and did not become a message.
    """

    head: Head
    strip: tuple[Cell, ...]
    window: Window
    windows: tuple[Window, ...]
    turns: tuple[Turn, ...]
    pending: tuple[Mark, ...]


def conversation(request: Request) -> Answer | Response:
    """The part that begins with, or holds, the turn ``from``; the first by default."""
    name = request.path_params["conv"]
    reading = request.app.state.readings.read(name)
    if reading.id != name:
        return RedirectResponse(request.url.path.replace(name, reading.id, 1), 303)
    page = part(reading, number(request, "from") or 1)
    more = {
        **drawing(reading.id),
        "raw": "raw" in request.query_params,
        "place": page.windows.index(page.window),
    }
    return Answer("conversation.html", page, title(page.head), more=more)


def title(above: Head) -> str:
    """A conversation's name."""
    return " ↔ ".join(each.name for each in above.names if each.model)


def drawing(conv: str) -> dict[str, object]:
    """What the template of a turn needs besides the turn."""
    return {
        "conv": conv,
        "grave": GRAVE,
        "label_words": WORDS,
        "letters": LETTERS,
        "state_words": STATES,
        "files": False,
        "about_open": False,
        "fold": MARKDOWN_CHARACTERS,
    }


def part(reading: Reading, turn: int) -> Conversation:
    """The part of a conversation that holds a turn."""
    parts = windows(reading.transcript.spoken)
    place = window_of(parts, turn)
    last = place == len(parts) - 1
    above = head(reading)
    return Conversation(
        above,
        strip(reading),
        parts[place],
        tuple(parts),
        tuple(turns(reading, parts[place])),
        _pending(reading, running=above.running) if last else (),
    )


def _pending(reading: Reading, *, running: bool) -> tuple[Mark, ...]:
    """What is known of the turn in hand; one that is being taken has not been interrupted."""
    marks = reading.transcript.pending
    return tuple(mark for mark in marks if not (running and mark.kind == "interrupted"))


class One(msgspec.Struct, frozen=True):
    """One turn.

    Attributes:
        id: the conversation's id.
        turn: the turn.
    """

    id: str
    turn: Turn


def turn_of(request: Request, reading: Reading) -> int:
    """The number of the turn that an address names.

    Raises:
        ConfigurationError: it is no number.
        UnknownIdError: there is no such turn.
    """
    asked = whole(request.path_params["turn"], "the turn")
    count = len(reading.transcript.spoken)
    if asked > count:
        raise UnknownIdError(f"{reading.id} has no message {asked}: it holds {count}")
    return asked


def one(request: Request) -> Answer | Response:
    """The permanent address of a turn: in the page it leads to its place in the conversation."""
    reading = request.app.state.readings.read(request.path_params["conv"])
    asked = turn_of(request, reading)
    if wants_json(request):
        found = next(turns(reading, Window(asked, asked)))
        return Answer("", One(reading.id, found), f"{asked}")
    parts = windows(reading.transcript.spoken)
    first = parts[window_of(parts, asked)].first
    start = "" if first == 1 else f"?from={first}"
    return RedirectResponse(f"/c/{reading.id}{start}#t{asked}", 303)


_FROM = Parameter(
    "from", "the part that holds this turn", {"type": "integer", "minimum": 1, "default": 1}
)
_RAW = Parameter("raw", "the words as they were written, not as Markdown (pages only)")

PAGES = (
    Page("/c/{conv}/{turn}", one, One, "One turn of a conversation"),
    Page("/c/{conv}", conversation, Conversation, "A conversation", (_FROM, _RAW)),
)
