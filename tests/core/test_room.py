from typing import Any

import pytest

from duologue.core.event import (
    AttemptFailed,
    ConversationEnded,
    ConversationStarted,
    EndReason,
    Event,
    TurnCompleted,
    TurnStarted,
)
from duologue.core.message import Message
from duologue.core.provider import Finish, Seat
from duologue.core.room import Room, room
from duologue.core.spec import ConversationSpec, Line, Participant
from duologue.core.state import fold

FULL = EndReason.CONTEXT_FULL


def begun(opening: str, settings: dict[str, Any]) -> list[Event]:
    spec = ConversationSpec(
        (Participant("Ada", "a"), Participant("Ben", "b", system="Be brief.")),
        opening=(Line("Ada", opening),),
    )
    seats = {"Ada": Seat("local", "a"), "Ben": Seat("local", "b", settings=settings)}
    return [ConversationStarted(spec, seats), TurnStarted(2, "Ben", "")]


def refused(opening: str = "Hello.", **settings: Any) -> Room | None:
    failed = AttemptFailed(2, "Ben", "context_full", "too long")
    ended = ConversationEnded(FULL, by="Ben", detail="context_full: too long")
    return room(fold([*begun(opening, settings), failed, ended]))


@pytest.mark.parametrize(
    ("settings", "context"),
    [
        ({"context": 512, "context_trained": 8192}, 1024),
        ({"context": 600, "context_trained": 8192}, 2048),
        ({"context": 4096, "context_trained": 6000}, 6000),
        ({"context": 8192, "context_trained": 8192}, None),
        ({"context": 512}, None),
        ({}, None),
    ],
)
def test_a_view_that_was_refused_wants_a_longer_context_if_the_model_can_have_one(
    settings: dict[str, Any], context: int | None
) -> None:
    assert refused(**settings) == Room("Ben", 1, context)


def test_the_longer_context_holds_what_was_said() -> None:
    assert refused("word " * 1000, context=512, context_trained=8192) == Room("Ben", 1, 4096)


def test_a_reply_that_was_cut_is_asked_for_again() -> None:
    done = TurnCompleted(2, Message("Ben", "and th"), finish=Finish.CONTEXT_FULL)
    ended = ConversationEnded(FULL, by="Ben")
    events = [*begun("Hello.", {"context": 512, "context_trained": 8192}), done, ended]
    assert room(fold(events)) == Room("Ben", 1, 1024)


def test_a_first_view_that_is_too_long_leaves_no_message() -> None:
    spec = ConversationSpec((Participant("Ada", "a", system="Talk."),))
    events: list[Event] = [
        ConversationStarted(spec, {"Ada": Seat("openai", "a")}),
        TurnStarted(1, "Ada", ""),
        AttemptFailed(1, "Ada", "context_full", "too long"),
        ConversationEnded(FULL, by="Ada"),
    ]
    assert room(fold(events)) == Room("Ada", 0, None)


def test_other_conversations_lack_no_room() -> None:
    events = begun("Hello.", {})
    assert room(fold(events)) is None
    assert room(fold([events[0], ConversationEnded(EndReason.MAX_TURNS)])) is None
