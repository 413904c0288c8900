"""What a GGUF file says about itself, read from its first bytes, before any engine is started.

The form is GGUF's own, versions 2 and 3: the magic, three numbers, then keys with typed values, all
little-endian. Nothing but the length of the context is looked for. It knows no engine.
"""

import struct
from pathlib import Path
from typing import BinaryIO

_HEAD = struct.Struct("<4sIQQ")
_NUMBERS = dict(enumerate(("B", "b", "H", "h", "I", "i", "f", "?"))) | {10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9


def trained_context(weights: Path) -> int | None:
    """Tokens of context that a model was made for; None where its file does not say."""
    try:
        with weights.open("rb") as file:
            _, _, _, keys = _HEAD.unpack(file.read(_HEAD.size))
            for _ in range(keys):
                name, value = _string(file), _value(file)
                if name.endswith(b".context_length") and isinstance(value, int):
                    return value
    except (struct.error, KeyError):  # cut off, or of a later form: the engine says what is wrong
        return None
    return None


def _number(file: BinaryIO, form: str) -> int | float | bool:
    """One number of that form."""
    number: int | float | bool
    (number,) = struct.unpack(f"<{form}", file.read(struct.calcsize(f"<{form}")))
    return number


def _string(file: BinaryIO) -> bytes:
    """A length, and so many bytes."""
    return file.read(int(_number(file, "Q")))


def _value(file: BinaryIO) -> int | float | bool | bytes | None:
    """A value after its kind; of an array, None: it is read past."""
    kind = int(_number(file, "I"))
    if kind == _STRING:
        return _string(file)
    if kind != _ARRAY:
        return _number(file, _NUMBERS[kind])
    kind, count = int(_number(file, "I")), int(_number(file, "Q"))
    if kind == _STRING:
        for _ in range(count):
            _string(file)
    else:
        file.seek(count * struct.calcsize(f"<{_NUMBERS[kind]}"), 1)
    return None
