"""What the dialects of models have in common: a body that grows, silence, and joining JSON.

Each message is encoded and hashed once, when it is added, so a turn costs little more than what it
adds and the copy of the bytes that is sent. This module knows no dialect.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any, ClassVar

import msgspec
from msgspec.structs import replace

from duologue.core.event import Edit
from duologue.core.message import Silence, silence
from duologue.core.provider import Seat
from duologue.core.request import Heard, Request, Role, Wire
from duologue.core.spec import Sampling
from duologue.errors import RequestRefusedError

DIGEST_BYTES = 32
"""How long the digest of a body is: BLAKE2b-256."""


class Draft(ABC):
    """A request body that grows with its view: what was written is not written again.

    A dialect says how its body begins (``__init__``), what a message is in it (``say``), and how
    it is closed for one turn (``end``).
    """

    voiced: ClassVar[bool] = True
    """Whether the provider may refuse a view to which there is nothing to answer."""

    def __init__(self, seat: Seat, request: Request) -> None:
        """Begin a body without messages.

        Args:
            seat: ``quirks`` say what the provider refuses.
            request: everything but its messages and its seed counts, for every turn to come.
        """
        self.seat = seat
        self.request = request
        self._last: Heard | None = None
        self._count = 0
        self._edits: list[Edit] = []
        self._bytes = bytearray()
        self._hash = blake2b(digest_size=DIGEST_BYTES)
        self._as_it_is = quirk(seat, "silence") != "refused"

    @staticmethod
    def ours(block: dict[str, Any]) -> bool:  # noqa: ARG004 - a dialect knows
        """Whether a block of bound reasoning has this dialect's form, if it sends any.

        Others, from before a branch to another model, mean nothing here and are left out, as an
        edit.
        """
        return True

    @abstractmethod
    def say(self, heard: Heard) -> None:
        """Write a message."""

    @abstractmethod
    def end(self, seed: int | None) -> Wire:
        """The body as it stands, closed."""

    def put(self, data: bytes) -> None:
        """Write bytes with which every later body begins, too."""
        self._bytes += data
        self._hash.update(data)

    def add(self, heard: Heard) -> None:
        """Write a message as this provider accepts it.

        Raises:
            RequestRefusedError: a silent turn is refused and nothing was declared to stand in.
        """
        self.say(self._accepted(heard))
        self._last = heard
        self._count += 1

    def close(self, seed: int | None) -> Wire:
        """The exact bytes for the next turn; the draft can grow on.

        Raises:
            RequestRefusedError: there is nothing that the provider would answer.
        """
        if self.voiced:
            _refuse_unanswerable(self.seat, self.request, self._last)
        return self.end(seed)

    def closed(self, rest: bytes, edits: Iterable[Edit] = (), *, stable: int = 0) -> Wire:
        """What was written so far, and the rest of it for one turn.

        Args:
            rest: what closes the body.
            edits: what was changed beside what the messages needed.
            stable: how many bytes of the rest the next body will begin with, too.
        """
        whole = self._hash.copy()
        whole.update(rest)
        body = b"".join((self._bytes, rest))
        changed = (*self._edits, *edits)
        return Wire(body, len(self._bytes) + stable, whole.hexdigest(), changed)

    def _accepted(self, heard: Heard) -> Heard:
        """One message as the provider accepts it; what was changed is on the record."""
        if self._as_it_is and not heard.blocks:
            return heard
        if not all(map(self.ours, heard.blocks)):
            who = self.seat.provider
            self._edit(
                "unbound", f"reasoning bound to another model's reply means nothing to {who}"
            )
            heard = replace(heard, blocks=tuple(filter(self.ours, heard.blocks)))
        kind = None if self._as_it_is else silence(heard.text)
        return heard if kind is None else self._stood_in(heard, kind)

    def _stood_in(self, heard: Heard, kind: Silence) -> Heard:
        """A silent message for a provider that refuses silence."""
        who = self.seat.provider
        if heard.calls:  # a call is something to send: nothing has to stand in for words
            if heard.text:
                self._edit("left_out", f"{who} refuses silent words ({kind.value}) beside a call")
            return replace(heard, text="")
        if self.request.stand_in is None:
            raise RequestRefusedError(
                f"a turn of {heard.author} in the view of {self.request.participant} is silent, "
                f"and {who} refuses silence: declare 'stand_in', the words to put there"
            )
        self._edit("stand_in", f"{who} refuses a silent turn; {heard.author} said {kind.value}")
        return replace(heard, text=self.request.stand_in)

    def _edit(self, what: str, detail: str) -> None:
        """Put on record what is changed in the message in hand."""
        self._edits.append(Edit(what, detail, self._count))


def written(draft: Draft) -> Wire:
    """The body of a draft's request, from nothing: its messages added, and closed."""
    for heard in draft.request.messages:
        draft.add(heard)
    return draft.close(draft.request.seed)


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


def begun(*parts: bytes) -> bytes:
    """The beginning of an object: members, each with its comma; empty parts are left out."""
    return b"{" + b"".join(part + b"," for part in parts if part)


def ended(*parts: bytes) -> bytes:
    """The end of an object that has members already; empty parts are left out."""
    return b"".join(b"," + part for part in parts if part) + b"}"


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


def _refuse_unanswerable(seat: Seat, request: Request, last: Heard | None) -> None:
    """A view to which the provider takes no answer."""
    if last is None:
        raise RequestRefusedError(
            f"{request.participant} has nothing to answer, and {seat.provider} refuses an empty "
            "conversation: give it an opener"
        )
    if last.role is Role.OWN and not last.calls and quirk(seat, "prefill") == "refused":
        raise RequestRefusedError(
            f"the view of {request.participant} ends with its own words, which {seat.provider} "
            "refuses for this model: let another speak first"
        )
