"""What the dialects of hosted models have in common: silence, emptiness, and joining JSON.

Each message is encoded once and the pieces are joined, so a body costs little more than its
bytes. This module knows no dialect.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import msgspec
from msgspec.structs import replace

from duologue.core.event import Edit
from duologue.core.message import silence
from duologue.core.provider import Seat
from duologue.core.request import Heard, Request, Role
from duologue.core.spec import Sampling
from duologue.errors import RequestRefusedError


@lru_cache(maxsize=8192)
def quoted(text: str) -> bytes:
    """A text as a JSON string."""
    return msgspec.json.encode(text)


def members(values: Mapping[str, Any]) -> bytes:
    """``"key":value,…`` for every value that is not None, in order; empty for none."""
    return b",".join(
        quoted(key) + b":" + msgspec.json.encode(value)
        for key, value in values.items()
        if value is not None
    )


def body(*parts: bytes) -> bytes:
    """An object from members; empty parts are left out."""
    return b"{" + b",".join(part for part in parts if part) + b"}"


def quirk(seat: Seat, name: str) -> Any:  # noqa: ANN401 - a catalogue's JSON value
    """What the catalogue says of a provider's ways; None where it says nothing."""
    return seat.settings.get("quirks", {}).get(name)


def chosen(sampling: Sampling, names: Mapping[str, str]) -> dict[str, Any]:
    """The sampling that was declared, under a dialect's own names.

    Args:
        sampling: what was declared.
        names: our name to the dialect's.
    """
    declared = {name: getattr(sampling, name) for name in names}
    return {names[name]: value for name, value in declared.items() if value not in (None, ())}


def voiced(seat: Seat, request: Request) -> tuple[tuple[Heard, ...], tuple[Edit, ...]]:
    """The messages as this provider accepts them, and what was changed for that.

    Raises:
        RequestRefusedError: a silent turn is refused and nothing was declared to stand in for it;
            or there is nothing to answer.
    """
    if not request.messages:
        raise RequestRefusedError(
            f"{request.participant} has nothing to answer, and {seat.provider} refuses an empty "
            "conversation: give it an opener"
        )
    if request.messages[-1].role is Role.OWN and quirk(seat, "prefill") == "refused":
        raise RequestRefusedError(
            f"the view of {request.participant} ends with its own words, which {seat.provider} "
            "refuses for this model: let another speak first"
        )
    if quirk(seat, "silence") != "refused":
        return request.messages, ()
    heard = tuple(_stood_in(seat, request, item) for item in request.messages)
    edits = tuple(_edit(seat, place, item) for place, item in _changed(request.messages, heard))
    return heard, edits


def _stood_in(seat: Seat, request: Request, heard: Heard) -> Heard:
    """A message, or what stands in for its silence."""
    if silence(heard.text) is None:
        return heard
    if request.stand_in is None:
        raise RequestRefusedError(
            f"a turn of {heard.author} in the view of {request.participant} is silent, and "
            f"{seat.provider} refuses silence: declare 'stand_in', the words to put there"
        )
    return replace(heard, text=request.stand_in)


def _changed(before: tuple[Heard, ...], after: tuple[Heard, ...]) -> Iterable[tuple[int, Heard]]:
    """Which messages are not what they were, and what they were."""
    pairs = enumerate(zip(before, after, strict=True))
    return [(place, old) for place, (old, new) in pairs if old.text != new.text]


def _edit(seat: Seat, place: int, heard: Heard) -> Edit:
    """What was done to one silent message, in words."""
    kind = silence(heard.text)
    named = kind.value if kind else "nothing"
    detail = f"{seat.provider} refuses a silent turn; {heard.author} said {named}"
    return Edit("stand_in", detail, place)
