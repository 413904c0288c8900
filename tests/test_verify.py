"""Law 7: any edit of a log is detected and located; and what verify says of a sound one."""

import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duologue.core.branch import branch
from duologue.core.event import ConversationStarted, Event, MessageInjected, TurnStarted
from duologue.core.message import Message, Origin
from duologue.core.perspective import view
from duologue.core.provider import Seat
from duologue.core.spec import Sampling
from duologue.core.state import State, apply
from duologue.core.wire import encode
from duologue.store.run import SPEC_FILE, Run
from duologue.verify import verify
from recording import (
    CONV,
    OTHER,
    PAIR,
    TRIO,
    Play,
    ask,
    folder,
    hold,
    interleave,
    log_of,
    place,
    scratch,
    unsynced,
    write,
)

THIRD = "hupop-gijaf-dasun"


@pytest.fixture(autouse=True, scope="module")
def _no_waiting() -> Iterator[None]:
    with unsynced():
        yield


def _facts(what: Play) -> list[Event]:
    """A play's events, where no loop runs yet."""
    steps = what.events()
    try:
        steps.send(None)
    except StopIteration as end:
        found: list[Event] = end.value
        return found
    raise AssertionError("a script never waits")


@cache
def _data() -> bytes:
    """The log of two conversations, interleaved."""
    with scratch() as run:
        interleave(run, {CONV: _facts(PAIR), OTHER: _facts(TRIO)})
        return log_of(run).read_bytes()


@cache
def _foreign() -> tuple[bytes, ...]:
    """The lines of another run's log: a conversation of its own, and one of the same id."""
    with scratch() as run:
        interleave(run, {THIRD: _facts(TRIO), CONV: _facts(TRIO)})
        return tuple(log_of(run).read_bytes().splitlines(keepends=True))


def _check(run: Run, edited: bytes) -> None:
    """Verify an edited log: the edit is found, at its line or the next."""
    data = _data()
    if edited == data:
        return
    log_of(run).write_bytes(edited)
    proof = verify(run)
    if data.startswith(edited) and edited[-1:] in {b"\n", b""}:
        # The documented exception: whole lines cut off the end look like a kill; heads tell.
        assert proof.heads != _heads()
        return
    assert proof.faults or proof.unfinished
    if proof.faults:
        assert place(proof) - _first_changed(edited) in {0, 1}
    else:
        assert edited.rpartition(b"\n")[0] + b"\n" == data[: edited.rfind(b"\n") + 1]


@cache
def _heads() -> dict[str, str]:
    with scratch() as run:
        log_of(run).write_bytes(_data())
        return verify(run).heads


def _first_changed(edited: bytes) -> int:
    """The number of the first line that is not as it was written."""
    data = _data()
    pairs = enumerate(zip(data, edited, strict=False))
    at = next((at for at, (a, b) in pairs if a != b), min(len(data), len(edited)))
    return data.count(b"\n", 0, at) + 1


Lines = list[bytes]
_NUMBERS = st.integers(0, 10_000)


def _delete(lines: Lines, one: int, _two: int) -> Lines:
    return lines[:one] + lines[one + 1 :]


def _duplicate(lines: Lines, one: int, _two: int) -> Lines:
    return [*lines[: one + 1], *lines[one:]]


def _swap(lines: Lines, one: int, two: int) -> Lines:
    changed = list(lines)
    changed[one], changed[two] = changed[two], changed[one]
    return changed


def _move(lines: Lines, one: int, two: int) -> Lines:
    changed = _delete(lines, one, 0)
    return [*changed[:two], lines[one], *changed[two:]]


def _borrow(lines: Lines, one: int, two: int) -> Lines:
    foreign = _foreign()
    return [*lines[:one], foreign[two % len(foreign)], *lines[one:]]


def _exchange(lines: Lines, one: int, two: int) -> Lines:
    foreign = _foreign()
    return [*lines[:one], foreign[two % len(foreign)], *lines[one + 1 :]]


