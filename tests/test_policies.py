"""What follows a silence, a refusal, a view that does not fit: whole conversations."""

from collections.abc import AsyncGenerator

import msgspec
import pytest

from duologue.conversation import converse
from duologue.core.branch import branch
from duologue.core.event import (
    AttemptFailed,
    ContextReset,
    ConversationEnded,
    EndReason,
    Event,
    MessageInjected,
    TurnCompleted,
    TurnStarted,
)
from duologue.core.message import Message, Origin
from duologue.core.provider import Call, Completion, Delta, Failure, Finish, Item, Provider, Seat
from duologue.core.rebuild import rebuild
from duologue.core.spec import (
    EndAtSilence,
    Keep,
    Labels,
    Line,
    Nudge,
    RefusalPolicy,
    Resend,
    SilencePolicy,
    TurnCap,
)
from duologue.core.state import fold
from duologue.errors import ConfigurationError, ContextFullError, RecordError
from duologue.providers.replay import Replay
from duologue.replaying import replay
from duologue.verify import verify
from recording import CONV, scratch, write
from strategies import facts, hold, pair, scripted
from virtual import Acted

BOUND = ({"field": "reasoning_details", "value": [{"id": 1}]},)
HELLO = (Line("Ben", "hello"),)
PLAIN = Seat("odd", "m")
STRICT = Seat("strict", "m", "openai", {"quirks": {"silence": "refused"}})


class Tight:
    """A model whose view must not be longer than so many bytes."""

    def __init__(self, limit: int) -> None:
        self.seat = Seat("odd", "tight")
        self.limit = limit

    async def stream(self, call: Call) -> AsyncGenerator[Item, None]:
        if len(call.body) > self.limit:
            raise ContextFullError(f"{len(call.body)} > {self.limit}")
        yield Completion("words " * 5)

    async def aclose(self) -> None:
        """Nothing is held."""


def both(*replies: Completion, seat: Seat | None = None) -> dict[str, Provider]:
    """Ada and Ben who give these replies, in order, each."""
    made = [[reply] for reply in replies]
    seat = seat or PLAIN
    return {"Ada": Acted(*made, seat=seat), "Ben": Acted(*made, seat=seat)}


def ended(events: list[Event]) -> ConversationEnded:
    last = events[-1]
    assert isinstance(last, ConversationEnded)
    return last


def sound(events: list[Event]) -> None:
    """The record is proved, and replaying it makes every fact again."""
    with scratch() as run:
        write(run, CONV, events)
        assert verify(run).faults == ()


# Silence.


def test_a_silence_that_is_kept_is_a_message_like_any_other() -> None:
    events = hold(pair(TurnCap(2), silence=Keep()), both(Completion("\u200b")))
    assert [entry.message.text for entry in fold(events).entries] == ["\u200b"] * 2


def test_a_silence_is_asked_for_again_so_often_and_then_kept() -> None:
    silent = Completion(" ", seconds=2.0, cost=0.5, pace=3)
    events = hold(pair(TurnCap(1), seed=1, silence=Resend(2)), both(silent))
    failed = [event for event in events if isinstance(event, AttemptFailed)]
    assert len(failed) == 2
    assert failed[0] == AttemptFailed(
        1,
        "Ada",
        "silence",
        "the reply was silent (whitespace), and is asked for again",
        partial=" ",
        again=True,
        cost=0.5,
        seconds=2.0,
        pace=3,
    )
    starts = [event.request for event in events if isinstance(event, TurnStarted)]
    assert len(set(starts)) == 3  # each has a seed of its own
    assert fold(events).entries[0].message.text == " "
    sound(events)


def test_a_resent_turn_that_speaks_is_a_message_and_replays() -> None:
    spec = pair(TurnCap(2), seed=1, silence=Resend(1))
    events = hold(spec, both(Completion(""), Completion("hi")))
    assert [entry.message.text for entry in fold(events).entries] == ["hi", "hi"]
    seats = fold(events).begun().seats
    assert hold(spec, {name: Replay(seat, events) for name, seat in seats.items()}) == events


def test_after_a_silence_everybody_hears_the_nudge_and_nobody_passes_it_off_as_said() -> None:
    spec = pair(TurnCap(5), silence=Nudge("Go on."))
    cast = {
        "Ada": Acted([Completion("")], seat=PLAIN),
        "Ben": Acted([Completion("b")], seat=PLAIN),
    }
    events = hold(spec, cast)
    said = [entry.message for entry in fold(events).entries]
    nudge = Message("duologue", "Go on.", Origin.NUDGE)
    assert said == [
        Message("Ada", ""), nudge, Message("Ben", "b"), Message("Ada", ""), nudge,
    ]  # fmt: skip
    assert MessageInjected(2, nudge) in events
    assert b"Go on." in list(rebuild(events))[1].wire.body
    sound(events)


