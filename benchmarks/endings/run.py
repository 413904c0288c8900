"""Measure the detectors of endings and write their model card.

    python benchmarks/endings/run.py --corpora ../shared/corpora [--write]
    python benchmarks/endings/run.py --corpora ../shared/corpora --held-out FOLDER

Leave one family out: whatever is fitted is fitted on the conversations of the other families.
``--write`` also fits the weights on all families, puts them into the package, and writes the card.
``--held-out`` prints the same figures of other conversations, labelled in the same form (``FOLDER``
holds them and their ``labels.jsonl``): our weights as they stand in the package, baselines fitted
on the whole of ``--corpora``.
Needs scikit-learn (for fitting and for a baseline); the package itself does not.
"""

import argparse
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import card
import corpora as data
import msgspec
import tomli_w
from contenders import CONTENDERS, Annotator, annotator, fit
from measures import (
    Figure,
    Marked,
    closings,
    f1,
    figure,
    macro,
    mark,
    often,
    precision,
    rate,
    recall,
)

from duologue.endings.annotate import Weights, annotations, weights

ROOT = Path(__file__).resolve().parents[2]
_ROUNDS = 7


def left_out(convs: Sequence[data.Labelled], contender: str) -> list[Marked]:
    """Every conversation, annotated by what was fitted on the other families."""
    marked = []
    for family in data.families(convs):
        run = CONTENDERS[contender]([one for one in convs if one.family != family])
        marked += [mark(one, run(one.said)) for one in convs if one.family == family]
    return marked


def per_label(marked: Sequence[Marked]) -> list[list[str]]:
    """Rows: label, n, precision, recall, F1, each with its interval."""
    total = sum((one.true for one in marked), start=type(marked[0].true)())
    return [
        [label, str(n), *(str(figure(marked, partial(of, label=label))) for of in _OF)]
        for label, n in total.most_common()
    ]


_OF = (precision, recall, f1)


def per_family(marked: Sequence[Marked]) -> list[list[str]]:
    """Rows: family, conversations, turns, right turns, first closing within one."""
    rows = []
    for family in data.families(one.one for one in marked):
        own = [one for one in marked if one.one.family == family]
        turns = sum(len(one.one.labels) for one in own)
        rows.append([
            family, str(len(own)), str(turns), str(figure(own, _accuracy)),
            *(f"{f1(own, label):.2f}" if any(one.true[label] for one in own) else "-"
              for label in often(marked)),
            str(figure(own, rate("first closing, within one"))),
        ])  # fmt: skip
    return rows


def _accuracy(marked: Sequence[Marked]) -> float:
    return sum(one.hits.total() for one in marked) / sum(one.true.total() for one in marked)


def questions(marked: Sequence[Marked]) -> list[list[str]]:
    """Rows: question about the conversation, n, share answered rightly."""
    names = dict.fromkeys(name for one in marked for name in one.right)
    return [_question(marked, name) for name in names]


def _question(marked: Sequence[Marked], name: str) -> list[str]:
    own = [one for one in marked if name in one.right]
    return [name, str(len(own)), str(figure(own, rate(name)))]


def held_out(
    convs: Sequence[data.Labelled], training: Sequence[data.Labelled], contender: str
) -> list[Marked]:
    """Every conversation, annotated by what was fitted on others; ours as it is installed."""
    installed = contender == "duologue"
    run = annotator(weights()) if installed else CONTENDERS[contender](training)
    return [mark(one, run(one.said)) for one in convs]


def figures(all_marked: Mapping[str, list[Marked]]) -> card.Figures:
    """All tables of what the contenders got right."""
    marked = all_marked["duologue"]
    return card.Figures(
        labels=often(marked),
        contenders=contest(all_marked),
        per_label=per_label(marked),
        per_family=per_family(marked),
        questions=questions(marked),
    )


def contest(all_marked: Mapping[str, list[Marked]]) -> list[list[str]]:
    """Rows: contender, macro-F1, F1 of each frequent label, first closing."""
    labels = often(all_marked["duologue"])
    return [
        [
            name, str(figure(marked, macro(labels))),
            *(f"{f1(marked, label):.2f}" for label in labels),
            str(figure(marked, rate("first closing, within one"))),
            f"{rate('first closing, within one (where there is one)')(marked):.2f}",
        ]
        for name, marked in all_marked.items()
    ]  # fmt: skip


Human = Iterable[tuple[list[tuple[str, str]], list[bool]]]


def control(dialogues: Human) -> list[str]:
    """Dialogues, precision and recall of closing turns, first closing found within three turns."""
    marked = [(closings(annotations(said)), true) for said, true in dialogues]
    both = [_overlap(*one) for one in marked]
    hits = _interval(both, lambda rows: _ratio(rows, 0, 1))
    found = _interval(both, lambda rows: _ratio(rows, 0, 2))
    first = [(_first(given), _first(true)) for given, true in marked]
    near = [float(a is b if a is None or b is None else abs(a - b) <= 3) for a, b in first]  # noqa: PLR2004
    return [
        str(len(marked)),
        str(hits),
        str(found),
        str(_interval(near, lambda r: sum(r) / len(r))),
    ]


