import asyncio
import os
import pty
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.core.event import AttemptFailed, TurnCompleted
from duologue.core.message import Message, Origin
from duologue.core.provider import Call, Completion, Provider, Seat, Usage
from duologue.core.spec import TurnCap
from duologue.core.state import fold
from duologue.core.transcript import Mark, transcript
from duologue.errors import BrokenStreamError, MalformedReplyError
from duologue.providers.human import PAUSE, Descriptor, Human, Reader, keyboard, show
from duologue.providers.registry import open_model
from duologue.replaying import replay
from strategies import hold, pair, scripted, texts

OWN = b'{"role":"assistant","author":"Zoe","text":"a"}'
ASKED = "Zoe, it is your turn (a line with only '.' or Ctrl-D ends it):\n"


def call(*messages: bytes, system: bytes = b"null") -> Call:
    listed = b",".join(messages)
    return Call(b'{"participant":"Zoe","system":' + system + b',"messages":[' + listed + b"]}")


class Typed:
    """Lines that were typed; ``b""`` among them is Ctrl-D."""

    def __init__(self, *lines: bytes, endless: bool = True) -> None:
        self.lines, self.endless = list(lines), endless

    async def line(self) -> bytes:
        return self.lines.pop(0) if self.lines else b""


async def answer(human: Human, to: Call | None = None) -> Completion:
    (only,) = [item async for item in human.stream(to or call())]
    return only


async def words(*lines: bytes, endless: bool = True) -> str:
    human = Human(reader=Typed(*lines, endless=endless), show=lambda _: None)
    return (await answer(human)).text


async def test_a_person_is_asked_by_name_and_costs_nothing() -> None:
    shown: list[str] = []
    human = Human("zoe", Typed(b"Hello.\n", b".\n"), shown.append)
    reply = await answer(human)
    assert reply == Completion(
        "Hello.", usage=Usage(input=0, output=0), served="zoe", cost=0.0, origin=Origin.HUMAN
    )
    assert human.seat == Seat("human", "zoe")
    assert shown == [ASKED]
    await human.aclose()


async def test_what_the_seat_is_told_is_shown_at_its_first_turn_only() -> None:
    shown: list[str] = []
    human = Human(reader=Typed(b".\n", b".\n"), show=shown.append)
    await answer(human, call(system=b'"Be kind."'))
    await answer(human, call(OWN, system=b'"Be kind."'))
    assert shown == ["Zoe is told:\nBe kind.\n\n" + ASKED, ASKED]


async def test_lines_are_kept_as_they_were_typed() -> None:
    assert await words(b"one\n", b"\n", b"  two \n", b".\n") == "one\n\n  two "
    assert await words(b"one\n", b"") == "one"
    assert await words(b"one\n", b"tw", b"") == "one\ntw"
    assert await words(b"a.\n", b"..\n", b" .\n", b".\n") == "a.\n..\n ."
    assert await words(b"one\r\n", b".\r\n") == "one"


async def test_no_words_are_a_silent_turn() -> None:
    assert await words(b".\n") == ""
    assert await words(b"") == ""
    assert await words(b"\n", b".\n") == ""
    assert await words(b".\n", endless=False) == ""
    assert await words(b".", endless=False) == ""


async def test_a_pipe_that_has_ended_is_nobodys_silence() -> None:
    with pytest.raises(BrokenStreamError, match="nobody is there to answer"):
        await words(endless=False)
    assert await words(b"a\n", endless=False) == "a"


async def test_words_that_are_not_utf_8_are_refused_and_kept() -> None:
    with pytest.raises(MalformedReplyError, match=r"not UTF-8 .* at byte 3") as caught:
        await words(b"caf\xe9\n", b".\n")
    assert caught.value.partial == "caf\\xe9"


class Unplugged(Typed):
    """A keyboard that is pulled out after its lines."""

    async def line(self) -> bytes:
        if not self.lines:
            raise OSError(5, "Input/output error")
        return self.lines.pop(0)


async def test_a_keyboard_that_fails_is_an_error_with_what_had_been_typed() -> None:
    with pytest.raises(BrokenStreamError, match="Input/output error") as caught:
        await answer(Human(reader=Unplugged(b"so\n"), show=lambda _: None))
    assert caught.value.partial == "so"


@given(st.lists(texts().filter(lambda text: not {"\n", "\r"} & set(text) and text != ".")))
def test_every_line_that_can_be_typed_is_on_the_record(lines: list[str]) -> None:
    typed = Typed(*(f"{line}\n".encode() for line in lines), b".\n")
    assert asyncio.run(words(*typed.lines)) == "\n".join(lines)