@pytest.mark.parametrize(
    "change", [_delete, _duplicate, _swap, _move, _borrow, _exchange], ids=lambda f: f.__name__[1:]
)
def test_lines_taken_out_put_in_or_moved_are_found(
    change: Callable[[Lines, int, int], Lines],
) -> None:
    lines = _data().splitlines(keepends=True)
    with scratch() as run:
        for one in range(len(lines)):
            for two in range(one % 3, len(lines), 3):
                _check(run, b"".join(change(lines, one, two)))


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_any_bytes_in_the_place_of_any_others_are_found(data: st.DataObject) -> None:
    log = _data()
    start = data.draw(st.integers(0, len(log)))
    end = data.draw(st.integers(start, min(len(log), start + 400)))
    put = data.draw(st.binary(max_size=40) | st.sampled_from([b"\n", b" ", b"\r\n", b"\0", b"\\"]))
    with scratch() as run:
        _check(run, log[:start] + put + log[end:])


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_several_edits_at_once_are_found_where_the_first_of_them_is(data: st.DataObject) -> None:
    edited = bytearray(_data())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(edited) - 1))
        edited[at] ^= data.draw(st.integers(1, 255))
    with scratch() as run:
        _check(run, bytes(edited))


def test_one_flipped_bit_in_any_byte_is_found() -> None:
    facts = [_facts(PAIR)[0], *(_said(turn) for turn in (2, 3))]
    with scratch() as run:
        write(run, CONV, facts)
        data = log_of(run).read_bytes()
        for at in range(len(data) - 1):
            edited = bytearray(data)
            edited[at] ^= 1 << at % 8
            log_of(run).write_bytes(edited)
            assert place(verify(run)) - data.count(b"\n", 0, at) in {1, 2}


def _said(turn: int) -> MessageInjected:
    return MessageInjected(turn, Message("Eve", f"words {turn}", origin=Origin.HUMAN))


def _escaped(line: bytes) -> bytes:
    return line.replace(b'"kind":"', b'"\\u006bind":"', 1)


def _loud_hash(line: bytes) -> bytes:
    head, h = line[:-36], line[-36:]
    return head + h.upper()


def _escaped_hash(line: bytes) -> bytes:
    return re.sub(rb'"h":"(.)', lambda m: b'"h":"\\u%04x' % ord(m[1]), line)


def _reordered(line: bytes) -> bytes:
    found = msgspec.json.decode(line)
    return msgspec.json.encode(dict(sorted(found.items()))) + b"\n"


def _doubled_key(line: bytes) -> bytes:
    return line.replace(b'{"v":1,', b'{"v":1,"v":1,', 1)


def _doubled_hash(line: bytes) -> bytes:
    return line.replace(b',"h":', b',"h":"",' + b'"h":', 1)


def _unknown_key(line: bytes) -> bytes:
    return line.replace(b',"h":', b',"note":"x","h":', 1)


def _deep(line: bytes) -> bytes:
    return line.replace(b'"seq":', b'"deep":' + b"[" * 50_000 + b"]" * 50_000 + b',"seq":', 1)


def _other_version(line: bytes) -> bytes:
    return line.replace(b'"v":1', b'"v":2', 1)


def _another_p(line: bytes) -> bytes:
    return re.sub(rb'"p":"[^"]*"', b'"p":"' + b"0" * 32 + b'"', line)


def _huge_seq(line: bytes) -> bytes:
    return re.sub(rb'"seq":\d+', b'"seq":' + b"9" * 40, line)


@pytest.mark.parametrize(
    "change",
    [
        _escaped,
        _loud_hash,
        _escaped_hash,
        _reordered,
        _doubled_key,
        _doubled_hash,
        _unknown_key,
        _deep,
        _other_version,
        _another_p,
        _huge_seq,
        lambda line: line[:-1] + b" \n",
        lambda line: line[:-1] + b"\r\n",
        lambda line: b" " + line,
        lambda line: line.replace(b'"v":1', b'"v": 1', 1),
        lambda line: line.replace(b'"v":1', b'"v":1.0', 1),
        lambda line: line[:-2] + b" }\n",
        lambda line: line + b"\n",
        lambda line: b"\xef\xbb\xbf" + line,
        lambda line: line.replace(b'"kind"', b'"\xff\xfend"', 1),
        lambda line: b"\0" * len(line[:-1]) + b"\n",
    ],
)
def test_an_edit_that_means_the_same_is_found_in_any_line(change: Callable[[bytes], bytes]) -> None:
    lines = _data().splitlines(keepends=True)
    changed = 0
    with scratch() as run:
        for number, line in enumerate(lines):
            edited = b"".join([*lines[:number], change(line), *lines[number + 1 :]])
            changed += edited != _data()
            _check(run, edited)
    assert changed == len(lines)


