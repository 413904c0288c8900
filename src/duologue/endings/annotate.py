"""Annotate: a label for every turn, as it comes.

A small state machine over the signs of a turn and what it repeats. A label depends on the turn and
on what came before it, never on what comes after, so a running conversation and a finished one
are annotated by the same code. Labels describe; this module knows no policy and stops nothing.
"""

import tomllib
from collections.abc import Iterable
from functools import cache
from importlib import resources
from operator import mul

import msgspec

from duologue.endings.codebook import Annotation, Evidence, Label
from duologue.endings.repeats import Echo, Said
from duologue.endings.signs import BARE_WORDS, MARK_WORDS, PARTING, Signs, signs

_LEAVING = frozenset({Label.CLOSING, Label.REFUSAL})
_ENDING = frozenset({Label.CLOSING, Label.REFUSAL, Label.TOKEN, Label.SILENCE})
_WITHOUT = frozenset({Label.TALK, Label.SILENCE})  # no words speak for these
_LEAVE_SIGNS = frozenset({*PARTING, "thanks", "ending", "tribute"})
_REPEATED_LEAVE = frozenset({"farewell", "leaving", "wish"})
_SUMMING = frozenset({"tribute", "complete"})
_EARLY = 4  # turns of talk after which there is something to sum up; before, praise is courtesy
_STUB_WORDS = 2  # "Yes.", "Always.", "Here now."
_GREETED = 2  # turns in which "Namaste" and the like may be a greeting
# What the weight of a leave-taking is made of; the weights are in weights.toml.
FEATURES = (
    "farewell", "leaving", "wish", "standby", "thanks", "tribute", "ending",
    "onward", "asks", "brief", "shrink", "ended", "likeness",
)  # fmt: skip


