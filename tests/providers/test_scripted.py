import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from duologue.core.provider import Call, Completion, Delta, Finish, ToolCall
from duologue.core.spec import TurnCap
from duologue.core.state import fold
from duologue.core.wire.tools import takes_tools
from duologue.errors import ConfigurationError, OverloadError, ProviderError
from duologue.providers.scripted import Reply, Scripted, load
from strategies import hold, pair, scripted, texts


def said(provider: Scripted, turns: int) -> list[Delta | Completion]:
    """What is answered to somebody who has spoken so often."""
    own = b",".join([b'{"role":"assistant"}', b'{"role":"user"}'] * turns)
    call = Call(b'{"messages":[' + own + b"]}")

    async def run() -> list[Delta | Completion]:
        return [item async for item in provider.stream(call)]

    return asyncio.run(run())


def test_replies_come_in_order_and_again() -> None:
    events = hold(pair(TurnCap(6)), scripted(Ada=["1", "2"], Ben=["b"]))
    assert [entry.message.text for entry in fold(events).entries] == ["1", "b", "2", "b", "1", "b"]


@given(texts())
def test_the_words_come_one_by_one_and_nothing_is_lost(text: str) -> None:
    *deltas, last = said(Scripted([text], "m"), 0)
    assert last == Completion(text, served="m")
    assert "".join(item.text for item in deltas if isinstance(item, Delta)) == text
    assert all(isinstance(item, Delta) and item.text for item in deltas)


def test_a_reply_may_think_first_and_stop_for_a_reason() -> None:
    provider = Scripted([Reply("a b", Finish.LENGTH, reasoning="hm")], "m")
    assert said(provider, 3) == [
        Delta("hm", reasoning=True),
        Delta("a "),
        Delta("b"),
        Completion("a b", Finish.LENGTH, served="m", reasoning="hm"),
    ]


BYE = Reply("Bye.", calls=(ToolCall("leave"), ToolCall("nuke", "[1]", "i")))


def test_a_script_may_call_tools_and_then_it_takes_them() -> None:
    provider = Scripted([BYE, replace(BYE, finish=Finish.LENGTH)], "m")
    assert said(provider, 0)[-1] == Completion(
        "Bye.", Finish.CALL, served="m", calls=(ToolCall("leave"), ToolCall("nuke", "[1]", "i"))
    )
    assert takes_tools(provider.seat)
    cut = said(provider, 1)[-1]
    assert isinstance(cut, Completion)
    assert (cut.finish, cut.calls) == (Finish.LENGTH, BYE.calls)
    assert not takes_tools(Scripted(["Bye."]).seat)


def test_a_call_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"text": "", "calls": [{"name": "leave"}]}')
    reply = said(load(file), 0)[-1]
    assert isinstance(reply, Completion)
    assert (reply.text, reply.calls) == ("", (ToolCall("leave"),))


def test_a_script_without_calls_is_the_same_model_as_before_there_were_calls() -> None:
    provider = Scripted(["a", Reply("b", Finish.LENGTH, "x"), OverloadError("busy")])
    assert provider.seat.settings == {"script": "0341da858d30b3322fc1acafb0dbd6c3"}
    other = Scripted(["a", Reply("b", Finish.LENGTH, "x", BYE.calls), OverloadError("busy")])
    assert other.seat.settings["script"] != provider.seat.settings["script"]


def test_an_error_in_the_script_is_raised_in_its_turn() -> None:
    provider = Scripted(["a", OverloadError("busy")])
    assert said(provider, 0)[-1] == Completion("a", served="script")
    with pytest.raises(OverloadError, match="busy"):
        said(provider, 1)


def test_a_script_without_replies_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="holds no reply"):
        Scripted([])


def test_a_seat_is_known_by_what_it_will_say() -> None:
    assert Scripted(["a"]).seat == Scripted([Reply("a")]).seat
    different: list[list[str | Reply | ProviderError]] = [
        ["a"],
        ["b"],
        ["a", "a"],
        [Reply("a", Finish.LENGTH)],
        [OverloadError("a")],
        ["\ud83d"],
    ]
    seats = {Scripted(replies).seat.settings["script"] for replies in different}
    assert len(seats) == len(different)


async def test_there_is_nothing_to_let_go_of() -> None:
    provider = Scripted(["a"])
    await provider.aclose()
    stream = provider.stream(Call(b'{"messages":[]}'))
    assert [item async for item in stream] == [Delta("a"), Completion("a", served="script")]


def test_a_script_is_loaded_from_lines(tmp_path: Path) -> None:
    path = tmp_path / "ada.jsonl"
    path.write_bytes(b'"one\\ntwo"\r\n\n{"text": "x", "finish": "length", "reasoning": "hm"}\n')
    assert (
        load(path).seat
        == Scripted(["one\ntwo", Reply("x", Finish.LENGTH, reasoning="hm")], "ada.jsonl").seat
    )


@pytest.mark.parametrize(
    "line",
    [b"3", b"{}", b'{"text": "a", "txet": 1}', b'{"text": "a", "finish": "x"}', b'"', b"\xff"],
)
def test_a_bad_line_is_named(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "ada.jsonl"
    path.write_bytes(b'"fine"\n\n' + line)
    with pytest.raises(ConfigurationError, match=r"ada\.jsonl, line 3: .*JSON string"):
        load(path)


def test_a_line_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ada.jsonl"
    path.write_bytes(b'"caf\xe9"')
    with pytest.raises(ConfigurationError, match="line 1"):
        load(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no\.jsonl cannot be read: No such file"):
        load(tmp_path / "no.jsonl")


def test_an_empty_file_holds_no_reply(tmp_path: Path) -> None:
    path = tmp_path / "ada.jsonl"
    path.write_bytes(b"\n\n")
    with pytest.raises(ConfigurationError, match=r"'ada\.jsonl' holds no reply"):
        load(path)


@given(st.lists(texts(), min_size=1, max_size=3), st.integers(0, 9))
def test_which_reply_comes_is_read_from_the_request_alone(lines: list[str], turn: int) -> None:
    provider = Scripted(lines)
    assert said(provider, turn) == said(Scripted(lines), turn)
    assert said(provider, turn)[-1] == Completion(lines[turn % len(lines)], served="script")
