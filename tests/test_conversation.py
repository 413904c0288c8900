import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from duologue.conversation import converse
from duologue.core.branch import branch
from duologue.core.event import (
    AttemptFailed,
    ConversationEnded,
    ConversationStarted,
    EndReason,
    Event,
    MessageInjected,
    ParticipantLeft,
    TurnCompleted,
    TurnStarted,
)
from duologue.core.message import Message, Origin
from duologue.core.provider import Call, Completion, Delta, Finish, Provider, Seat, Usage
from duologue.core.rebuild import Rebuilt, rebuild
from duologue.core.spec import Exit, Participant, Sampling, TurnCap
from duologue.core.state import fold
from duologue.core.transcript import Status, transcript
from duologue.errors import (
    BrokenStreamError,
    ConfigurationError,
    ContextFullError,
    OverloadError,
    RateLimitError,
    ReplayError,
)
from duologue.providers.replay import Replay
from duologue.providers.scripted import Reply, Scripted
from duologue.replaying import replay
from strategies import Cast, casts, facts, hold, injections, pair, scripted

Items = Sequence[Delta | Completion | Exception]


class Odd:
    """A provider that yields and raises exactly what it is given, and counts its streams."""

    def __init__(self, *items: Any, seat: Seat | None = None) -> None:
        self.seat = seat or Seat("odd", "odd")
        self.items = items
        self.calls: list[Call] = []
        self.closed = 0

    async def stream(self, call: Call) -> AsyncGenerator[Delta | Completion, None]:
        self.calls.append(call)
        try:
            for item in self.items:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            self.closed += 1

    async def aclose(self) -> None:
        """Nothing is held."""


def alone(provider: Provider) -> list[Event]:
    """One turn of one participant."""
    spec = pair(TurnCap(1), participants=(Participant("Ada", "m"),))
    return hold(spec, {"Ada": provider})


def failure(*items: Any) -> AttemptFailed:
    """The attempt that fails when a provider does this."""
    events = alone(Odd(*items))
    assert [type(event) for event in events[2:]] == [AttemptFailed, ConversationEnded]
    assert isinstance(events[2], AttemptFailed)
    assert fold(events).ended == ConversationEnded(
        EndReason.ERROR, by="Ada", detail=f"{events[2].boundary}: {events[2].detail}"
    )
    return events[2]


