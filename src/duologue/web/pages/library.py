"""The library: every conversation, newest first; what was said where; filters."""

from collections.abc import Iterable

import msgspec
from starlette.requests import Request

from duologue.catalogue.asking import Book, Choices, Wanted, choices, part
from duologue.core.transcript import Status
from duologue.endings.codebook import EndState
from duologue.store.library import Library
from duologue.store.run import Run
from duologue.web.answering import Answer, Page, Parameter
from duologue.web.shelf import DRAWING, key, wanted
from duologue.web.turns import STATES, WORDS


class Shelf(msgspec.Struct, frozen=True):
    """A part of the list.

    Attributes:
        wanted: what was looked for.
        books: conversations, newest first.
        older: ``before`` of the next part; None at the end.
        total: how many there are in all; None where words were searched for.
        looked: whether the search stopped early; ``older`` goes on with it.
        reading: whether logs are still being taken in, so that something may be missing.
        running: the runs, of those in this part, that a process is writing to.
        choices: what there is to filter by.
    """

    wanted: Wanted
    books: tuple[Book, ...]
    older: int | None
    total: int | None
    looked: bool
    reading: bool
    running: tuple[str, ...]
    choices: Choices


def library(request: Request) -> Answer:
    """The newest conversations of those that are looked for."""
    catalogue = request.app.state.catalogue
    what, before = wanted(request), key(request, "before")
    reading = not catalogue.refresh()
    found = catalogue.ask(lambda db: part(db, what, before))
    offered = catalogue.remembered(choices)
    open_ = {
        book.conversation.run
        for book in found.books
        if book.conversation.status is Status.INTERRUPTED
    }
    page = Shelf(
        what,
        found.books,
        found.older,
        found.total,
        found.looked,
        reading,
        busy(catalogue.library, open_),
        offered,
    )
    narrowed = any(getattr(what, name) not in {None, ""} for name in what.__struct_fields__)
    more = {**DRAWING, "state_words": STATES, "label_words": WORDS}
    more |= {"narrowed": narrowed, "before": before}
    return Answer("library.html", page, "Library", more=more)


def busy(place: Library, names: Iterable[str]) -> tuple[str, ...]:
    """Which of these runs a process is writing to."""
    return tuple(sorted(name for name in names if Run(place.path / name).busy()))


_STATE = {"type": "string", "enum": ["", *EndState]}
_TIME = {"type": "string", "pattern": "^[0-9:.TZ-]*$"}
_COUNT = {"type": "integer", "minimum": 0, "maximum": 999_999_999}

FILTERS = (
    Parameter("words", "words that all stand in one message"),
    Parameter("who", "a participant's or a model's whole name"),
    Parameter("pair", "who spoke with whom, as the list has it"),
    Parameter("policy", "how it could end, as a run's page has it"),
    Parameter("run", "a run's name"),
    Parameter("state", "where it stands at its end", _STATE),
    Parameter("since", "a day or the beginning of a time, UTC: it began then or later", _TIME),
    Parameter("until", "a day or the beginning of a time, UTC: it began then or earlier", _TIME),
    Parameter("least", "so many messages at the least", _COUNT),
    Parameter("most", "so many messages at the most", _COUNT),
)

PAGE = Page(
    "/",
    library,
    Shelf,
    "Conversations, newest first",
    (
        *FILTERS,
        Parameter(
            "before",
            "where the part begins: ``older`` of the part before",
            {"type": "integer", "minimum": 0, "maximum": 99_999_999_999_999},
        ),
    ),
)
