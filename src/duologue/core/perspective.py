"""One participant's view of a conversation: ``(state, participant) -> Request``.

The only place where roles are made. Own words are the assistant's, everybody else's the user's.
A view holds what the spec and the log hold and nothing more. This module knows no wire format.
"""

from collections.abc import Iterator
from hashlib import blake2b

from msgspec.structs import replace

from duologue.core.event import TurnCompleted
from duologue.core.message import Message, Origin
from duologue.core.request import Called, Heard, Request, Role, Tool
from duologue.core.spec import ConversationSpec, Exit, Framing, Labels, Participant, leaves
from duologue.core.state import State

_SEED_BITS = 0x7FFF_FFFF
SILENCE = "silence"
"""The boundary of an attempt that brought nothing visible and is made again."""


def view(state: State, name: str) -> Request:
    """What ``name`` is to be sent for its next turn.

    Raises:
        KeyError: nobody has that name.
        RecordError: the conversation has not started.
    """
    said = heard(state, name, state.views.get(name, 1) - 1)
    asked = unheard(state, name)
    return replace(asked, messages=(*asked.messages, *said), seed=seed(state, name))


def unheard(state: State, name: str) -> Request:
    """A view that holds what its participant knows before anything is said, and no seed.

    It is the same for every turn of a conversation.
    """
    spec = state.begun().spec
    seat = spec.seat(name)
    private = (Message(line.author, line.text, Origin(line.origin)) for line in seat.private)
    return Request(
        participant=name,
        system=_system(spec, seat),
        framing=seat.framing,
        messages=tuple(_heard(spec, seat, line) for line in private if _hears(line, name)),
        sampling=seat.sampling,
        stand_in=spec.stand_in,
        key=key(state, name),
        tools=offered(spec),
    )


def key(state: State, name: str) -> str:
    """The conversation and the participant, for routing to the same cache."""
    return f"{state.begun().key}/{name}"


def heard(state: State, name: str, since: int) -> Iterator[Heard]:
    """What ``name`` has heard and said after message ``since``, as it is shown it."""
    spec = state.begun().spec
    seat = spec.seat(name)
    for entry in state.entries[since:]:
        if _hears(entry.message, name):
            yield _heard(spec, seat, entry.message, entry.completed)


def seed(state: State, name: str) -> int | None:
    """The seed of the next attempt, if ``name`` makes it; None when the spec has no seed."""
    spec = state.begun().spec
    silent = sum(attempt.boundary == SILENCE for attempt in state.attempts)
    return turn_seed(spec, spec.seat(name), state.turn, silent)


def offered(spec: ConversationSpec) -> tuple[Tool, ...]:
    """The tools that everybody is offered, each once, in the order in which they are declared.

    One is needed where an exit that declares it can be taken in no other way.
    """
    tools: dict[str, Tool] = {}
    for rule in leaves(spec.ending):
        if isinstance(rule, Exit) and rule.tool is not None:
            needed = rule.line is None and rule.phrase is None
            before = tools.get(rule.tool)
            needed = needed or (before is not None and before.needed)
            words = rule.description or "", rule.answer or ""
            tools[rule.tool] = Tool(rule.tool, *words, needed=needed)
    return tuple(tools.values())


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


def _heard(
    spec: ConversationSpec, seat: Participant, message: Message, reply: TurnCompleted | None = None
) -> Heard:
    """A message as this participant is shown it."""
    if message.author == seat.name:
        blocks, calls = (reply.blocks, _calls(spec, reply)) if reply else ((), ())
        return Heard(Role.OWN, message.author, message.text, blocks, calls)
    text = message.text
    if spec.share_reasoning and reply is not None and reply.reasoning:
        text = f"<thinking>\n{reply.reasoning}\n</thinking>\n\n{text}"
    if _labelled(spec, seat):
        text = f"{message.author}: {text}"
    return Heard(Role.OTHER, message.author, text)


def _calls(spec: ConversationSpec, reply: TurnCompleted) -> tuple[Called, ...]:
    """The calls of a reply, each with the declared answer, if there is one."""
    if not reply.calls:
        return ()
    answers = {tool.name: tool.answer for tool in offered(spec)}
    return tuple(
        Called(call.name, call.arguments, call.id, answers.get(call.name)) for call in reply.calls
    )


def _labelled(spec: ConversationSpec, seat: Participant) -> bool:
    """Whether the words of others carry their names; decided once, by the spec alone."""
    if seat.framing is Framing.SCRIPT or spec.labels is Labels.NEVER:
        return False
    return spec.labels is Labels.ALWAYS or len(spec.participants) > 2  # noqa: PLR2004 - a third
