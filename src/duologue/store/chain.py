"""One record as one line, and the hashes that chain it.

A line is ``{"v":…,"conv":…,"seq":…,"at":…,"event":{…},"p":"…","h":"…"}``. ``p`` repeats the hash
of the line before it in the same file, so a line that is taken out, put in or moved is noticed.
``h`` is BLAKE2b-128 over the ``h`` of the conversation's record before it (nothing for the first)
and the line's own bytes up to ``,"h":``; so an edited byte is noticed, and a conversation's last
``h`` vouches for all of it. The bytes are hashed as they stand: a reader in another language needs
no canonical form. This module reads and writes no files.
"""

import re
from hashlib import blake2b

import msgspec

from duologue.core.event import SCHEMA_VERSION, Event, Record
from duologue.errors import RecordError, StoreError

_HEX = 32
_CONV = re.compile(rb'"conv":"([^"\\]*)"')
_TAIL = len(',"h":""}') + _HEX


class _Stamped(msgspec.Struct, frozen=True):
    """A record before its own hash."""

    v: int
    conv: str
    seq: int
    at: str
    event: Event
    p: str


class _Version(msgspec.Struct, frozen=True):
    """As much of a record as every version of the schema has."""

    v: int


class Head(msgspec.Struct, frozen=True):
    """Where a conversation's chain stands.

    Attributes:
        seq: the number of its next record.
        h: the hash of its last record; empty before the first.
    """

    seq: int = 0
    h: str = ""


# A foreign line can be nested deeper than any parser likes.
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Record)
_version = msgspec.json.Decoder(_Version)


def seal(conv: str, event: Event, at: str, head: Head, *, before: str) -> tuple[bytes, Record]:
    """The line for ``event`` and the record that it holds.

    Args:
        conv: the conversation's id.
        event: the fact.
        at: the time, as it is to be written.
        head: where the conversation's chain stands.
        before: the hash of the line before it in the file; empty for the first.

    Raises:
        StoreError: the event holds half a character, which has no bytes in any encoding.
    """
    stamped = _Stamped(SCHEMA_VERSION, conv, head.seq, at, event, before)
    try:
        payload = _encoder.encode(stamped)[:-1]
    except UnicodeEncodeError as error:
        raise StoreError(
            f"record {head.seq} of {conv} cannot be written: it holds half a character (a lone "
            "surrogate); give the text in UTF-8. Everything recorded before is safe"
        ) from error
    h = _hash(head.h, payload)
    record = Record(SCHEMA_VERSION, conv, head.seq, at, event, before, h)
    return b'%b,"h":"%b"}\n' % (payload, h.encode()), record


def unseal(line: bytes) -> Record:
    """The record in a line, without its newline.

    Raises:
        RecordError: the line is not a record, or of another version than this program reads.
    """
    try:
        record = _decoder.decode(line)
    except _UNREADABLE as error:
        raise _unreadable(line, error) from error
    if record.v != SCHEMA_VERSION:
        raise _foreign(record.v)
    return record


def _unreadable(line: bytes, error: Exception) -> RecordError:
    """Why a line is no record that this program reads."""
    try:
        v = _version.decode(line).v
    except _UNREADABLE:
        v = SCHEMA_VERSION
    return RecordError(f"not a record: {error}") if v == SCHEMA_VERSION else _foreign(v)


def _foreign(v: int) -> RecordError:
    """That a record is of a version which this program does not know."""
    return RecordError(
        f"the record is of version {v}, this duologue reads version {SCHEMA_VERSION}: "
        "install a newer duologue to read it; nothing was changed"
    )


def named(line: bytes) -> str:
    """Whose an unreadable line says that it is; empty where even that cannot be read."""
    found = _CONV.search(line)
    return found[1].decode(errors="replace") if found else ""


def intact(line: bytes, record: Record, head: Head) -> bool:
    """Whether a line's own hash follows from its bytes and from its conversation's chain."""
    return record.h == _hash(head.h, line[:-_TAIL])


def _hash(before: str, payload: bytes) -> str:
    """BLAKE2b-128 over the chain so far and a payload, in hexadecimal."""
    return blake2b(before.encode() + payload, digest_size=_HEX // 2).hexdigest()
