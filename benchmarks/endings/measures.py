"""Figures: what an annotator gets right, with bootstrap intervals over conversations."""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import msgspec
from corpora import Labelled

from duologue.endings.arc import arc
from duologue.endings.codebook import Annotation, Label

OFTEN = 20  # labels that occur so often count in the macro-average
_DRAWS = 1000


class Marked(msgspec.Struct, frozen=True):
    """One conversation, annotated, against its labels.

    Attributes:
        one: the conversation.
        hits: label -> turns that have it and got it.
        given: label -> turns that got it.
        true: label -> turns that have it.
        right: question about the conversation -> answered rightly; only questions that apply.
    """

    one: Labelled
    hits: Counter[str]
    given: Counter[str]
    true: Counter[str]
    right: dict[str, bool]


class Figure(msgspec.Struct, frozen=True):
    """A figure, how many it rests on, and its 95 % interval."""

    value: float
    n: int
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


def mark(one: Labelled, made: Sequence[Annotation]) -> Marked:
    """Hold annotations against the labels of a person."""
    given = [str(turn.label) for turn in made]
    hits = (true for true, got in zip(one.labels, given, strict=True) if true == got)
    return Marked(one, Counter(hits), Counter(given), Counter(one.labels), _right(one, made))


def _right(one: Labelled, made: Sequence[Annotation]) -> dict[str, bool]:
    seen = arc(made)
    first, mutual = _from_zero(seen.first_closing), _from_zero(seen.mutual_closing)
    opener = next((turn.author for turn in seen.reopenings), None)
    true_opener = _opener(one)
    right = {
        "first closing, exact": first == one.first_closing,
        "first closing, within one": _near(first, one.first_closing),
        "mutual closing, exact": mutual == one.mutual_closing,
        "mutual closing, within one": _near(mutual, one.mutual_closing),
        "end state": str(seen.end_state) == one.end_state,
        "re-opener": opener == true_opener,
    }
    if one.first_closing is not None:
        right |= {f"{name} (where there is one)": right[name] for name in list(right)[:4]}
    if true_opener is not None:
        right["re-opener (where there is one)"] = opener == true_opener
    return right


def _opener(one: Labelled) -> str | None:
    return next(
        (said[0] for said, label in zip(one.said, one.labels, strict=True) if label == "reopening"),
        None,
    )


def _from_zero(turn: int | None) -> int | None:
    return None if turn is None else turn - 1


def _near(found: int | None, true: int | None) -> bool:
    if found is None or true is None:
        return found is true
    return abs(found - true) <= 1


def often(marked: Sequence[Marked]) -> list[str]:
    """Labels that occur often enough to be averaged over, the most frequent first."""
    total = sum((one.true for one in marked), Counter[str]())
    return [label for label, n in total.most_common() if n >= OFTEN]


def precision(marked: Iterable[Marked], label: str) -> float:
    """Of the turns that got the label, the share that have it; 0 where none got it."""
    pairs = [(one.hits[label], one.given[label]) for one in marked]
    return _share(*map(sum, zip(*pairs, strict=True)))


def recall(marked: Iterable[Marked], label: str) -> float:
    """Of the turns that have the label, the share that got it."""
    pairs = [(one.hits[label], one.true[label]) for one in marked]
    return _share(*map(sum, zip(*pairs, strict=True)))


def f1(marked: Iterable[Marked], label: str) -> float:
    """The harmonic mean of precision and recall."""
    pairs = [(2 * one.hits[label], one.given[label] + one.true[label]) for one in marked]
    return _share(*map(sum, zip(*pairs, strict=True)))


def macro(labels: Sequence[str]) -> Callable[[Sequence[Marked]], float]:
    """The mean F1 over these labels."""
    return lambda marked: sum(f1(marked, label) for label in labels) / len(labels)


def rate(question: str) -> Callable[[Sequence[Marked]], float]:
    """The share of conversations to which the question applies where the answer is right."""

    def value(marked: Sequence[Marked]) -> float:
        asked = [one.right[question] for one in marked if question in one.right]
        return _share(sum(asked), len(asked))

    return value


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def figure(
    marked: Sequence[Marked], value: Callable[[Sequence[Marked]], float], n: int | None = None
) -> Figure:
    """A figure with its percentile bootstrap interval over conversations."""
    draw = random.Random(20261123)  # noqa: S311 - a bootstrap, not a secret
    drawn = sorted(value(draw.choices(marked, k=len(marked))) for _ in range(_DRAWS))
    low, high = drawn[round(0.025 * _DRAWS)], drawn[round(0.975 * _DRAWS) - 1]
    return Figure(value(marked), len(marked) if n is None else n, low, high)


def closings(made: Sequence[Annotation]) -> list[bool]:
    """Which turns take leave."""
    return [turn.label in {Label.CLOSING, Label.REFUSAL} or turn.leaves for turn in made]
