"""Declared detectors: the same signs as the annotations show, seen while it goes on."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from duologue.api import Change, branch, converse, go_on, hold, replay
from duologue.core.event import ConversationEnded, EndReason, Event
from duologue.core.message import Message, Origin
from duologue.core.provider import Delta
from duologue.core.spec import ConversationSpec, Detector, Participant, SilenceCap, TurnCap
from duologue.core.specfile import Asked
from duologue.endings.arc import arc
from duologue.endings.described import describe
from duologue.endings.detectors import SIGNS, Lookout
from duologue.providers.scripted import Scripted
from duologue.store.library import Library
from strategies import pair

BYE = "Goodbye, and thank you for everything!"
TALK = "The tide tables of 1911 list four ports that no longer exist."
LINES = st.sampled_from([BYE, TALK, "", "[End]", "\u200b", "Farewell!", "Is there more to say?"])
MESSAGES = st.lists(
    st.builds(
        Message,
        st.sampled_from(["Ada", "Ben"]),
        LINES,
        st.sampled_from([Origin.MODEL, Origin.MODEL, Origin.OPENING]),
    ),
    max_size=12,
)


@given(MESSAGES)
def test_a_sign_holds_where_the_arc_of_the_messages_so_far_says_so(said: list[Message]) -> None:
    seen = Lookout()(said)
    assert len(seen) == len(said)
    for end, signs in enumerate(seen, start=1):
        so_far = arc(describe(said[:end]))
        assert ("mutual_closing" in signs) == (so_far.mutual_closing is not None)
        assert ("first_closing" in signs) == (so_far.first_closing is not None)
        assert so_far.end_state.value in signs


@given(MESSAGES, MESSAGES)
def test_what_was_read_before_changes_nothing(first: list[Message], then: list[Message]) -> None:
    signs = Lookout()
    grown = [list(signs(first[:end])) for end in range(len(first) + 1)]
    assert grown[-1] == list(Lookout()(first))
    assert list(signs(then)) == list(Lookout()(then))


def test_the_names_of_signs_are_those_of_the_codebook() -> None:
    assert Lookout().signs == SIGNS
    assert {"mutual_closing", "token_collapse", "refusal_loop"} < SIGNS
    assert not {"open", "other"} & SIGNS


def spec(*ending: Detector | SilenceCap | TurnCap) -> ConversationSpec:
    return pair(*ending, TurnCap(9))


def cast() -> dict[str, Scripted]:
    """Two who are silent in their second turns, and would go on all the same."""
    return {
        "Ada": Scripted([TALK, "", TALK], "a"),
        "Ben": Scripted(["And four lighthouses, too.", "\u200b", TALK], "b"),
    }


def test_a_declared_detector_ends_it_and_resume_branch_and_replay_see_the_same(
    tmp_path: Path,
) -> None:
    declared, library = spec(Detector("silence")), Library(tmp_path)
    held = asyncio.run(hold(Asked("one", declared), library, providers=cast()))
    assert held.transcript.state.ended == ConversationEnded(
        EndReason.DETECTOR,
        detail="silence was detected in message 4",
        sign="silence",
    )
    assert asyncio.run(replay(library, "one")) == 1 + 2 * 4 + 1
    change = Change(name="two")
    left = asyncio.run(branch(library, "one", 3, change, providers=cast()))
    assert left.transcript.state.ended == held.transcript.state.ended
    log = tmp_path / "one" / "log-1.jsonl"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1]))
    again = asyncio.run(go_on(library, "one", providers=cast()))
    assert again.transcript.state.ended == held.transcript.state.ended


async def test_a_conversation_that_is_not_recorded_is_seen_too() -> None:
    declared = spec(Detector("silence"))
    items = [item async for item in converse(declared, cast())]
    facts: list[Event] = [item for item in items if not isinstance(item, Delta)]
    assert isinstance(facts[-1], ConversationEnded)
    assert facts[-1].sign == "silence"


async def test_other_eyes_may_be_given() -> None:
    class Blind:
        signs = SIGNS

        def __call__(self, said: Sequence[Message]) -> list[frozenset[str]]:
            return [frozenset()] * len(said)

    declared = spec(Detector("silence"))
    items = [item async for item in converse(declared, cast(), detectors=Blind())]
    assert isinstance(items[-1], ConversationEnded)
    assert items[-1].reason is EndReason.MAX_TURNS


def test_a_seat_without_a_name_in_the_annotations_is_like_any_other() -> None:
    lone = ConversationSpec((Participant("\u03b1", "m"),), ending=(Detector("silence"), TurnCap(9)))
    held = asyncio.run(_held(lone))
    assert held.sign == "silence"


async def _held(lone: ConversationSpec) -> ConversationEnded:
    """How a conversation of one, who says nothing, ends."""
    items = [item async for item in converse(lone, {"\u03b1": Scripted([""], "s")})]
    assert isinstance(items[-1], ConversationEnded)
    return items[-1]
