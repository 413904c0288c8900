"""What the dialects of hosted models have in common: silence, emptiness, and joining JSON.

Each message is encoded once and the pieces are joined, so a body costs little more than its
bytes. This module knows no dialect.
"""

from collections.abc import Callable, Iterable, Mapping
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
    """``"key":value,…`` for every value, in order, null included; empty for none."""
    return b",".join(
        quoted(key) + b":" + msgspec.json.encode(value) for key, value in values.items()
    )


def present(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that are not None, in order: what nobody declared is not sent."""
    return {key: value for key, value in values.items() if value is not None}


def with_extra(
    declared: Mapping[str, Any],
    extra: Mapping[str, Any],
    default: Mapping[str, Any] | None = None,
    taken: Iterable[str] = (),
) -> dict[str, Any]:
    """What is declared, what is added where nobody declares it, and ``extra`` as it is.

    Args:
        declared: fields with a value; None is left out.
        extra: verbatim, null included.
        default: fields that ``extra`` may set otherwise.
        taken: names of fields that are written elsewhere in the body.

    Raises:
        RequestRefusedError: a field is set twice, so that one value would be lost.
    """
    given = present(declared)
    for name in extra:
        if name in given or name in taken:
            raise RequestRefusedError(
                f"{name!r} stands in 'extra' and is also set from elsewhere: declare it once"
            )
    return {**given, **present(default or {}), **extra}


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


def voiced(
    seat: Seat, request: Request, ours: Callable[[dict[str, Any]], bool]
) -> tuple[tuple[Heard, ...], tuple[Edit, ...]]:
    """The messages as this provider accepts them, and what was changed for that.

    Args:
        seat: ``quirks`` say what the provider refuses.
        request: the view.
        ours: whether a block of bound reasoning has this dialect's form. Others, from before a
            branch to another model, mean nothing here and are left out, as an edit.

    Raises:
        RequestRefusedError: a silent turn is refused and nothing was declared to stand in for it;
            or there is nothing to answer.
    """
    _refuse_unanswerable(seat, request)
    accepted = [_accepted(seat, request, place, ours) for place in range(len(request.messages))]
    edits = tuple(edit for _, changes in accepted for edit in changes)
    return tuple(heard for heard, _ in accepted), edits


def _refuse_unanswerable(seat: Seat, request: Request) -> None:
    """A view to which the provider takes no answer."""
    if not request.messages:
        raise RequestRefusedError(
            f"{request.participant} has nothing to answer, and {seat.provider} refuses an empty "
            "conversation: give it an opener"
        )
    last = request.messages[-1]
    if last.role is Role.OWN and not last.calls and quirk(seat, "prefill") == "refused":
        raise RequestRefusedError(
            f"the view of {request.participant} ends with its own words, which {seat.provider} "
            "refuses for this model: let another speak first"
        )


def _accepted(
    seat: Seat, request: Request, place: int, ours: Callable[[dict[str, Any]], bool]
) -> tuple[Heard, list[Edit]]:
    """One message as the provider accepts it."""
    heard, edits = request.messages[place], []
    if not all(map(ours, heard.blocks)):
        detail = f"reasoning bound to another model's reply means nothing to {seat.provider}"
        edits.append(Edit("unbound", detail, place))
        heard = replace(heard, blocks=tuple(filter(ours, heard.blocks)))
    kind = silence(heard.text)
    if kind is not None and quirk(seat, "silence") == "refused":
        if heard.calls:  # a call is something to send: nothing has to stand in for words
            if heard.text:
                detail = f"{seat.provider} refuses silent words ({kind.value}) beside a call"
                edits.append(Edit("left_out", detail, place))
            return replace(heard, text=""), edits
        if request.stand_in is None:
            raise RequestRefusedError(
                f"a turn of {heard.author} in the view of {request.participant} is silent, and "
                f"{seat.provider} refuses silence: declare 'stand_in', the words to put there"
            )
        detail = f"{seat.provider} refuses a silent turn; {heard.author} said {kind.value}"
        edits.append(Edit("stand_in", detail, place))
        heard = replace(heard, text=request.stand_in)
    return heard, edits
