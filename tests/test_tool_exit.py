"""A participant leaves by the call of a tool: whole conversations, proved and replayed."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from duologue.api import hold as record
from duologue.core import spec as s
from duologue.core.event import (
    ConversationEnded,
    EndReason,
    Event,
    ParticipantLeft,
    TurnCompleted,
    TurnStarted,
)
from duologue.core.provider import Finish, Provider, ToolCall
from duologue.core.rebuild import rebuild
from duologue.core.specfile import Asked
from duologue.core.state import fold
from duologue.core.transcript import transcript
from duologue.errors import ConfigurationError
from duologue.formats.crossing import FORMATS, left_out
from duologue.providers.function import Function
from duologue.providers.human import Human
from duologue.providers.registry import warnings
from duologue.providers.scripted import Reply, Scripted
from duologue.replaying import replay, settled
from duologue.store.library import Library
from duologue.store.run import Run
from duologue.verify import verify
from hostile import HostileServer, Script
from hostile.holding import DIALECTS, KEYS, MODELS, seated
from strategies import LOCAL, Spoken, hold

EXIT = s.Exit(tool="leave", description="Leave the conversation.", answer="Noted.")
BYE = Reply("", calls=(ToolCall("leave"),))


def spec(exit_: s.Exit, *models: str, **more: Any) -> s.ConversationSpec:
    seats = zip(("Ada", "Bo"), models or ("scripted:a", "scripted:b"), strict=True)
    return s.ConversationSpec(
        tuple(s.Participant(name, model) for name, model in seats),
        opening=(s.Line("Host", "Good evening."),),
        ending=(exit_, s.TurnCap(8)),
        stand_in="(says nothing)",
        **more,
    )


def end(events: list[Event]) -> ConversationEnded:
    last = events[-1]
    assert isinstance(last, ConversationEnded)
    return last


async def held(
    folder: Path, dialect: str, exit_: s.Exit, *, stream: bool, **scenarios: tuple[str, ...]
) -> tuple[list[Event], list[bytes]]:
    """A conversation with the hostile server, proved and replayed; what it received, too."""
    model = f"{dialect}:{MODELS[dialect]}"
    script = Script(scenarios={KEYS[name]: names for name, names in scenarios.items()})
    async with HostileServer(script) as server:
        providers = seated(server, dialect, stream=stream)
        asked = Asked(None, spec(exit_, model, model))
        made = await record(asked, Library(folder), providers=providers)
        for provider in providers.values():
            await provider.aclose()
        bodies = [seen.body for seen in server.exchanges]
        assert "refused" not in {seen.scenario for seen in server.exchanges}
    run = Run(made.folder)
    events = run.events(made.id)
    assert verify(run).faults == ()
    assert await replay(events, lambda _item: None) == len(settled(events))
    assert bodies == [again.wire.body for again in rebuild(events)]
    return events, bodies


wire = pytest.mark.allow_hosts(["127.0.0.1"])
streamed = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
dialects = pytest.mark.parametrize("dialect", DIALECTS)


@wire
@streamed
@dialects
@pytest.mark.parametrize("scenario", ["call", "call_alone", "call_two", "reasoning_call"])
async def test_the_call_of_the_declared_tool_ends_a_conversation(
    scenario: str, dialect: str, tmp_path: Path, *, stream: bool
) -> None:
    events, bodies = await held(tmp_path, dialect, EXIT, stream=stream, Bo=("plain", scenario))
    assert len(bodies) == 4
    assert all(b'"leave"' in body and b"Leave the conversation." in body for body in bodies)
    last = [event for event in events if isinstance(event, TurnCompleted)][-1]
    assert (last.message.author, last.finish) == ("Bo", Finish.CALL)
    assert last.calls[-1].name == "leave"
    assert last.calls[-1].arguments.startswith('{"why":"All is said: ')
    assert ParticipantLeft(5, "Bo", tool="leave") in events
    assert (end(events).reason, end(events).by) == (EndReason.EXIT, "Bo")
    marks = [mark.text for mark in transcript(events).spoken[-1].marks if mark.kind == "call"]
    assert len(marks) == len(last.calls)


@wire
@streamed
@dialects
async def test_the_call_of_any_other_tool_is_on_record_and_ends_nothing(
    dialect: str, tmp_path: Path, *, stream: bool
) -> None:
    events, bodies = await held(
        tmp_path, dialect, EXIT, stream=stream, Bo=("call_unknown", "plain")
    )
    assert end(events).reason is EndReason.MAX_TURNS
    called = [event.calls for event in events if isinstance(event, TurnCompleted) and event.calls]
    assert [call.name for calls in called for call in calls] == ["self_destruct"]
    assert not any(b"self_destruct" in body for body in bodies)
    edits = [event.edits for event in events if isinstance(event, TurnStarted)]
    of_bo = [sum(edit.what == "call" for edit in each) for each in edits[1::2]]
    assert of_bo == [0, 1, 1]
    assert "self_destruct" in str(transcript(events).spoken[2].marks)


@wire
@streamed
@dialects
@pytest.mark.parametrize("scenario", ["call", "call_alone", "reasoning_call"])
async def test_who_called_it_and_talks_on_is_shown_call_and_answer_and_others_only_the_words(
    scenario: str, dialect: str, tmp_path: Path, *, stream: bool
) -> None:
    mutual = replace(EXIT, rule=s.ExitRule.MUTUAL, within=2)
    events, bodies = await held(
        tmp_path,
        dialect,
        mutual,
        stream=stream,
        Ada=(scenario, "plain", "plain", "call"),
        Bo=("plain", "plain", "call"),
    )
    assert [body.count(b'"Noted."') for body in bodies] == [0, 0, 1, 0, 1, 0, 1]  # Ada's alone
    assert [b"All is said" in body for body in bodies] == [False, False, *[True, False] * 2, True]
    departed = [event for event in events if isinstance(event, ParticipantLeft)]
    assert [(left.turn, left.participant) for left in departed] == [
        (2, "Ada"),
        (7, "Bo"),
        (8, "Ada"),
    ]
    assert end(events).reason is EndReason.MUTUAL_EXIT


# Without a wire.


def scripts(*ada: str | Reply, bo: str | Reply = "Hm.") -> dict[str, Provider]:
    return {"Ada": Scripted([*ada, BYE]), "Bo": Scripted([bo, BYE])}


def test_a_script_leaves_by_a_call() -> None:
    events = hold(spec(EXIT), scripts("One."))
    assert [entry.message.text for entry in fold(events).entries][1:] == ["One.", "Hm.", ""]
    assert (end(events).reason, end(events).by) == (EndReason.EXIT, "Ada")


@pytest.mark.parametrize("policy", [s.Resend(2), s.EndAtSilence(), s.Nudge("Go on."), s.Keep()])
def test_a_call_without_words_is_no_silence(policy: s.SilencePolicy) -> None:
    events = hold(spec(EXIT, silence=policy), scripts("One."))
    assert end(events).reason is EndReason.EXIT
    assert len(fold(events).entries) == 4


@pytest.mark.parametrize("after", [s.After.LAST_WORD, s.After.ALONE])
def test_the_other_may_go_on_after_a_call(after: s.After) -> None:
    events = hold(spec(replace(EXIT, after=after)), scripts("One.", "Two.", bo=BYE))
    said = [entry.message for entry in fold(events).entries][1:]
    more = ["Two."] if after is s.After.LAST_WORD else ["Two.", ""]
    assert [message.text for message in said] == ["One.", "", *more]
    assert {message.author for message in said[2:]} == {"Ada"}
    assert end(events).reason in {EndReason.EXIT, EndReason.MUTUAL_EXIT}
    assert all(again.agrees for again in rebuild(events))


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_that_cannot_hold_calls_says_so(form: str) -> None:
    read = transcript(hold(spec(EXIT), scripts("One.")))
    now = "2026-01-02T03:04:05.000000Z"
    assert "1 calls of tools, and with what" in left_out(read, form, now, now)


TOOLLESS: dict[str, Provider] = {
    "a script without calls": Scripted(["Hm."]),
    "a function": Function(lambda _view: "Hm."),
    "a person": Human(),
    "a local model": Spoken(["Hm."], LOCAL),
}


@pytest.mark.parametrize("who", TOOLLESS)
def test_a_seat_that_could_never_leave_is_refused_before_anybody_is_asked(who: str) -> None:
    for name in ("Ada", "Bo"):
        cast: dict[str, Provider] = {"Ada": Scripted([BYE]), "Bo": Scripted([BYE])}
        cast[name] = TOOLLESS[who]
        with pytest.raises(ConfigurationError, match=f"{name} could never call 'leave'"):
            hold(spec(EXIT), cast)


def test_nothing_is_left_behind_where_a_seat_is_refused(tmp_path: Path) -> None:
    cast: dict[str, Provider] = {"Ada": Scripted([BYE]), "Bo": Scripted(["Hm."])}
    with pytest.raises(ConfigurationError, match="Give that 'exit' a 'sentinel' as well"):
        asyncio.run(record(Asked("tea", spec(EXIT)), Library(tmp_path), providers=cast))
    assert list(tmp_path.iterdir()) == []


def test_a_seat_without_tools_may_leave_by_words_and_is_told_to_be_without() -> None:
    either = replace(EXIT, sentinel="[END]")
    cast: dict[str, Provider] = {"Ada": Scripted(["One.", BYE]), "Bo": Scripted(["Hm.\n[END]"])}
    events = hold(spec(either), cast)
    assert (end(events).reason, end(events).by) == (EndReason.EXIT, "Bo")
    edits = [event.edits for event in events if isinstance(event, TurnStarted)]
    assert [[edit.what for edit in each] for each in edits] == [[], ["tools"]]


def test_seats_without_tools_are_warned_of() -> None:
    either = replace(EXIT, phrase="so long")
    assert warnings(spec(either, "human", "openai:gpt-5.2"), {}) == (
        "Ada: human takes no tools, so never leave: it can leave by words only",
    )
    assert warnings(spec(EXIT, "openai:gpt-5.2", "smollm2-135m"), {}) == (
        "Bo: smollm2-135m takes no tools, so never leave: it will be refused a seat",
    )
    assert warnings(spec(s.Exit(), "human", "smollm2-135m"), {}) == ()


def test_a_catalogue_may_say_that_a_model_takes_no_tools(tmp_path: Path) -> None:
    file = tmp_path / "catalog.toml"
    file.write_text('[providers.openai]\nquirks = { tools = "refused" }\n')
    told = warnings(spec(EXIT, "openai:a", "human"), {"DUOLOGUE_CATALOG": str(file)})
    assert [one.split(":")[0] for one in told] == ["Ada", "Bo"]
