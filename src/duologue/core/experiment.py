"""What an experiment file may hold: who, what is the same for everybody, and what varies.

One grammar holds throughout. A key in the singular (``opener``, ``system``, ``silence``) says what
is the same in every conversation. The same key in the plural (``openings``, ``systems``,
``silences``) is a table of named variants: a factor, and each of its names a level. Factors are
crossed with each other, with the pairs and with who speaks first.

These are values; what they come to is for ``plan``, where they stand in a file for
``experimentfile``. This module knows neither.
"""

from typing import Annotated, Literal, TypeAlias

import msgspec

from duologue.core.spec import (
    Ending,
    Framing,
    Labels,
    Line,
    Positive,
    RefusalPolicy,
    Sampling,
    SilencePolicy,
)

OUTCOMES = {
    "turns": "how many messages the conversation holds",
    "reason": "why it ended, as recorded",
    "exit": "whether anybody left by a declared way",
    "words": "words in a message",
    "questions": "the share of messages that end with a question mark",
    "silence": "the share of turns of which nothing can be seen",
    "token": "the share of turns without a sentence",
    "loop": "the share of turns that repeat an earlier one",
    "refusal": "the share of turns that decline to go on",
    "closing": "the share of turns that take leave",
    "first_closing": "the first turn that takes leave",
    "mutual_closing": "the turn by which two sides have taken leave",
    "after_closing": "how many turns follow the mutual closing",
    "length_after": "how many characters are said in them",
    "reopenings": "how often talk begins anew after an ending",
    "loops": "how many runs of repetition there are",
    "collapse": "the first turn of the first run of turns that only end or repeat",
    "end_state": "what the last six turns are: open, closed, farewell_loop, silence and so on",
}
"""What an experiment can declare as its primary outcome, and what each means.

The first five are read off the record, the others off its annotations (the codebook of endings).
Declaring one computes nothing: it is on record before the first word is said. What it came to is
reckoned when conversations have ended (``duologue.endings.outcome``).
"""


_SOME = msgspec.Meta(min_length=1)


class _Declared(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True
):
    """The manners of everything in an experiment file."""


class Manner(_Declared, frozen=True, kw_only=True):
    """How a seat is run. What is left out here is said elsewhere, or is the spec's own default.

    Attributes:
        system: the system prompt.
        framing: how the conversation is shown to the seat.
        sampling: how its words are drawn; each of its keys by itself.
        private: lines that come before the conversation and that only it sees.
        base_url: where a hosted model is reached.
        stream: whether a hosted model's replies are to come piece by piece.
        context: tokens that its view and its reply can take together, for a local model.
    """

    system: str | None = None
    framing: Framing | None = None
    sampling: Sampling = Sampling()
    private: tuple[Line, ...] = ()
    base_url: str | None = None
    stream: bool | None = None
    context: Positive | None = None


class Member(Manner, frozen=True, kw_only=True):
    """One of those who may take a seat. A model's name alone is short for ``{ model = … }``.

    Attributes:
        model: ``provider:model``, or a short name that the registry knows.
        name: the display name; else the last part of the model's.
    """

    model: str
    name: Annotated[str, _SOME] | None = None


class Settings(Manner, frozen=True, kw_only=True):
    """How every participant of some models is run, wherever it does not say otherwise itself.

    It does no harm for models that take no seat: swap two names, and these settings stay behind.

    Attributes:
        models: which models, as the participants name them.
    """

    models: Annotated[tuple[str, ...], _SOME]


class Cross(_Declared, frozen=True, kw_only=True):
    """Everybody of one list with everybody of the next; a list for each seat.

    Attributes:
        cross: the lists of names.
    """

    cross: Annotated[
        tuple[Annotated[tuple[str, ...], _SOME], ...],
        msgspec.Meta(min_length=2),
    ]


class Said(_Declared, frozen=True, kw_only=True):
    """A line of an opening.

    Attributes:
        text: the words, exactly.
        seat: under whose name it stands: 1 is whoever speaks first, 2 the next.
        author: under which name, if under nobody's who is seated.
        origin: ``opening`` or ``scenario``.
    """

    text: str
    seat: Positive | None = None
    author: Annotated[str, _SOME] | None = None
    origin: Literal["opening", "scenario"] = "opening"


class EndingVariant(_Declared, frozen=True, kw_only=True):
    """One way in which conversations may end, besides the number of turns.

    Attributes:
        rules: the rules; none: only the number of turns ends it.
        told: what everybody is told about them; nothing, if left out.
    """

    rules: tuple[Ending, ...] = ()
    told: str | None = None


