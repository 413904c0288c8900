"""The conversations that the detectors are measured on. Nothing of their text is kept here.

``--corpora`` is a folder with ``self-talk`` (real self-talk of open models and its hand labels),
``swda-train`` and ``sgd-dev`` (people closing telephone calls and service dialogues: controls).
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

FAMILIES = ("llama", "qwen", "gemma", "gemini", "olmo", "trinity")
SECOND = Path(__file__).with_name("second_labels.jsonl")


class Labelled(msgspec.Struct, frozen=True):
    """A conversation and what a person says of it; indices count from 0, as in the files.

    Attributes:
        family: the model family that talks to itself here.
        key: file and conversation.
        said: (author, text) of every turn.
        labels: one a turn.
        first_closing: index, or None.
        mutual_closing: index, or None.
        end_state: of the codebook.
    """

    family: str
    key: tuple[str, int]
    said: tuple[tuple[str, str], ...]
    labels: tuple[str, ...]
    first_closing: int | None
    mutual_closing: int | None
    end_state: str


def families(convs: Iterable[Labelled]) -> list[str]:
    """The families of these conversations, those of the development data first."""
    there = {one.family for one in convs}
    return [*(family for family in FAMILIES if family in there), *sorted(there - {*FAMILIES})]


def self_talk(corpora: Path, labels: Path | None = None) -> list[Labelled]:
    """The labelled conversations, by the first annotator unless other labels are named."""
    return labelled(corpora / "self-talk", labels)


def labelled(folder: Path, labels: Path | None = None) -> list[Labelled]:
    """Conversations of a folder and their labels, those in its ``labels.jsonl`` unless others.

    A file of no known family is a family of its own.
    """
    lines = (labels or folder / "labels.jsonl").read_text("utf-8").splitlines()
    return [_labelled(folder, json.loads(line)) for line in lines if line.strip()]


def _labelled(folder: Path, row: dict[str, object]) -> Labelled:
    name, index = str(row["file"]), int(str(row["conversation"]))
    turns = json.loads((folder / name).read_text("utf-8"))["conversations"][index]
    said = ((one["speaker"], one["content"] or "") for one in turns["full_conversation"])
    family = next((family for family in FAMILIES if family in name.lower()), Path(name).stem)
    facts = {**row, "family": family, "key": (name, index), "said": tuple(said)}
    return msgspec.convert(facts, Labelled, strict=False)


def swda(corpora: Path) -> Iterator[tuple[list[tuple[str, str]], list[bool]]]:
    """Telephone calls: (author, utterance) pairs, and which utterances are tagged ``fc``."""
    for path in sorted((corpora / "swda-train").glob("*.txt")):
        rows = [line.split("|") for line in path.read_text("utf-8").splitlines() if line]
        rows = [row for row in rows if len(row) > 2]  # noqa: PLR2004 - author|words|tag
        yield [(row[0], row[1]) for row in rows], [row[-1] == "fc" for row in rows]


def sgd(corpora: Path) -> Iterator[tuple[list[tuple[str, str]], list[bool]]]:
    """Service dialogues: (author, utterance) pairs, and which utterances hold a GOODBYE act."""
    for path in sorted((corpora / "sgd-dev").glob("*.json")):
        for dialogue in json.loads(path.read_text("utf-8")):
            turns = dialogue["turns"]
            yield (
                [(one["speaker"], one["utterance"]) for one in turns],
                [
                    any(
                        act["act"] == "GOODBYE"
                        for frame in one["frames"]
                        for act in frame["actions"]
                    )
                    for one in turns
                ],
            )
