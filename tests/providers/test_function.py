import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Iterator
from pathlib import Path

import pytest
from hypothesis import given

from duologue.core.event import AttemptFailed, EndReason, TurnCompleted
from duologue.core.provider import Call, Completion, Delta, Finish, Seat
from duologue.core.request import Role
from duologue.core.spec import ConversationSpec, Line, Participant, Sampling, TurnCap
from duologue.core.state import fold
from duologue.errors import ConfigurationError
from duologue.providers.function import Function, Said, View, load, look_for
from duologue.providers.registry import open_model
from strategies import hold, pair, scripted, texts

BODY = b'{"model":"f","participant":"Ada","system":null,"sampling":{},"messages":[],"seed":7}'


def still() -> float:
    return 7.0


async def said(provider: Function) -> list[Delta | Completion]:
    return [item async for item in provider.stream(Call(BODY))]


def test_a_function_is_shown_what_its_participant_has_heard_and_said() -> None:
    seen: list[View] = []

    def reply(view: View) -> str:
        seen.append(view)
        return f"{len(view.messages)} messages"

    ada = Participant("Ada", "function:f", system="Count.", sampling=Sampling(temperature=0.0))
    ben = Participant("Ben", "scripted:b")
    spec = ConversationSpec((ada, ben), opening=(Line("Ada", "Hi"),), ending=(TurnCap(3),), seed=3)
    events = hold(spec, {"Ada": Function(reply), **scripted(Ben=["b"])})
    assert fold(events).entries[-1].message.text == "2 messages"
    (view,) = seen
    assert (view.participant, view.system, view.sampling.temperature) == ("Ada", "Count.", 0.0)
    assert view.messages == (Said(Role.OWN, "Ada", "Hi"), Said(Role.OTHER, "Ben", "b"))
    assert view.seed is not None


async def test_text_may_come_in_any_of_the_ways_of_python() -> None:
    async def coroutine(_: View) -> str:
        return "ab"

    def pieces(_: View) -> Iterator[str]:
        yield from ("a", "b")

    async def slow_pieces(_: View) -> AsyncIterator[str]:
        yield "a"
        yield "b"

    whole = Completion("ab", served="function", seconds=0.0)
    assert await said(Function(lambda _: "ab", clock=still)) == [Delta("ab"), whole]
    assert await said(Function(coroutine, clock=still)) == [Delta("ab"), whole]
    assert await said(Function(pieces, clock=still)) == [Delta("a"), Delta("b"), whole]
    assert await said(Function(slow_pieces, clock=still)) == [Delta("a"), Delta("b"), whole]
    assert await said(Function(lambda _: iter(["a", "b"]), clock=still)) == [
        Delta("a"),
        Delta("b"),
        whole,
    ]


class Ready:
    """An async iterator that is no generator."""

    def __init__(self) -> None:
        self.left = ["a"]

    def __aiter__(self) -> "Ready":
        return self

    async def __anext__(self) -> str:
        if not self.left:
            raise StopAsyncIteration
        return self.left.pop()


async def test_an_async_iterator_need_not_be_a_generator() -> None:
    assert await said(Function(lambda _: Ready(), clock=still)) == [
        Delta("a"),
        Completion("a", served="function", seconds=0.0),
    ]


async def test_no_words_are_a_silent_turn() -> None:
    assert await said(Function(lambda _: "", clock=still)) == [
        Completion("", served="function", seconds=0.0)
    ]


async def test_how_long_a_reply_took_is_measured_if_it_does_not_say_so() -> None:
    for reply in (lambda _: "a", lambda _: Completion("a")):
        ticks = iter((1.0, 3.5))
        *_, last = await said(Function(reply, clock=lambda ticks=ticks: next(ticks)))  # type: ignore[misc]
        assert isinstance(last, Completion)
        assert last.seconds == 2.5


async def test_a_completion_is_taken_as_it_is() -> None:
    whole = Completion("a", Finish.REFUSAL, seconds=3.0, detail="no", reasoning="hm")

    async def later(_: View) -> Completion:
        return whole

    assert await said(Function(lambda _: whole, clock=still)) == [whole]
    assert await said(Function(later, clock=still)) == [whole]


