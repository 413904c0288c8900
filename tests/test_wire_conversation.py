"""Whole conversations over HTTP: what was received is, to the byte, what the log makes again."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from duologue.api import hold
from duologue.core.event import TurnCompleted, TurnStarted
from duologue.core.message import silence
from duologue.core.provider import Usage
from duologue.core.rebuild import rebuild
from duologue.core.spec import ConversationSpec, Line, Participant, Sampling, TurnCap
from duologue.core.specfile import Asked
from duologue.providers.local.fetch import path_of
from duologue.providers.local.models import DEFAULT_PAIR, find
from duologue.providers.registry import address_variable
from duologue.replaying import replay
from duologue.store.library import Library
from duologue.store.run import Run
from duologue.verify import verify
from hostile import HostileServer, Script
from hostile.holding import on_disk

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

ANTHROPIC, MOONSHOT = "sk-ant-sentinel-5c01e2", "sk-sentinel-moon-90afb3"
STAND_IN = "(no words)"
SILENT = ("", " \n\t", "\u200b")
WORDS = {
    ANTHROPIC: ("I read about tides.", "", "Zoë, 世界 🌊 and \0.", "\u200b", "Once more."),
    MOONSHOT: ("And what of them?", " \n\t", "<|im_end|>\nHm.", ""),
}
_SERVER = Path(__file__).with_name("engine_server.py")


def spec_file(folder: Path) -> Path:
    """What the command line has no option for: the stand-in for silence."""
    file = folder / "tides.toml"
    seats = "".join(f'[[participants]]\nname = "{name}"\nmodel = "human"\n\n' for name in "AB")
    file.write_text(f'stand_in = "{STAND_IN}"\nturns = 49\nseed = 7\n\n{seats}')
    return file


async def typed(words: Sequence[str | Path], environ: dict[str, str]) -> str:
    """What the command prints, run as a user runs it."""
    source = str(Path(__file__).parents[1] / "src")
    command = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "duologue",
        *words,
        env={"PYTHONPATH": source, "PATH": os.environ["PATH"], **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, told = await command.communicate()
    assert command.returncode == 0, told.decode()
    return out.decode()


@pytest.mark.parametrize("way", ["--stream", "--no-stream"])
async def test_49_messages_between_anthropic_and_moonshot_are_received_as_the_log_makes_them(
    way: str, tmp_path: Path
) -> None:
    async with HostileServer(Script(words=WORDS, keys=frozenset(WORDS))) as server:
        environ = {
            "HOME": str(tmp_path),
            "DUOLOGUE_LIBRARY": str(tmp_path / "library"),
            "ANTHROPIC_API_KEY": ANTHROPIC,
            "MOONSHOT_API_KEY": MOONSHOT,
            address_variable("anthropic"): server.url("anthropic"),
            address_variable("moonshot"): server.url("moonshot"),
        }
        models = ("-a", "anthropic:claude-opus-5", "-b", "moonshot:kimi-k2.6")
        opener = ("--opener", "Good evening.", "--name", "tides", "--quiet", way)
        await typed(["run", spec_file(tmp_path), *models, *opener], environ)
        proof = await typed(["verify", "tides", "--json"], environ)
        exchanges = list(server.exchanges)
    assert '"faults":[]' in proof
    events = [record.event for record in Run(tmp_path / "library" / "tides").records()]
    assert {seen.scenario for seen in exchanges} == {"plain"}  # nothing was refused
    assert [seen.body for seen in exchanges] == [again.wire.body for again in rebuild(events)]
    said = [event.message.text for event in events if isinstance(event, TurnCompleted)]
    assert said == [seen.truth.text for seen in exchanges]
    assert len(said) == 48  # and the opener
    assert {text for text in said if silence(text)} == set(SILENT)
    edits = [event.edits for event in events if isinstance(event, TurnStarted)]
    stood_in = [sum(edit.what == "stand_in" for edit in each) for each in edits]
    assert stood_in == [sum(map(bool, map(silence, said[:at]))) for at in range(48)]
    kept = on_disk(tmp_path)
    assert not any(key.encode() in kept for key in WORDS)


@asynccontextmanager
async def served(model: str) -> AsyncIterator[str]:
    """The base URL of the engine's own server with a local model."""
    known = find(model)
    server = await asyncio.create_subprocess_exec(
        sys.executable,
        _SERVER,
        path_of(model),
        known.name,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        yield (await server.stdout.readline()).decode().strip()
    finally:
        server.stdin.close()
        await server.wait()


@pytest.mark.local
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
async def test_two_real_models_talk_through_a_server_that_somebody_else_wrote(
    *, stream: bool, tmp_path: Path
) -> None:
    one, other = DEFAULT_PAIR
    async with served(one) as here, served(other) as there:
        seats = tuple(
            Participant(name, f"llama.cpp:{model}", base_url=url, stream=stream,
                        sampling=Sampling(temperature=0.8, max_tokens=12))
            for name, model, url in (("Ada", one, here), ("Bo", other, there))
        )  # fmt: skip
        opening = (Line("Ada", "Good evening. What have you been reading?"),)
        spec = ConversationSpec(seats, opening=opening, ending=(TurnCap(20),), seed=7)
        made = await hold(Asked("tea", spec), Library(tmp_path))
    events = Run(made.folder).events(made.id)
    turns = [event for event in events if isinstance(event, TurnCompleted)]
    assert len(turns) == 19
    assert [turn.served for turn in turns] == [(other, one)[at % 2] for at in range(19)]
    assert all(turn.usage.input and turn.usage != Usage() for turn in turns)
    assert all((turn.cost, turn.seconds is not None) == (0.0, True) for turn in turns)
    assert any(turn.message.text for turn in turns)
    assert verify(Run(made.folder)).faults == ()
    assert await replay(events, lambda _item: None) == len(events)
    taken = sum(turn.seconds or 0 for turn in turns)
    read = sum(turn.usage.input or 0 for turn in turns)
    cached = sum(turn.usage.cached or 0 for turn in turns)
    print(f"19 turns, {taken:.1f} s, {sum(t.usage.output or 0 for t in turns)} tokens said, "  # noqa: T201 - figures, with -s
          f"{read} read, {cached} of them cached")  # fmt: skip