def test_a_log_cut_in_mid_line_is_told_by_its_unfinished_bytes() -> None:
    data = _data()
    with scratch() as run:
        for cut in range(0, len(data), 7):
            log_of(run).write_bytes(data[:cut])
            proof = verify(run)
            assert len(proof.faults) == (cut <= data.index(b"\n"))
            assert proof.unfinished == cut - (data.rfind(b"\n", 0, cut) + 1)


def test_a_sound_log_is_proved_whole() -> None:
    pair, trio = _facts(PAIR), _facts(TRIO)
    sent = [_bodies(events) for events in (pair, trio)]
    with scratch() as run:
        log_of(run).write_bytes(_data())
        proof = verify(run)
    assert proof.faults == ()
    assert proof.conversations == 2
    assert proof.records == len(pair) + len(trio)
    assert proof.requests == sum(map(len, sent))
    assert proof.request_bytes == sum(len(body) for bodies in sent for body in bodies)
    assert (proof.torn, proof.unfinished) == ((), 0)
    assert sorted(proof.heads) == sorted([CONV, OTHER])


def _bodies(events: list[Event]) -> list[bytes]:
    """The request bodies, made without ``rebuild``."""
    state, bodies = State(), []
    for event in events:
        if isinstance(event, TurnStarted):
            seat = state.begun().seats[event.participant]
            bodies.append(encode(seat, view(state, event.participant)).body)
        state = apply(state, event)
    return bodies


def test_an_empty_run_proves_nothing_and_that_is_its_fault(tmp_path: Path) -> None:
    run = folder(tmp_path / "run")
    for log in (None, b"", b'{"v":1,'):
        if log is not None:
            log_of(run).write_bytes(log)
        proof = verify(run)
        assert (proof.records, proof.conversations, proof.asked) == (0, 0, False)
        (fault,) = proof.faults
        assert (fault.place, fault.what[:20]) == ("log-1.jsonl, line 1", "nothing is recorded:")


def test_a_log_of_a_newer_version_is_one_fault_that_counts_its_lines(tmp_path: Path) -> None:
    run = folder(tmp_path / "run")
    write(run, CONV, _facts(PAIR))
    lines = log_of(run).read_bytes().splitlines(keepends=True)
    newer = [line.replace(b'"v":1', b'"v":2', 1) for line in lines]
    last = len(lines) - 1
    for first, told in ((0, f" (and the {last} lines that follow)"), (last, "")):
        log_of(run).write_bytes(b"".join(lines[:first] + newer[first:]))
        (fault,) = verify(run).faults
        assert fault.place == f"log-1.jsonl, line {first + 1}"
        assert "of version 2" in fault.what
        assert fault.what.endswith(f"nothing was changed{told}")
    log_of(run).write_bytes(b"".join([*newer[:2], *lines[2:4], newer[4], *lines[5:]]))
    places = [fault.place for fault in verify(run).faults if "of version 2" in fault.what]
    assert places == ["log-1.jsonl, line 1", "log-1.jsonl, line 5"]
    assert "(and the line that follows)" in verify(run).faults[0].what


async def test_messages_and_the_ending_stand_beside_each_head(tmp_path: Path) -> None:
    run = folder(tmp_path / "run")
    interleave(run, {CONV: _facts(PAIR), OTHER: _facts(TRIO)[:-1], THIRD: [_said(1)]})
    proof = verify(run)
    assert proof.messages == {CONV: 4, OTHER: 4}
    assert proof.endings == {CONV: "max_turns", OTHER: None, THIRD: None}
    assert list(proof.heads) == [CONV, OTHER, THIRD]


def _asked(run: Run) -> Path:
    return run.path / SPEC_FILE


