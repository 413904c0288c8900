"""The library, runs, comparison and branches: what they list, and odd questions."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Any

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import checks
from schemathesis.core.result import Ok
from schemathesis.specs.openapi import checks as openapi
from starlette.testclient import TestClient

from duologue.catalogue import keeping, shape
from duologue.catalogue.asking import Wanted, choices, part
from duologue.catalogue.keeping import CATALOGUE_FILE, Catalogue
from duologue.catalogue.taking_in import Sizes
from duologue.core.branch import branch
from duologue.core.experimentfile import document, read
from duologue.core.state import fold
from duologue.endings.edition import edition
from duologue.errors import UnknownIdError
from duologue.store.library import Library
from duologue.store.run import Run
from duologue.web.answering import TEMPLATES
from duologue.web.app import path_of, room, warm
from duologue.web.pages.compare import pieces
from duologue.web.shelf import again
from recording import CONV, OTHER, PAIR, TRIO, Play, hold, write
from web.rooms import patient, tried

BRANCH = "babad-babad-babad"
SIDES = ("left", "right")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """Two conversations in a run each, and a branch of the first."""
    made = Library(tmp_path_factory.mktemp("library"))
    asyncio.run(hold(made.create("one", {"name": "<b>one</b>"}), PAIR, CONV))
    asyncio.run(hold(made.create("two", {"name": "two"}), TRIO, OTHER))
    events = made.find(CONV)[0].events(CONV)
    started = fold(events).begun()
    facts = branch(events, CONV, 2, spec=started.spec, seats=started.seats)
    write(made.create(BRANCH, {"name": "branch"}), BRANCH, facts)
    return made


@pytest.fixture(scope="module")
def reader(library: Library) -> TestClient:
    app = room(library)
    app.state.catalogue.settle()
    return TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=True)


def ids(library: Library, wanted: Wanted) -> set[str]:
    catalogue = Catalogue(library)
    catalogue.settle()
    found = catalogue.ask(lambda db: part(db, wanted))
    return {book.conversation.id for book in found.books}


def test_the_catalogue_lists_what_the_runs_own_lists_hold(library: Library) -> None:
    assert ids(library, Wanted()) == {item.id for item in library.listing()}


def test_words_and_filters_find_the_conversations_that_have_them(library: Library) -> None:
    assert ids(library, Wanted(words="quoted")) >= {CONV}
    assert OTHER not in ids(library, Wanted(words="quoted"))
    assert ids(library, Wanted(who="cY")) == {OTHER}
    assert ids(library, Wanted(words="quoted", least=1000)) == set()
    assert ids(library, Wanted(since="2026-01-02", until="2026-01-02", run="two")) == {OTHER}


def test_a_catalogue_that_is_deleted_comes_back_and_a_run_that_is_removed_goes(
    tmp_path: Path,
) -> None:
    made = Library(tmp_path)
    asyncio.run(hold(made.create("one", {"name": "one"}), PAIR, CONV))
    asyncio.run(hold(made.create("two", {"name": "two"}), TRIO, OTHER))
    assert ids(made, Wanted()) == {CONV, OTHER}
    (tmp_path / CATALOGUE_FILE).write_bytes(
        b"not a database, and long enough to be seen as none" * 99
    )
    catalogue = Catalogue(made)
    assert catalogue.ask(lambda db: part(db, Wanted())) is not None
    for path in (tmp_path / "two").iterdir():
        path.unlink()
    (tmp_path / "two").rmdir()
    assert ids(made, Wanted()) == {CONV}


def test_a_new_catalogue_that_another_opens_at_the_same_time_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Library(tmp_path)
    asyncio.run(hold(made.create("one", {"name": "one"}), PAIR, CONV))
    other = sqlite3.connect(
        tmp_path / CATALOGUE_FILE, isolation_level=None, check_same_thread=False
    )
    other.execute("BEGIN EXCLUSIVE")
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if other.in_transaction:
            other.execute("ROLLBACK")

    monkeypatch.setattr(keeping, "_BUSY_MS", 0)
    monkeypatch.setattr("duologue.catalogue.keeping.time.sleep", wait)
    with closing(other):
        assert ids(made, Wanted()) == {CONV}
    assert len(waits) == 1
    assert (tmp_path / CATALOGUE_FILE).stat().st_size > 0


def test_labels_of_other_detectors_are_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Library(tmp_path)
    asyncio.run(hold(made.create("one", {"name": "one"}), PAIR, CONV))
    monkeypatch.setattr(shape, "edition", lambda: edition() ^ 1)
    assert ids(made, Wanted()) == {CONV}
    with closing(sqlite3.connect(tmp_path / CATALOGUE_FILE)) as db, db:
        db.execute("UPDATE conversation SET strip = 'old'")
    assert _strip(made) == "old"
    monkeypatch.undo()
    assert _strip(made) != "old"


def _strip(library: Library) -> str:
    """The strip of a library's one conversation, as its catalogue has it."""
    catalogue = Catalogue(library)
    catalogue.settle()
    return catalogue.ask(lambda db: part(db, Wanted())).books[0].conversation.strip


