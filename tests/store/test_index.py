"""The index is a cache: whatever happens to it, a listing tells what the log tells."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import cache
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_run import close_to_writers, unwritable

from duologue.core.branch import branch
from duologue.core.event import (
    ConversationEnded,
    ConversationStarted,
    EndReason,
    Event,
    MessageInjected,
    Source,
    TurnCompleted,
    TurnStarted,
)
from duologue.core.message import Message, Origin
from duologue.core.provider import Usage
from duologue.core.spec import ConversationSpec, Participant
from duologue.core.transcript import Status
from duologue.store import index as module
from duologue.store.index import listing, search
from duologue.store.run import INDEX_FILE, Run
from recording import CONV, OTHER, PAIR, TRIO, folder, log_of, scratch, ticking, unsynced, write


@pytest.fixture(autouse=True, scope="module")
def _no_waiting() -> Iterator[None]:
    with unsynced():
        yield


@pytest.fixture
def run() -> Iterator[Run]:
    with scratch() as made:
        yield made


@pytest.fixture
async def filled(run: Run) -> Run:
    """A run of two conversations."""
    write(run, CONV, await PAIR.events())
    write(run, OTHER, await TRIO.events())
    return run


def index_of(run: Run) -> Path:
    return run.path / INDEX_FILE


def anew(run: Run) -> list[module.Listed]:
    """What a listing says without any index."""
    index_of(run).unlink(missing_ok=True)
    return listing(run)


# --- what is listed ------------------------------------------------------------------------------


def test_a_listing_tells_how_far_each_conversation_came(filled: Run) -> None:
    pair, trio = listing(filled)
    assert pair == module.Listed(
        id=CONV,
        run="run",
        names=("Ada", "Bo"),
        models=("scripted:Ada", "scripted:Bo"),
        messages=4,
        began="2026-01-02T03:04:05.000000Z",
        last="2026-01-02T03:04:05.007000Z",
        status=Status.ENDED,
        reason="max_turns",
        tokens=0,
        parent=None,
        parent_turn=None,
        source=None,
        problem=None,
    )
    assert (trio.id, trio.names, trio.reason) == (OTHER, ("Ada", "Bo", "Cy"), "mutual_exit")


async def test_an_open_conversation_a_branch_and_an_import_are_told_apart(run: Run) -> None:
    events = await PAIR.events()
    cast = {name: seat.seat for name, seat in PAIR.cast().items()}
    write(run, "open", events[:4])
    write(run, "twig", branch(events, "open", 2, spec=PAIR.spec, seats=cast))
    spec = ConversationSpec((Participant("Ada", "import"),))
    source = Source("founding", "0" * 64, "a.md")
    ended = ConversationEnded(EndReason.IMPORT)
    write(run, "foreign", [ConversationStarted(spec, source=source), ended])
    found = {item.id: item for item in listing(run)}
    assert found["open"].status is Status.INTERRUPTED
    assert found["open"].messages == 2
    assert (found["twig"].parent, found["twig"].parent_turn) == ("open", 2)
    assert (found["foreign"].status, found["foreign"].source) == (Status.IMPORTED, "founding")


async def test_tokens_are_counted_as_far_as_they_are_known(run: Run) -> None:
    counts = iter([5, None, 7])
    events = [
        msgspec.structs.replace(event, usage=Usage(output=next(counts)))
        if isinstance(event, TurnCompleted)
        else event
        for event in await PAIR.events()
    ]
    write(run, CONV, events)
    assert [item.tokens for item in listing(run)] == [12]


def test_a_run_without_a_log_lists_nothing(run: Run) -> None:
    assert listing(run) == []
    assert search(run, "anything") == []


async def test_facts_that_cannot_follow_are_listed_as_far_as_they_can(run: Run) -> None:
    events = await PAIR.events()
    write(run, CONV, [*events[:3], events[0]])
    (found,) = listing(run)
    assert found.problem == "the conversation starts twice"
    assert (found.messages, found.status) == (2, Status.INTERRUPTED)


async def test_a_damaged_line_is_a_problem_of_its_conversation_alone(filled: Run) -> None:
    data = log_of(filled).read_bytes().replace(b'"kind":"turn_completed"', b'"kind":"turned"', 1)
    log_of(filled).write_bytes(data)
    pair, trio = listing(filled)
    assert (pair.problem or "").startswith("not a record: Invalid value 'turned'")
    assert trio.problem is None


def test_a_newer_log_is_listed_with_what_to_do(filled: Run) -> None:
    data = log_of(filled).read_bytes()
    log_of(filled).write_bytes(data.replace(b'{"v":1', b'{"v":2') + b"nobody's line\n")
    found = listing(filled)
    assert sorted(item.id for item in found) == sorted([CONV, OTHER])
    for item in found:
        assert "version 2" in (item.problem or "")
        assert "install a newer duologue" in (item.problem or "")
        assert (item.messages, item.began) == (0, "")


# --- whatever happens to the file ----------------------------------------------------------------


def _rows(run: Run, *statements: str) -> None:
    db = sqlite3.connect(index_of(run), isolation_level=None)
    for statement in statements:
        db.execute(statement)
    db.close()


def _write(run: Run, data: bytes) -> None:
    index_of(run).write_bytes(data)


@pytest.mark.parametrize(
    "harm",
    [
        lambda run: index_of(run).unlink(),
        lambda run: _write(run, b""),
        lambda run: _write(run, b"not a database, " * 300),
        lambda run: _write(run, index_of(run).read_bytes()[:5000]),
        lambda run: _write(run, index_of(run).read_bytes()[:100] + b"\xff" * 9000),
        lambda run: _rows(run, "DROP TABLE conversation"),
        lambda run: _rows(run, "DROP TABLE said_data"),
        lambda run: _rows(run, "DROP TABLE segment", "CREATE TABLE segment (x)"),
        lambda run: _rows(run, "PRAGMA user_version = 0"),
        lambda run: _rows(run, "PRAGMA user_version = 99", "CREATE TABLE future (x)"),
        lambda run: _rows(run, "PRAGMA user_version = 7", "CREATE VIRTUAL TABLE old USING fts5(a)"),
        lambda run: _rows(run, "UPDATE segment SET size = size + 1000"),
        lambda run: _rows(run, "INSERT INTO segment VALUES ('log-9.jsonl', 1, X'00')"),
        lambda run: _rows(run, "UPDATE conversation SET names = 'not json'"),
        lambda run: _rows(run, "UPDATE conversation SET status = 'dreaming'"),
        lambda run: _rows(run, "UPDATE conversation SET names = CAST(X'5BFF' AS TEXT)"),
        lambda run: index_of(run).with_name("index.sqlite-journal").write_bytes(b"x" * 600),
    ],
)
def test_a_harmed_index_is_made_anew(filled: Run, harm: Callable[[Run], object]) -> None:
    before, found = listing(filled), search(filled, "quoted")
    assert len(before) == 2
    assert len(found) == 1
    harm(filled)
    assert listing(filled) == before
    assert search(filled, "quoted") == found
    db = sqlite3.connect(index_of(filled))
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert db.execute("SELECT count(*) FROM conversation").fetchone() == (2,)
    db.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE segment SET name = NULL",
        "UPDATE segment SET size = 'x'",
        "UPDATE segment SET size = -1",
        "UPDATE segment SET tail = NULL",
        "UPDATE conversation SET number = NULL",
        "UPDATE conversation SET id = 7",
        "UPDATE conversation SET messages = 'many'",
    ],
)
def test_a_value_of_another_type_in_the_index_is_damage_and_mended(
    filled: Run, statement: str
) -> None:
    before = listing(filled), search(filled, "quoted")
    with closing(sqlite3.connect(index_of(filled))) as db:
        with suppress(sqlite3.IntegrityError):  # where the table itself refuses it
            db.execute(statement)
        db.commit()
    assert (listing(filled), search(filled, "quoted")) == before


@given(st.data())
@settings(deadline=None)
def test_an_index_overwritten_anywhere_with_noise_never_breaks_a_listing(
    data: st.DataObject,
) -> None:
    with scratch() as run:
        write(run, CONV, list(_tracks()[CONV]))
        before = listing(run)
        whole = index_of(run).read_bytes()
        at = data.draw(st.integers(0, len(whole) - 1))
        length = data.draw(st.sampled_from([64, 512, 4096, 20_000]))
        index_of(run).write_bytes(whole[:at] + b"\xa5" * length + whole[at + length :])
        assert [item.id for item in listing(run)] in ([CONV], [])
        search(run, "quoted")
        assert anew(run) == before


def test_a_folder_in_the_place_of_the_index_does_no_harm(filled: Run) -> None:
    before = anew(filled)
    index_of(filled).unlink()
    index_of(filled).mkdir()
    assert listing(filled) == before


def test_a_locked_index_does_no_harm(filled: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    real = sqlite3.connect

    def hasty(path: str, timeout: float, isolation_level: None) -> sqlite3.Connection:
        assert timeout > 0
        return real(path, timeout=0, isolation_level=isolation_level)

    monkeypatch.setattr(sqlite3, "connect", hasty)
    before = listing(filled)
    busy = real(index_of(filled), isolation_level=None)
    busy.execute("BEGIN EXCLUSIVE")
    write(filled, "third", _tracks()[CONV])
    assert len(listing(filled)) == len(before) + 1
    busy.execute("ROLLBACK")
    busy.close()
    assert len(listing(filled)) == len(before) + 1


def test_a_read_only_folder_is_listed_and_searched() -> None:
    for with_index in (False, True):
        with unwritable() as path:
            run = folder(path / "run")
            write(run, CONV, _tracks()[CONV])
            before = listing(run)
            if not with_index:
                index_of(run).unlink()
            write(run, OTHER, _tracks()[OTHER])
            close_to_writers(path)
            assert [item.id for item in listing(run)] == [CONV, OTHER]
            assert listing(run)[0] == before[0]
            assert [item.turn for item in search(run, "quoted")] == [3]
            assert index_of(run).exists() is with_index


def test_a_damaged_index_in_a_read_only_folder_does_no_harm() -> None:
    with unwritable() as path:
        run = folder(path / "run")
        write(run, CONV, _tracks()[CONV])
        before = listing(run)
        _write(run, b"not a database, " * 300)
        close_to_writers(path)
        assert listing(run) == before


def test_a_log_that_became_shorter_is_read_anew(filled: Run) -> None:
    assert len(listing(filled)) == 2
    lines = log_of(filled).read_bytes().splitlines(keepends=True)
    log_of(filled).write_bytes(b"".join(lines[:5]))
    (found,) = listing(filled)
    assert (found.id, found.status) == (CONV, Status.INTERRUPTED)
    log_of(filled).unlink()
    assert listing(filled) == []
    assert search(filled, "quoted") == []


def test_a_log_that_lost_its_end_and_went_on_is_read_anew(run: Run) -> None:
    """A power cut can take from the log what the index had already read."""
    write(run, CONV, _tracks()[CONV])
    assert len(listing(run)) == 1
    lines = log_of(run).read_bytes().splitlines(keepends=True)
    log_of(run).write_bytes(b"".join(lines[:5]))
    write(run, OTHER, _tracks()[OTHER])
    pair, trio = listing(run)
    assert (pair.status, trio.status) == (Status.INTERRUPTED, Status.ENDED)


def test_facts_without_a_beginning_are_listed_as_a_problem(run: Run) -> None:
    write(run, CONV, _tracks()[CONV][1:2])
    (found,) = listing(run)
    assert (found.names, found.messages) == ((), 0)
    assert "has no beginning" in (found.problem or "")


def test_a_line_being_written_is_listed_when_it_is_whole(run: Run) -> None:
    write(run, CONV, _tracks()[CONV])
    data = log_of(run).read_bytes()
    log_of(run).write_bytes(data[:-1])
    assert listing(run)[0].status is Status.INTERRUPTED
    log_of(run).write_bytes(data)
    assert listing(run)[0].status is Status.ENDED


@cache
def _tracks() -> dict[str, tuple[Event, ...]]:
    """The facts of the two plays; made by hand where no loop may run."""
    found = {}
    for conv, what in ((CONV, PAIR), (OTHER, TRIO)):
        steps = what.events()
        with pytest.raises(StopIteration) as end:
            steps.send(None)
        found[conv] = tuple(end.value.value)
    return found


@given(st.lists(st.sampled_from(["a", "b", "c", "list", "cut", "torn"]), max_size=40))
@settings(deadline=None)
def test_an_index_kept_up_to_date_says_what_a_new_one_says(steps: list[str]) -> None:
    sources = {"a": _tracks()[CONV], "b": _tracks()[OTHER], "c": _tracks()[CONV][:5]}
    with scratch() as run:
        for step in steps:
            if step == "list":
                listing(run)
            elif step in sources:
                _go_on(run, step, sources[step])
            elif log_of(run).exists():
                _cut(run, torn=step == "torn")
        kept, found = listing(run), search(run, "said")
        assert kept == anew(run)
        assert found == search(run, "said")
        assert {item.id for item in kept} == {record.conv for record in run.records()}


def _go_on(run: Run, conv: str, events: tuple[Event, ...]) -> None:
    """Append the next fact, if there is one."""
    with run.writing(ticking()) as log:
        done = len(log.take_up(conv))
        for event in events[done : done + 1]:
            log.append(conv, event)


def _cut(run: Run, *, torn: bool) -> None:
    """Take the end of the log away, in mid-line or at one."""
    data = log_of(run).read_bytes()
    end = data.rfind(b"\n", 0, max(len(data) - 1, 0)) + 1
    log_of(run).write_bytes(data[: (end + len(data)) // 2 if torn else end])


# --- searching -----------------------------------------------------------------------------------


def _say(run: Run, *texts: str) -> None:
    spec = ConversationSpec((Participant("Ada", "m"),))
    said = [
        MessageInjected(turn, Message("Eve", text, origin=Origin.HUMAN))
        for turn, text in enumerate(texts, start=1)
    ]
    write(run, CONV, [ConversationStarted(spec), *said])


@pytest.mark.parametrize(
    ("words", "turns"),
    [
        ("rain", [1]),
        ("RAIN", [1]),
        ("rain falls", [1]),
        ("falls rain", [1]),
        ("rain sun", []),
        ('"rain', [1]),
        ('"rain falls"', [1]),
        ("AND", [2]),
        ("OR NOT", [2]),
        ("rain OR sun", []),
        ("NEAR(rain sun)", []),
        ("ra*", []),
        ("rai*", [1]),
        ("fal", [1]),
        ("界", [3]),
        ("Eve", []),
        ("*", []),
        ("text: rain", []),
        ("-rain", [1]),
        ("rain;", [1]),
        ("(((", []),
        ("'", []),
        ("", []),
        (" \t\n", []),
        ("naïve", [3]),
        ("naive", [3]),
        ("世界", [3]),
        ("ЗИМА", [3]),
        ("\0", []),
        ("rain\0", [1]),
        ("rain\udc80", [1]),
        ('say "hi"', [4]),
        ("%", []),
        ("_", []),
    ],
)
def test_a_search_finds_words_and_takes_nothing_for_an_operator(
    run: Run, words: str, turns: list[int]
) -> None:
    _say(run, "the rain falls *", "this AND that, OR NOT", "naïve 世界 зима", 'say "hi" now')
    assert [found.turn for found in search(run, words)] == turns


@given(st.text(max_size=30))
@settings(deadline=None)
def test_no_words_break_a_search(words: str) -> None:
    with scratch() as run:
        _say(run, "the rain falls")
        before = index_of(run)
        listing(run)
        stamp = before.stat().st_ino
        search(run, words)
        assert before.stat().st_ino == stamp


@given(st.text(st.characters(categories=("L", "N"), codec="utf-8"), min_size=1, max_size=12))
@settings(deadline=None)
def test_a_word_that_was_said_is_found(word: str) -> None:
    with scratch() as run:
        _say(run, f"before {word} after")
        assert [found.turn for found in search(run, f"after {word}")] == [1]


def test_what_was_found_is_marked_and_limited(run: Run) -> None:
    _say(run, *["so it rained and rained"] * 5)
    found = search(run, "rained", limit=2)
    assert [(item.id, item.turn, item.author, item.snippet) for item in found] == [
        (CONV, 1, "Eve", "so it [rained] and [rained]"),
        (CONV, 2, "Eve", "so it [rained] and [rained]"),
    ]


def test_what_was_found_is_marked_in_what_was_said(run: Run) -> None:
    _say(run, "今天天气很好")
    assert [item.snippet for item in search(run, "天气")] == ["今天[天气]很好"]


def test_a_started_turn_has_no_words_to_find(run: Run) -> None:
    spec = ConversationSpec((Participant("Ada", "m"),))
    write(run, CONV, [ConversationStarted(spec), TurnStarted(1, "Ada", "0" * 64)])
    assert search(run, "Ada") == []


def test_equally_good_finds_come_in_the_same_order_whenever_they_were_indexed(run: Run) -> None:
    for conv in ("zzz", "aaa"):
        write(run, conv, _tracks()[CONV])
        listing(run)
    assert [found.id for found in search(run, "quoted")] == ["aaa", "zzz"]
