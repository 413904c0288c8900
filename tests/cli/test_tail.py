import asyncio
from pathlib import Path

import pytest
import typer
from staging import held
from typer.testing import CliRunner, Result

from duologue.api import go_on
from duologue.cli.tail import follow
from duologue.cli.tail import tail as tail_verb
from duologue.core.event import ConversationEnded, Record
from duologue.errors import OverloadError, RecordError
from duologue.providers.scripted import Scripted
from duologue.store.library import Library
from duologue.store.run import Run
from duologue.store.segment import Segment

app = typer.Typer()
app.command()(tail_verb)


def tail(library: Library, *words: str) -> Result:
    return CliRunner().invoke(app, list(words), obj=library)


def log_of(library: Library) -> Path:
    return library.runs()[0].segments()[0]


def refuse() -> None:
    raise AssertionError("there was nothing to wait for")


class Writer:
    """Somebody who writes another piece of the log whenever a reader waits for more."""

    def __init__(self, run: Run, pieces: list[bytes]) -> None:
        self.run = run
        self.pieces = pieces
        self.waits = 0
        self.lock = run.held()
        self.lock.__enter__()

    def __call__(self) -> None:
        self.waits += 1
        if not self.pieces:
            self.lock.__exit__(None, None, None)
            return
        with self.run.segments()[0].open("ab") as log:
            log.write(self.pieces.pop(0))


def test_a_conversation_that_is_over_is_shown_and_left(tmp_path: Path) -> None:
    library, recorded = held(tmp_path)
    run, conv = library.find(recorded.id)
    assert list(follow(run, conv, refuse)) == run.conversation(conv)
    result = tail(library)
    assert result.exit_code == 0
    assert "  4  Ben\n     zwei\n" in result.output
    assert "ended         max_turns: the cap of 4 messages\n" in result.output


def test_each_record_comes_when_its_line_is_whole_and_half_a_line_is_waited_for(
    tmp_path: Path,
) -> None:
    library, recorded = held(tmp_path)
    run, conv = library.find(recorded.id)
    whole = run.conversation(conv)
    data = log_of(library).read_bytes()
    half = len(data) // 2
    log_of(library).write_bytes(data[:half])
    writer = Writer(run, [b"", data[half : half + 1], data[half + 1 : -1], data[-1:]])
    seen: list[Record] = []
    counts = []
    for record in follow(run, conv, writer):
        seen.append(record)
        counts.append(writer.waits)
    writer.lock.__exit__(None, None, None)
    assert seen == whole
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (0, 4)


def test_when_nobody_writes_any_more_it_was_interrupted(tmp_path: Path) -> None:
    library, recorded = held(tmp_path)
    run, conv = library.find(recorded.id)
    lines = log_of(library).read_bytes().splitlines(keepends=True)
    log_of(library).write_bytes(b"".join(lines[:2]))
    writer = Writer(run, [lines[2]])
    assert len(list(follow(run, conv, writer))) == 3
    assert writer.waits == 2
    result = tail(library, "--json")
    assert result.stdout_bytes == b"".join(lines[:3])
    assert result.exit_code == 1
    said = tail(library, recorded.id).output
    assert "interrupted   between two messages\n" in said
    assert f" resume {recorded.id}" in said


def test_what_was_written_just_before_the_writer_left_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library, recorded = held(tmp_path)
    run, conv = library.find(recorded.id)
    lines = log_of(library).read_bytes().splitlines(keepends=True)
    log_of(library).write_bytes(lines[0])
    answers = iter([True, False])

    def leaves() -> bool:
        return next(answers)

    def wait() -> None:
        log_of(library).write_bytes(b"".join(lines[:3]))

    monkeypatch.setattr(run, "busy", leaves)
    assert len(list(follow(run, conv, wait))) == 3


def test_the_lines_of_other_conversations_are_passed_over(tmp_path: Path) -> None:
    library, recorded = held(tmp_path)
    run, conv = library.find(recorded.id)
    assert list(follow(run, "tugad-bojub-zonof", refuse)) == []
    data = log_of(library).read_bytes()
    log_of(library).write_bytes(b"not ours\n" + data)
    assert len(list(follow(run, conv, refuse))) == data.count(b"\n")


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    library, recorded = held(tmp_path)
    run, conv = library.find(recorded.id)
    log = log_of(library)
    log.write_bytes(log.read_bytes().replace(b'"turn":3', b'"turn":"', 1))
    with pytest.raises(RecordError, match=rf"{conv} is damaged at log-1.jsonl, byte \d+"):
        list(follow(run, conv, refuse))


def test_records_of_several_segments_come_in_their_order(tmp_path: Path) -> None:
    library, recorded = held(tmp_path)
    run, conv = library.find(recorded.id)
    whole = run.conversation(conv)
    lines = log_of(library).read_bytes().splitlines(keepends=True)
    log_of(library).write_bytes(b"".join(lines[3:]))
    log_of(library).with_name("log-2.jsonl").write_bytes(b"".join(lines[:3]))
    assert list(follow(run, conv, refuse)) == whole


def test_a_failed_conversation_that_was_gone_on_with_is_followed_to_its_new_end(
    tmp_path: Path,
) -> None:
    library, recorded = held(tmp_path, ben=(OverloadError("busy"),))
    assert tail(library).exit_code == 0
    mended = Scripted(("eins", "zwei"), "b")
    mended.seat = Scripted((OverloadError("busy"),), "b").seat
    cast = {"Ada": Scripted(("one", "two"), "a"), "Ben": mended}
    asyncio.run(go_on(library, recorded.id, providers=cast))
    run, conv = library.find(recorded.id)
    ends = [r for r in follow(run, conv, refuse) if isinstance(r.event, ConversationEnded)]
    assert [str(r.event.reason) for r in ends] == ["error", "max_turns"]  # type: ignore[union-attr]


def test_ctrl_c_leaves_quietly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library, recorded = held(tmp_path)
    lines = log_of(library).read_bytes().splitlines(keepends=True)
    log_of(library).write_bytes(b"".join(lines[:3]))

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("duologue.cli.tail.time.sleep", interrupt)
    with library.find(recorded.id)[0].writing():
        result = tail(library)
    assert result.exit_code == 0
    assert result.output.endswith("  2  Ben\n     eins\n\n")


def test_a_segment_that_is_there_before_its_first_line_is_waited_for(tmp_path: Path) -> None:
    library, recorded = held(tmp_path)
    run, conv = library.find(recorded.id)
    data = log_of(library).read_bytes()
    log_of(library).unlink()
    Segment(log_of_run(run)).close()
    writer = Writer(run, [data])
    assert len(list(follow(run, conv, writer))) == data.count(b"\n")
    writer.lock.__exit__(None, None, None)


def log_of_run(run: Run) -> Path:
    return run.path / "log-1.jsonl"