async def test_the_spec_file_of_a_run_asks_for_what_the_log_says(tmp_path: Path) -> None:
    for name, what in (("pair", PAIR), ("trio", TRIO)):
        run = folder(tmp_path / name)
        await hold(run, what)
        proof = verify(run)
        assert (proof.asked, proof.faults) == (True, ())
        text = _asked(run).read_text("utf-8")
        _asked(run).write_text("# a note\n" + text.replace(f'"{name}"', '"renamed"'), "utf-8")
        assert verify(run).asked


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("seed = 7", "seed = 8", "seed is 8 here and 7 in the log"),
        ("seed = 7", "seed = 7.0", "seed is 7.0 here and 7 in the log"),
        ("seed = 7", "warm = true\nseed = 7", "warm is true here and not given in the log"),
        ('"Bo"', '"Bö"', 'participants[1].name is "B\\u00f6" here and "Bo" in the log'),
    ],
)
def test_an_edited_spec_file_is_a_fault_at_its_line(
    tmp_path: Path, old: str, new: str, what: str
) -> None:
    run = folder(tmp_path / "run")
    write(run, CONV, _facts(PAIR))
    text = _asked(run).read_text("utf-8")
    line = text[: text.index(old)].count("\n") + 1
    _asked(run).write_text(text.replace(old, new, 1), "utf-8")
    assert not verify(run).asked
    assert _only(run) == (f"{SPEC_FILE}, line {line}", what)


@pytest.mark.parametrize(
    ("new", "what"),
    [
        ("", "seed is not given here and 7 in the log"),
        ("seed = ", "line 12, column 8: Invalid value"),
        ("seed = 7\nseed = 7", "line 13, column 9: Cannot overwrite a value"),
        ("seed = [", "at its end: "),
    ],
)
def test_a_spec_file_that_lost_a_key_or_is_not_toml_is_a_fault(
    tmp_path: Path, new: str, what: str
) -> None:
    run = folder(tmp_path / "run")
    write(run, CONV, _facts(PAIR))
    _asked(run).write_text(_asked(run).read_text("utf-8").replace("seed = 7", new), "utf-8")
    place, told = _only(run)
    assert place == SPEC_FILE
    assert told.startswith(what)
    assert "\n" not in told


def test_any_value_of_the_spec_file_that_is_not_on_record_is_named(tmp_path: Path) -> None:
    run = folder(tmp_path / "run")
    write(run, CONV, _facts(TRIO))
    ask(run, msgspec.structs.replace(TRIO.spec, participants=TRIO.spec.participants[:2]))
    (fault,) = verify(run).faults
    assert fault.what.startswith("participants is [{")
    assert fault.what.count("…") == 2


def test_a_spec_file_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    run = folder(tmp_path / "run")
    write(run, CONV, _facts(PAIR))
    _asked(run).write_bytes(b'name = "\xff"\n')
    assert _only(run) == (SPEC_FILE, "it is not UTF-8: invalid start byte at byte 8")
    _asked(run).unlink()
    assert _only(run) == (SPEC_FILE, "it is missing: every run is made with one")
    _asked(run).mkdir()
    assert _only(run) == (SPEC_FILE, "it cannot be read: Is a directory")


def _only(run: Run) -> tuple[str, str]:
    (fault,) = verify(run).faults
    return fault.place, fault.what


def test_a_spec_on_record_that_no_file_can_ask_for_is_a_fault(tmp_path: Path) -> None:
    run = folder(tmp_path / "run")
    first, *others = _facts(PAIR)
    assert isinstance(first, ConversationStarted)
    ada, bo = PAIR.spec.participants
    ada = msgspec.structs.replace(ada, sampling=Sampling(extra={"stop": None}))
    spec = msgspec.structs.replace(PAIR.spec, participants=(ada, bo))
    with run.writing() as log:
        for event in (msgspec.structs.replace(first, spec=spec), *others):
            log.append(CONV, event)
    fault = verify(run).faults[-1]
    assert fault.place == SPEC_FILE
    assert "participants[0].sampling.extra.stop is null" in fault.what


def test_what_several_conversations_asked_for_is_not_said_to_be_proved() -> None:
    with scratch() as run:
        log_of(run).write_bytes(_data())
        proof = verify(run)
    assert (proof.asked, proof.faults) == (False, ())


async def test_torn_tails_set_aside_are_named(tmp_path: Path) -> None:
    run = folder(tmp_path / "run")
    await hold(run, PAIR)
    with log_of(run).open("ab") as log:
        log.write(b'{"v":1,')
    assert verify(run).unfinished == 7
    size = log_of(run).stat().st_size - 7
    await hold(run, PAIR)
    proof = verify(run)
    assert (proof.unfinished, proof.torn) == (0, (f"log-1.jsonl.torn-{size}",))


