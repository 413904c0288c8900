"""Keys that were planted in the environment, and every place in which they must not be found."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from duologue.api import hold
from duologue.cli.app import app
from duologue.core.spec import ConversationSpec, Line, Participant, TurnCap
from duologue.core.specfile import Asked
from duologue.providers.registry import address_variable
from duologue.store.library import Library
from duologue.store.run import Run
from duologue.verify import verify
from hostile import HostileServer, Script

KEYS = {
    "ANTHROPIC_API_KEY": "sk-ant-sentinel-7f3a90",
    "MOONSHOT_API_KEY": "sk-sentinel-moon-1b22c4",
    "GEMINI_API_KEY": "AIza-sentinel-99d0aa",
}
MODELS = ("anthropic:claude-haiku-4-5", "moonshot:kimi-k2.6", "google:gemini-2.5-pro")

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


def spec(server: HostileServer, monkeypatch: pytest.MonkeyPatch) -> ConversationSpec:
    """Three hosted participants whose providers are the hostile server, each with its key."""
    for variable, key in KEYS.items():
        monkeypatch.setenv(variable, key)
    for model in MODELS:
        provider = model.partition(":")[0]
        monkeypatch.setenv(address_variable(provider), server.url(provider))
    seats = tuple(Participant(f"P{at}", model) for at, model in enumerate(MODELS))
    return ConversationSpec(seats, opening=(Line("P2", "Hello."),), ending=(TurnCap(4),))


def files(folder: Path) -> dict[str, bytes]:
    """Everything that is on the disk below ``folder``."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def clean(shown: Sequence[str | bytes]) -> None:
    """None of it holds a key."""
    for text in shown:
        data = text.encode() if isinstance(text, str) else text
        for key in KEYS.values():
            assert key.encode() not in data


async def test_a_conversation_leaves_no_key_in_its_folder_its_proof_or_its_seats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with HostileServer() as server:
        asked = Asked("planted", spec(server, monkeypatch))
        made = await hold(asked, Library(tmp_path))
        sent = {seen.ask.key for seen in server.exchanges if seen.ask}
    assert sent == set(KEYS.values())
    assert len(made.transcript.spoken) == 4
    proof = verify(Run(made.folder))
    assert proof.faults == ()
    clean([*files(tmp_path).values(), repr(proof), repr(made)])


@pytest.mark.parametrize("first", range(3))
async def test_a_key_that_a_provider_echoes_in_an_error_is_not_recorded(
    first: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with HostileServer(Script(default="echoed_key")) as server:
        asked = spec(server, monkeypatch)
        seats = (*asked.participants[first:], *asked.participants[:first])
        opening = (Line(seats[-1].name, "Hello."),)
        asked = ConversationSpec(seats, opening=opening, ending=asked.ending)
        made = await hold(Asked("planted", asked), Library(tmp_path))
    kept = files(tmp_path)
    assert any(b"authentication" in data for data in kept.values())
    clean([*kept.values(), repr(made)])


def test_nothing_that_a_verb_prints_holds_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for scenario in ("plain", "echoed_key"):
        for verb in ("run --json", "run", "show", "verify --json", "list --json", "models --json"):
            words = verb.split()
            if words[0] == "run":
                words += ["-a", MODELS[0], "-b", MODELS[1], "--turns", "2", "--opener", "Hello."]
                words += ["--name", scenario + verb.replace(" ", ""), "--seed", "1"]
            elif words[0] in ("show", "verify"):
                words.append(scenario + "run")
            outcome = asyncio.run(typed(scenario, tmp_path, words, monkeypatch))
            clean([outcome])
            assert (verb != "verify --json") or '"faults":[]' in outcome
    clean(list(files(tmp_path).values()))


async def typed(
    scenario: str, library: Path, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> str:
    """What a verb prints, on both outputs, and what it raised, with the server behind it."""
    async with HostileServer(Script(default=scenario)) as server:
        spec(server, monkeypatch)
        monkeypatch.setenv("DUOLOGUE_LIBRARY", str(library))
        result = await asyncio.to_thread(CliRunner().invoke, app, words)
    assert "No such option" not in result.output
    return result.output + repr(result.exception)
