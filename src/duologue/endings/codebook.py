"""The words in which endings are described: a turn's label, a conversation's arc.

These are values. How a label is found is in ``signs``, ``repeats`` and ``annotate``; how an arc is
read off the labels is in ``arc``. Turns are counted from 1, as everywhere in duologue.
"""

from enum import StrEnum

import msgspec


class Label(StrEnum):
    """What a turn does towards the end; exactly one a turn, the first that applies."""

    SILENCE = "silence"
    TOKEN = "token"  # noqa: S105 - the codebook's word for a turn without a sentence
    LOOP = "loop"
    REFUSAL = "refusal"
    CLOSING = "closing"
    REOPENING = "reopening"
    PRE_CLOSING = "pre_closing"
    TALK = "talk"


class EndState(StrEnum):
    """Where a conversation stands, by its last six turns."""

    OPEN = "open"
    CLOSED = "closed"
    FAREWELL_LOOP = "farewell_loop"
    TOKEN_COLLAPSE = "token_collapse"  # noqa: S105 - a name of the codebook
    SILENCE = "silence"
    VERBATIM_LOOP = "verbatim_loop"
    REFUSAL_LOOP = "refusal_loop"
    OTHER = "other"


class Evidence(msgspec.Struct, frozen=True):
    """What in a turn speaks for its label.

    Attributes:
        start: offset of the first character in the message's text.
        end: offset after the last.
        sign: which sign was seen there, for instance ``farewell`` or ``stage_mark``.
    """

    start: int
    end: int
    sign: str


class Repeat(msgspec.Struct, frozen=True):
    """That a turn repeats an earlier one.

    Attributes:
        turn: the earlier turn.
        lag: how many turns ago; 1 echoes the partner, 2 is the speaker's own last turn of two.
        likeness: from 0 to 1; 1.0 for the same words.
        verbatim: whether the texts are the same character for character.
    """

    turn: int
    lag: int
    likeness: float
    verbatim: bool


class Annotation(msgspec.Struct, frozen=True):
    """One turn, described.

    Attributes:
        turn: its number, from 1.
        author: who spoke.
        label: what it does.
        evidence: what in its text speaks for that; empty for ``talk`` and ``silence``.
        repeat: the earlier turn that it repeats, whatever its label.
        leaves: whether it takes leave by itself: a closing, a refusal, a token such as ``[End]``.
        length: characters in its text.
        given: whether nobody's model said it (an opening, a scenario, a nudge): it takes no leave.
    """

    turn: int
    author: str
    label: Label
    evidence: tuple[Evidence, ...] = ()
    repeat: Repeat | None = None
    leaves: bool = False
    length: int = 0
    given: bool = False


class Reopening(msgspec.Struct, frozen=True):
    """That somebody started again after an ending had begun.

    Attributes:
        turn: the restarting turn.
        author: who did it.
        after: the label of the turn before.
    """

    turn: int
    author: str
    after: Label


class Loop(msgspec.Struct, frozen=True):
    """A run of turns that each repeat the one ``period`` turns before.

    Attributes:
        first: the first repeating turn.
        last: the last one.
        period: the lag: 1, 2, ... turns.
        verbatim: whether every repetition in it is exact.
    """

    first: int
    last: int
    period: int
    verbatim: bool


class Arc(msgspec.Struct, frozen=True):
    """How a conversation comes to its end, and what it does there.

    Attributes:
        turns: how many turns were annotated.
        first_closing: the first turn that takes leave, or None.
        mutual_closing: the turn by which two sides have taken leave, or None.
        after_closing: turns after the mutual closing; None without one.
        length_after: characters said in them; None without a mutual closing.
        reopenings: who started again, and when.
        loops: maximal runs of repetition.
        collapse: first turn of the first run of at least three tokens, silences, loops, closings
            or refusals; None without one. It is not absorbing: see ``reopenings``.
        end_state: by the last six turns.
        transitions: for each participant, how often each label of its own followed a label of
            the turn before, whoever spoke: ``{author: {before: {label: count}}}``.
    """

    turns: int
    first_closing: int | None
    mutual_closing: int | None
    after_closing: int | None
    length_after: int | None
    reopenings: tuple[Reopening, ...]
    loops: tuple[Loop, ...]
    collapse: int | None
    end_state: EndState
    transitions: dict[str, dict[Label, dict[Label, int]]]