async def test_a_branch_that_nudges_replays_its_own_nudges() -> None:
    spec = pair(TurnCap(6), silence=Nudge("Go on."))
    cast = {
        "Ada": Acted([Completion("")], seat=PLAIN),
        "Ben": Acted([Completion("b")], seat=PLAIN),
    }
    parent = await facts(spec, cast)
    seats = {name: provider.seat for name, provider in cast.items()}
    history = branch(parent, "p", 3, spec=spec, seats=seats)
    events = [*history, *await facts(spec, cast, history)]
    assert await replay(events, lambda _: None) == len(events)


def test_the_first_silence_ends_where_that_is_declared() -> None:
    events = hold(pair(silence=EndAtSilence()), both(Completion("\n")))
    assert ended(events) == ConversationEnded(
        EndReason.SILENCE, by="Ada", detail="Ada said nothing"
    )


@pytest.mark.parametrize("policy", [Keep(), Resend(1), Nudge("x"), EndAtSilence()])
def test_words_follow_no_policy_for_silence(policy: SilencePolicy) -> None:
    events = hold(pair(TurnCap(3), silence=policy), both(Completion("hi")))
    assert ended(events).reason is EndReason.MAX_TURNS
    assert not any(isinstance(event, AttemptFailed | MessageInjected) for event in events)


# Silence that a provider refuses to hear.


def test_without_a_stand_in_a_silence_that_is_refused_ends_with_an_error_on_the_record() -> None:
    spec = pair(opening=HELLO)
    events = hold(spec, both(Completion(""), seat=STRICT))
    assert events[-3] == TurnStarted(3, "Ben", "")
    failed = events[-2]
    assert isinstance(failed, AttemptFailed)
    assert (failed.boundary, failed.again) == ("request_refused", False)
    assert "declare 'stand_in'" in failed.detail
    assert ended(events).reason is EndReason.ERROR
    sound(events)


def test_a_stand_in_is_an_edit_on_the_record_and_changes_no_message() -> None:
    spec = pair(TurnCap(3), opening=HELLO, stand_in="(silence)")
    events = hold(spec, both(Completion(""), seat=STRICT))
    assert [entry.message.text for entry in fold(events).entries] == ["hello", "", ""]
    [start] = [e for e in events if isinstance(e, TurnStarted) and e.turn == 3]
    assert [edit.what for edit in start.edits] == ["stand_in"]
    assert b"(silence)" in list(rebuild(events))[-1].wire.body
    sound(events)


def test_a_first_request_that_cannot_be_made_starts_nothing() -> None:
    with pytest.raises(ConfigurationError, match=r"Ada cannot be asked: .*nothing to answer"):
        hold(pair(), both(Completion("a"), seat=STRICT))


# Refusals.


@pytest.mark.parametrize(
    ("finish", "reason", "words"),
    [
        (Finish.REFUSAL, EndReason.REFUSAL, "Ada refused"),
        (Finish.CONTENT_FILTER, EndReason.CONTENT_FILTER, "Ada's reply was filtered"),
    ],
)
def test_a_refusal_ends_where_that_is_declared_and_is_kept_where_not(
    finish: Finish, reason: EndReason, words: str
) -> None:
    reply = Completion("no", finish, detail="cyber")
    events = hold(pair(refusal=RefusalPolicy.END), both(reply))
    assert ended(events) == ConversationEnded(reason, by="Ada", detail=f"{words}: cyber")
    bare = hold(pair(refusal=RefusalPolicy.END), both(Completion("no", finish)))
    assert ended(bare).detail == words
    kept = hold(pair(TurnCap(2)), both(reply))
    assert ended(kept).reason is EndReason.MAX_TURNS
    assert fold(kept).entries[0].completed == TurnCompleted(
        1, Message("Ada", "no"), finish, detail="cyber"
    )


def test_words_end_nothing_where_a_refusal_would() -> None:
    events = hold(pair(TurnCap(2), refusal=RefusalPolicy.END), both(Completion("yes")))
    assert ended(events).reason is EndReason.MAX_TURNS


# A view that no longer fits.


def test_a_view_that_does_not_fit_begins_later_and_says_so_and_grows_again() -> None:
    spec = pair(TurnCap(30), keep_last=2)
    events = hold(spec, {"Ada": Tight(700), "Ben": Tight(100_000)})
    resets = [event for event in events if isinstance(event, ContextReset)]
    assert len(resets) > 2
    assert {reset.participant for reset in resets} == {"Ada"}
    assert all(reset.first == reset.turn - 2 for reset in resets)
    assert len(fold(events).entries) == 30
    after = [again for again in rebuild(events) if again.started.participant == "Ada"]
    assert {again.first for again in after} == {1, *(reset.first for reset in resets)}
    for reset in resets:
        [sent] = [again for again in after if again.first == reset.first][:1]
        assert len(sent.request.messages) == 2
    sound(events)
    for cut in range(1, len(events), 7):
        again = hold(spec, {"Ada": Tight(700), "Ben": Tight(100_000)}, events[:cut])
        assert fold([*events[:cut], *again]) == fold(events)


def test_a_view_that_shrinks_without_a_reset_on_the_record_is_a_fault() -> None:
    spec = pair(TurnCap(12), keep_last=2)
    events = hold(spec, {"Ada": Tight(700), "Ben": Tight(100_000)})
    without = [event for event in events if not isinstance(event, ContextReset)]
    with scratch() as run:
        write(run, CONV, without)
        assert any("another digest" in fault.what for fault in verify(run).faults)


