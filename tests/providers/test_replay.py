import asyncio
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.core.event import AttemptFailed, Event, TurnCompleted, TurnStarted
from duologue.core.message import Message
from duologue.core.provider import Call, Completion, Delta, Failure, Item, Provider, Seat
from duologue.core.spec import ConversationSpec, Line, Participant, RoundRobin, Sampling, TurnCap
from duologue.core.state import fold
from duologue.core.wire import digest
from duologue.errors import OverloadError, ProviderError, RateLimitError, ReplayError
from duologue.providers.replay import Replay
from duologue.replaying import replay
from strategies import EYES, Cast, casts, hold, pair, scripted

SPEC = pair(TurnCap(4), opening=(Line("Ada", " "),), told="Talk.", seed=3)
WHOLE = hold(SPEC, scripted(Ada=["a b"], Ben=["b", ""]))


def stand_ins(events: list[Event]) -> dict[str, Provider]:
    seats = fold(events).begun().seats
    return {name: Replay(seat, events) for name, seat in seats.items()}


def seen(_: object) -> None:
    """Watch nothing."""


def with_ada(**changes: object) -> ConversationSpec:
    ada, ben = SPEC.participants
    return msgspec.structs.replace(
        SPEC, participants=(msgspec.structs.replace(ada, **changes), ben)
    )


CHANGED = [
    msgspec.structs.replace(SPEC, told="Talk!"),
    msgspec.structs.replace(SPEC, told=None),
    msgspec.structs.replace(SPEC, seed=4),
    msgspec.structs.replace(SPEC, opening=(Line("Ada", "  "),)),
    msgspec.structs.replace(SPEC, opening=()),
    msgspec.structs.replace(SPEC, order=RoundRobin("Ada")),
    with_ada(system=""),
    with_ada(sampling=Sampling(temperature=0.0)),
    with_ada(sampling=Sampling(extra={"mirostat": 2})),
    with_ada(private=(Line("Ada", "x"),)),
    with_ada(name="Eve"),
]


@pytest.mark.parametrize("spec", CHANGED)
def test_a_changed_prompt_is_refused(spec: ConversationSpec) -> None:
    seats = fold(WHOLE).begun().seats
    providers: dict[str, Provider] = {
        name: Replay(seats.get(name, seats["Ada"]), WHOLE) for name in spec.names()
    }
    with pytest.raises(ReplayError, match="differs from every recorded one"):
        hold(spec, providers)


def test_another_model_is_refused() -> None:
    providers: dict[str, Provider] = {
        name: Replay(Seat("scripted", "other"), WHOLE) for name in SPEC.names()
    }
    with pytest.raises(ReplayError):
        hold(SPEC, providers)


def test_the_same_prompt_is_answered_as_it_was() -> None:
    assert hold(SPEC, stand_ins(WHOLE)) == WHOLE


def test_an_answer_is_given_as_often_as_it_was_given_once() -> None:
    spec = pair(TurnCap(1), participants=(Participant("Ada", "m"),))
    events = hold(spec, scripted(Ada=["a"]))
    providers = stand_ins(events)
    assert hold(spec, providers) == events
    with pytest.raises(ReplayError):
        hold(spec, providers)


def test_attempts_fail_again_as_they_failed() -> None:
    spec, down = pair(TurnCap(1)), RateLimitError("slow", partial="He", wait_s=2.5)
    failed = hold(spec, scripted(Ada=[down], Ben=["b"]))
    assert hold(spec, stand_ins(failed)) == failed


def test_the_same_bytes_are_answered_in_the_order_of_their_outcomes() -> None:
    spec = pair(TurnCap(1))
    down, up = scripted(Ada=[OverloadError("busy")], Ben=["b"]), scripted(Ada=["a"], Ben=["b"])
    seat = Seat("x", "y")
    start = fold(hold(spec, up)).begun()
    same = msgspec.structs.replace(start, seats={"Ada": seat, "Ben": seat})
    for provider in (*down.values(), *up.values()):
        vars(provider)["seat"] = seat
    failed = hold(spec, down, [same])
    events = [same, *failed, *hold(spec, up, [same, *failed])]
    assert asyncio.run(replay(events, seen, detectors=EYES)) == len(events)
    providers = stand_ins(events)
    assert [*hold(spec, providers, [same]), *hold(spec, providers, [same, *failed])] == events[1:]


@given(casts(), st.data())
def test_a_conversation_with_interruptions_and_retries_is_replayed_whole(
    cast: Cast, data: st.DataObject
) -> None:
    whole = hold(cast.spec, cast.providers())
    cut = data.draw(st.integers(1, len(whole)))
    events = [*whole[:cut], *hold(cast.spec, cast.providers(), whole[:cut])]
    asked = any(type(event).__name__ == "TurnStarted" for event in events)
    if not asked:
        with pytest.raises(ReplayError, match="nothing to replay"):
            asyncio.run(replay(events, seen, detectors=EYES))
        return
    interrupted = sum(
        type(one).__name__ == type(two).__name__ == "TurnStarted" for one, two in pairwise(events)
    )
    assert asyncio.run(replay(events, seen, detectors=EYES)) == len(events) - interrupted


def answer(provider: Replay, body: bytes) -> list[Item]:
    async def run() -> list[Item]:
        return [item async for item in provider.stream(Call(body, "c/Ada"))]

    return asyncio.run(run())


def test_a_refusal_names_whose_request_it_was() -> None:
    with pytest.raises(ReplayError, match="the request for 'c/Ada' differs"):
        answer(Replay(Seat("x", "y"), WHOLE), b"{}")


def test_a_silent_reply_is_replayed_without_live_text() -> None:
    spec = pair(TurnCap(1), participants=(Participant("Ada", "m"),))
    events = hold(spec, scripted(Ada=[""]))
    assert hold(spec, stand_ins(events)) == events


async def test_there_is_nothing_to_let_go_of() -> None:
    provider = Replay(Seat("x", "y"), WHOLE)
    await provider.aclose()
    assert provider.seat == Seat("x", "y")


def test_every_error_of_the_tree_is_found_by_its_boundary() -> None:
    spec = pair(TurnCap(1), participants=(Participant("Ada", "m"),))
    for kind in ProviderError.__subclasses__():
        if kind.__module__ == ProviderError.__module__:
            failed = hold(spec, scripted(Ada=[kind("x")]))
            assert hold(spec, stand_ins(failed)) == failed


def test_costs_paces_failures_and_what_was_bound_are_in_a_replay_too() -> None:
    failed = AttemptFailed(1, "Ada", "overload", "busy", partial="He", again=True, pace=4)
    said = TurnCompleted(
        1,
        Message("Ada", "Hello"),
        detail="why",
        blocks=({"type": "thinking"},),
        cost=0.5,
        pace=2,
    )
    start = TurnStarted(1, "Ada", digest(b"{}"))
    provider = Replay(Seat("odd", "m"), [start, failed, start, said])
    assert answer(provider, b"{}") == [
        Failure("overload", "busy", "He", pace=4),
        Delta("Hello"),
        Completion("Hello", detail="why", blocks=({"type": "thinking"},), cost=0.5, pace=2),
    ]
    last = Replay(Seat("odd", "m"), [start, failed])
    with pytest.raises(ReplayError):
        answer(last, b"{}")
