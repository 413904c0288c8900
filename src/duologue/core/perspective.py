"""One participant's view of a conversation: ``(state, participant) -> Request``.

The only place where roles are made. Own words are the assistant's, everybody else's the user's.
A view holds what the spec and the log hold and nothing more. This module knows no wire format.
"""

from hashlib import blake2b

from duologue.core.message import Message, Origin
from duologue.core.request import Heard, Request, Role
from duologue.core.spec import ConversationSpec, Framing, Labels, Participant
from duologue.core.state import State

_SEED_BITS = 0x7FFF_FFFF


def view(state: State, name: str) -> Request:
    """What ``name`` is to be sent for its next turn.

    Raises:
        KeyError: nobody has that name.
        RecordError: the conversation has not started.
    """
    spec = state.begun().spec
    seat = spec.seat(name)
    labelled = _labelled(spec, seat)
    private = (Message(line.author, line.text, Origin(line.origin)) for line in seat.private)
    said = (entry.message for entry in state.entries)
    return Request(
        participant=name,
        system=_system(spec, seat),
        framing=seat.framing,
        messages=tuple(
            _heard(message, name, labelled=labelled)
            for message in (*private, *said)
            if _hears(message, name)
        ),
        sampling=seat.sampling,
        seed=turn_seed(spec, seat, state.turn, len(state.attempts)),
    )


def turn_seed(spec: ConversationSpec, seat: Participant, turn: int, attempt: int = 0) -> int | None:
    """The seed of one attempt at one turn, 31 bits, or None when the spec has no seed.

    Each turn has its own: one seed for all would draw the same chances again and again, and
    models that are fond of repeating themselves need no help.
    """
    base = spec.seed if seat.sampling.seed is None else seat.sampling.seed
    if base is None:
        return None
    material = f"{base}/{seat.name}/{turn}/{attempt}".encode()
    return int.from_bytes(blake2b(material, digest_size=4).digest()) & _SEED_BITS


def _system(spec: ConversationSpec, seat: Participant) -> str | None:
    """The seat's own prompt, then what everybody is told; None when there is neither."""
    parts = [part for part in (seat.system, spec.told) if part is not None]
    return "\n\n".join(parts) if parts else None


def _hears(message: Message, name: str) -> bool:
    """Whether a message is in this participant's view."""
    return message.seen_by is None or name in message.seen_by or message.author == name


def _heard(message: Message, name: str, *, labelled: bool) -> Heard:
    """A message as this participant is shown it."""
    if message.author == name:
        return Heard(Role.OWN, message.author, message.text)
    text = f"{message.author}: {message.text}" if labelled else message.text
    return Heard(Role.OTHER, message.author, text)


def _labelled(spec: ConversationSpec, seat: Participant) -> bool:
    """Whether the words of others carry their names; decided once, by the spec alone."""
    if seat.framing is Framing.SCRIPT or spec.labels is Labels.NEVER:
        return False
    return spec.labels is Labels.ALWAYS or len(spec.participants) > 2  # noqa: PLR2004 - a third
