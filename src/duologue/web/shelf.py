"""What the pages about many conversations share: their addresses, strips and numbers as words.

It makes values and small pieces of safe HTML; it reads nothing.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import groupby
from urllib.parse import urlencode

from markupsafe import Markup, escape
from starlette.requests import Request

from duologue.catalogue.asking import Wanted
from duologue.catalogue.shape import Shelved
from duologue.core.transcript import Status
from duologue.endings.codebook import EndState, Label
from duologue.endings.strip import CELLS
from duologue.errors import ConfigurationError
from duologue.web.answering import whole
from duologue.web.turns import COLOURS
from duologue.web.words import safe

_LABELS = {letter: label for label, letter in CELLS.items()}
_WIDE = 240
_KEY_DIGITS = 14
_DAY = 10


def given(request: Request, name: str) -> str:
    """A value of the query, without white space around it; empty where it is not given."""
    return request.query_params.get(name, "").strip()


def some(request: Request, name: str) -> int | None:
    """A whole number of the query; an empty field of a form is none.

    Raises:
        ConfigurationError: it is no number.
    """
    text = given(request, name)
    return whole(text, name, least=0) if text else None


def key(request: Request, name: str) -> int | None:
    """A place in the list, from the query.

    Raises:
        ConfigurationError: it is none.
    """
    text = given(request, name)
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= _KEY_DIGITS):
        raise ConfigurationError(f"{name} is {text!r}: follow the list's own links")
    return int(text)


def wanted(request: Request) -> Wanted:
    """What a query looks for.

    Raises:
        ConfigurationError: a value is none that can be looked for.
    """
    return Wanted(
        words=given(request, "words"),
        who=given(request, "who"),
        pair=given(request, "pair"),
        policy=given(request, "policy"),
        run=given(request, "run"),
        state=_state(given(request, "state")),
        since=_moment(request, "since"),
        until=_moment(request, "until"),
        least=some(request, "least"),
        most=some(request, "most"),
    )


def _state(text: str) -> EndState | None:
    """An end state by its name."""
    if not text:
        return None
    if text not in set(EndState):
        known = ", ".join(EndState)
        raise ConfigurationError(f"state is {text!r}: choose one of {known}")
    return EndState(text)


def _moment(request: Request, name: str) -> str:
    """The beginning of a time as records have it: a year, a month, a day, a minute."""
    text = given(request, name)
    if not all(char in "0123456789-:.TZ" for char in text):
        raise ConfigurationError(f"{name} is {text!r}: give a day like 2026-01-31")
    return text


def asked(what: Wanted, **more: object) -> str:
    """A query for what is looked for, and more of it; beginning with ``?`` unless it is empty."""
    fields = {name: getattr(what, name) for name in what.__struct_fields__} | more
    pairs = [(name, str(value)) for name, value in fields.items() if value not in {None, ""}]
    return "?" + urlencode(pairs, errors="replace") if pairs else ""


def cells(strip: str) -> Markup:
    """A strip as a small picture: a rectangle for each stretch of turns that do the same.

    Shapes have attributes, not styles, so the page's policy lets them be.
    """
    shapes, start = [], 0
    for letter, stretch in groupby(strip):
        length = len(list(stretch))
        label = _LABELS.get(letter, Label.TALK)
        shapes.append(f'<rect class="l-{label.value}" x="{start}" width="{length}" height="1"/>')
        start += length
    width = max(4, min(_WIDE, start * 5))
    return Markup(  # noqa: S704 - numbers, and the names of labels
        f'<svg class="cells" role="img" aria-label="{escape(in_words(strip))}" width="{width}" '
        f'height="14" viewBox="0 0 {max(1, start)} 1" preserveAspectRatio="none">{"".join(shapes)}'
        "</svg>"
    )


_STRETCHES = 6


def in_words(strip: str) -> str:
    """A strip for those who cannot see it: its first stretches, and how many there are."""
    stretches = [
        (_LABELS.get(letter, Label.TALK), len(list(some))) for letter, some in groupby(strip)
    ]
    told = [f"{count} {label.value.replace('_', '-')}" for label, count in stretches[:_STRETCHES]]
    more = len(stretches) - _STRETCHES
    return ", ".join((*told, f"and {more} more stretches")) if more > 0 else ", ".join(told)


def snippet(text: str) -> Markup:
    """A search's snippet; what was found is marked."""
    parts = []
    for place, part in enumerate(" ".join(text.split()).split("\ue000")):
        found, closed, rest = part.partition("\ue001")
        marked = place > 0 and bool(closed)
        parts.append(f"<mark>{safe(found)}</mark>{safe(rest)}" if marked else safe(part))
    return Markup("".join(parts))  # noqa: S704 - every part is escaped


def dollars(spend: float | None) -> str:
    """What was spent, short."""
    if spend is None:
        return "–"  # noqa: RUF001 - a dash where there is no number
    return "free" if spend == 0 else f"${spend:.2g}" if spend < 1 else f"${spend:,.2f}"


def standing(shelved: Shelved, busy: Iterable[str] = ()) -> str:
    """How far a conversation has come, in a word or two."""
    if shelved.problem is not None:
        return "damaged"
    if shelved.status is Status.INTERRUPTED:
        return "running" if shelved.run in busy else "interrupted"
    if shelved.status is Status.ENDED and shelved.reason:
        return shelved.reason.replace("_", " ")
    return shelved.status.value


def day(at: str) -> str:
    """The day of a record's time."""
    return at[:_DAY]


_SOON_MS, _LATER_MS = 700, 2_000


def began(key: int) -> str:
    """The day in which a conversation with such a key began: keys are milliseconds."""
    try:
        return datetime.fromtimestamp(key / 1000, UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):
        return "then"


def again(*, reading: bool, running: bool | Sequence[str] = ()) -> Markup:
    """What tells a page's script after how long to ask again, if there is something to come."""
    wait = _SOON_MS if reading else _LATER_MS if running else 0
    return Markup(f' data-again="{wait}"')  # noqa: S704 - a number


DRAWING = {
    "again": again,
    "began": began,
    "cells": cells,
    "snippet": snippet,
    "dollars": dollars,
    "standing": standing,
    "day": day,
    "asked": asked,
    "colours": COLOURS,
}
"""What the templates of these pages may call."""
