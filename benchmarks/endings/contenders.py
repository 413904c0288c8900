"""What is measured: our detectors, fitted without the family they are tested on, and baselines.

Every contender is a function from training conversations to an annotator of conversations.
"""
# ruff: noqa: E501 - a list of phrases

import re
from collections.abc import Callable, Sequence

import msgspec
from corpora import Labelled
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from duologue.endings.annotate import (
    FEATURES,
    Memory,
    Weights,
    annotate,
    features,
    may_leave,
    remember,
    takes_leave,
    weights,
)  # fmt: skip
from duologue.endings.codebook import Annotation, Label
from duologue.endings.signs import signs

Said = Sequence[tuple[str, str]]
Annotator = Callable[[Said], list[Annotation]]
Contender = Callable[[Sequence[Labelled]], Annotator]


def ours(training: Sequence[Labelled]) -> Annotator:
    """The detectors of the package with weights fitted to ``training``."""
    return annotator(fit(training))


def annotator(numbers: Weights) -> Annotator:
    """The detectors of the package with these weights."""

    def run(turns: Said) -> list[Annotation]:
        memory, made = Memory(numbers), []
        for author, text in turns:
            memory, one = annotate(memory, author, text)
            made.append(one)
        return made

    return run


def fit(training: Sequence[Labelled]) -> Weights:
    """Weights for leave-taking by logistic regression (L2, C = 1); all other numbers are kept."""
    rows = [row for one in training for row in _rows(one)]
    model = LogisticRegression(C=1.0, max_iter=3000).fit([x for x, _ in rows], [y for _, y in rows])
    leave = {name: round(float(w), 2) for name, w in zip(FEATURES, model.coef_[0], strict=True)}
    bias = round(float(model.intercept_[0]), 2)
    return msgspec.structs.replace(weights(), bias=bias, leave=leave)


def _rows(one: Labelled) -> list[tuple[list[float], bool]]:
    """Features under the true past, for turns that might take leave."""
    memory, rows = Memory(), []
    for (author, text), label in zip(one.said, one.labels, strict=True):
        seen = signs(text)
        echo = memory.heard.hear(text[seen.start :])
        if label in {"talk", "closing", "pre_closing", "reopening"} and may_leave(seen):
            rows.append((features(memory, seen, echo), label == "closing"))
        leaves = memory.talked > 0 and takes_leave(Label(label), seen)
        turn = _turn(memory.heard.turns, author, text, label, leaves=leaves)
        remember(memory, turn, seen.length)
    return rows


def _turn(turn: int, author: str, text: str, label: str, *, leaves: bool) -> Annotation:
    return Annotation(turn, author, Label(label), leaves=leaves, length=len(text))


PHRASES = re.compile(
    r"goodbye|good-bye|\bbye\b|farewell|goodnight|good night|until next time|until we meet again|"
    r"see you (?:soon|later|again)|take care|safe travels|signing off|talk (?:to you )?(?:soon|later)|"
    r"it was (?:nice|great|good|a pleasure) (?:talking|chatting)|thank you for (?:this|the|a) (?:\w+ )?"
    r"conversation|have a (?:great|nice|good) (?:day|one)|best regards|end of conversation|"
    r"i'll let you go|wish you (?:all the best|well)|looking forward to our next",
    re.IGNORECASE,
)


def _each(label: Callable[[int, str, set[str]], str]) -> Annotator:
    def run(turns: Said) -> list[Annotation]:
        heard: set[str] = set()
        made = []
        for index, (author, text) in enumerate(turns):
            found = label(index, text, heard)
            leaves = found in {"closing", "token"}
            made.append(_turn(index + 1, author, text, found, leaves=leaves))
            heard.add(text.strip())
        return made

    return run


def regex(_: Sequence[Labelled]) -> Annotator:
    """Twenty phrases: a turn with one of them is a closing, all else is talk."""
    return _each(lambda _, text, __: "closing" if PHRASES.search(text) else "talk")


def short_or_repeat(_: Sequence[Labelled]) -> Annotator:
    """An exact repetition is a loop, up to 40 characters a token, up to 300 a closing."""

    def label(_: int, text: str, heard: set[str]) -> str:
        length = len(text.strip())
        if length <= 40:  # noqa: PLR2004 - the baseline's own numbers
            return "token" if length else "silence"
        if text.strip() in heard:
            return "loop"
        return "closing" if length <= 300 else "talk"  # noqa: PLR2004

    return _each(label)


def bag_of_words(training: Sequence[Labelled]) -> Annotator:
    """Words and pairs of words, weighted (tf-idf), and a logistic regression over all labels."""
    texts = [text for one in training for _, text in one.said]
    labels = [label for one in training for label in one.labels]
    words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, token_pattern=r"\S+")  # noqa: S106 - no password
    model = make_pipeline(words, LogisticRegression(C=10, max_iter=2000, class_weight="balanced"))
    model.fit(texts, labels)

    def run(turns: Said) -> list[Annotation]:
        found = model.predict([text for _, text in turns])
        return _each(lambda index, _, __: str(found[index]))(turns)

    return run


CONTENDERS: dict[str, Contender] = {
    "duologue": ours,
    "20-phrase regex": regex,
    "bag of words": bag_of_words,
    "short or repeat": short_or_repeat,
}
