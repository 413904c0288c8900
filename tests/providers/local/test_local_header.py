import struct
from pathlib import Path

import pytest

from duologue.errors import ConfigurationError
from duologue.providers.local.header import trained_context
from duologue.providers.local.provider import Options, open_local


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def gguf(*pairs: bytes) -> bytes:
    return struct.pack("<4sIQQ", b"GGUF", 3, 0, len(pairs)) + b"".join(pairs)


NAME = text("general.architecture") + struct.pack("<I", 8) + text("llama")
TAGS = text("general.tags") + struct.pack("<IIQ", 9, 8, 2) + text("a") + text("bc")
SIZES = text("general.sizes") + struct.pack("<IIQ3H", 9, 2, 3, 1, 2, 3)
SCALE = text("general.scale") + struct.pack("<If", 6, 0.5)
LENGTH = text("llama.context_length") + struct.pack("<II", 4, 2048)


def test_the_length_of_the_context_is_found_behind_values_of_every_kind(tmp_path: Path) -> None:
    file = tmp_path / "m.gguf"
    file.write_bytes(gguf(NAME, TAGS, SIZES, SCALE, LENGTH) + b"weights")
    assert trained_context(file) == 2048


@pytest.mark.parametrize("data", [b"GGUF", gguf(NAME), gguf(NAME, LENGTH)[:-2], gguf(SIZES[:-30])])
def test_a_file_that_does_not_say_it_or_is_cut_has_no_known_length(
    tmp_path: Path, data: bytes
) -> None:
    file = tmp_path / "m.gguf"
    file.write_bytes(data)
    assert trained_context(file) is None


async def test_more_context_than_a_model_was_made_for_is_refused_before_it_is_loaded(
    tmp_path: Path,
) -> None:
    file = tmp_path / "m.gguf"
    file.write_bytes(gguf(NAME, LENGTH))
    with pytest.raises(ConfigurationError, match=r"made for a context of 2,048 .* 2048 or less"):
        await open_local(str(file), Options(context=4096))