def test_where_even_the_last_messages_do_not_fit_the_context_is_full() -> None:
    events = hold(pair(TurnCap(30), keep_last=2), {"Ada": Tight(60), "Ben": Tight(100_000)})
    assert ended(events).reason is EndReason.CONTEXT_FULL
    assert fold(events).entries == ()
    later = hold(pair(TurnCap(30), keep_last=9), {"Ada": Tight(500), "Ben": Tight(100_000)})
    assert ended(later).reason is EndReason.CONTEXT_FULL


def test_without_keep_last_a_full_context_ends_it() -> None:
    events = hold(pair(TurnCap(30)), {"Ada": Tight(500), "Ben": Tight(100_000)})
    assert ended(events).reason is EndReason.CONTEXT_FULL
    assert not any(isinstance(event, ContextReset) for event in events)


def test_a_reset_for_another_turn_than_the_next_is_refused() -> None:
    events = hold(pair(TurnCap(2)), both(Completion("a")))[:-1]
    with pytest.raises(RecordError, match="a context reset is for turn 1"):
        fold([*events, ContextReset(1, "Ada", 1)])


# Reasoning.


def test_reasoning_is_shown_to_nobody_unless_that_is_declared() -> None:
    reply = Completion("hi", reasoning="hm", blocks=BOUND)
    seat = Seat("odd", "m", "openai", {"quirks": {"reasoning_back": "reasoning_details"}})
    kept = hold(pair(TurnCap(4), opening=HELLO), both(reply, seat=seat))
    first, second, third = (again.wire.body for again in rebuild(kept))
    assert b"hm" not in first + second + third
    assert b"reasoning_details" not in first + second
    assert b'"reasoning_details":[{"id":1}]' in third
    shared = hold(pair(TurnCap(4), opening=HELLO, share_reasoning=True), both(reply, seat=seat))
    bodies = [again.request.messages for again in rebuild(shared)]
    assert bodies[1][1].text == "<thinking>\nhm\n</thinking>\n\nhi"
    assert bodies[2][1].text == "hi"
    assert bodies[1][1].blocks == ()
    sound(shared)


def test_what_was_not_thought_is_not_shown() -> None:
    shared = pair(TurnCap(2), share_reasoning=True, labels=Labels.ALWAYS)
    events = hold(shared, both(Completion("hi")))
    assert list(rebuild(events))[1].request.messages[0].text == "Ada: hi"


# Attempts that another follows, and the key by which caches are routed.


def test_a_failure_keeps_what_had_arrived_and_the_reply_begins_anew() -> None:
    failure = Failure("overload", "busy \ud800", wait_s=3.0, pace=2)
    cast = {
        "Ada": Acted(
            [Delta("Hel"), failure, Delta("Hello"), Completion("Hello", pace=4)], seat=PLAIN
        ),
        "Ben": Acted([Completion("x")], seat=PLAIN),
    }
    spec = pair(TurnCap(1))
    events = hold(spec, cast)
    start = events[1]
    assert events[1:-1] == [
        start,
        AttemptFailed(
            1, "Ada", "overload", "busy \\ud800", partial="Hel", wait_s=3.0, again=True, pace=2
        ),
        start,
        TurnCompleted(1, Message("Ada", "Hello"), pace=4),
    ]
    seats = fold(events).begun().seats
    stand_ins = {name: Replay(seat, events) for name, seat in seats.items()}
    assert hold(spec, stand_ins) == events
    for cut in range(2, len(events)):
        assert fold([*events[:cut], *hold(spec, both(Completion("Hello")), events[:cut])]).ended
    sound(events)


async def test_the_key_is_on_record_and_the_same_for_ever() -> None:
    seat = Seat("odd", "m", "openai", {"quirks": {"route": "prompt_cache_key"}})
    spec = pair(TurnCap(3), opening=HELLO)
    items = converse(spec, both(Completion("a"), seat=seat), key="lusab")
    events = [item async for item in items if not isinstance(item, Delta)]
    assert fold(events).begun().key == "lusab"
    for again, name in zip(rebuild(events), ("Ada", "Ben"), strict=True):
        assert again.request.key == f"lusab/{name}"
        assert msgspec.json.decode(again.wire.body)["prompt_cache_key"] == f"lusab/{name}"
        assert again.agrees
    rest = await facts(spec, both(Completion("a"), seat=seat), events[:3])
    assert [*events[:3], *rest] == events


def test_a_run_of_scripts_has_no_faults_in_its_folder() -> None:
    with scratch() as run:
        write(run, CONV, hold(pair(), scripted(Ada=["a"], Ben=["b"])))
        assert verify(run).faults == ()


def test_who_cannot_be_asked_yet_may_be_when_its_turn_comes() -> None:
    cast = {
        "Ada": Acted([Completion("a")], seat=PLAIN),
        "Ben": Acted([Completion("b")], seat=STRICT),
    }
    assert len(fold(hold(pair(TurnCap(2)), cast)).entries) == 2