async def test_a_branch_proves_what_it_inherited_and_what_it_sent(tmp_path: Path) -> None:
    events = await PAIR.events()
    started = events[0]
    assert not isinstance(started, TurnStarted)
    seats = {name: seat.seat for name, seat in PAIR.cast().items()}
    said = Message("Eve", "and now?", origin=Origin.HUMAN)
    run = folder(tmp_path / "run")
    write(run, OTHER, branch(events, CONV, 3, spec=PAIR.spec, seats=seats, say=said))
    await hold(run, PAIR, OTHER)
    proof = verify(run)
    assert proof.faults == ()
    assert proof.requests == 2


def _forged(run: Run, change: Callable[[Event], Event]) -> None:
    """A log whose every hash is right, and whose facts are not."""
    write(run, CONV, [change(event) for event in _facts(PAIR)])


def test_a_request_that_was_never_sent_so_is_named_by_its_turn(tmp_path: Path) -> None:
    run = folder(tmp_path / "run")

    def change(event: Event) -> Event:
        if isinstance(event, TurnStarted) and event.turn == 3:
            return msgspec.structs.replace(event, request="0" * 64)
        return event

    _forged(run, change)
    proof = verify(run)
    assert [(fault.place, fault.what) for fault in proof.faults] == [
        (f"{CONV}, turn 3", "the request to Ada made again has another digest")
    ]
    assert proof.records == len(_facts(PAIR))
    assert proof.requests == 2


def test_facts_that_cannot_follow_one_another_are_a_fault(tmp_path: Path) -> None:
    run = folder(tmp_path / "run")
    write(run, CONV, [_facts(PAIR)[0], _facts(PAIR)[0]])
    (fault,) = verify(run).faults
    assert fault.place == CONV
    assert fault.what == "its facts cannot follow one another: the conversation starts twice"


def test_a_request_to_somebody_who_has_no_seat_is_a_fault(tmp_path: Path) -> None:
    run = folder(tmp_path / "run")
    _forged(
        run,
        lambda event: (
            msgspec.structs.replace(event, participant="Nobody")
            if isinstance(event, TurnStarted)
            else event
        ),
    )
    (fault,) = verify(run).faults
    assert "Nobody" in fault.what


@pytest.mark.parametrize("frames", ["x", [], {"bos": 1}, {"user": ["one"]}, 3])
def test_settings_that_no_encoder_understands_are_a_fault(tmp_path: Path, frames: object) -> None:
    run = folder(tmp_path / "run")
    seat = Seat("local", "m", dialect="gguf", settings={"frames": frames})
    _forged(
        run,
        lambda event: (
            msgspec.structs.replace(event, seats={"Ada": seat, "Bo": seat})
            if isinstance(event, ConversationStarted)
            else event
        ),
    )
    (fault,) = verify(run).faults
    assert fault.place == CONV


def test_a_view_that_shrank_is_a_fault(tmp_path: Path) -> None:
    """Only a forger or a changed encoder can bring that about; here, the encoder is changed."""
    run = folder(tmp_path / "run")
    events = _facts(PAIR)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("duologue.core.rebuild.encode", _shrinking())
        write(run, CONV, events)
        faults = verify(run).faults
    assert f"{CONV}, turn 4" in {fault.place for fault in faults}
    assert "the view of Bo does not extend its view before" in {fault.what for fault in faults}


def _shrinking() -> Callable[..., object]:
    """An encoder that forgets how it began."""
    count = iter(range(100))

    def shrink(*given: object) -> object:
        wire = encode(*given)  # type: ignore[arg-type]
        body = b"%d" % next(count) + wire.body
        return msgspec.structs.replace(wire, body=body)

    return shrink


def test_a_whole_segment_of_another_run_is_the_second_exception(tmp_path: Path) -> None:
    run = folder(tmp_path / "run")
    write(run, CONV, _facts(PAIR))
    log_of(run).with_name("log-2.jsonl").write_bytes(_foreign()[0])
    proof = verify(run)
    assert proof.faults == ()
    assert sorted(proof.heads) == sorted([CONV, THIRD])


def test_a_segment_that_repeats_another_is_found_at_its_first_line(tmp_path: Path) -> None:
    run = folder(tmp_path / "run")
    write(run, CONV, _facts(PAIR))
    log_of(run).with_name("log-2.jsonl").write_bytes(log_of(run).read_bytes())
    assert verify(run).faults[0].place == "log-2.jsonl, line 1"
