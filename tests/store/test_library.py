"""All runs in one folder, and the way from a short id to a conversation."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.core.event import Event
from duologue.errors import ConfigurationError, StoreError, UnknownIdError
from duologue.store.library import Library, default_path, folder_name, place
from duologue.store.run import Run
from recording import CONV, OTHER, PAIR, log_of, scratch, unsynced, write

NEAR = "lusab-gutih-babad"


@pytest.fixture(autouse=True, scope="module")
def _no_waiting() -> Iterator[None]:
    with unsynced():
        yield


@pytest.fixture
async def events() -> list[Event]:
    return await PAIR.events()


@pytest.fixture
def library() -> Iterator[Library]:
    with scratch() as run:
        yield Library(run.path / "runs")


def test_the_library_lies_where_the_user_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUOLOGUE_LIBRARY", "/data/mine")
    assert Library().path == Path("/data/mine")
    monkeypatch.delenv("DUOLOGUE_LIBRARY")
    monkeypatch.setenv("XDG_DATA_HOME", "/data/xdg")
    assert default_path() == Path("/data/xdg/duologue/runs")
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", "/home/ada")
    assert default_path() == Path("/home/ada/.local/share/duologue/runs")


def test_a_library_that_is_not_there_yet_is_empty(library: Library) -> None:
    assert library.runs() == []
    assert library.listing() == []
    assert list(library.search("anything")) == []
    assert not library.path.exists()


def test_what_is_not_a_run_is_not_listed(library: Library) -> None:
    library.create("a", {})
    (library.path / "folder").mkdir()
    (library.path / "file").touch()
    assert [run.name for run in library.runs()] == ["a"]


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("plain", "plain"),
        ("Zoë 世界", "Zoë-世界"),
        ("a/b\\c:d", "a-b-c-d"),
        ("../../etc", "etc"),
        (".hidden", "hidden"),
        ("--flag", "flag"),
        ("\0\n\t", "run"),
        ("", "run"),
        ("🌊", "run"),
        ("what? *really*", "what-really"),
        ("v1.2+x=y@z", "v1.2+x=y@z"),
        ("é" * 100, "é" * 40),
    ],
)
def test_a_name_becomes_a_folder_that_every_system_takes(
    library: Library, name: str, made: str, events: list[Event]
) -> None:
    run = library.create(name, {})
    assert run.path == library.path / made
    assert [item.name for item in library.runs()] == [made]
    write(run, CONV, events)
    for asked in (made, name) if made != "run" else (made,):
        found, conv = library.find(asked)
        assert (found.path, conv) == (run.path, CONV)


@given(st.text())
def test_no_name_leaves_the_library(name: str) -> None:
    made = folder_name(name)
    assert made
    assert "/" not in made
    assert made not in {".", ".."}
    assert len(made.encode()) <= 80
    assert Path("library", made).parent == Path("library")


def test_two_runs_cannot_have_one_name(library: Library) -> None:
    library.create("a b", {})
    with pytest.raises(StoreError, match="a run named 'a-b' already"):
        library.create("a/b", {})


def test_a_run_is_found_by_the_beginning_of_an_id(library: Library, events: list[Event]) -> None:
    for name, conv in (("one", CONV), ("two", NEAR), ("three", OTHER)):
        write(library.create(name, {}), conv, events)
    for prefix in (CONV, "lusab-b", "lusabb", "LUSAB-BABAD", "lusabbabadgutih", "lusab-ba"):
        run, conv = library.find(prefix)
        assert (run.name, conv) == ("one", CONV)
    assert library.find("t")[1] == OTHER
    assert library.find("two")[1] == NEAR
    assert library.find("three")[0].name == "three"


def test_an_ambiguous_beginning_names_the_choices(library: Library, events: list[Event]) -> None:
    for name, conv in (("one", CONV), ("two", NEAR)):
        write(library.create(name, {}), conv, events)
    with pytest.raises(UnknownIdError, match=f"'lus' could be {CONV}, {NEAR}: type more of it"):
        library.find("lus")


def test_many_choices_are_counted(library: Library, events: list[Event]) -> None:
    run = library.create("one", {})
    for number in range(7):
        write(run, f"lusab-{number}", events)
    with pytest.raises(UnknownIdError, match=r"lusab-0, .*, lusab-4 or 2 more: type more"):
        library.find("lusab")
    with pytest.raises(UnknownIdError, match=r"'one' could be"):
        library.find("one")


@pytest.mark.parametrize("prefix", ["", "-", "--", "zzz", "lusab-babad-gutih-x", "%", "*", "'"])
def test_what_nothing_answers_to_is_said_with_where_to_look(
    library: Library, events: list[Event], prefix: str
) -> None:
    write(library.create("", {}), CONV, events)
    with pytest.raises(UnknownIdError, match=r"no conversation answers to .*'duologue list'"):
        library.find(prefix)


def test_the_whole_of_an_id_counts_before_the_beginning_of_another(
    library: Library, events: list[Event]
) -> None:
    run = library.create("run", {})
    write(run, "lusab", events)
    write(run, "lusab-babad", events)
    assert library.find("lusab")[1] == "lusab"
    write(library.create("tug", {}), CONV, events)
    write(library.create("other", {}), OTHER, events)
    assert library.find("tug")[1] == CONV
    assert library.find("tuga")[1] == OTHER


def test_a_listing_and_a_search_go_through_every_run(library: Library, events: list[Event]) -> None:
    for name, conv in (("one", CONV), ("two", NEAR)):
        write(library.create(name, {}), conv, events)
    assert [(item.run, item.id) for item in library.listing()] == [("one", CONV), ("two", NEAR)]
    found = [(run.name, item.id, item.turn) for run, item in library.search("quoted")]
    assert found == [("one", CONV, 3), ("two", NEAR, 3)]


def test_only_a_run_without_a_record_is_tidied_away(library: Library, events: list[Event]) -> None:
    runs = {name: library.create(name, {}) for name in ("empty", "never", "full", "torn", "aside")}
    with runs["empty"].writing():
        pass
    write(runs["full"], CONV, events)
    log_of(runs["torn"]).write_bytes(b"half a l")
    log_of(runs["aside"]).write_bytes(b"half a l")
    with runs["aside"].writing():
        pass
    for run in runs.values():
        library.tidy(run)
    assert [run.name for run in library.runs()] == ["aside", "full", "torn"]
    assert log_of(runs["full"]).exists()
    library.tidy(Run(library.path / "gone"))  # whatever took it away is the error to be told


@pytest.mark.parametrize(
    ("given", "folder"),
    [
        ("runs", "runs"),
        ("/a:b/c", "/a:b/c"),
        ("file:///shared/runs", "/shared/runs"),
        ("file:/shared/runs", "/shared/runs"),
        ("FILE://localhost/shared/my%20runs", "/shared/my runs"),
    ],
)
def test_a_library_is_named_by_a_path_or_by_the_url_of_a_folder(given: str, folder: str) -> None:
    assert place(given) == Path(folder)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("file://elsewhere/runs", "file:///its/path"),
        ("s3://bucket/runs", r"object store \(s3\)"),
        ("GS://bucket", r"object store \(GS\)"),
    ],
)
def test_what_is_no_file_system_is_refused_by_name(given: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        place(given)


def test_what_a_kill_left_in_the_corner_is_removed_when_the_next_run_is_made(
    library: Library,
) -> None:
    left = library.path / ".new" / "killed"
    left.mkdir(parents=True)
    (left / "experiment.toml").touch()
    with library.corner() as corner:
        assert not left.exists()
        made = corner.create("new", {})
        assert library.runs() == []
        assert made.path.is_dir()
    assert list(library.path.iterdir()) == []


def test_a_run_that_is_being_made_in_the_corner_is_never_removed(library: Library) -> None:
    with library.corner() as first:
        one = first.create("one", {})
        with library.corner() as second:
            two = second.create("two", {})
            assert one.path.is_dir()
        assert one.path.is_dir()
        assert two.path.is_dir()  # left behind: whoever goes last takes it along
    assert list(library.path.iterdir()) == []


def test_a_corner_that_cannot_be_removed_is_no_obstacle(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    (library.path / ".new" / "killed").mkdir(parents=True)
    monkeypatch.setattr("shutil.rmtree", refuse)
    with library.corner() as corner:
        assert corner.create("new", {}).path.is_dir()
