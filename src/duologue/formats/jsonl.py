"""Plain JSONL: one message a line, for other people's tools and for conversations from anywhere.

    {"author": "A", "text": "the first words"}
    {"author": "B", "text": "the answer", "origin": "model", "turn": 2}

Each line is a JSON object in UTF-8, ended by a line feed:

| key | value | needed |
|---|---|---|
| ``author`` | the speaker's name, not empty | yes |
| ``text`` | the words, exactly; may be empty | yes |
| ``origin`` | ``model``, ``opening``, ``scenario``, ``nudge``, ``human`` or ``import`` | no |
| ``turn`` | the message's number in its first home, 0 or more | no |

Any other key, a key given twice, an empty line other than at the end, and half of a surrogate pair
are refused, with the line. Control characters, NUL among them, are kept. The speakers are the
authors in the order in which they first speak: who never spoke is not in the file.

``parse`` after ``render`` is the identity on messages, and on a byte order mark
(``fields["bom"]``). A file that ``render`` wrote comes back byte for byte; one written with other
blanks or escapes comes back as the same values. U+0085, U+2028 and U+2029 are written as escapes,
because some readers end a line there. This module does not know files, the log, or who made words.
"""

import difflib
import json
from collections.abc import Iterator
from typing import Any

from duologue.core.message import Origin
from duologue.errors import FormatError
from duologue.formats.foreign import (
    BYTE_ORDER_MARK,
    Ambiguity,
    Foreign,
    ForeignMessage,
    unencodable,
)

FORMAT = "jsonl"
KEYS = ("author", "text", "origin", "turn")