def _overlap(given: list[bool], true: list[bool]) -> tuple[int, int, int]:
    return sum(a and b for a, b in zip(given, true, strict=True)), sum(given), sum(true)


def _ratio(rows: Sequence[tuple[int, int, int]], over: int, under: int) -> float:
    return sum(row[over] for row in rows) / max(1, sum(row[under] for row in rows))


def _interval(rows: Sequence[Any], value: Callable[[Sequence[Any]], float]) -> Figure:
    draw = random.Random(20261123)  # noqa: S311 - a bootstrap, not a secret
    drawn = sorted(value(draw.choices(rows, k=len(rows))) for _ in range(300))
    return Figure(value(rows), len(rows), drawn[7], drawn[292])


def _first(flags: list[bool]) -> int | None:
    return flags.index(True) if True in flags else None


def agreement(first: Sequence[data.Labelled], second: Sequence[data.Labelled]) -> list[str]:
    """Of conversations that two people labelled: n, turns, share of equal labels, kappa."""
    own = {one.key: one for one in first}
    pairs = [
        pair for two in second if two.key in own
        for pair in zip(own[two.key].labels, two.labels, strict=True)
    ]  # fmt: skip
    if not pairs:
        return []
    same = sum(a == b for a, b in pairs) / len(pairs)
    names = {label for pair in pairs for label in pair}
    chance = sum(_held(pairs, 0, name) * _held(pairs, 1, name) for name in names)
    both = sum(two.key in own for two in second)
    return [str(both), str(len(pairs)), f"{same:.2f}", f"{(same - chance) / (1 - chance):.2f}"]


def _held(pairs: Sequence[tuple[str, str]], side: int, label: str) -> float:
    return sum(pair[side] == label for pair in pairs) / len(pairs)


def speed(convs: Sequence[data.Labelled]) -> tuple[float, float, float]:
    """Turns a second on one core (median, best of the rounds), and characters a turn."""
    turns = sum(len(one.said) for one in convs)
    rounds = []
    for _ in range(_ROUNDS):
        # Texts of their own: nothing of the last round, not even a hash, is to be found again.
        said = [[(author, text[:1] + text[1:]) for author, text in one.said] for one in convs]
        start = time.process_time()
        for one in said:
            annotations(one)
        rounds.append(turns / (time.process_time() - start))
    rounds.sort()
    return rounds[_ROUNDS // 2], rounds[-1], sum(
        len(text) for one in convs for _, text in one.said
    ) / turns  # fmt: skip


def write_weights(numbers: Weights) -> None:
    """Put fitted weights into the package."""
    path = ROOT / "src/duologue/endings/weights.toml"
    path.write_text(tomli_w.dumps(msgspec.to_builtins(numbers)), "utf-8")
    weights.cache_clear()


def second_set(first: Sequence[data.Labelled], corpora: Path) -> tuple[list[Marked], list[str]]:
    """Conversations that only the second annotator labelled, marked; and the agreement."""
    if not data.SECOND.exists():
        return [], []
    second = data.self_talk(corpora, data.SECOND)
    own = {one.key for one in first}
    marked = []
    for family in data.families(first):
        run: Annotator = annotator(fit([one for one in first if one.family != family]))
        fresh = (one for one in second if one.family == family and one.key not in own)
        marked += [mark(one, run(one.said)) for one in fresh]
    return marked, agreement(first, second)


def main() -> None:
    """Measure, print, and with ``--write`` keep."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--corpora", type=Path, default=ROOT.parent / "shared/corpora")
    options.add_argument("--write", action="store_true", help="keep the weights and the card")
    options.add_argument("--held-out", type=Path, help="other conversations and their labels")
    chosen = options.parse_args()
    convs = data.self_talk(chosen.corpora)
    if chosen.held_out:
        others = data.labelled(chosen.held_out)
        found = figures({name: held_out(others, convs, name) for name in CONTENDERS})
        print("\n".join(card.tables(found)))
        return
    if chosen.write:
        write_weights(fit(convs))
    found = figures({name: left_out(convs, name) for name in CONTENDERS})
    second, agreed = second_set(convs, chosen.corpora)
    text = card.card(
        found,
        second=[] if not second else [
            [str(len(second)), str(figure(second, macro(often(second)))),
             *(f"{f1(second, label):.2f}" for label in found.labels),
             str(figure(second, rate("first closing, within one")))],
        ],
        agreed=agreed,
        controls=[
            ["SwDA, telephone calls", *control(data.swda(chosen.corpora))],
            ["SGD, service dialogues", *control(data.sgd(chosen.corpora))],
        ],
        speed=speed(convs),
        weights=weights(),
    )  # fmt: skip
    print(text)
    if chosen.write:
        (ROOT / "docs/detectors.md").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
