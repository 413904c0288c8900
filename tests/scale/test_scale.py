"""Experiments over worker processes, and what may be spent on them."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from duologue.core.experiment import Experiment, Member
from duologue.core.factors import members
from duologue.core.plan import plan
from duologue.core.provider import Provider
from duologue.core.spec import Budget, ConversationSpec, Participant
from duologue.errors import ConfigurationError, StoreError
from duologue.providers.cast import Cast, seats_alike
from duologue.providers.pacing import Paces
from duologue.providers.scripted import Scripted
from duologue.scale.crew import Crew, How, Worker, _error
from duologue.scale.experiment import Wanted, execution, folder, stored, stored_plan, workers
from duologue.scale.messages import Answer, Ask, Enough, ToWorker, Wait, heard_by_parent, tell
from duologue.scale.processes import Processes
from duologue.scale.purse import Purse
from duologue.scale.wire import Wire
from duologue.scale.worker import Parent
from duologue.store.library import Library
from duologue.store.run import Run
from duologue.store.standing import Dearest, Spend, Standings
from duologue.verify import verify
from recording import folder as single
from scale_parts import scripted


def of_functions(folder: Path, module: str, monkeypatch: pytest.MonkeyPatch) -> Experiment:
    """Both orders of two seats for which ``reply`` of a module in the folder speaks."""
    monkeypatch.setenv("PYTHONPATH", f"{folder}:{os.environ.get('PYTHONPATH', '')}")
    seats = tuple(Member(model=f"function:{module}:reply", name=name) for name in "AB")
    return replace(scripted(folder), participants=seats)


async def _carry_out(run: Run, wanted: Wanted) -> Standings:
    found = stored_plan(run)
    assert found is not None
    with execution(run, found, wanted) as held:
        await held.carry_out()
        return held.standings


async def test_an_experiment_is_held_once_and_what_is_added_is_all_that_is_new(
    tmp_path: Path,
) -> None:
    library, experiment = Library(tmp_path / "runs"), scripted(tmp_path)
    run = folder(library, experiment)
    first = await _carry_out(run, Wanted(workers=2))
    assert sorted(first.of) == sorted(each.id for each in plan(experiment).conversations)
    assert all(each.over for each in first.of.values())
    before = run.lengths()
    await _carry_out(run, Wanted(workers=2))
    assert run.lengths() == before
    more = scripted(tmp_path, replicates=4)
    assert folder(library, more).path == run.path
    assert (run.path / "experiment-1.toml").exists()
    second = await _carry_out(run, Wanted(workers=1))
    assert len(second.of) == len(first.of) + 2
    assert second.spend.turns == first.spend.turns + 2 * 3
    assert verify(run).faults == ()


async def test_only_a_cell_and_only_so_many_are_held(tmp_path: Path) -> None:
    experiment = scripted(tmp_path)
    run, cell = folder(Library(tmp_path / "runs"), experiment), plan(experiment).cells[1].key
    found = await _carry_out(run, Wanted(only=(cell,), most=2))
    ids = {each.id for each in plan(experiment).conversations if each.cell.key == cell}
    assert len(found.of) == 2
    assert found.of.keys() < ids
    with pytest.raises(ConfigurationError, match='no cell "no"; for instance'):
        await _carry_out(run, Wanted(only=("no",)))


async def test_a_budget_that_is_reached_stops_between_turns_and_can_be_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dear.py").write_text(
        "from duologue.core.provider import Completion, Usage\n"
        "def reply(view): return Completion('so', usage=Usage(6, 4), cost=0.5, seconds=60.0)\n"
    )
    experiment = of_functions(tmp_path, "dear", monkeypatch)
    run = folder(Library(tmp_path / "runs"), experiment)
    for budget, spent in (
        (Budget(tokens=45), 40),
        (Budget(tokens=45), 40),  # typed again at its limit it allows nothing more
        (Budget(tokens=50), 50),
        (Budget(usd=3.0), 60),
        (Budget(minutes=7.5), 70),
    ):
        found = await _carry_out(run, Wanted(workers=2, budget=budget))
        assert found.spend.input + found.spend.output == spent
        assert verify(run).faults == ()
    found = await _carry_out(run, Wanted())
    assert all(each.over for each in found.of.values())


@pytest.mark.kill
async def test_a_turn_lost_with_its_worker_is_spent_in_every_later_execution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mortal.py").write_text(
        "import os\n"
        "from duologue.core.provider import Completion, Usage\n"
        "def reply(view):\n"
        "    with open(os.environ['ASKED'], 'ab') as asked:\n"
        "        asked.write(b'.')\n"
        "    if os.path.getsize(os.environ['ASKED']) == 3:\n"
        "        os._exit(1)\n"
        "    return Completion('so', usage=Usage(6, 4), seconds=60.0)\n"
    )
    asked = tmp_path / "asked"
    monkeypatch.setenv("ASKED", str(asked))
    run = folder(Library(tmp_path / "runs"), of_functions(tmp_path, "mortal", monkeypatch))
    for budget in (Budget(tokens=45), Budget(tokens=45), Budget(minutes=4.5)):
        # Side by side, another turn may be granted and not begun when the worker dies.
        found = await _carry_out(run, Wanted(workers=1, at_once=1, budget=budget))
        assert found.unfinished == 1
        assert found.spend.input + found.spend.output == 30
    assert asked.read_bytes() == b"...."


async def test_what_is_being_said_in_an_experiment_can_be_read_beside_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slow.py").write_text(
        "import os\n"
        "from pathlib import Path\n"
        "import duologue.store.live as live\n"
        "live.EVERY_S = 0.0\n"
        "def reply(view):\n"
        "    yield 'so '\n"
        "    for path in Path(os.environ['RUN']).glob('live-*'):\n"
        "        if (now := live.typed(path)) is not None:\n"
        "            with open(os.environ['SEEN'], 'a') as seen:\n"
        "                seen.write(now.text + '|')\n"
        "    yield 'far'\n"
    )
    experiment = of_functions(tmp_path, "slow", monkeypatch)
    run = folder(Library(tmp_path / "runs"), experiment)
    monkeypatch.setenv("RUN", str(run.path))
    monkeypatch.setenv("SEEN", str(tmp_path / "seen"))
    found = await _carry_out(run, Wanted(workers=2))
    assert all(each.over for each in found.of.values())
    # Each worker finds its own first words; of the other's it may find more.
    seen = (tmp_path / "seen").read_text().split("|")[:-1]
    assert "so " in seen
    assert {*seen} <= {"so ", "so far"}
    assert not list(run.path.glob("live-*"))


async def test_a_model_that_cannot_be_asked_stops_everything(tmp_path: Path) -> None:
    experiment = scripted(tmp_path)
    run = folder(Library(tmp_path / "runs"), experiment)
    (tmp_path / "a.jsonl").unlink()
    with pytest.raises(ConfigurationError, match=r"a\.jsonl"):
        await _carry_out(run, Wanted())
    assert not any(run.records())


def test_a_run_of_a_single_conversation_is_no_place_for_an_experiment(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    made = single(tmp_path / "runs" / "tried")
    (made.path / "experiment.toml").write_text('[[participants]]\nname = "A"\nmodel = "x:y"\n')
    assert stored(made) is None
    with pytest.raises(ConfigurationError, match="single conversation"):
        folder(Library(tmp_path / "runs"), scripted(tmp_path))


def test_a_local_model_is_loaded_by_one_worker(tmp_path: Path) -> None:
    experiment = replace(scripted(tmp_path), participants=("smollm2-135m", "qwen2.5-coder-0.5b"))
    chosen = plan(experiment).conversations
    assert workers(chosen, Wanted(), Processes()) == 1
    with pytest.raises(ConfigurationError, match="leave --workers out"):
        workers(chosen, Wanted(workers=2), Processes())


def test_there_are_no_more_workers_than_conversations_to_hold_now(tmp_path: Path) -> None:
    chosen = plan(scripted(tmp_path)).conversations
    for most, count in ((None, len(chosen)), (2, 2)):
        assert workers(chosen, Wanted(workers=99, most=most), Processes()) == count


def test_an_error_of_a_worker_is_the_same_error_here() -> None:
    assert isinstance(_error("ConfigurationError", "no key"), ConfigurationError)
    assert str(_error("NoSuch", "what")) == "what"
    assert isinstance(_error("annotations", "what"), Exception)
    assert str(_error("UnrecordedError", "words")) == "words"
    assert isinstance(_error("StoreError", "full"), StoreError)


async def test_a_worker_that_is_told_enough_begins_nothing_and_still_hears_of_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = list[tuple[tuple[str, ...], float]]()
    monkeypatch.setattr(Paces, "hold", lambda _, whom, seconds: held.append((whom, seconds)))
    ours, theirs = socket.socketpair()
    here, there = await Wire.over(ours), await Wire.over(theirs)
    parent = Parent(there, asks=True)
    listening = asyncio.create_task(parent.listen())
    asked = asyncio.create_task(parent.turn("a"))
    assert await heard_by_parent(here) == Ask("a")
    for message in (Enough(), Answer("a", may=True), Wait(("x",), 2.0)):
        tell(here, message)
    here.close()
    await listening
    assert not await asked, "enough is a no to what was asked before"
    assert not await parent.turn("b")
    assert held == [(("x",), 2.0)], "turns in flight keep the pace that a provider asks for"
    there.close()


class _Up:
    """A line to nobody."""

    up = True


class _Deaf(Worker):
    """A worker without a process."""

    def __init__(self) -> None:
        self.told, self.questions = list[ToWorker](), set()
        self.reach = _Up()  # type: ignore[assignment] # nothing is said over it

    def tell(self, message: ToWorker) -> None:
        self.told.append(message)


class _Asked(Crew):
    """A crew that is asked one thing, and another after it was stopped."""

    async def leave(self, worker: Worker, purse: Purse) -> None:
        self.workers.append(worker)
        async with self._group:
            assert await purse.turn("first")
            self._hear(worker, Ask("a"))
            await asyncio.sleep(0)
            self.stop()
            self._hear(worker, Ask("b"))
            await purse.came("first", {"tokens": 1})


async def test_a_worker_that_leaves_is_granted_nothing_it_has_asked_for(tmp_path: Path) -> None:
    run, purse, leaving = single(tmp_path / "run"), Purse(Budget(tokens=2), Spend()), _Deaf()
    crew = _Asked(run, 0, Standings(run), {}, how=How(1, 1, (1,), Processes()), purse=purse)
    await crew.leave(leaving, purse)
    assert leaving.told == [Enough()]
    async with asyncio.timeout(60):
        assert await purse.turn("c"), "nothing is set aside for a turn that will not be taken"


async def _spend(purse: Purse, conv: str, tokens: float | None) -> bool:
    if not await purse.turn(conv):
        return False
    await purse.came(conv, {"tokens": tokens})
    return True


async def test_a_purse_reckons_the_next_turn_as_dear_as_the_dearest() -> None:
    purse = Purse(Budget(tokens=100), Spend(input=20))
    assert await _spend(purse, "a", 30)
    assert await _spend(purse, "b", 20)
    assert await _spend(purse, "c", 30), "70 are spent, and as dear as the dearest just fits"
    assert not await _spend(purse, "d", 1)


async def test_a_turn_waits_for_those_under_way_before_it_is_refused() -> None:
    purse = Purse(Budget(tokens=100), Spend())
    assert await _spend(purse, "a", 40)
    assert await purse.turn("b")
    waiting = asyncio.create_task(purse.turn("c"))
    await asyncio.sleep(0)
    assert not waiting.done()
    await purse.came("b", {"tokens": 5})
    assert await waiting
    await purse.came("c", None)
    assert purse.spent["tokens"] == 85
    assert not await purse.turn("d")
    assert "85 of 100 tokens" in purse.why


async def test_until_the_first_turn_is_over_there_is_one_at_a_time() -> None:
    purse = Purse(Budget(tokens=100), Spend())
    assert await purse.turn("a")
    waiting = asyncio.create_task(purse.turn("b"))
    await asyncio.sleep(0)
    assert not waiting.done()
    await purse.came("a", {"tokens": 10})
    assert await waiting


@pytest.mark.parametrize("taken", [None, {"tokens": 0}])
async def test_a_first_turn_that_was_lost_or_refused_shows_nothing_of_what_turns_take(
    taken: dict[str, float | None] | None,
) -> None:
    purse = Purse(Budget(tokens=100), Spend())
    assert await purse.turn("a")
    await purse.came("a", taken)
    assert await purse.turn("b")
    waiting = asyncio.create_task(purse.turn("c"))
    await asyncio.sleep(0)
    assert not waiting.done()
    await purse.came("b", {"tokens": 90})
    assert not await waiting


async def test_turns_that_were_lost_are_as_dear_in_the_next_execution() -> None:
    first = Purse(Budget(tokens=100), Spend())
    assert await _spend(first, "a", 30)
    assert await first.turn("b")
    await first.came("b", None)
    assert await _spend(first, "c", 20)
    assert not await first.turn("d")
    again = Purse(Budget(tokens=100), Spend(2, input=50), Dearest(30), lost=1)
    assert again.spent["tokens"] == first.spent["tokens"] == 80
    assert not await again.turn("d")
    assert "80 of 100 tokens are spent, 1 lost in flight taken for the dearest" in again.why


async def test_what_is_not_known_ends_the_spending() -> None:
    purse = Purse(Budget(tokens=100), Spend())
    assert await _spend(purse, "a", None)
    assert not await purse.turn("b")
    assert not await Purse(Budget(usd=1.0), Spend(unpriced=1)).turn("a")


def test_whoever_waits_for_workers_of_a_killed_parent_is_told_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_pid: int, _signal: int) -> None:
        raise ProcessLookupError

    experiment = scripted(tmp_path)
    run = folder(Library(tmp_path / "runs"), experiment)
    monkeypatch.setattr(os, "kill", gone)
    monkeypatch.setattr("duologue.scale.experiment._SOON_S", -1.0)
    told = []
    with ExitStack() as orphans:
        orphans.enter_context(run.held())

        def waiting() -> None:
            told.append("waiting")
            orphans.close()

        with execution(run, plan(experiment), Wanted(workers=1), waiting) as held:
            assert held.sorted().new
    assert told == ["waiting"]


def test_an_engine_has_room_for_the_table_where_its_model_sits_most_often(tmp_path: Path) -> None:
    experiment = replace(scripted(tmp_path), pairs="all")
    one, two = (member.model for member in members(experiment))
    planned = plan(experiment).conversations
    assert seats_alike(each.spec for each in planned) == {one: 2, two: 2}
    cross = (each.spec for each in planned if len({s.model for s in each.spec.participants}) > 1)
    assert seats_alike(cross) == {one: 1, two: 1}


async def test_what_is_kept_room_for_does_not_depend_on_the_first_table(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened = []

    @asynccontextmanager
    async def seated(spec: ConversationSpec) -> AsyncIterator[dict[str, Provider]]:
        opened.append(len(spec.participants))
        yield {seat.name: Scripted(["so"]) for seat in spec.participants}

    monkeypatch.setattr("duologue.providers.cast.seated", seated)
    pair = ConversationSpec(tuple(Participant(name=name, model=f"m:{name}") for name in "ab"))
    async with Cast(4) as cast:
        await cast.of(pair)
    async with Cast(4, {"m:a": 2}) as cast:
        await cast.of(pair)
    assert opened == [4, 4, 8, 4]