def people(reader: Reader, **others: list[str]) -> dict[str, Provider]:
    return {"Ada": Human(reader=reader, show=lambda _: None), **scripted(**others)}


async def test_the_record_says_that_a_person_spoke_and_replay_says_so_too() -> None:
    typed = Typed(b"Hi\n", b".\n", b"")
    events = await asyncio.to_thread(hold, pair(TurnCap(4)), people(typed, Ben=["b"]))
    spoken = [event.message for event in events if isinstance(event, TurnCompleted)]
    assert spoken == [
        Message("Ada", "Hi", Origin.HUMAN),
        Message("Ben", "b"),
        Message("Ada", "", Origin.HUMAN),
        Message("Ben", "b"),
    ]
    assert await replay(events, lambda _: None) == len(events)
    marks = transcript(events).spoken[0].marks
    assert marks == (Mark("human", "a person in the seat"),)


def test_a_person_who_is_gone_ends_the_conversation_with_an_error() -> None:
    events = hold(pair(), people(Typed(endless=False), Ben=["b"]))
    (failed,) = (event for event in events if isinstance(event, AttemptFailed))
    assert failed.boundary == "broken_stream"
    assert fold(events).entries == ()


async def test_nobody_else_draws_while_a_person_types() -> None:
    seen: list[str] = []

    @contextmanager
    def pause() -> Iterator[None]:
        seen.append("still")
        yield
        seen.append("on")

    token = PAUSE.set(pause)
    try:
        await answer(Human(reader=Typed(b".\n"), show=lambda _: seen.append("asked")))
    finally:
        PAUSE.reset(token)
    assert seen == ["still", "asked", "on"]


async def test_two_people_are_asked_one_after_the_other() -> None:
    read, write = os.pipe()
    shared, shown = Descriptor(read), list[str]()
    both = [Human(name, shared, shown.append) for name in ("a", "b")]
    waiting = asyncio.gather(*(answer(human) for human in both))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(shown) == 1
    os.write(write, b"one\n.\ntwo\n.\n")
    assert [reply.text for reply in await waiting] == ["one", "two"]
    os.close(read)
    os.close(write)


async def test_a_pipe_may_hold_several_turns_at_once() -> None:
    read, write = os.pipe()
    human = Human(reader=Descriptor(read), show=lambda _: None)
    os.write(write, b"one\n.\ntwo")
    os.close(write)
    assert [(await answer(human)).text, (await answer(human)).text] == ["one", "two"]
    with pytest.raises(BrokenStreamError):
        await answer(human)
    os.close(read)


async def test_a_plain_file_is_read_like_a_pipe(tmp_path: Path) -> None:
    (tmp_path / "typed").write_text("one\n.\n.\n")
    number = os.open(tmp_path / "typed", os.O_RDONLY)
    human = Human(reader=Descriptor(number), show=lambda _: None)
    assert [(await answer(human)).text, (await answer(human)).text] == ["one", ""]
    os.close(number)


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """A person's side of a terminal, and the program's."""
    person, program = pty.openpty()
    yield person, program
    os.close(person)
    os.close(program)


async def test_a_terminal_goes_on_after_ctrl_d_and_stays_as_it_was(
    terminal: tuple[int, int],
) -> None:
    person, program = terminal
    before = termios.tcgetattr(program)
    human = Human(reader=Descriptor(program), show=lambda _: None)
    os.write(person, b"Hel\x7fllo\n\x04")
    assert (await answer(human)).text == "Hello"
    os.write(person, b"\x04")
    assert (await answer(human)).text == ""
    os.write(person, b"more\n.\n")
    assert (await answer(human)).text == "more"
    assert termios.tcgetattr(program) == before


async def test_waiting_for_a_person_can_be_stopped_at_once(terminal: tuple[int, int]) -> None:
    _, program = terminal
    before = termios.tcgetattr(program)
    task = asyncio.create_task(answer(Human(reader=Descriptor(program), show=lambda _: None)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert termios.tcgetattr(program) == before
    assert not asyncio.get_running_loop().remove_reader(program)


async def test_the_seat_is_opened_by_its_name() -> None:
    assert (await open_model("human:")).seat == Seat("human", "terminal")
    assert (await open_model("human:zoe")).seat == Seat("human", "zoe")
    assert keyboard() is keyboard()


def test_the_prompt_is_not_part_of_the_output(capsys: pytest.CaptureFixture[str]) -> None:
    show("asked")
    assert tuple(capsys.readouterr()) == ("", "asked")