async def test_an_unfinished_stream_closes_the_generator() -> None:
    closed = []

    def pieces(_: View) -> Iterator[str]:
        try:
            yield "a"
            yield "b"
        finally:
            closed.append("sync")

    async def slow_pieces(_: View) -> AsyncGenerator[str, None]:
        try:
            yield "a"
            yield "b"
        finally:
            closed.append("async")

    for provider in (Function(pieces), Function(slow_pieces)):
        stream = provider.stream(Call(BODY))
        assert await anext(stream) == Delta("a")
        await stream.aclose()
        await provider.aclose()
    assert closed == ["sync", "async"]


@given(texts())
def test_no_character_is_changed_on_the_way_to_the_record(text: str) -> None:
    events = hold(pair(TurnCap(1)), {"Ada": Function(lambda _: text), **scripted(Ben=["b"])})
    assert [event.message.text for event in events if isinstance(event, TurnCompleted)] == [text]


def broken(_: View) -> str:
    raise LookupError("no such word")


def odd(_: View) -> Iterator[str]:
    yield "a"
    yield 3  # type: ignore[misc] # on purpose


def nothing(_: View) -> Awaitable[str]:
    return None  # type: ignore[return-value] # on purpose


@pytest.mark.parametrize(
    ("reply", "detail", "partial"),
    [
        (broken, "LookupError: no such word", ""),
        (odd, "TypeError: the function gave a int", "a"),
        (nothing, "TypeError: the function gave a NoneType", ""),
    ],
)
def test_what_a_function_does_wrong_is_a_fact(reply: object, detail: str, partial: str) -> None:
    providers = {"Ada": Function(reply), **scripted(Ben=["b"])}  # type: ignore[arg-type]
    events = hold(pair(), providers)
    (failed,) = (event for event in events if isinstance(event, AttemptFailed))
    assert (failed.boundary, failed.partial) == ("bug", partial)
    assert failed.detail.startswith(detail)
    ended = fold(events).ended
    assert ended is not None
    assert ended.reason is EndReason.ERROR


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, from which nothing stays imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each])
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    return tmp_path


async def test_a_function_is_found_by_its_name(here: Path) -> None:
    code = "class Box:\n    @staticmethod\n    def say(view):\n        return 'found'\n"
    (here / "my_models.py").write_text(code)
    provider = await open_model("function:my_models:Box.say")
    assert provider.seat == Seat("function", "my_models:Box.say")
    items = [item async for item in provider.stream(Call(BODY))]
    assert items[0] == Delta("found")
    assert "" not in sys.path


def test_a_path_that_already_begins_here_is_left_so(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "more_models.py").write_text("say = str\n")
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    assert load("more_models:say").seat.model == "more_models:say"
    assert sys.path[0] == ""


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "names no callable: write function:package.module:attribute"),
        ("json", "names no callable"),
        ("json:", "names no callable"),
        (":dumps", "names no callable"),
        ("no_such_module:f", "'no_such_module' cannot be imported: ModuleNotFoundError"),
        ("failing:f", "'failing' cannot be imported: ZeroDivisionError: .* Install it, or run"),
        ("json:dunps", "json has no 'dunps': check the spelling"),
        ("json:dumps.x", "dumps has no 'x'"),
        ("math:pi", "is a float and cannot be called"),
        ("math:pi.x", "float has no 'x'"),
    ],
)
def test_a_name_that_leads_nowhere_is_told_with_its_remedy(
    here: Path, name: str, message: str
) -> None:
    (here / "failing.py").write_text("1 / 0\n")
    with pytest.raises(ConfigurationError, match=message):
        load(name)


@pytest.mark.parametrize("name", ["json.gone:f", "failing.deeper:f", "__main__:f", "failing:f"])
def test_a_module_is_looked_for_without_running_it(here: Path, name: str) -> None:
    (here / "failing.py").write_text("1 / 0\n")
    look_for(name)
    assert "failing" not in sys.modules


@pytest.mark.parametrize("name", ["no_such_module:f", "no_such.module:f", ".near:f"])
@pytest.mark.usefixtures("here")
def test_a_module_whose_first_name_is_nowhere_is_told(name: str) -> None:
    with pytest.raises(
        ConfigurationError, match=r"there is no module '.*': install it, or run whe"
    ):
        look_for(name)
