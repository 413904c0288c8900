import importlib
import shutil
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from duologue.core.event import TurnCompleted
from duologue.core.provider import Seat
from duologue.core.spec import Line, TurnCap
from duologue.errors import AuthenticationError, ConfigurationError
from duologue.providers.plugins import Plugin, names, open_plugin, plugins
from duologue.providers.registry import open_model, split
from strategies import facts, pair

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "tests" / "plugin_example"
PAGE = (ROOT / "docs" / "plugins.md").read_text("utf-8")

Install = Callable[..., None]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path; what is imported from it does not stay."""
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.fixture
def install(site: Path) -> Install:
    """Install a distribution with one module and one entry point."""

    def put(entry: str, code: str = "", dist: str = "thing", version: str = "1.0") -> None:
        (site / f"{dist}_code.py").write_text(code)
        info = site / f"{dist}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[duologue.providers]\n{entry}\n")
        importlib.invalidate_caches()

    return put


GOOD = """
from duologue.core.provider import Completion, Seat

class Thing:
    def __init__(self, model):
        self.seat = Seat("thing", model)
    async def stream(self, call):
        yield Completion("thing")
    async def aclose(self):
        pass

def open(model):
    return Thing(model)

async def later(model):
    return Thing(model)
"""


def install_example(site: Path) -> None:
    """What pip would put there: the package, and what its project file says of it."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text("utf-8"))["project"]
    name, version = project["name"], project["version"]
    shutil.copytree(EXAMPLE / "src", site, dirs_exist_ok=True)
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    groups = project["entry-points"].items()
    lines = [f"[{group}]\n{key} = {value}\n" for group, of in groups for key, value in of.items()]
    (info / "entry_points.txt").write_text("".join(lines))
    importlib.invalidate_caches()


async def test_the_example_is_installed_and_holds_a_conversation(site: Path) -> None:
    install_example(site)
    assert Plugin("echo", "duologue-echo 1.0") in plugins()
    assert split("echo:upper") == ("echo", "upper")
    providers = {"Ada": await open_model("echo:upper"), "Ben": await open_model("echo:lower")}
    spec = pair(TurnCap(4), opening=(Line("Ada", "Hello."),))
    events = await facts(spec, providers)
    said = [event.message.text for event in events if isinstance(event, TurnCompleted)]
    assert said == ["hello.", "HELLO.", "hello."]
    for provider in providers.values():
        await provider.aclose()
    with pytest.raises(ConfigurationError, match="echo has no model 'x'; it has: upper, lower"):
        await open_model("echo:x")


@pytest.mark.parametrize("file", ["pyproject.toml", "src/duologue_echo/__init__.py"])
def test_the_page_shows_the_very_files_of_the_example(file: str) -> None:
    tongue = "toml" if file.endswith("toml") else "python"
    assert f"```{tongue}\n{(EXAMPLE / file).read_text('utf-8')}```\n" in PAGE


@pytest.mark.parametrize("name", ["open", "later"])
async def test_a_plug_in_opens_models_at_once_or_later(install: Install, name: str) -> None:
    install(f"thing = thing_code:{name}", GOOD)
    assert "thing" in names()
    assert (await open_plugin("thing", "a:b")).seat == Seat("thing", "a:b")


async def test_a_built_in_provider_wins(install: Install) -> None:
    install("human = thing_code:open", GOOD)
    assert "human" in names()
    assert (await open_model("human:zoe")).seat == Seat("human", "zoe")


async def test_nobody_brings_an_unknown_provider(install: Install) -> None:
    install("thing = thing_code:open", GOOD)
    with pytest.raises(ConfigurationError, match="no plug-in brings the provider 'other'"):
        await open_plugin("other", "m")
    with pytest.raises(ConfigurationError, match=r"unknown provider 'thnig'.*thing"):
        split("thnig:m")


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("1 / 0", "cannot be imported: ZeroDivisionError: division by zero"),
        ("import no_such_module", "cannot be imported: ModuleNotFoundError: No module named"),
        ("", "cannot be imported: AttributeError"),
        ("open = 3", "is a int, not a callable open\\(model\\)"),
        ("def open(model): return 3", "opened a int, which has not seat, stream, aclose"),
        (GOOD + "    return 3\n", ""),
        (GOOD.replace("aclose", "close"), "opened a Thing, which has not seat, stream, aclose"),
        (GOOD.replace('Seat("thing"', 'Seat("openai"'), "opened a seat of 'openai'"),
        ("def open(model): raise KeyError(model)", "cannot open 'm': KeyError: 'm'"),
    ],
)
async def test_what_a_plug_in_does_wrong_is_told_by_its_name(
    install: Install, code: str, problem: str
) -> None:
    install("thing = thing_code:open", code, version="2.1")
    if not problem:
        assert (await open_plugin("thing", "m")).seat.model == "m"
        return
    whose = r"the plug-in 'thing' \(thing_code:open\) of thing 2\.1 "
    with pytest.raises(ConfigurationError, match=whose + problem) as caught:
        await open_plugin("thing", "m")
    assert str(caught.value).endswith("Update or uninstall thing")


async def test_an_error_with_a_name_of_ours_keeps_it(install: Install) -> None:
    code = "from duologue.errors import *\ndef open(model): raise AuthenticationError('no key')"
    install("thing = thing_code:open", code)
    with pytest.raises(AuthenticationError, match="no key"):
        await open_plugin("thing", "m")


async def test_a_broken_plug_in_stands_in_nobody_elses_way(install: Install) -> None:
    install("thing = thing_code:open", GOOD)
    install("broken = broken_code:open", "1 / 0", dist="broken")
    assert (await open_plugin("thing", "m")).seat.provider == "thing"
    good, bad = (each for each in reversed(plugins()) if each.name in ("thing", "broken"))
    assert good == Plugin("thing", "thing 1.0")
    assert bad.distribution == "broken 1.0"
    assert bad.problem is not None
    assert "ZeroDivisionError" in bad.problem


async def test_two_that_bring_one_name_are_both_named(install: Install) -> None:
    install("thing = thing_code:open", GOOD)
    install("thing = other_code:open", GOOD, dist="other", version="3")
    with pytest.raises(ConfigurationError, match=r"other 3 and thing 1\.0 each bring a provider"):
        await open_plugin("thing", "m")
    assert [each.problem is None for each in plugins() if each.name == "thing"] == [False]


async def test_a_distribution_met_twice_on_the_path_counts_once(
    install: Install,
    site: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install("thing = thing_code:open", GOOD)
    again = tmp_path_factory.mktemp("again")
    shutil.copytree(site, again, dirs_exist_ok=True)
    monkeypatch.syspath_prepend(str(again))
    assert (await open_plugin("thing", "m")).seat.model == "m"


async def test_an_entry_point_without_a_distribution_can_be_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from importlib.metadata import EntryPoint  # noqa: PLC0415 - only here

    lone = EntryPoint("lone", "no_such_module:open", "duologue.providers")
    monkeypatch.setattr("duologue.providers.plugins.entry_points", lambda **_: [lone])
    with pytest.raises(ConfigurationError, match="of an unknown distribution cannot be imported"):
        await open_plugin("lone", "m")
