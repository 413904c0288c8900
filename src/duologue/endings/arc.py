"""What the labels of its turns make of a conversation: when it closed, what came after, its end.

Everything is read off the annotations, once through, so a running conversation has the same arc by
the same code. It does not know the words that were said.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, pairwise

from duologue.endings.codebook import Annotation, Arc, EndState, Label, Loop, Reopening

TAIL = 6
# Labels under which a conversation goes on; under all others it is ending, ended or stuck.
_GOING_ON = frozenset({Label.TALK, Label.PRE_CLOSING, Label.REOPENING})
_RUN = 3  # so many turns of one kind are a state, and so many stuck ones a collapse
_ON_AND_ON = 4  # so many closings of the last six are no longer one leave-taking
_PAIR = 2


def arc(annotations: Sequence[Annotation]) -> Arc:
    """The arc of a conversation with these turns, in order.

    Lines that were given count as turns but take no leave: nobody's model said them.
    """
    spoken = [one for one in annotations if not one.given]
    parting = Parting()
    for one in spoken:
        parting.hear(one)
    mutual = parting.mutual
    after = None if mutual is None else [one for one in spoken if one.turn > mutual]
    return Arc(
        turns=len(annotations),
        first_closing=parting.first,
        mutual_closing=mutual,
        after_closing=None if after is None else len(after),
        length_after=None if after is None else sum(one.length for one in after),
        reopenings=tuple(_reopenings(annotations)),
        loops=tuple(loops(spoken)),
        collapse=_collapse(spoken),
        end_state=end_state([one.label for one in spoken]),
        transitions=transitions(annotations),
    )


class Parting:
    """Who has taken leave so far. An accumulator: ``hear`` adds to it.

    Attributes:
        first: the first turn that takes leave, or None.
        mutual: the first by which two sides have, with nobody going on in between, or None.
    """

    __slots__ = ("_gone", "first", "mutual")

    def __init__(self) -> None:
        self.first: int | None = None
        self.mutual: int | None = None
        self._gone: set[str] = set()

    def hear(self, one: Annotation) -> None:
        """The next turn, said by a participant. A bare token in answer to a farewell accepts it."""
        if self.first is None and one.leaves:
            self.first = one.turn
        if one.label in _GOING_ON:
            self._gone.clear()
        elif one.leaves or (one.label is Label.TOKEN and self._gone):
            self._gone.add(one.author)
            if self.mutual is None and len(self._gone) == _PAIR:
                self.mutual = one.turn


def _reopenings(annotations: Sequence[Annotation]) -> Iterator[Reopening]:
    for before, one in pairwise(annotations):
        if one.label is Label.REOPENING:
            yield Reopening(one.turn, one.author, before.label)


def loops(spoken: Iterable[Annotation]) -> Iterator[Loop]:
    """Maximal runs of at least two turns that repeat what stood the same number of turns before."""

    def lag(one: Annotation) -> int:
        return one.repeat.lag if one.repeat is not None else 0

    for period, members in groupby(spoken, key=lag):
        run = list(members)
        if period and len(run) >= _PAIR:
            verbatim = all(one.repeat is not None and one.repeat.verbatim for one in run)
            yield Loop(run[0].turn, run[-1].turn, period, verbatim)


def _collapse(spoken: Iterable[Annotation]) -> int | None:
    """The start of the first run of three turns or more that all do nothing but end or repeat."""
    for stuck, members in groupby(spoken, key=lambda one: one.label not in _GOING_ON):
        run = list(members)
        if stuck and len(run) >= _RUN:
            return run[0].turn
    return None


def end_state(labels: Sequence[Label]) -> EndState:
    """The end state, by the last six labels (fewer in a shorter conversation)."""
    tail = labels[-TAIL:]
    going_on = sum(label in _GOING_ON for label in tail)
    if not tail or (tail[-1] in _GOING_ON and _still_going(tail, going_on)):
        return EndState.OPEN
    counts = Counter(label for label in tail if label not in _GOING_ON)
    # Of two kinds that are equally frequent the one that was seen last counts.
    recent = {label: place for place, label in enumerate(tail)}
    kind = max(counts, key=lambda label: (counts[label], recent[label]))
    return _state(kind, counts, tail)


def _still_going(tail: Sequence[Label], going_on: int) -> bool:
    """Whether a tail whose last turn goes on is going on, and not stuck with one slip."""
    return len(tail) == 1 or tail[-2] in _GOING_ON or going_on >= len(tail) - _PAIR


def _state(kind: Label, counts: Counter[Label], tail: Sequence[Label]) -> EndState:
    """The end state of a tail in which ``kind`` is the most frequent of the ending kinds."""
    leaving = counts[Label.CLOSING] + counts[Label.REFUSAL]
    if counts[Label.REFUSAL] >= _PAIR and counts[Label.REFUSAL] >= counts[Label.CLOSING]:
        return EndState.REFUSAL_LOOP
    if kind in {Label.CLOSING, Label.REFUSAL}:
        return EndState.FAREWELL_LOOP if leaving >= _ON_AND_ON else EndState.CLOSED
    if kind is Label.SILENCE and (counts[kind] >= _RUN or tail[-_PAIR:] == [kind] * _PAIR):
        return EndState.SILENCE
    if kind is Label.TOKEN and counts[kind] >= _RUN:
        return EndState.TOKEN_COLLAPSE
    if kind is Label.LOOP and counts[kind] >= _RUN:
        return EndState.VERBATIM_LOOP
    if leaving:
        return EndState.CLOSED
    return EndState.OPEN if len(tail) - sum(counts.values()) >= _RUN else EndState.OTHER


def transitions(annotations: Sequence[Annotation]) -> dict[str, dict[Label, dict[Label, int]]]:
    """For each author, how often each of its labels followed a label of the turn before."""
    table: dict[str, dict[Label, dict[Label, int]]] = {}
    for before, one in pairwise(annotations):
        row = table.setdefault(one.author, {}).setdefault(before.label, {})
        row[one.label] = row.get(one.label, 0) + 1
    return table
