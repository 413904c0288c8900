"""The model card of the detectors, written from measured figures."""
# ruff: noqa: E501, ISC004 - the page is text

import platform
from collections.abc import Sequence

import msgspec

from duologue.endings.annotate import Weights

Rows = Sequence[Sequence[str]]


def table(head: Sequence[str], rows: Rows) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


class Figures(msgspec.Struct, frozen=True):
    """What contenders got right.

    Attributes:
        labels: those that occur often enough for a macro-average.
        contenders: rows: contender, macro-F1, F1 of each of these labels, first closing.
        per_label: rows: label, turns, precision, recall, F1.
        per_family: rows: family, conversations, turns, turns right, F1 of labels, first closing.
        questions: rows: question about the conversation, n, share answered rightly.
    """

    labels: Sequence[str]
    contenders: Rows
    per_label: Rows
    per_family: Rows
    questions: Rows


def tables(found: Figures) -> list[str]:
    """The figures, as tables under headings."""
    closing, labels = "first closing ±1", found.labels
    return [
        table(
            ["contender", "macro-F1", *labels, closing, "... where there is one"], found.contenders
        ),
        "### Per label\n",
        table(["label", "turns", "precision", "recall", "F1"], found.per_label),
        "### Per conversation\n",
        _NULL,
        table(["question", "n", "right"], found.questions),
        "### By family\n",
        table(
            ["family", "conversations", "turns", "turns right", *labels, closing], found.per_family
        ),
    ]


def card(
    found: Figures,
    *,
    second: Rows,
    agreed: Sequence[str],
    controls: Rows,
    speed: tuple[float, float, float],
    weights: Weights,
) -> str:
    """The page, whole."""
    parts = [
        _WHAT,
        "## Error rates, leaving one family out\n",
        _HOW,
        *tables(found),
        *_second(found.labels, second, agreed),
        "## Controls: people\n",
        _PEOPLE,
        table(["corpus", "dialogues", "precision", "recall", "first closing ±3"], controls),
        "## Speed\n",
        f"{speed[0]:,.0f} turns a second on one core (median of seven rounds; best "
        f"{speed[1]:,.0f}), at {speed[2]:,.0f} characters a turn, with {platform.python_implementation()} {platform.python_version()}.\n",
        _SPEED,
        "## The weights\n",
        _WEIGHTS,
        table(["what", "weight"], [["bias", str(weights.bias)], *(
            [name, str(value)] for name, value in weights.leave.items())]),
        _FOUNDING,
        _MISSES,
    ]  # fmt: skip
    return "\n".join(parts)


def _second(labels: Sequence[str], second: Rows, agreed: Sequence[str]) -> list[str]:
    if not second:
        return []
    head = ["conversations", "macro-F1", *labels, "first closing ±1"]
    said = (
        f"Two annotators labelled the same {agreed[0]} conversations ({agreed[1]} turns) apart: "
        f"{agreed[2]} of the labels agree, Cohen's kappa {agreed[3]}.\n" if agreed else ""
    )  # fmt: skip
    return ["### A second annotator\n", _SECOND, table(head, second), said]


