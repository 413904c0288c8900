"""What the pages say of files, verbs, tests and dependencies is held against the project."""

import importlib.util
import re
import shlex
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pages import DOCS, PAGES, ROOT, blocks, prose
from typer.main import get_command

from duologue.cli.app import app
from duologue.core.specfile import read
from duologue.providers.local.models import find
from duologue.providers.registry import split

_LINK = re.compile(r"\]\((?!\w+:)(?P<file>[^)#\s]*)(?:#(?P<anchor>[^)\s]+))?\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_TEST = re.compile(r"`(?P<file>tests/[\w/]+\.py)::(?P<name>test_\w+)`")
_NAME = re.compile(r"^[A-Za-z0-9._-]+")
_SHELL = {"|", ">", ">>", "<", "&&", "&", ";"}

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def script() -> ModuleType:
    """scripts/reference.py as a module."""
    found = importlib.util.spec_from_file_location("reference", ROOT / "scripts" / "reference.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["events.md", "spec-file.md", "cli.md"])
def test_a_generated_page_is_what_the_code_says_now(name: str) -> None:
    remedy = "run: python scripts/reference.py"
    assert (DOCS / name).read_text("utf-8") == script().pages()[name], remedy


def anchors(page: Path) -> set[str]:
    """The places of a page that a link can name."""
    headings = _HEADING.findall(prose(page))
    return {re.sub(r"[^\w\- ]", "", text).strip().lower().replace(" ", "-") for text in headings}


@every_page
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for link in _LINK.finditer(prose(page)):
        target = (page.parent / link["file"]).resolve() if link["file"] else page
        assert target.exists(), f"{page.name}: {link[0]}"
        assert target.is_relative_to(ROOT), f"{page.name}: {link[0]} leads out of the project"
        if link["anchor"] is not None:
            assert link["anchor"] in anchors(target), f"{page.name}: {link[0]}"


@every_page
def test_every_test_that_is_named_is_there(page: Path) -> None:
    for named in _TEST.finditer(page.read_text("utf-8")):
        code = (ROOT / named["file"]).read_text("utf-8")
        assert f"def {named['name']}(" in code, f"{page.name}: {named[0]}"


def commands() -> list[tuple[str, list[str]]]:
    """Every duologue command that a page shows, with its page's name."""
    shown = []
    for page in PAGES:
        for line in "".join(blocks(page, "console")).replace("\\\n", " ").split("\n"):
            words = shlex.split(line[2:], comments=True) if line.startswith("$ ") else []
            if words and Path(words[0]).name == "duologue":
                end = next((at for at, word in enumerate(words) if word in _SHELL), len(words))
                shown.append((page.name, words[1:end]))
    return shown


@pytest.mark.parametrize(("page", "words"), commands(), ids=str)
def test_every_command_that_is_shown_has_real_verbs_and_options(
    page: str, words: list[str]
) -> None:
    group: Any = get_command(app)
    at = next((at for at, word in enumerate(words) if word in group.commands), None)
    before = words[:at]
    assert at is not None or before, f"{page}: no verb in {words}"
    known = {name for each in group.params for name in each.opts} | {"--help"}
    assert {word for word in before if word.startswith("-")} <= known, page
    if at is not None and "--help" not in words:
        group.commands[words[at]].make_context(words[at], words[at + 1 :])


def test_commands_are_shown_at_all() -> None:
    assert len(commands()) > 5


def test_a_command_that_does_not_exist_would_be_found() -> None:
    group: Any = get_command(app)
    with pytest.raises(Exception, match="--no-such-option"):
        group.commands["run"].make_context("run", ["--no-such-option"])


def test_the_example_of_a_spec_file_is_one_that_can_be_held() -> None:
    (text,) = blocks(DOCS / "spec-file.md", "toml")
    asked = read(text, "salon.toml")
    assert asked.name == "salon"
    for seat in asked.spec.participants:
        assert split(seat.model) == ("local", find(seat.model).name)


def declared() -> dict[str, set[str]]:
    """The names of the dependencies, for everybody and for each extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lists = {"everybody": project["dependencies"], **project["optional-dependencies"]}
    return {
        who: {found[0] for item in items if (found := _NAME.match(item))} - {project["name"]}
        for who, items in lists.items()
    }


def test_every_dependency_has_its_reason_and_no_other_is_listed() -> None:
    page = (DOCS / "dependencies.md").read_text("utf-8")
    titles = {"For everybody": "everybody"} | {f"The extra `{who}`": who for who in declared()}
    told = {
        titles[title]: set(re.findall(r"^\| `([\w.-]+)` \|", text, re.MULTILINE))
        for title, text in re.findall(r"^## (.+)\n((?:(?!^## ).*\n)*)", page, re.MULTILINE)
    }
    assert told == declared()


def test_no_public_name_is_missing_from_the_page_of_the_api() -> None:
    import duologue  # noqa: PLC0415 - its names are lazy, and this test is about them

    page = (DOCS / "api.md").read_text("utf-8")
    missing = {name for name in duologue.__all__ if not re.search(rf"\b{name}\b", page)}
    assert missing == set()