def kinds(events: Sequence[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


# The laws of the design.


@given(casts())
def test_resuming_from_every_prefix_ends_in_the_same_state(cast: Cast) -> None:
    whole = hold(cast.spec, cast.providers())
    end = fold(whole)
    assert end.ended is not None
    for cut in range(1, len(whole)):
        rest = hold(cast.spec, cast.providers(), whole[:cut])
        assert fold([*whole[:cut], *rest]) == end
        started_again = isinstance(whole[cut - 1], TurnStarted)
        assert rest == whole[cut - started_again :]


@given(casts())
def test_a_conversation_that_ended_stays_as_it_is_unless_it_failed(cast: Cast) -> None:
    whole = hold(cast.spec, cast.providers())
    again = hold(cast.spec, cast.providers(), whole)
    if isinstance(whole[-1], ConversationEnded) and whole[-1].reason is EndReason.ERROR:
        assert isinstance(again[0], TurnStarted)
        assert len(fold([*whole, *again]).entries) >= len(fold(whole).entries)
    else:
        assert again == []


@given(casts())
def test_two_executions_are_equal(cast: Cast) -> None:
    assert hold(cast.spec, cast.providers()) == hold(cast.spec, cast.providers())


@given(casts())
def test_a_replay_makes_the_identical_facts(cast: Cast) -> None:
    whole = hold(cast.spec, cast.providers())
    stand_ins = {name: Replay(seat, whole) for name, seat in cast.dialects.items()}
    assert hold(cast.spec, stand_ins) == whole


@given(casts())
def test_every_request_can_be_made_again_from_the_log(cast: Cast) -> None:
    whole = hold(cast.spec, cast.providers())
    retried = [*whole, *hold(cast.spec, cast.providers(), whole)]
    made = list(rebuild(recorded(retried)))
    assert len(made) == sum(isinstance(event, TurnStarted) for event in retried)
    assert all(again.agrees and not again.inherited for again in made)


@settings(max_examples=settings().max_examples // 2)
@given(casts(2), st.data())
def test_every_request_of_a_branch_of_a_branch_can_be_made_again(
    cast: Cast, data: st.DataObject
) -> None:
    events = hold(cast.spec, cast.providers())
    for generation, other in enumerate((data.draw(casts(2)), data.draw(casts(3))), start=1):
        at = data.draw(st.integers(0, len(fold(events).entries)))
        say = data.draw(st.none() | injections(other.spec.names()))
        seats = {name: provider.seat for name, provider in other.providers().items()}
        history = branch(events, "p", at, spec=other.spec, seats=seats, say=say)
        begun = fold(history).begun().spec
        events = [*history, *hold(begun, other.providers(), history)]
        made = list(rebuild(recorded(events)))
        assert all(again.agrees for again in made)
        assert all(again.inherited == (again.started.turn <= at) for again in made)
        assert all(again.generation <= generation for again in made)
        texts = [entry.message for entry in fold(events).entries]
        assert texts[:at] == [entry.message for entry in fold(history).entries[:at]]
        for cut in range(len(history), len(events)):
            rest = hold(begun, other.providers(), events[:cut])
            assert fold([*events[:cut], *rest]) == fold(events)


@given(casts())
def test_views_only_grow(cast: Cast) -> None:
    whole = hold(cast.spec, cast.providers())
    latest: dict[tuple[str, int], Rebuilt] = {}
    for sent in rebuild(whole):
        name = (sent.started.participant, sent.first)
        if before := latest.get(name):
            stable = before.wire.body[: before.wire.stable]
            assert sent.wire.body.startswith(stable)
            assert len(sent.wire.body) > len(stable)
        assert 0 < sent.wire.stable < len(sent.wire.body)
        latest[name] = sent


@given(casts(), st.data())
def test_views_only_grow_in_a_branch_too(cast: Cast, data: st.DataObject) -> None:
    parent = hold(cast.spec, cast.providers())
    at = data.draw(st.integers(0, len(fold(parent).entries)))
    say = data.draw(injections(cast.spec.names()))
    begun = fold(parent).begun()
    history = branch(parent, "p", at, spec=cast.spec, seats=begun.seats, say=say)
    spec = fold(history).begun().spec
    events = [*history, *hold(spec, cast.providers(), history)]
    for name in spec.names():
        own = [sent for sent in rebuild(events) if sent.started.participant == name]
        assert all(
            late.wire.body.startswith(early.wire.body[: early.wire.stable])
            for early, late in pairwise(own)
            if early.first == late.first
        )


@given(casts())
def test_a_transcript_can_be_read_at_every_moment(cast: Cast) -> None:
    whole = hold(cast.spec, cast.providers())
    for cut in range(1, len(whole)):
        read = transcript(whole[:cut])
        assert read.status is Status.INTERRUPTED
        said = [e.message.text for e in whole[:cut] if isinstance(e, TurnCompleted)]
        spoken = [item.entry for item in read.spoken if item.entry.completed is not None]
        assert [entry.message.text for entry in spoken] == said
    assert transcript(whole).status is not Status.INTERRUPTED


def recorded(events: Sequence[Event]) -> list[Event]:
    """Events as they come back from a log."""
    return [msgspec.json.decode(msgspec.json.encode(event), type=Event) for event in events]


# Resuming.


def test_a_conversation_killed_before_the_leaving_was_written_comes_to_it() -> None:
    cast = scripted(Ada=["a"], Ben=["[END]"])
    whole = hold(pair(Exit()), cast)
    cut = kinds(whole).index("ParticipantLeft")
    assert hold(pair(Exit()), cast, whole[:cut]) == [
        ParticipantLeft(2, "Ben", "[END]"),
        ConversationEnded(EndReason.EXIT, by="Ben", detail="Ben wrote [END]"),
    ]


def test_a_failed_conversation_is_tried_again_when_it_is_resumed() -> None:
    spec = pair(TurnCap(2))
    down = {"Ada": Odd(OverloadError("busy", wait_s=3)), "Ben": Odd()}
    failed = hold(spec, down)
    up = {"Ada": Odd(Completion("hi")), "Ben": Odd(Completion("ho"))}
    rest = hold(spec, up, failed)
    assert kinds(rest) == ["TurnStarted", "TurnCompleted"] * 2 + ["ConversationEnded"]
    state = fold([*failed, *rest])
    assert state.entries[0].attempts == (AttemptFailed(1, "Ada", "overload", "busy", wait_s=3),)
    assert state.attempts == ()
    assert hold(spec, up, [*failed, rest[0]]) == rest


def test_a_failed_attempt_is_made_again_with_the_same_bytes() -> None:
    spec = pair(TurnCap(1), seed=5)
    failed = hold(spec, {"Ada": Odd(OverloadError("busy")), "Ben": Odd()})
    calm = Odd(Completion("hi"))
    rest = hold(spec, {"Ada": calm, "Ben": Odd()}, failed)
    again = hold(spec, {"Ada": calm, "Ben": Odd()}, [*failed, rest[0]])
    assert isinstance(failed[1], TurnStarted)
    assert isinstance(rest[0], TurnStarted)
    assert isinstance(again[0], TurnStarted)
    assert failed[1].request == rest[0].request == again[0].request


def test_a_context_that_was_full_is_not_tried_again() -> None:
    spec = pair()
    events = hold(spec, {"Ada": Odd(ContextFullError("9 > 8")), "Ben": Odd()})
    assert events[-1] == ConversationEnded(
        EndReason.CONTEXT_FULL, by="Ada", detail="context_full: 9 > 8"
    )
    assert hold(spec, {}, events) == []


def test_an_ended_conversation_needs_no_models() -> None:
    events = hold(pair(), scripted(Ada=["a"], Ben=["b"]))
    assert hold(pair(), {}, events) == []


def test_another_spec_than_the_recorded_one_is_refused() -> None:
    cast = scripted(Ada=["a"], Ben=["b"])
    events = hold(pair(), cast)[:3]
    with pytest.raises(ConfigurationError, match="branch to change it"):
        hold(pair(seed=1), cast, events)


def test_a_branch_of_a_full_context_goes_on_with_a_larger_model() -> None:
    spec = pair(TurnCap(2))
    full = hold(spec, scripted(Ada=[Reply("a", Finish.CONTEXT_FULL)], Ben=["b"]))
    larger = scripted(Ada=["a"], Ben=["b"])
    seats = {name: provider.seat for name, provider in larger.items()}
    history = branch(full, "p", 1, spec=spec, seats=seats)
    assert kinds(hold(spec, larger, history)) == [
        "TurnStarted",
        "TurnCompleted",
        "ConversationEnded",
    ]


def test_a_branch_after_a_leaving_goes_on_only_when_something_is_said() -> None:
    spec, cast = pair(Exit()), scripted(Ada=["a", "more"], Ben=["[END]", "b"])
    parent = hold(spec, cast)
    seats = fold(parent).begun().seats
    silent = branch(parent, "p", 2, spec=spec, seats=seats)
    assert kinds(hold(spec, cast, silent)) == ["ConversationEnded"]
    say = Message("Narrator", "stay", Origin.HUMAN)
    spoken = branch(parent, "p", 2, spec=spec, seats=seats, say=say)
    assert fold([*spoken, *hold(spec, cast, spoken)]).entries[3].message == Message("Ada", "more")


# Who may take a seat.


def test_a_missing_provider_is_named_before_anything_starts() -> None:
    with pytest.raises(ConfigurationError, match=r"no provider was given .* 'Ben'"):
        hold(pair(), scripted(Ada=["a"]))


def test_a_spec_that_makes_no_sense_starts_nothing() -> None:
    with pytest.raises(ConfigurationError, match="two participants"):
        hold(pair(participants=(Participant("Ada", "m"),) * 2), scripted(Ada=["a"]))


def test_what_a_dialect_cannot_say_is_refused_before_anything_starts() -> None:
    async def first() -> Event | Delta:
        bad = {"Ada": Odd(Completion("a")), "Ben": Odd(seat=Seat("odd", "b", "klingon"))}
        return await anext(converse(pair(), bad))

    with pytest.raises(ConfigurationError, match="no encoder for the dialect 'klingon'"):
        asyncio.run(first())


@pytest.mark.parametrize(
    ("seat", "words"),
    [
        (Seat("odd", "b"), "odd:b"),
        (Seat("odd", "a", settings={"x": 1, "z": 1}), r"differs in x, y, z"),
        (Seat("odd", "a", "gguf", {"y": 1, "z": 2}), "differs in dialect"),
    ],
)
def test_a_conversation_goes_on_with_its_own_models_or_not_at_all(seat: Seat, words: str) -> None:
    spec = pair(TurnCap(1), participants=(Participant("Ada", "m"),))
    mine = Odd(Completion("a"), seat=Seat("odd", "a", settings={"y": 1, "z": 2}))
    begun = hold(spec, {"Ada": mine})[:2]
    with pytest.raises(ConfigurationError, match=words):
        hold(spec, {"Ada": Odd(seat=seat)}, begun)


def test_a_conversation_without_models_on_record_says_how_to_go_on() -> None:
    history = [ConversationStarted(pair())]
    with pytest.raises(ConfigurationError, match="no model is on record for 'Ada'"):
        hold(pair(), scripted(Ada=["a"], Ben=["b"]), history)


def test_the_call_carries_the_exact_recorded_bytes_and_the_key_of_its_cache() -> None:
    provider = Odd(Completion("a"))
    spec = pair(TurnCap(1), participants=(Participant("Ada", "m"),))

    async def run() -> list[Event | Delta]:
        async with aclosing(converse(spec, {"Ada": provider}, key="lusab")) as items:
            return [item async for item in items]

    events = asyncio.run(run())
    [call] = provider.calls
    [sent] = rebuild([event for event in events if not isinstance(event, Delta)])
    assert call == Call(sent.wire.body, "lusab/Ada")


# What a provider may do.


def test_a_reply_is_recorded_with_all_that_came_with_it() -> None:
    reply = Completion(
        "hi",
        Finish.LENGTH,
        finish_raw="max_tokens",
        usage=Usage(1, 2, 3, 4),
        first_token_s=0.5,
        seconds=1.5,
        served="tiny-v2",
        reasoning="hm",
    )
    [event] = [e for e in alone(Odd(Delta("h"), reply)) if isinstance(e, TurnCompleted)]
    assert event == TurnCompleted(
        1,
        Message("Ada", "hi"),
        finish=Finish.LENGTH,
        finish_raw="max_tokens",
        usage=Usage(1, 2, 3, 4),
        first_token_s=0.5,
        seconds=1.5,
        served="tiny-v2",
        reasoning="hm",
    )


def test_an_empty_reply_is_a_message() -> None:
    state = fold(alone(Odd(Completion(""))))
    assert [entry.message for entry in state.entries] == [Message("Ada", "")]


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ((), ("malformed_reply", "the reply ended with 0 completions, not with one", "")),
        (
            (Delta("Hel"), Delta("hm", reasoning=True), Delta("lo")),
            ("malformed_reply", "the reply ended with 0 completions, not with one", "Hello"),
        ),
        (
            (Completion("one"), Completion("two")),
            ("malformed_reply", "the reply ended with 2 completions, not with one", "one\ntwo"),
        ),
        ((Delta("Hel"), BrokenStreamError("cut")), ("broken_stream", "cut", "Hel")),
        (
            (Delta("Hel"), BrokenStreamError("cut", partial="Hell")),
            ("broken_stream", "cut", "Hell"),
        ),
        ((Delta("Hel"), ValueError("oh")), ("bug", "ValueError: oh", "Hel")),
        ((Completion("all"), ValueError("oh")), ("bug", "ValueError: oh", "all")),
        (
            (Completion("all"), OverloadError("late")),
            ("bug", "OverloadError: late", "all"),
        ),
        ((OSError("caf\udce9"),), ("bug", "OSError: caf\\udce9", "")),
        ((Delta("\ud83d"), OverloadError("x")), ("overload", "x", "\\ud83d")),
    ],
)
def test_nothing_that_arrived_is_lost_when_an_attempt_fails(
    items: Items, expected: tuple[str, str, str]
) -> None:
    failed = failure(*items)
    assert (failed.boundary, failed.detail, failed.partial) == expected
    assert recorded([failed]) == [failed]


def test_half_a_character_is_refused_and_shown_as_its_escape() -> None:
    failed = failure(Completion("so \ud83d"))
    assert failed.boundary == "malformed_reply"
    assert failed.partial == "so \\ud83d"
    assert "surrogates not allowed" in failed.detail


def test_a_reply_of_the_wrong_shape_is_refused_before_it_is_a_fact() -> None:
    no_words: Any = None
    failed = failure(Completion(no_words))
    assert (failed.boundary, failed.partial) == ("malformed_reply", "")
    assert "Expected `str`, got `null`" in failed.detail


def test_something_that_is_no_reply_at_all_is_a_bug_of_the_provider() -> None:
    failed = failure("Hello")
    assert failed.boundary == "bug"
    assert failed.detail == "TypeError: a provider yields deltas and one completion, not a str"


def test_a_delta_without_words_is_a_bug_of_the_provider() -> None:
    no_words: Any = None
    failed = failure(Delta(no_words))
    assert failed.boundary == "bug"
    assert failed.detail == "TypeError: a delta's text is a str, not a NoneType"


def test_a_wait_that_was_asked_for_is_on_record() -> None:
    assert failure(RateLimitError("slow down", wait_s=7.5)).wait_s == 7.5


def test_a_refused_replay_is_not_made_into_a_fact() -> None:
    with pytest.raises(ReplayError, match="no answer"):
        alone(Odd(Delta("x"), ReplayError("no answer")))


def test_deltas_come_live_between_the_facts_of_their_turn() -> None:
    async def run() -> list[str]:
        spec = pair(TurnCap(1))
        async with aclosing(converse(spec, scripted(Ada=["a b"], Ben=["b"]))) as items:
            return [
                item.text if isinstance(item, Delta) else type(item).__name__
                async for item in items
            ]

    assert asyncio.run(run()) == [
        "ConversationStarted",
        "TurnStarted",
        "a ",
        "b",
        "TurnCompleted",
        "ConversationEnded",
    ]


def test_a_request_is_on_record_before_the_provider_is_asked() -> None:
    provider = Odd(Completion("a"))

    async def run() -> int:
        items = converse(pair(), {"Ada": provider, "Ben": provider})
        async with aclosing(items):
            async for item in items:
                if isinstance(item, TurnStarted):
                    return len(provider.calls)
        return -1

    assert asyncio.run(run()) == 0


def _is_delta(item: Event | Delta) -> bool:
    return isinstance(item, Delta)


def _is_completed(item: Event | Delta) -> bool:
    return isinstance(item, TurnCompleted)


@pytest.mark.parametrize("wanted", [_is_delta, _is_completed])
def test_closing_the_conversation_closes_the_stream_at_once(
    wanted: Callable[[Event | Delta], bool],
) -> None:
    provider = Odd(Delta("a"), Delta("b"), Completion("ab"))

    async def run() -> tuple[int, int]:
        items = converse(pair(), {"Ada": provider, "Ben": provider})
        async for item in items:
            if wanted(item):
                await items.aclose()
                return len(provider.calls), provider.closed
        return -1, -1

    assert asyncio.run(run()) == (1, 1)


async def test_cancelling_in_mid_turn_leaves_it_started_and_not_finished() -> None:
    asked, closed = asyncio.Event(), asyncio.Event()

    class Hanging(Odd):
        async def stream(self, call: Call) -> AsyncGenerator[Delta | Completion, None]:
            try:
                yield Delta(str(len(call.body)))
                asked.set()
                await asyncio.Event().wait()
            finally:
                closed.set()

    seen: list[Event | Delta] = []

    async def run() -> None:
        provider = Hanging()
        async with aclosing(converse(pair(), {"Ada": provider, "Ben": provider})) as items:
            async for item in items:
                seen.append(item)  # noqa: PERF401 - what was seen must survive the cancelling

    task = asyncio.create_task(run())
    await asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert closed.is_set()
    state = fold(item for item in seen if not isinstance(item, Delta))
    assert state.pending is not None
    assert state.ended is None


async def test_facts_are_the_same_however_they_are_awaited() -> None:
    cast = scripted(Ada=["a", "c"], Ben=["b"])
    one, other = await asyncio.gather(facts(pair(), cast), facts(pair(), cast))
    assert one == other


def test_an_injected_message_is_heard_by_whom_it_was_meant_for() -> None:
    spec, cast = pair(TurnCap(4)), scripted(Ada=["a"], Ben=["b"])
    parent = hold(spec, cast)
    say = Message("Eve", "psst", Origin.HUMAN, ("Ben",))
    history = branch(parent, "p", 1, spec=spec, seats=fold(parent).begun().seats, say=say)
    assert history[-1] == MessageInjected(2, say)
    events = [*history, *hold(spec, cast, history)]
    heard = {
        (sent.started.turn, sent.started.participant): [m.text for m in sent.request.messages]
        for sent in rebuild(events)
    }
    assert heard == {(1, "Ada"): [], (3, "Ben"): ["a", "psst"], (4, "Ada"): ["a", "b"]}


def test_one_script_may_hold_every_seat() -> None:
    both = Scripted(["hi", "ho"])
    state = fold(hold(pair(TurnCap(4)), {"Ada": both, "Ben": both}))
    assert [entry.message.text for entry in state.entries] == ["hi", "hi", "ho", "ho"]


async def test_a_temperature_given_as_a_whole_number_is_sent_as_it_will_be_read_again() -> None:
    spec = pair(participants=(Participant("Ada", "scripted:a", sampling=Sampling(temperature=1)),))
    facts = [fact async for fact in converse(spec, {"Ada": Scripted(["hi"])})]
    events = [fact for fact in facts if not isinstance(fact, Delta)]
    read = [msgspec.json.decode(msgspec.json.encode(event), type=Event) for event in events]
    assert all(again.agrees for again in rebuild(read))


async def test_what_is_run_otherwise_after_a_resume_is_on_record_once() -> None:
    """A resume on another machine, or with another engine, must not pass for the same run."""

    class Elsewhere(Scripted):
        def __init__(self, threads: int) -> None:
            super().__init__(["hi"])
            self.seat = replace(self.seat, running={"threads": threads})

    spec = pair(participants=(Participant("Ada", "scripted:a"),), ending=(TurnCap(4),))
    whole = [fact async for fact in converse(spec, {"Ada": Elsewhere(1)})]
    begun = [fact for fact in whole if not isinstance(fact, Delta)][:3]
    rest = [fact async for fact in converse(spec, {"Ada": Elsewhere(2)}, begun)]
    started = [fact for fact in (*begun, *rest) if isinstance(fact, TurnStarted)]
    assert [fact.running for fact in started] == [None, {"threads": 2}, None, None]
    facts = [fact for fact in (*begun, *rest) if not isinstance(fact, Delta)]
    assert await replay(facts, lambda _: None) == len(facts)