_WHAT = """# The detectors of endings: model card

<!-- Written by `python benchmarks/endings/run.py --write`; do not edit by hand. -->

**What they are.** Rules with few parameters that give every turn of a conversation one label of the
codebook (`silence`, `token`, `loop`, `refusal`, `closing`, `reopening`, `pre_closing`, `talk`) with
the evidence for it, from the turn and what came before it, never from what comes after. Three parts:

1. *Signs* (`signs.py`, vocabulary in `lexicon.toml`): speech acts (farewell, leaving, good wishes,
   standing by, thanks, praise of the conversation, being at an end, offering to end, going on,
   declining, complaining of prolongation) in the beginning and the end of a turn, in English,
   Spanish, French, German, Chinese, and Hindi with Sanskrit salutations; and shapes (nothing
   visible, a stage mark, an emoji, a few words). A `<think>` block is not what a turn says, and a
   turn that holds nothing else is silent. Of a turn that is mostly symbols the words count.
   A sign in quotation marks is not the speaker's, and a formula of farewell that is named in a
   sentence ("people say goodbye with the coat on") takes no leave.
2. *Repeats* (`repeats.py`): the share of a turn that stands, clause for clause, in any earlier turn;
   of short turns also the frame that they share with the latest ones.
3. *A state machine* (`annotate.py`) that orders them as the codebook does. Whether a turn takes
   leave is a weighted sum of its signs; the weights are below and in `weights.toml`.

**What they are for.** Describing how conversations between models end, with known error. They stop
nothing unless a policy that was declared beforehand says so. They do not judge what a conversation
means, and they are no measure of a model's wish to end it.

**Data.** 24 conversations of 30 turns in which a model of one of six families talks to itself,
labelled by hand turn by turn. Their text is not in this repository. `python benchmarks/endings/run.py
--held-out FOLDER` gives the figures of any other conversations that are labelled in the same form.
"""
_HOW = """Whatever is fitted is fitted on the five other families. Intervals are 95 % percentile
bootstrap over conversations (1,000 draws). `macro-F1` is over the labels that occur at least 20
times. Only the weights are fitted without the family. The vocabulary, the thresholds and the order
of the rules were chosen with conversations of all six families in view, so these figures are kinder
than those on models never seen; see also the second annotator below. Rules and vocabulary were also mended
after 64 conversations that reviewers wrote in the manner of other models, and labelled before the
detectors read them; of these no figures are given, as nobody's model said them.
"""
_NULL = """A conversation without a closing in which none is found counts as right; rows that end in
"where there is one" leave those conversations out.
"""
_SECOND = """Conversations of the same families that only a second annotator labelled; fitted on the
first annotator's conversations of the other families. Closer to what to expect of new data: the
weights were not fitted on them. They are no clean test either: some of these errors were looked at,
the vocabulary was mended after it (the chance "to explore this with you" as praise, "until then, I
..." as standing by), and two rules were chosen partly because they did better here: that a formula of
farewell is enough, and that praise winds down only once four turns of talk came before it.
"""
_PEOPLE = """A control in another register, not the target: nothing was fitted on it. Unit: the
utterance (SwDA tag `fc`, which also holds "Okay." and "Well, you too."; SGD act `GOODBYE`). Two
formulas ("have a great day", "nice talking to you") were added after low recall here.
"""
_WEIGHTS = """A turn takes leave when the weighted sum is above 0. Signs count from 0 to 1.5;
`shrink` is the turn's length as a share of the mean turn of talk so far (at most 1.5), `brief` is
1 / (1 + length / 400), `ended` is 1 once leave was taken and nobody re-opened, `asks` when the
turn ends in a question, `likeness` its likeness to the earlier turn it is most like.
"""
_FOUNDING = """## The founding transcript

It comes out as it has to (first closing, both sides gone, every silent turn, the late long turns
as refusals or re-openings, a refusal or farewell loop at the end). Nothing was fitted on it and no
phrase is from it, but the rule that a formula of farewell is enough, however long the turn, was
prompted by it. So that it passes is no untouched acceptance.
"""
_SPEED = """Texts are new in every round. The figure moves with what else a machine does: while its
neighbours were at work on the same cores, the same code did up to a third fewer. Folding a turn into
clauses takes a quarter of the time and finding the heads of the vocabulary an eighth, both in C; the
rest is many small steps.
"""
_MISSES = """## Known misses

- `pre_closing` is the weakest label: praise that sums up is often talk to one reader and winding
  down to another, and poems that grow still have no words for it.
- The middle of a long turn (beyond its first 220 and last 560 characters) is not read for signs.
- A first farewell without any formula, at full length, is found one turn late or not at all.
- A family that ends every turn politely ("I look forward to continuing") is taken to leave late.
- Where a loop begins is a matter of degree: near-verbatim turns are one turn early or late.
- `refusal` and `reopening` are too rare in the labelled data for an error rate.
- Hindi, Chinese, Spanish, French and German are covered by tables of cases, not by a corpus.
- A verse that dissolves into symbols over many turns is talk until leave was taken.
- Irony is read at face value. In role play the farewell of a character whose words stand alone with
  stage directions is its speaker's, and one in a story that is told is not.
- A turn of few clauses that all change is a loop by its frame, but only up to 500 characters.

## Again

`python benchmarks/endings/run.py --corpora ../shared/corpora --write` fits the weights, measures
and writes this page (needs scikit-learn).
"""