def test_a_conversation_that_grows_is_brought_up_to_date_from_where_it_was_read(
    tmp_path: Path,
) -> None:
    made = Library(tmp_path)
    events = asyncio.run(PAIR.events())
    run = made.create("one", {"name": "one"})
    write(run, CONV, events[:4])
    catalogue = Catalogue(made)
    catalogue.settle()
    before = catalogue.ask(lambda db: part(db, Wanted())).books[0].conversation
    write(run, CONV, events[4:])
    catalogue.settle()
    after = catalogue.ask(lambda db: part(db, Wanted())).books[0].conversation
    assert (before.key, len(fold(events).entries)) == (after.key, after.turns)
    assert before.turns < after.turns == len(after.strip)


def test_every_page_has_its_data_as_json_at_the_same_address(reader: TestClient) -> None:
    for path in (
        "/",
        "/runs",
        "/r/one",
        f"/c/{BRANCH}/branches",
        f"/compare?left={CONV}&right={BRANCH}",
    ):
        page = reader.get(path)
        data = reader.get(path, headers={"Accept": "application/json"})
        assert (page.status_code, data.status_code) == (200, 200), path
        assert page.headers["content-type"].startswith("text/html")
        assert isinstance(data.json(), dict)


def test_a_branch_and_its_parent_are_aligned_at_the_fork(reader: TestClient) -> None:
    data = reader.get(f"/compare.json?left={CONV}&right={BRANCH}").json()
    assert (data["fork"], data["common"]) == (2, 2)
    assert [row["same"] for row in data["rows"]][:1] == [True]


def test_a_speaker_has_one_colour_on_both_sides_when_the_seats_are_swapped(tmp_path: Path) -> None:
    library = Library(tmp_path)
    seats = PAIR.spec.participants
    swapped = Play(msgspec.structs.replace(PAIR.spec, participants=seats[::-1]), PAIR.lines)
    asyncio.run(hold(library.create("one", {}), PAIR, CONV))
    asyncio.run(hold(library.create("two", {}), swapped, OTHER))
    app = room(library)
    app.state.catalogue.settle()
    asked = TestClient(app, base_url="http://127.0.0.1")
    data = asked.get("/compare.json", params={"left": CONV, "right": OTHER, "from": 1}).json()
    names = [{each["name"]: each["colour"] for each in data[side]["names"]} for side in SIDES]
    assert names[0] == names[1]
    for row in data["rows"]:
        for side in filter(None, (row[side] for side in SIDES)):
            assert side["colour"] == names[0][side["author"]]


def test_a_tree_holds_a_parent_before_its_branches(reader: TestClient) -> None:
    nodes = reader.get(f"/c/{BRANCH}/branches.json").json()["nodes"]
    assert [(node["id"], node["depth"], node["fork"]) for node in nodes] == [
        (CONV, 0, None),
        (BRANCH, 1, 2),
    ]


@given(one=st.text(max_size=80), other=st.text(max_size=80))
def test_the_pieces_of_a_message_are_the_message(one: str, other: str) -> None:
    ours, theirs = pieces(one, other)
    assert "".join(piece.text for piece in ours) in {"", one}
    assert "".join(piece.text for piece in theirs) in {"", other}


NAMES = ("words", "who", "pair", "policy", "run", "state", "since", "until", "least", "before")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    query=st.dictionaries(st.sampled_from(NAMES), st.text(st.characters(exclude_categories=["Cs"])))
)
def test_no_query_of_the_library_breaks_it(reader: TestClient, query: dict[str, str]) -> None:
    assert reader.get("/index.json", params=query).status_code in {200, 400}
    assert reader.get("/", params=query).status_code in {200, 400}