_LARGEST_TURN = 2**63 - 1
_LINE_ENDS_OF_OTHERS = str.maketrans({"\x85": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"})


def parse(data: bytes) -> tuple[Foreign, tuple[Ambiguity, ...]]:
    """The conversation in ``data``. This format leaves nothing in doubt, so the second is empty.

    Raises:
        FormatError: a line is not a message of this format, or there is none.
    """
    bom = data.startswith(BYTE_ORDER_MARK.encode())
    lines = data.removeprefix(BYTE_ORDER_MARK.encode()).split(b"\n")
    while lines and not lines[-1].strip():
        lines.pop()
    messages = tuple(_message(words, line) for line, words in enumerate(lines, start=1))
    if not messages:
        raise FormatError("the file holds no message; expected one JSON object a line")
    fields = {"bom": BYTE_ORDER_MARK} if bom else {}
    return Foreign(FORMAT, _speakers(messages), messages, fields), ()


def render(foreign: Foreign) -> bytes:
    """The file that holds ``foreign``; ask ``cannot_hold`` what it leaves out.

    Raises:
        FormatError: no file of this format can hold these messages at all.
    """
    for fault in _faults(foreign):
        raise FormatError(fault)
    lines = "".join(f"{_line(message)}\n" for message in foreign.messages)
    return f"{foreign.fields.get('bom', '')}{lines}".encode()


def cannot_hold(foreign: Foreign) -> tuple[str, ...]:
    """What a file of this format would lose of ``foreign``; empty if nothing.

    Empty means that ``parse(render(foreign))`` gives ``foreign`` back.
    """
    return (*_faults(foreign), *_losses(foreign))


def _message(words: bytes, line: int) -> ForeignMessage:
    value = _json(_decode(words, line), line)
    if not isinstance(value, dict):
        raise FormatError(f"expected a JSON object, found {_kind(value)}", line=line)
    for key in value:
        if key not in KEYS:
            raise FormatError(f"unknown key {key!r}{_nearest(key, KEYS)}", line=line)
    for key in ("author", "text"):
        if not isinstance(value.get(key), str):
            found = _kind(value[key]) if key in value else "nothing"
            raise FormatError(f"`{key}` must be a string, found {found}", line=line)
        if unencodable(value[key]):
            raise FormatError(
                f"`{key}` holds half of a surrogate pair (\\ud800 to \\udfff), which is no "
                "character and cannot be kept; replace it in the file",
                line=line,
            )
    if not value["author"]:
        raise FormatError("`author` is empty; a message needs the name of who said it", line=line)
    return ForeignMessage(value["author"], value["text"], _origin(value, line), _turn(value, line))


def _decode(words: bytes, line: int) -> str:
    try:
        return words.decode()
    except UnicodeDecodeError as error:
        raise FormatError(
            f"byte {error.start + 1} of the line (0x{words[error.start]:02x}) is not UTF-8; save "
            "the file as UTF-8",
            line=line,
        ) from error


def _json(words: str, line: int) -> Any:  # noqa: ANN401 (any JSON value, checked by the caller)
    if not words.strip():
        raise FormatError("the line is empty; each line must hold one message", line=line)
    try:
        return json.loads(words, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise FormatError(
            f"not valid JSON at column {error.colno}: {error.msg}", line=line
        ) from error
    except _TwiceError as error:
        raise FormatError(f"the key {error.args[0]!r} is given twice", line=line) from error
    except (ValueError, RecursionError) as error:  # a number or a nesting beyond Python's limits
        raise FormatError(f"JSON that is too large to read: {error}", line=line) from error


class _TwiceError(Exception):
    """A key is given twice; JSON readers differ in which one they believe."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _TwiceError(next(key for key in keys if keys.count(key) > 1))
    return value


def _origin(value: dict[str, Any], line: int) -> Origin | None:
    if "origin" not in value:
        return None
    written, known = value["origin"], tuple(Origin)
    if not isinstance(written, str) or written not in known:
        hint = _nearest(written, known) if isinstance(written, str) else ""
        raise FormatError(f"unknown origin {written!r}{hint}", line=line)
    return Origin(written)


def _turn(value: dict[str, Any], line: int) -> int | None:
    if "turn" not in value:
        return None
    turn = value["turn"]
    if not _is_turn(turn):
        raise FormatError(f"`turn` must be a whole number from 0, found {turn!r}", line=line)
    return int(turn)


def _is_turn(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST_TURN


def _nearest(key: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean {str(near[0])!r}?" if near else f"; known are {', '.join(known)}"


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a truth value"}
    return names.get(type(value), "null" if value is None else "a number")


def _speakers(messages: tuple[ForeignMessage, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(message.author for message in messages))


def _line(message: ForeignMessage) -> str:
    value: dict[str, str | int] = {"author": message.author, "text": message.text}
    if message.origin is not None:
        value["origin"] = message.origin.value
    if message.turn is not None:
        value["turn"] = message.turn
    return json.dumps(value, ensure_ascii=False).translate(_LINE_ENDS_OF_OTHERS)


def _faults(foreign: Foreign) -> Iterator[str]:
    """Why no file of this format can be written at all."""
    if not foreign.messages:
        yield "there is no message to write"
    if foreign.fields.get("bom", BYTE_ORDER_MARK) != BYTE_ORDER_MARK:
        yield "the field `bom` is not a byte order mark"
    for number, message in enumerate(foreign.messages, start=1):
        if not message.author:
            yield f"message {number} has no author"
        if unencodable(message.author) or unencodable(message.text):
            yield f"message {number} holds half of a surrogate pair, which UTF-8 cannot"
        if message.turn is not None and not _is_turn(message.turn):
            yield f"the turn of message {number} is not a whole number from 0"


def _losses(foreign: Foreign) -> Iterator[str]:
    """What has no place in this format."""
    if foreign.format != FORMAT:
        yield f"that it came from the format `{foreign.format}`"
    if foreign.names != _speakers(foreign.messages):
        yield "the seats: a file gives only the authors, in the order in which they first speak"
    for key in sorted(foreign.fields.keys() - {"bom"}):
        yield f"the field `{key}` has no place in this format"
