"""What a conversation is to be, declared before it starts: seats, opening, order, endings.

A spec is a plain value that can be written as TOML. It holds everything that may change what is
said, and nothing about where the conversation is stored or shown. It does not know which models
exist: ``model`` is a name that the providers' registry resolves.
"""

from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec

from duologue.core.message import silence
from duologue.errors import ConfigurationError

Positive = Annotated[int, msgspec.Meta(ge=1)]


class _Declared(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The manners of everything in a spec: frozen, exact about keys, short when written."""


class Sampling(_Declared, frozen=True):
    """How a participant's words are drawn. None leaves the choice to the provider.

    Attributes:
        temperature: 0.0 means 0.0.
        top_p: nucleus mass, 0 to 1.
        max_tokens: at most so many tokens a turn.
        seed: the participant's own seed; else the conversation's is used.
        stop: strings at which the provider stops; they are not part of the message.
        extra: passed through verbatim in the request body.
    """

    temperature: Annotated[float, msgspec.Meta(ge=0)] | None = None
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    max_tokens: Positive | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    extra: dict[str, Any] = {}


class Line(_Declared, frozen=True):
    """A line that nobody generated: it is given, and says so by its origin.

    Attributes:
        author: under whose name it stands; a participant's or anybody's.
        text: the words, exactly.
        origin: ``opening`` or ``scenario``; never ``model``.
    """

    author: str
    text: str
    origin: Literal["opening", "scenario"] = "opening"


class Framing(StrEnum):
    """How a participant is shown the conversation.

    ``chat``: its own messages as the assistant's, all others as the user's. ``script``: one
    running script, set like a play, that it is asked to continue; for small and base models.
    """

    CHAT = "chat"
    SCRIPT = "script"


class Participant(_Declared, frozen=True):
    """A named seat.

    Attributes:
        name: the display name, unique in the conversation.
        model: ``provider:model``, or a short name that the registry knows.
        system: its own system prompt, or none.
        framing: how it is shown the conversation.
        sampling: how its words are drawn.
        private: lines that come before the conversation and that only it sees.
        base_url: where a hosted model is reached, instead of its provider's own address.
        stream: whether a hosted model's replies are to come piece by piece.
        context: tokens that its view and its reply can take together, for a local model; None is
            8192, or less where the model was made for less. Any other model refuses this.
    """

    name: Annotated[str, msgspec.Meta(min_length=1)]
    model: str
    system: str | None = None
    framing: Framing = Framing.CHAT
    sampling: Sampling = Sampling()
    private: tuple[Line, ...] = ()
    base_url: str | None = None
    stream: bool = True
    context: Positive | None = None


class RoundRobin(_Declared, frozen=True, tag_field="kind", tag="round_robin"):
    """Everyone in turn, in the order of the seats.

    Attributes:
        first: who takes the first turn after the opening; else whoever follows its last author.
    """

    first: str | None = None


class Shuffled(_Declared, frozen=True, tag_field="kind", tag="shuffled"):
    """Everyone once a round, each round in an order drawn from the seed; nobody twice running.

    Attributes:
        seed: the draw; the same seed gives the same order for ever.
    """

    seed: int


class Sequence(_Declared, frozen=True, tag_field="kind", tag="sequence"):
    """The names in the declared order, again and again.

    Attributes:
        names: who speaks, turn by turn; somebody may stand in it twice.
    """

    names: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]


Order = RoundRobin | Shuffled | Sequence


class TurnCap(_Declared, frozen=True, tag_field="kind", tag="max_turns"):
    """The conversation ends when it holds so many messages.

    Attributes:
        turns: messages in all, the opening counted.
    """

    turns: Positive


class ExitRule(StrEnum):
    """Whose leaving ends a conversation: one participant's, or everybody's."""

    EITHER = "either"
    MUTUAL = "mutual"


class Exit(_Declared, frozen=True, tag_field="kind", tag="exit"):
    """A participant leaves by writing the sentinel on a line of its own.

    Attributes:
        sentinel: the line, for instance ``[END]``; letter case and emphasis do not matter.
        rule: ``either`` ends at the first leaving; ``mutual`` when everybody has left.
        within: for ``mutual``: a leaving counts for so many further messages, then lapses.
    """

    sentinel: Annotated[str, msgspec.Meta(min_length=1)] = "[END]"
    rule: ExitRule = ExitRule.EITHER
    within: Positive = 4


class StopPhrase(_Declared, frozen=True, tag_field="kind", tag="stop_phrase"):
    """The conversation ends when a participant's message contains the phrase, exactly.

    Attributes:
        phrase: the words, compared as they are.
    """

    phrase: Annotated[str, msgspec.Meta(min_length=1)]


class SilenceCap(_Declared, frozen=True, tag_field="kind", tag="silence"):
    """The conversation ends after so many silent turns in a row.

    Attributes:
        turns: how many; 2 in a conversation of two means that both fell silent.
    """

    turns: Positive = 2


class Budget(_Declared, frozen=True, tag_field="kind", tag="budget"):
    """The conversation ends before a turn that could go over what may be spent.

    The next turn is reckoned as dear as the dearest so far, so a budget is overrun by one turn at
    the most. What failed attempts cost counts where the provider says it. A reply whose tokens or
    price are not known ends the conversation, if they are limited: nothing could be promised.

    Attributes:
        tokens: read and generated, all participants together.
        usd: United States dollars, at the prices of the day of each call.
        minutes: of the models' own time, waiting between attempts not counted.
    """

    tokens: Positive | None = None
    usd: Annotated[float, msgspec.Meta(gt=0)] | None = None
    minutes: Annotated[float, msgspec.Meta(gt=0)] | None = None


Ending = TurnCap | Exit | StopPhrase | SilenceCap | Budget


class Keep(_Declared, frozen=True, tag_field="kind", tag="keep"):
    """A silent turn is a message like any other."""


class Resend(_Declared, frozen=True, tag_field="kind", tag="resend"):
    """A silent turn is asked for again; each silent reply is a failed attempt on the record.

    Attributes:
        times: how often at the most; after that the silence is kept.
    """

    times: Positive = 1


class Nudge(_Declared, frozen=True, tag_field="kind", tag="nudge"):
    """After a silent turn everybody hears these words, under the name ``duologue``.

    Attributes:
        text: the words.
    """

    text: Annotated[str, msgspec.Meta(min_length=1)]


class EndAtSilence(_Declared, frozen=True, tag_field="kind", tag="end"):
    """The first silent turn ends the conversation."""


SilencePolicy = Keep | Resend | Nudge | EndAtSilence


class RefusalPolicy(StrEnum):
    """Whether a refusal is a message like any other, or ends the conversation."""

    KEEP = "keep"
    END = "end"


class Labels(StrEnum):
    """Whether the words of others carry their names in a chat view.

    ``auto``: only where a participant hears more than one other.
    """

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class ConversationSpec(_Declared, frozen=True):
    """A whole conversation, declared.

    Attributes:
        participants: the seats, in order; at least one.
        opening: lines given before the first turn; each counts as a message.
        order: who speaks next.
        ending: the conversation ends when any of these says so; at least one must be a cap.
        told: what the participants are told about the rules, added to every system prompt; None
            tells them nothing.
        labels: whether others' words carry names in chat views.
        seed: from which each turn's own seed is derived; None leaves seeds to the providers.
        silence: what follows a silent turn.
        stand_in: what is put in the place of a silent turn where a provider refuses silence in a
            view; an edit on the record. None ends the conversation there with an error.
        refusal: what follows a refusal.
        keep_last: when a view no longer fits, so many messages are kept for that participant, by
            an explicit reset on the record; None ends the conversation.
        share_reasoning: whether others are shown what a participant thought before it spoke.
    """

    participants: Annotated[tuple[Participant, ...], msgspec.Meta(min_length=1)]
    opening: tuple[Line, ...] = ()
    order: Order = RoundRobin()
    ending: tuple[Ending, ...] = (TurnCap(50),)
    told: str | None = None
    labels: Labels = Labels.AUTO
    seed: int | None = None
    silence: SilencePolicy = Keep()
    stand_in: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    refusal: RefusalPolicy = RefusalPolicy.KEEP
    keep_last: Positive | None = None
    share_reasoning: bool = False

    def names(self) -> tuple[str, ...]:
        """The display names, in the order of the seats."""
        return tuple(seat.name for seat in self.participants)

    def seat(self, name: str) -> Participant:
        """The participant of that name; KeyError if there is none."""
        for participant in self.participants:
            if participant.name == name:
                return participant
        raise KeyError(name)


def check(spec: ConversationSpec) -> ConversationSpec:
    """Return ``spec`` as it will be read from its record, if it makes sense as a whole.

    A temperature that a program gave as 1 is 1.0 there: every request is made from what is
    recorded, or it could not be made again.

    Raises:
        ConfigurationError: naming what does not fit and what would.
    """
    names = spec.names()
    for name in names:
        _refuse_name(name)
    recorded = _recorded(spec)
    for rule in spec.ending:
        _refuse_sentinel(rule)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigurationError(
            f"two participants are named {twice[0]!r}: give each seat its own name "
            f"(for instance {twice[0]!r} and {twice[0] + ' 2'!r})"
        )
    for name in _ordered_names(spec.order):
        if name not in names:
            raise ConfigurationError(
                f"the order names {name!r}, but the participants are {', '.join(names)}"
            )
    if not any(isinstance(rule, TurnCap) for rule in spec.ending):
        raise ConfigurationError(
            "nothing bounds the conversation: give 'ending' a cap, for instance "
            '{ kind = "max_turns", turns = 50 }'
        )
    return recorded


def _recorded(spec: ConversationSpec) -> ConversationSpec:
    """The spec as its record will hold it.

    One built by a program is held to what a file is held to, and must survive its record.
    """
    try:
        again = msgspec.json.decode(msgspec.json.encode(spec), type=ConversationSpec)
    except (ValueError, TypeError) as error:  # msgspec's errors, and text that has no bytes
        raise ConfigurationError(f"the conversation's spec is not valid: {error}") from error
    if again != spec:
        raise ConfigurationError(
            "the conversation's spec cannot be recorded exactly: use finite numbers, and in "
            "'extra' only what JSON has (lists, not tuples; strings as keys)"
        )
    return again


def _refuse_name(name: str) -> None:
    """A name that could not be seen, or that would be more than one line of a script."""
    if silence(name) or len(name.splitlines()) > 1:
        raise ConfigurationError(f"the name {name!r} cannot be read: give one visible line")


def _refuse_sentinel(rule: Ending) -> None:
    """A sentinel that no line could ever be, or that every blank line would be."""
    if isinstance(rule, Exit) and (silence(rule.sentinel) or len(rule.sentinel.splitlines()) > 1):
        raise ConfigurationError(
            f"the sentinel {rule.sentinel!r} cannot stand on a line of its own: give 'exit' one "
            'line of visible text, for instance "[END]"'
        )


def _ordered_names(order: Order) -> tuple[str, ...]:
    """Every name that an order mentions."""
    if isinstance(order, Sequence):
        return order.names
    if isinstance(order, RoundRobin) and order.first is not None:
        return (order.first,)
    return ()