Opening: TypeAlias = str | tuple[str | Said, ...]
"""One line under the name of whoever speaks first; or lines, which go round the seats."""

BySeat: TypeAlias = str | tuple[str, ...] | dict[str, str]
"""A text for every seat; or one for each, the first speaker's first; or by participant's name.

An empty text means none.
"""


Seats: TypeAlias = Annotated[tuple[Positive, ...], _SOME]
"""Seats by number: 1 is whoever is named first at that table."""

TurnOrder: TypeAlias = Literal["round_robin", "shuffled"] | Seats
"""Who speaks when: everyone in turn; everyone once a round, each round drawn anew; or by seat.

What is drawn is drawn from the replicate's seed.
"""


Level: TypeAlias = str | int
"""A level by its name; one of ``turns`` is a number."""

Exclusion: TypeAlias = Annotated[dict[str, Level | tuple[Level, ...]], _SOME]
"""Which cells to leave out: for each factor named, the level or levels; all must fit."""


class Experiment(Manner, frozen=True, kw_only=True):
    """A family of conversations, declared.

    Attributes:
        participants: who may take a seat: models' names, or tables.
        pairs: who sits together. ``all``: every two, and everybody with itself; ``cross``: every
            two that differ; ``self``: everybody with itself; ``{ cross = [[…], […]] }``: everybody
            of one list with everybody of the other; or a list of lists of names, of two or more.
        order: ``both``: everybody of a pair speaks first in as many conversations as the others;
            ``as_given``: whoever is named first speaks first.
        turn_order: who speaks when; ``round_robin`` unless it is said.
        turn_orders: named turn orders, a factor.
        name: what the experiment is called; else the file's name.
        opener: a line under the name of whoever speaks first, or lines that go round the seats;
            each counts as a message.
        openings: named openings, a factor.
        systems: named system prompts, a factor; each takes the place of whatever prompt the seat
            has.
        scenario: words that every seat is given before the conversation, under the name
            ``Scenario``.
        scenarios: named scenarios, a factor.
        samplings: named ways of drawing words, a factor; each is laid over whatever the seat has.
        turns: messages in all, the opening counted; several numbers are a factor.
        ending: rules that hold everywhere, besides the number of turns.
        told: what everybody is told about the rules.
        endings: named endings, a factor.
        silence: what follows a silent turn.
        silences: named policies, a factor.
        replicates: how often each cell is held.
        seed: from which each replicate's seed is derived; the same in every cell.
        outcome: the primary outcome, declared before anything is seen.
        exclude: cells to leave out: tables of factor and level, or levels.
        settings: how the participants of some models are run.
        labels: whether others' words carry names in chat views.
        stand_in: what is put in the place of a silent turn where a provider refuses silence.
        refusal: what follows a refusal.
        keep_last: when a view no longer fits, so many messages are kept.
        share_reasoning: whether others are shown what a participant thought.
    """

    participants: Annotated[tuple[str | Member, ...], _SOME]
    pairs: Literal["all", "cross", "self"] | Cross | tuple[tuple[str, ...], ...]
    order: Literal["both", "as_given"] = "both"
    turn_order: TurnOrder | None = None
    turn_orders: Annotated[dict[str, TurnOrder], _SOME] = {}
    name: Annotated[str, _SOME] | None = None
    opener: Opening | None = None
    openings: Annotated[dict[str, Opening], _SOME] = {}
    systems: Annotated[dict[str, BySeat], _SOME] = {}
    scenario: BySeat | None = None
    scenarios: Annotated[dict[str, BySeat], _SOME] = {}
    samplings: Annotated[dict[str, Sampling | tuple[Sampling, ...]], _SOME] = {}
    turns: Positive | Annotated[tuple[Positive, ...], _SOME] = 50
    ending: tuple[Ending, ...] = ()
    told: str | None = None
    endings: Annotated[dict[str, EndingVariant], _SOME] = {}
    silence: SilencePolicy | None = None
    silences: Annotated[dict[str, SilencePolicy], _SOME] = {}
    replicates: Positive = 1
    seed: int = 0
    outcome: str | None = None
    exclude: tuple[Exclusion, ...] = ()
    settings: tuple[Settings, ...] = ()
    labels: Labels = Labels.AUTO
    stand_in: Annotated[str, _SOME] | None = None
    refusal: RefusalPolicy = RefusalPolicy.KEEP
    keep_last: Positive | None = None
    share_reasoning: bool = False
