"""What a participant saw: the exact request for one turn, made again from the log and proved."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from duologue.core.event import Edit, Event, TurnStarted
from duologue.core.rebuild import Rebuilt, rebuild
from duologue.core.wire import digest
from duologue.errors import UnknownIdError
from duologue.web.answering import Answer, Page
from duologue.web.pages.conversation import turn_of
from duologue.web.pages.files import sent_as_file
from duologue.web.readings import Reading
from duologue.web.turns import colours


class Part(msgspec.Struct, frozen=True):
    """One message of a view.

    Attributes:
        role: the role in which it was sent.
        author: who had said it.
        colour: the author's colour.
        text: the words, as they were put to the participant.
        new: whether the participant had not been sent it before.
        bound: how many blocks of its own reasoning were given back with it.
    """

    role: str
    author: str
    colour: int
    text: str
    new: bool
    bound: int


class Seen(msgspec.Struct, frozen=True):
    """A request as its participant saw it.

    Attributes:
        id: the conversation's id.
        turn: the turn that was asked for.
        participant: who was asked.
        colour: of the participant.
        system: the system prompt with what was told; None for none at all.
        framing: ``chat``, or ``script`` where all was one running text.
        parts: the messages, in order.
        known: how many of them it had been sent before.
        before: the turn of the request before; None for its first.
        sampling: how words were to be drawn.
        seed: this turn's seed, if it has one.
        edits: what the provider's rules changed.
        starts: how often the turn was started; this is the last of them.
        inherited: whether an ancestor of this branch sent it.
        size: bytes of the body.
        recorded: the digest in the log (BLAKE2b-256).
        made: the digest of the bytes made again.
        agrees: whether the two are the same.
        body: the exact request.
        dialect: the encoder that made it.
        model: the model it was for.
        turns: the turns for which this participant was sent a request.
    """

    id: str
    turn: int
    participant: str
    colour: int
    system: str | None
    framing: str
    parts: tuple[Part, ...]
    known: int
    before: int | None
    sampling: dict[str, Any]
    seed: int | None
    edits: tuple[Edit, ...]
    starts: int
    inherited: bool
    size: int
    recorded: str
    made: str
    agrees: bool
    body: str
    dialect: str
    model: str
    turns: tuple[int, ...]


def _requests(reading: Reading, turn: int) -> tuple[TurnStarted, list[Rebuilt], Rebuilt | None]:
    """The last start of a turn, its requests, and the participant's last request before it.

    Raises:
        UnknownIdError: nobody was asked for that turn.
    """
    events = [record.event for record in reading.records]
    starts = [event for event in events if isinstance(event, TurnStarted) and event.request]
    own = [event for event in starts if event.turn == turn]
    if not own:
        raise UnknownIdError(f"message {turn} was given: nobody was asked for it, nothing was sent")
    asked = own[-1]
    earlier = [
        event.turn
        for event in starts
        if event.participant == asked.participant and event.turn < turn
    ]
    wanted = {turn, *earlier[-1:]}
    made = [
        each
        for each in rebuild(_until(events, turn), lambda event: event.turn in wanted)
        if each.started.participant == asked.participant
    ]
    before = [each for each in made if each.started.turn < turn]
    return (
        asked,
        [each for each in made if each.started.turn == turn],
        before[-1] if before else None,
    )


def _until(events: Sequence[Event], turn: int) -> Sequence[Event]:
    """The facts up to the last start of a turn: no later one changes what it was sent."""
    last = max(
        place
        for place, event in enumerate(events)
        if isinstance(event, TurnStarted) and event.turn == turn
    )
    return events[: last + 1]


def known(now: Rebuilt, before: Rebuilt | None) -> int:
    """How many messages of a view its participant had been sent before, in the same words."""
    if before is None:
        return 0
    old, new = before.request.messages, now.request.messages
    shared = (a == b for a, b in zip(old, new, strict=False))
    return next((place for place, same in enumerate(shared) if not same), min(len(old), len(new)))


def seen(request: Request) -> Answer:
    """What the author of a turn was sent for it."""
    reading = request.app.state.readings.read(request.path_params["conv"])
    turn = turn_of(request, reading)
    asked, requests, before = _requests(reading, turn)
    page = _seen(reading, requests, before)
    spoken = reading.transcript.spoken[turn - 1]
    more = {
        "pretty": _pretty(page.body),
        "attempts": len(spoken.entry.attempts),
        "raw": "raw" in request.query_params,
    }
    return Answer("seen.html", page, f"What {asked.participant} saw for {turn}", more=more)


def _seen(reading: Reading, requests: Sequence[Rebuilt], before: Rebuilt | None) -> Seen:
    """The last of a turn's requests, as a value."""
    now = requests[-1]
    asked, view, old = now.started, now.request, known(now, before)
    painted = colours(reading.transcript.names)
    sender = reading.transcript.state.begun()
    seat = sender.seats.get(asked.participant)
    own = dict.fromkeys(
        record.event.turn
        for record in reading.records
        if isinstance(record.event, TurnStarted)
        and record.event.request
        and record.event.participant == asked.participant
    )
    return Seen(
        id=reading.id,
        turn=asked.turn,
        participant=asked.participant,
        colour=painted.get(asked.participant, 0),
        system=view.system,
        framing=view.framing.value,
        parts=tuple(
            Part(
                heard.role.value,
                heard.author,
                painted.get(heard.author, 0),
                heard.text,
                place >= old,
                len(heard.blocks),
            )
            for place, heard in enumerate(view.messages)
        ),
        known=old,
        before=before.started.turn if before else None,
        sampling=msgspec.to_builtins(view.sampling),
        seed=view.seed,
        edits=asked.edits,
        starts=len(requests),
        inherited=now.inherited,
        size=len(now.wire.body),
        recorded=asked.request,
        made=digest(now.wire.body),
        agrees=now.agrees,
        body=now.wire.body.decode(errors="replace"),
        dialect=seat.dialect if seat else "",
        model=f"{seat.provider}:{seat.model}" if seat else "",
        turns=tuple(own),
    )


def _pretty(body: str) -> str:
    """A body with a line for each of its parts, where it is JSON; else as it is."""
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        return body


def exact(request: Request) -> Response:
    """The bytes of a request, as they were sent."""
    reading = request.app.state.readings.read(request.path_params["conv"])
    turn = turn_of(request, reading)
    _, requests, _ = _requests(reading, turn)
    return sent_as_file(
        requests[-1].wire.body, f"{reading.id}-{turn}-request.txt", "text/plain; charset=utf-8"
    )


PAGES = (
    Page(
        "/c/{conv}/{turn}/request.txt",
        exact,
        None,
        "The exact bytes of a turn's request",
        media="text/plain",
    ),
    Page("/c/{conv}/{turn}/seen", seen, Seen, "What a participant was sent for a turn"),
)
