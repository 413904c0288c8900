"""One record as one line."""

from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.core.event import MessageInjected
from duologue.core.message import Message
from duologue.errors import RecordError, StoreError
from duologue.store.chain import Head, intact, named, seal, unseal

TEXTS = st.text(st.characters(codec="utf-8"))


def _event(text: str) -> MessageInjected:
    return MessageInjected(1, Message("Ada", text))


def test_a_line_is_exactly_what_the_format_says() -> None:
    line, record = seal("lusab", _event("hé"), "2026-01-02", Head(3, "ab"), before="cd")
    payload = (
        '{"v":1,"conv":"lusab","seq":3,"at":"2026-01-02","event":{"kind":"message_injected",'
        '"turn":1,"message":{"author":"Ada","text":"hé"}},"p":"cd"'
    ).encode()
    h = blake2b(b"ab" + payload, digest_size=16).hexdigest()
    assert line == payload + f',"h":"{h}"}}\n'.encode()
    assert record.h == h


@given(TEXTS, st.text("abc-"), st.integers(0, 10**6))
def test_whatever_is_sealed_is_unsealed_the_same_and_intact(text: str, conv: str, seq: int) -> None:
    head = Head(seq, "a" * 32 if seq else "")
    line, record = seal(conv, _event(text), "now", head, before="b" * 32)
    assert line.count(b"\n") == 1
    assert unseal(line[:-1]) == record
    assert intact(line[:-1], record, head)
    assert not intact(line[:-1], record, Head(seq, "c" * 32))


def test_half_a_character_is_refused_with_what_to_do() -> None:
    with pytest.raises(StoreError, match=r"record 2 of lusab .* surrogate.* UTF-8"):
        seal("lusab", _event("a\udc80"), "now", Head(2), before="")


def _sealed() -> bytes:
    return seal("lusab", _event("hi"), "now", Head(), before="")[0][:-1]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"null",
        b"[]",
        b"\xff\xfe{}",
        b"\0" * 50,
        _sealed()[:-1],
        _sealed() + _sealed(),
        _sealed().replace(b'"hi"', b'"\xff"'),
        _sealed().replace(b'"hi"', b'"\\ud800"'),
        _sealed().replace(b'"hi"', b'"a\0b"'),
        _sealed().replace(b"message_injected", b"message_dreamt"),
        _sealed().replace(b'"turn":1', b'"turn":1,"mood":"x"'),
        _sealed().replace(b'"turn":1', b'"turn":"1"'),
        _sealed().replace(b'"seq":0', b'"seq":' + b"9" * 9000),
        _sealed().replace(b'{"v":1', b'{"x":' + b"[" * 90_000 + b"]" * 90_000 + b',"v":1'),
    ],
)
def test_what_is_no_record_is_said_to_be_none(line: bytes) -> None:
    with pytest.raises(RecordError, match=r"^not a record: "):
        unseal(line)


@pytest.mark.parametrize(
    "change",
    [
        (b'{"v":1', b'{"v":2'),
        (b'{"v":1', b'{"v":99,"new":true'),
        (b"message_injected", b"message_injected_2"),
        (b'"turn":1', b'"turn":[1]'),
    ],
)
def test_a_record_of_a_newer_version_says_so(change: tuple[bytes, bytes]) -> None:
    line = _sealed().replace(b'{"v":1', b'{"v":7').replace(*change)
    with pytest.raises(RecordError, match=r"of version \d+, .* version 1: install a newer"):
        unseal(line)


def test_a_damaged_line_may_still_tell_whose_it_is() -> None:
    assert named(_sealed()[:40]) == "lusab"
    assert named(b'{"v":2,"conv":"\xff"') == "\ufffd"
    assert named(b"no") == ""