class Weights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The numbers of the detectors, all in ``weights.toml``.

    Attributes:
        bias: what a turn has to overcome to be a leave-taking.
        leave: the weight of each of ``FEATURES`` in that.
        near: likeness from which a turn repeats another.
        exact: likeness from which it is a loop at its first repetition.
        frames: repetitions before it from which a less exact one is a loop.
        long: length, as a share of the mean turn of talk, from which a turn re-opens.
        refusing: the share up to which it can be a refusal.
        stub: the share under which a word or two say nothing any more.
    """

    bias: float
    leave: dict[str, float]
    near: float
    exact: float
    frames: int
    long: float
    refusing: float
    stub: float

    def leaves(self, features: list[float]) -> bool:
        """Whether a turn with these features takes leave."""
        return bool(sum(map(mul, features, self.leave.values()), self.bias) > 0)


@cache
def weights() -> Weights:
    """The weights of this version, read once."""
    text = resources.files("duologue.endings").joinpath("weights.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(text), Weights)


class Memory:
    """What earlier turns leave behind. An accumulator: ``annotate`` adds to it and returns it.

    Attributes:
        heard: all that was said.
        ended: whether an ending has begun and nobody has re-opened since.
        left: whether leave was ever taken.
        talked: turns of talk so far.
        length: mean length of these, in characters.
        before: the labels of the last two turns.
        weights: the numbers by which turns are weighed; those of this version unless given.
    """

    __slots__ = ("before", "ended", "heard", "left", "length", "talked", "weights")

    def __init__(self, numbers: Weights | None = None) -> None:
        self.weights = numbers or weights()
        self.heard = Said()
        self.ended = False
        self.left = False
        self.talked = 0
        self.length = 0.0
        self.before: tuple[Label, ...] = ()

    def copy(self) -> "Memory":
        """A second memory of the same past: for a branch, or for looking ahead."""
        other = Memory(self.weights)
        other.heard = self.heard.copy()
        other.ended, other.left, other.before = self.ended, self.left, self.before
        other.talked, other.length = self.talked, self.length
        return other


def annotations(said: Iterable[tuple[str, str]]) -> list[Annotation]:
    """One annotation a turn, for ``(author, text)`` pairs in the order in which they were said."""
    memory, made = Memory(), []
    for author, text in said:
        memory, one = annotate(memory, author, text)
        made.append(one)
    return made


def annotate(
    memory: Memory, author: str, text: str, *, given: bool = False
) -> tuple[Memory, Annotation]:
    """The next turn's annotation; ``memory`` now remembers the turn. Never raises on any text.

    A line that was ``given`` (an opening, a scenario, a nudge) is labelled, and remembered for
    repeats, but nobody's model said it: it takes no leave, and no ending begins or ends with it.
    Before any talk there is nothing to take leave of: a first "END" is a token and no more.
    """
    seen, echo = look(memory, text)
    label = _label(memory, seen, echo)
    repeat = echo.repeat
    one = Annotation(
        turn=memory.heard.turns,
        author=author,
        label=label,
        evidence=_evidence(label, text, seen),
        repeat=repeat if repeat and repeat.likeness >= memory.weights.near else None,
        leaves=not given and memory.talked > 0 and takes_leave(label, seen),
        length=len(text),
        given=given,
    )
    remember(memory, one, seen.length)
    return memory, one


def takes_leave(label: Label, seen: Signs) -> bool:
    """Whether a turn so labelled takes leave by itself, if there is anything to take leave of."""
    return label in _LEAVING or (label is Label.TOKEN and seen.over)


def look(memory: Memory, text: str) -> tuple[Signs, Echo]:
    """What the next turn shows and repeats, as far as that can matter for its label."""
    seen = signs(text, beside=memory.left or memory.ended)
    # Without a sign of leave-taking only a near repetition matters.
    least = 0.0 if may_leave(seen) else memory.weights.near
    return seen, memory.heard.hear(text[seen.start :], least)


def features(memory: Memory, seen: Signs, echo: Echo) -> list[float]:
    """The values of ``FEATURES`` for the next turn, each from 0 to 1.5."""
    count = seen.counts.get
    return [
        *[min(count(sign, 0), 1.5) for sign in FEATURES[:8]],
        float(seen.asks),
        1 / (1 + seen.length / 400),
        min(seen.length / memory.length, 1.5) if memory.talked else 1.0,
        float(memory.ended and memory.left),
        echo.repeat.likeness if echo.repeat else 0.0,
    ]


def _label(memory: Memory, seen: Signs, echo: Echo) -> Label:
    if seen.silent:
        return Label.SILENCE
    if _is_token(memory, seen):
        return Label.TOKEN
    leave = _takes_leave(memory, seen, echo)
    if _is_loop(memory, echo) and not (leave and _is_farewell(seen)):
        return Label.LOOP
    if _is_refusal(memory, seen):
        return Label.REFUSAL
    if leave:
        return Label.CLOSING
    if memory.ended:
        if seen.length > memory.weights.long * memory.length:
            return Label.REOPENING
        if memory.left:
            return Label.CLOSING
    return Label.PRE_CLOSING if _winds_down(memory, seen) else Label.TALK


def may_leave(seen: Signs) -> bool:
    """Whether a turn shows anything at all of which leave-takings are made."""
    return not _LEAVE_SIGNS.isdisjoint(seen.counts)


def _is_token(memory: Memory, seen: Signs) -> bool:
    """A mark that is not a farewell in sentences, or a few words once an ending has begun.

    A word or two are one, too, where turns were long before: nothing is said any more.
    """
    if not (seen.mark or seen.words) or seen.formula:
        return False
    parting = not PARTING.isdisjoint(seen.counts)
    if seen.mark:
        limit = BARE_WORDS if parting else MARK_WORDS if "decline" in seen.counts else seen.words
        return seen.words <= limit
    says = parting or not {"thanks", "decline"}.isdisjoint(seen.counts)
    few = 0 < seen.words <= BARE_WORDS and not says
    return few and (seen.bare or memory.ended or _is_stub(memory, seen))


def _is_stub(memory: Memory, seen: Signs) -> bool:
    """A word or two, asking nothing, where turns of talk were long and nobody has taken leave."""
    if memory.left or memory.talked < _EARLY or seen.asks:
        return False
    return seen.words <= _STUB_WORDS and seen.length < memory.weights.stub * memory.length


def _takes_leave(memory: Memory, seen: Signs, echo: Echo) -> bool:
    if seen.formula and not seen.asks and memory.heard.turns > _GREETED:
        return True  # a formula does nothing else, however long the turn
    return may_leave(seen) and memory.weights.leaves(features(memory, seen, echo))


def _is_loop(memory: Memory, echo: Echo) -> bool:
    """At once when next to nothing was changed; a shared frame from its third occurrence."""
    if echo.repeat is None or echo.repeat.likeness < memory.weights.near:
        return False
    again = echo.near >= memory.weights.frames or memory.before[-1:] == (Label.LOOP,)
    return again or echo.repeat.likeness >= memory.weights.exact


def _is_farewell(seen: Signs) -> bool:
    """Whether a repeated leave-taking is one still: by a formula, or by a few words of thanks."""
    return bool(_REPEATED_LEAVE & seen.counts.keys()) or 0 < seen.words <= MARK_WORDS


def _is_refusal(memory: Memory, seen: Signs) -> bool:
    """Declining or complaining in words, once leave was taken and no new talk goes on."""
    if not memory.left or not ("decline" in seen.counts or "prolong" in seen.counts):
        return False
    return seen.length <= memory.weights.refusing * memory.length or memory.ended


def _winds_down(memory: Memory, seen: Signs) -> bool:
    has = seen.counts.keys()
    if "offer" in has:
        return True
    if "more" in has and seen.length <= memory.weights.long * memory.length:
        return True
    if memory.talked < _EARLY:
        return False
    if {"ending", "thanks"} <= has:
        return True
    return not _SUMMING.isdisjoint(has) and "onward" not in has and not seen.asks


def _evidence(label: Label, text: str, seen: Signs) -> tuple[Evidence, ...]:
    if label in _WITHOUT:
        return ()
    # Without any, what means something only beside others was not looked for. What speaks for a
    # loop is the turn that it repeats.
    if not seen.counts and label is not Label.LOOP:
        seen = signs(text)
    return tuple(seen.places.values())


def remember(memory: Memory, one: Annotation, length: int) -> None:
    """Let a turn of so many characters, so labelled, count as the past of the next one."""
    memory.before = (*memory.before[-1:], one.label)
    if one.given:
        return
    if one.label in _ENDING:
        memory.ended = memory.talked > 0
        memory.left = memory.left or one.leaves
    elif one.label is not Label.LOOP:
        memory.ended = False
        memory.talked += 1
        memory.length += (length - memory.length) / memory.talked