@pytest.mark.parametrize(
    "name", ["..%2f..%2fetc%2fpasswd", "%00", "%ff", ".", "a" * 5000, "<script>", "one%2flog-1"]
)
def test_a_runs_name_is_no_path(reader: TestClient, name: str) -> None:
    assert reader.get(f"/r/{name}").status_code in {404, 400}


def test_names_and_snippets_are_text(tmp_path: Path) -> None:
    made = Library(tmp_path)
    asyncio.run(hold(made.create("one", {"name": "one"}), PAIR, CONV))
    app = room(made)
    app.state.catalogue.settle()
    asked = TestClient(app, base_url="http://127.0.0.1")
    page = asked.get("/", params={"words": "quoted", "who": '"><script>alert(1)</script>'}).text
    assert "<script>alert" not in page


def test_the_described_interface_answers_as_described(library: Library) -> None:
    """Fuzzed from the room's own OpenAPI description; 400 is an answer that it declares."""
    app = room(library)
    app.state.catalogue.settle()
    asked = TestClient(app, base_url="http://127.0.0.1")
    schema = schemathesis.openapi.from_dict(asked.get("/openapi.json").json())
    schema.app = app
    held = [
        checks.not_a_server_error,
        openapi.status_code_conformance,
        openapi.content_type_conformance,
        openapi.response_schema_conformance,
    ]
    for found in schema.get_all_operations():
        assert isinstance(found, Ok)

        @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
        @given(case=found.ok().as_strategy())
        def fuzz(case: Any) -> None:
            case.call_and_validate(base_url="http://127.0.0.1", checks=held)

        fuzz()


def test_an_experiment_lies_in_its_own_cells_and_says_how_many_are_to_come(tmp_path: Path) -> None:
    library = tried(tmp_path)
    app = room(library)
    app.state.catalogue.settle()
    asked = TestClient(app, base_url="http://127.0.0.1")
    data = asked.get("/r/tried.json").json()
    assert data["factors"] == ["ending"]
    assert data["columns"] == ["cap", "out"]
    assert (data["conversations"], data["planned"]) == (2, 8)
    assert [(cell["n"], cell["planned"]) for cell in data["cells"]] == [
        (1, 2),
        (1, 2),
        (0, 2),
        (0, 2),
    ]
    key = data["cells"][0]["key"]
    chosen = asked.get("/r/tried.json", params={"cell": key}).json()
    assert chosen["chosen"] == key
    assert len(chosen["listed"]) == 1
    assert f"/c/{chosen['listed'][0]['id']}" in asked.get("/r/tried", params={"cell": key}).text
    assert asked.get("/r/tried.json", params={"cell": "none"}).json()["listed"] == []
    assert "duologue resume <bdi>tried</bdi></code> goes on" in asked.get("/r/tried").text


def test_a_conversation_is_read_without_the_others_of_its_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Library(tmp_path)
    run = made.create("both", {"name": "both"})
    asyncio.run(hold(run, PAIR, CONV))
    asyncio.run(hold(run, TRIO, OTHER))
    app = room(made)
    app.state.catalogue.settle()
    monkeypatch.setattr(Run, "conversation", _never)
    monkeypatch.setattr(Library, "listing", _never)
    asked = TestClient(app, base_url="http://127.0.0.1")
    assert asked.get(f"/c/{CONV}.json").json()["head"]["id"] == CONV
    assert asked.get(f"/c/{CONV[:8]}", follow_redirects=False).headers["location"] == f"/c/{CONV}"
    assert asked.get("/c/both").status_code == 404
    assert "could be" in asked.get("/c/both").text


def _never(*_: object) -> None:
    raise AssertionError("everything was read")


@pytest.mark.parametrize("path", [f"/c/{CONV}", "/r/late"])
def test_what_has_just_begun_is_found_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    made = Library(tmp_path)
    app = room(made)
    app.state.catalogue.settle()
    asked = TestClient(app, base_url="http://127.0.0.1")
    assert asked.get(path).status_code == 404
    asyncio.run(hold(made.create("late", {"name": "late"}), PAIR, CONV))
    app.state.catalogue._due = float("inf")  # noqa: SLF001 - it has just looked
    monkeypatch.setattr(keeping, "PATIENCE_S", 60.0)
    assert asked.get(path).status_code == 200


