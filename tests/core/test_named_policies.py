"""The named policies: their words name what their rules hear, and ``pure`` adds nothing at all."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from duologue.conversation import converse
from duologue.core.detectors import require
from duologue.core.event import (
    ConversationEnded,
    ConversationStarted,
    EndReason,
    Event,
    TurnStarted,
)
from duologue.core.perspective import offered, view
from duologue.core.policies import POLICIES, PURE, TOOL, USUAL, governed, reworded, worded
from duologue.core.provider import Call, Completion, Delta, Item, Seat, ToolCall
from duologue.core.rebuild import rebuild
from duologue.core.request import Wire
from duologue.core.spec import (
    AllOf,
    AnyOf,
    Budget,
    ConversationSpec,
    Detector,
    EndAtSilence,
    Ending,
    Exit,
    ExitRule,
    Line,
    Nudge,
    Participant,
    Pass,
    RefusalPolicy,
    Resend,
    SilenceCap,
    StopPhrase,
    TurnCap,
    check,
    leaves,
)
from duologue.core.state import fold
from duologue.core.wire import encode
from duologue.endings.detectors import SIGNS, Lookout
from duologue.errors import ConfigurationError, ProviderError
from duologue.providers.scripted import Reply
from strategies import LOCAL, hold, pair, scripted, specs

Script = list[str | Reply | ProviderError]
CALL = Reply("", calls=(ToolCall(TOOL),))
SEATS = (
    Seat("scripted", "a"),
    LOCAL,
    Seat("openai", "m", "openai"),
    Seat("anthropic", "m", "anthropic"),
    Seat("google", "m", "google"),
)


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_makes_sense_and_tells_the_words_that_it_hears(name: str) -> None:
    spec = check(governed(pair(TurnCap(9)), [name]))
    assert spec.ending[0] == TurnCap(9)
    require(spec.ending, Lookout())
    for rule in leaves(POLICIES[name].ending):
        if isinstance(rule, Exit):
            heard = rule.line or rule.phrase or rule.tool
            assert heard is not None
            assert heard in (spec.told or "")
        if isinstance(rule, Pass):
            assert (rule.line or "") in (spec.told or "")


def test_policies_combine_and_so_do_their_words() -> None:
    spec = governed(pair(TurnCap(9), StopPhrase("x")), ["exit", "pass", "silence", "exit"])
    assert spec.ending == (
        TurnCap(9), Exit("[END]"), Pass("[PASS]"), SilenceCap(),
    )  # fmt: skip
    assert spec.told == f"{POLICIES['exit'].told} {POLICIES['pass'].told}"
    assert set(USUAL) < set(POLICIES)


def test_a_policy_that_nobody_knows_is_refused_and_so_is_half_a_pure_one() -> None:
    with pytest.raises(ConfigurationError, match="'adieu'; policies: pure, exit"):
        governed(pair(), ["adieu"])
    with pytest.raises(ConfigurationError, match="name it alone"):
        governed(pair(), ["pure", "exit"])


def test_without_a_cap_none_is_invented() -> None:
    assert governed(pair(ending=(Exit(),)), [PURE]).ending == ()


@given(specs())
def test_pure_makes_every_request_the_bytes_of_a_spec_that_declares_nothing(
    spec: ConversationSpec,
) -> None:
    pure = governed(replace(spec, silence=Nudge("Go on."), stand_in="(silence)"), [PURE])
    bare = ConversationSpec(
        spec.participants,
        opening=spec.opening,
        order=spec.order,
        labels=spec.labels,
        seed=spec.seed,
        share_reasoning=spec.share_reasoning,
        keep_last=spec.keep_last,
        ending=(TurnCap(9),),
    )
    for seat in (Seat("scripted", "a"), LOCAL):
        for name in spec.names():
            seats = dict.fromkeys(spec.names(), seat)
            views = [view(fold([ConversationStarted(each, seats)]), name) for each in (pure, bare)]
            assert encode(seat, views[0]).body == encode(seat, views[1]).body
            assert offered(pure) == ()


@pytest.mark.parametrize("seat", SEATS, ids=lambda seat: seat.dialect)
def test_pure_conversations_send_nothing_but_what_was_said_and_stop_only_at_the_cap(
    seat: Seat,
) -> None:
    said = ["[END]", "[PASS]", "goodbye forever", "this conversation is over", "goodbye"]
    loud = pair(
        *(Exit(), Pass(), SilenceCap(1), StopPhrase("goodbye"), Detector("short")),
        *(TurnCap(8),),
        told="Leave with [END].",
        silence=EndAtSilence(),
        refusal=RefusalPolicy.END,
        opening=(Line("Ben", "hello"),),
    )
    cast = {name: Speaking(said, seat) for name in ("Ada", "Ben")}
    events = hold(governed(loud, [PURE]), cast)
    bare = hold(pair(TurnCap(8), opening=(Line("Ben", "hello"),)), cast)
    assert bodies(events) == bodies(bare)
    assert len(bodies(events)) == 7
    assert events[1:] == bare[1:]
    assert events[-1] == ConversationEnded(EndReason.MAX_TURNS, detail="the cap of 8 messages")
    assert all(b"Leave with" not in body for body in bodies(events))


class Speaking:
    """Says these words, one a turn, in any dialect."""

    def __init__(self, said: Sequence[str], seat: Seat) -> None:
        self.said, self.seat = said, seat

    async def stream(self, call: Call) -> AsyncGenerator[Item, None]:
        """What is due for this very body."""
        yield Completion(self.said[len(call.body) % len(self.said)])

    async def aclose(self) -> None:
        """Nothing is held."""


def bodies(events: Sequence[Event]) -> list[bytes]:
    """The exact bytes of every request."""
    return [sent.wire.body for sent in rebuild(events)]


def test_another_sentinel_is_heard_and_told_and_the_old_one_no_more() -> None:
    spec = governed(pair(TurnCap(9)), ["last-word", "phrase"])
    both = AllOf((Exit("[END]"), AnyOf((TurnCap(5), Exit(rule=ExitRule.MUTUAL)))))
    changed = reworded(replace(spec, ending=(*spec.ending, both)), "ADIEU")
    lines = [rule.line for rule in leaves(changed.ending) if isinstance(rule, Exit)]
    assert lines == ["ADIEU", None, "ADIEU", "ADIEU"]
    assert "[END]" not in (changed.told or "")
    assert "ADIEU on a line of its own" in (changed.told or "")
    assert reworded(pair(Exit()), "x").told is None


def test_a_sentinel_where_nobody_leaves_by_one_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="add --ending exit"):
        reworded(pair(Exit(phrase="so long")), "x")


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (TurnCap(9), "at 9 messages"),
        (StopPhrase("x"), "when somebody's message contains 'x'"),
        (Budget(tokens=5000, usd=0.5), "before more is spent than 5,000 tokens or 0.5 USD"),
        (Detector("closed"), "when closed is detected"),
        (Detector("closed", 3), "when closed is detected 3 times in a row"),
        (Pass(), "when everybody passes in turn, by [PASS]"),
        (Pass("x", silent=True, turns=2), "when 2 turns in a row pass, by x or silence"),
        (Pass(silent=True), "when everybody passes in turn, by silence"),
        (SilenceCap(), "when everybody is silent in turn"),
        (SilenceCap(3), "when 3 turns in a row are silent"),
        (Exit(), "when the first leaves, by [END]"),
        (Exit(rule=ExitRule.MUTUAL), "when everybody has left within 4 messages, by [END]"),
        (
            Exit("x", phrase="y", tool="z", description="d", answer="a"),
            "when the first leaves, by x or saying 'y' or calling z",
        ),
        (
            AnyOf((TurnCap(9), SilenceCap())),
            "any of (at 9 messages; when everybody is silent in turn)",
        ),
        (AllOf((TurnCap(9),)), "all of (at 9 messages)"),
    ],
)
def test_a_rule_is_told_in_words(rule: Ending, words: str) -> None:
    assert worded(rule) == words


@given(specs())
def test_every_rule_has_words(spec: ConversationSpec) -> None:
    assert all(worded(rule) for rule in spec.ending)


# Detectors.


def test_a_detector_that_nobody_gave_or_knows_is_refused_before_anything_is_spent() -> None:
    ending = (AnyOf((Detector("farewell_loop"),)), TurnCap(3))
    with pytest.raises(ConfigurationError, match="'farewell_loop', and no detectors were given"):
        require(ending, None)
    with pytest.raises(
        ConfigurationError, match="'adieu', which nobody knows; known signs: closed"
    ):
        require((Detector("adieu"),), Lookout())
    with pytest.raises(ConfigurationError, match="'adieu', which nobody knows"):
        hold(pair(Detector("adieu")), scripted(Ada=["a"], Ben=["b"]))
    require((TurnCap(3),), None)


def test_silence_is_resent_only_where_nothing_was_done() -> None:
    events = hold(pair(TurnCap(1), silence=Resend(1)), scripted(Ada=[Reply("")], Ben=["b"]))
    assert [type(event).__name__ for event in events[1:4]] == [
        "TurnStarted", "AttemptFailed", "TurnStarted",
    ]  # fmt: skip
    assert {"mutual_closing", "farewell_loop", "silence", "verbatim_loop"} < SIGNS


SAID = st.lists(
    st.sampled_from(["a", "[END]", "[PASS]", "", "this conversation is over", "Goodbye!", CALL]),
    min_size=1,
    max_size=4,
)


@pytest.mark.parametrize("name", POLICIES)
@given(SAID, SAID, SAID)
def test_every_policy_ends_the_same_from_wherever_it_is_resumed_and_views_only_grow(
    name: str, ada: Script, ben: Script, cy: Script
) -> None:
    seats = tuple(Participant(each, "m") for each in ("Ada", "Ben", "Cy"))
    spec = governed(ConversationSpec(seats, ending=(TurnCap(9),)), [name])
    scripts = {"Ada": [*ada, CALL], "Ben": [*ben, CALL], "Cy": [*cy, CALL]}
    whole = kept(spec, scripts)
    for cut in range(1, len(whole)):
        again = isinstance(whole[cut - 1], TurnStarted)
        assert kept(spec, scripts, whole[:cut]) == whole[cut - again :]
    latest: dict[str, Wire] = {}
    for sent in rebuild(whole):
        before = latest.get(sent.started.participant)
        if before is not None:
            assert sent.wire.body.startswith(before.body[: before.stable])
        latest[sent.started.participant] = sent.wire


def kept(
    spec: ConversationSpec, scripts: dict[str, Script], history: Sequence[Event] = ()
) -> list[Event]:
    """What is added to a history, seen with duologue's own eyes."""

    async def held() -> list[Event]:
        facts = converse(spec, scripted(**scripts), history, detectors=Lookout())
        return [item async for item in facts if not isinstance(item, Delta)]

    return asyncio.run(held())
