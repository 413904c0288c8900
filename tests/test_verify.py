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
from duologue.core.state import State, apply
from duologue.core.wire import encode
from duologue.store.run import Run
from duologue.verify import verify
from recording import (
    CONV,
    OTHER,
    PAIR,
    TRIO,
    Play,
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
            assert proof.faults == ()
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


def test_an_empty_run_proves_nothing_and_has_no_fault(tmp_path: Path) -> None:
    proof = verify(folder(tmp_path / "run"))
    assert (proof.records, proof.conversations, proof.faults) == (0, 0, ())


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