def test_an_edited_record_is_shown_and_said_to_be_edited(tmp_path: Path) -> None:
    made = Library(tmp_path)
    run = made.create("one", {"name": "one"})
    asyncio.run(hold(run, PAIR, CONV))
    log = run.segments()[0]
    app = room(made)
    app.state.catalogue.settle()
    log.write_bytes(log.read_bytes().replace(b"quoted", b"edited", 1))
    page = TestClient(app, base_url="http://127.0.0.1").get(f"/c/{CONV}").text
    assert "The record was edited" in page
    assert "is not as it was written" in page


def test_what_another_process_took_in_is_noticed(tmp_path: Path) -> None:
    library = Library(tmp_path)
    asyncio.run(hold(library.create("one", {}), PAIR, CONV))
    ours, theirs = Catalogue(library), Catalogue(library)
    ours.settle()
    assert ours.remembered(choices).conversations == 1
    asyncio.run(hold(library.create("two", {}), TRIO, OTHER))
    theirs.settle()
    ours._due = float("inf")  # noqa: SLF001 - it shall not look itself
    ours._answers = {each: (kept[0], 0.0, kept[2]) for each, kept in ours._answers.items()}  # noqa: SLF001 - later
    assert ours.remembered(choices).conversations == 2


@pytest.mark.parametrize("path", ["/", "/r/late", "/runs"])
def test_an_answer_that_may_lack_something_says_so_though_it_is_there_by_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    library = Library(tmp_path)
    asyncio.run(hold(library.create("one", {}), PAIR, CONV))
    app = room(library)
    catalogue: Catalogue = app.state.catalogue
    catalogue.settle()
    asyncio.run(hold(library.create("late", {}), TRIO, OTHER))
    asked, bring_up, answer = Event(), Catalogue._bring_up, Catalogue.ask  # noqa: SLF001

    def later(self: Catalogue, db: sqlite3.Connection, now: Sizes) -> None:
        asked.wait()
        bring_up(self, db, now)

    def then(self: Catalogue, question: Callable[[sqlite3.Connection], object]) -> object:
        found = answer(self, question)
        asked.set()
        self.settle()
        return found

    monkeypatch.setattr(Catalogue, "_bring_up", later)
    monkeypatch.setattr(Catalogue, "ask", then)
    asking = TestClient(app, base_url="http://localhost", headers={"Accept": "application/json"})
    catalogue._due = 0.0  # noqa: SLF001 - it has rested
    first, second = asking.get(path).json(), asking.get(path).json()
    assert (first["reading"], second["reading"]) == (True, False)


def test_a_page_asks_again_while_there_is_something_to_come() -> None:
    assert again(reading=True) == ' data-again="700"'
    assert again(reading=False, running=("run",)) == ' data-again="2000"'
    assert again(reading=False) == ' data-again="0"'


def test_a_room_has_read_its_library_before_anybody_asks(tmp_path: Path) -> None:
    library = Library(tmp_path)
    asyncio.run(hold(library.create("one", {}), PAIR, CONV))
    made = patient(library, "a token")
    asyncio.run(warm(made))
    assert set(TEMPLATES.list_templates()) <= {key[1] for key in TEMPLATES.cache or ()}
    later = Catalogue(library)
    later._due = float("inf")  # noqa: SLF001 - it shall not look itself
    assert later.remembered(choices).conversations == 1


def test_a_name_leads_to_a_conversation_or_to_an_experiment(tmp_path: Path) -> None:
    library = Library(tmp_path)
    asyncio.run(hold(library.create("one", {}), PAIR, CONV))
    library.create(
        "tried",
        document(read('participants = ["scripted:a"]\npairs = "self"\nturns = 2\n', "tried.toml")),
    )
    made = room(library)
    assert path_of(made, CONV[:7]) == f"c/{CONV}"
    assert path_of(made, "tried") == "r/tried"
    assert TestClient(made, base_url="http://localhost").get("/r/tried").status_code == 200
    with pytest.raises(UnknownIdError):
        path_of(made, "zzzzz")


def test_a_conversation_is_found_while_the_library_is_read_for_the_first_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Library(tmp_path)
    asyncio.run(hold(library.create("one", {}), PAIR, CONV))
    monkeypatch.setattr(Catalogue, "_bring_up", lambda *_: None)  # it has not come to it yet
    monkeypatch.setattr(Catalogue, "reading", True)
    assert path_of(room(library), CONV[:7]) == f"c/{CONV}"
