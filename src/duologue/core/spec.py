"""What a conversation is to be, declared before it starts: seats, opening, order, endings.

A spec is a plain value that can be written as TOML. It holds everything that may change what is
said, and nothing about where the conversation is stored or shown. It does not know which models
exist: ``model`` is a name that the providers' registry resolves.
"""

from collections.abc import Iterable, Iterator
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
    """Whose leaving ends a conversation.

    ``either``: the first participant's who leaves. ``mutual``: everybody's, each within so many
    messages of the others. ``unanimous``: everybody's, however far apart.
    """

    EITHER = "either"
    MUTUAL = "mutual"
    UNANIMOUS = "unanimous"


class After(StrEnum):
    """What follows when a participant leaves.

    ``end``: the conversation ends as soon as the rule says so; until then everybody speaks on.
    ``last_word``: each of the others gets one more turn, then it ends. ``alone``: the others go
    on without whoever left, until all have left or another rule ends it.
    """

    END = "end"
    LAST_WORD = "last_word"
    ALONE = "alone"


SENTINEL = "[END]"
"""The line by which a participant leaves where no other way is declared."""

TOKEN = "[PASS]"  # noqa: S105 - a word between participants, no secret
"""The line by which a participant passes where nothing else is declared."""


class Exit(_Declared, frozen=True, tag_field="kind", tag="exit"):
    """A participant leaves by a declared act: a line of its own, a phrase, or a tool call.

    Several ways may be declared in one exit; each leaving is recorded with the way it took.

    Attributes:
        sentinel: the line, for instance ``[END]``; letter case, emphasis and a full stop do not
            matter (``docs/endings.md``). None where a phrase or a tool is declared means no such
            line, else ``[END]``.
        rule: whose leaving ends the conversation.
        within: for ``mutual``: a leaving counts for so many further messages, then lapses.
        phrase: words by which a participant leaves, anywhere outside quotations and code; letter
            case does not matter.
        tool: the name of a tool without arguments that is offered to every participant, by whose
            call it leaves; only where every provider has tools.
        description: what the participants are told of the tool; it goes with it.
        answer: the words with which its call is answered, in later views of whoever called it.
        after: what follows a leaving; ``last_word`` goes with the rule ``either``, ``alone`` with
            ``either`` and ``unanimous``, which then mean the same.
    """

    sentinel: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    rule: ExitRule = ExitRule.EITHER
    within: Positive = 4
    phrase: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    tool: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_-]{1,64}$")] | None = None
    description: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    answer: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    after: After = After.END

    @property
    def line(self) -> str | None:
        """The sentinel that holds: the declared one, or the usual one where nothing else is."""
        if self.sentinel is None and self.phrase is None and self.tool is None:
            return SENTINEL
        return self.sentinel


class StopPhrase(_Declared, frozen=True, tag_field="kind", tag="stop_phrase"):
    """The conversation ends when a participant's message contains the phrase, exactly.

    Attributes:
        phrase: the words, compared as they are.
    """

    phrase: Annotated[str, msgspec.Meta(min_length=1)]


class Pass(_Declared, frozen=True, tag_field="kind", tag="pass"):
    """The conversation ends after so many turns in a row that were declined.

    Attributes:
        token: the line of its own by which a participant passes, found as a sentinel is. None
            where silence passes means no such line, else ``[PASS]``.
        silent: whether a turn of which nothing can be seen passes, too.
        turns: how many passes in a row; None: everybody has passed in turn, once round.
    """

    token: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    silent: bool = False
    turns: Positive | None = None

    @property
    def line(self) -> str | None:
        """The token that holds: the declared one, or the usual one where silence does not pass."""
        return TOKEN if self.token is None and not self.silent else self.token


class SilenceCap(_Declared, frozen=True, tag_field="kind", tag="silence"):
    """The conversation ends after so many silent turns in a row.

    A nudge between two turns does not break the row; any other words do.

    Attributes:
        turns: how many; None: everybody was silent in turn, once round.
    """

    turns: Positive | None = None


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


class Detector(_Declared, frozen=True, tag_field="kind", tag="detector"):
    """The conversation ends when a detector has seen a sign for so many messages in a row.

    What the signs are, and how often they are wrong, stands in ``docs/detectors.md``. The detector
    itself is given to whoever holds the conversation.

    Attributes:
        sign: what is to be seen, for instance ``farewell_loop`` or ``mutual_closing``.
        turns: how many messages in a row.
    """

    sign: Annotated[str, msgspec.Meta(min_length=1)]
    turns: Positive = 1


class AnyOf(_Declared, frozen=True, tag_field="kind", tag="any"):
    """Comes true when any of its rules does; so does the list that ``ending`` is.

    Attributes:
        rules: what may come true; these may be ``any`` and ``all`` again.
    """

    rules: Annotated[tuple["Ending", ...], msgspec.Meta(min_length=1)]


class AllOf(_Declared, frozen=True, tag_field="kind", tag="all"):
    """Comes true when each of its rules has come true at some message of this conversation.

    They need not be true together: with an exit at message 5, all of an exit and a cap of 10 ends
    at message 10. The reason is that of the rule that came last; the detail names them all.

    Attributes:
        rules: what must come true; these may be ``any`` and ``all`` again.
    """

    rules: Annotated[tuple["Ending", ...], msgspec.Meta(min_length=1)]


Rule = TurnCap | Exit | StopPhrase | Pass | SilenceCap | Budget | Detector
Ending = Rule | AnyOf | AllOf


def leaves(rules: Iterable[Ending]) -> Iterator[Rule]:
    """Every rule that is no composition, wherever it stands."""
    for rule in rules:
        if isinstance(rule, AnyOf | AllOf):
            yield from leaves(rule.rules)
        else:
            yield rule


def bound(rules: Iterable[Ending]) -> int | None:
    """The number of messages that the rules can never exceed; None where nothing bounds them."""
    found = [most for rule in rules if (most := _bound(rule)) is not None]
    return min(found, default=None)


def capped(rules: Iterable[Ending], turns: int) -> tuple[Ending, ...]:
    """The rules with one cap of ``turns`` messages in the place of every cap that ends alone."""
    return (TurnCap(turns), *_uncapped(rules))


def _uncapped(rules: Iterable[Ending]) -> Iterator[Ending]:
    """The rules without the caps that end a conversation alone; one within ``all`` does not."""
    for rule in rules:
        if isinstance(rule, AnyOf):
            if rest := tuple(_uncapped(rule.rules)):
                yield AnyOf(rest)
        elif not isinstance(rule, TurnCap):
            yield rule


def _bound(rule: Ending) -> int | None:
    """The number of messages at which a rule comes true at the latest, if there is one."""
    match rule:
        case TurnCap(turns=turns):
            return turns
        case AnyOf(rules=rules):
            return bound(rules)
        case AllOf(rules=rules):
            latest = [_bound(each) for each in rules]
            return None if None in latest else max(most for most in latest if most is not None)
    return None


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
        ending: the conversation ends when any of these says so; a cap must bound it.
        told: what the participants are told about the rules, added to every system prompt; None
            tells them nothing. It is independent of what holds: a rule may be untold.
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
        check_name(name)
    recorded = _recorded(spec)
    check_rules(spec.ending)
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
    if bound(spec.ending) is None:
        raise ConfigurationError(
            "nothing bounds the conversation: give 'ending' a cap, for instance "
            '{ kind = "max_turns", turns = 50 } (within an "all", a cap bounds nothing unless '
            "each of its rules is bounded)"
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


def check_name(name: str) -> None:
    """Refuse a name that could not be seen, or that would be more than one line of a script.

    Raises:
        ConfigurationError: it is such a name.
    """
    if silence(name) or len(name.splitlines()) > 1:
        raise ConfigurationError(f"the name {name!r} cannot be read: give one visible line")


def check_rules(rules: Iterable[Ending]) -> None:
    """Refuse rules that could never come true as they are meant, each or together.

    Raises:
        ConfigurationError: naming what does not fit and what would.
    """
    rules = tuple(rules)
    for rule in leaves(rules):
        _refuse_lines(rule)
    _refuse_clash(rules)
    _refuse_tools(rules)
    _refuse_after(rules)


def _refuse_lines(rule: Ending) -> None:
    """A sentinel, token or phrase that no line could ever be, or that every blank one would be."""
    match rule:
        case Exit():
            for what, text in (("sentinel", rule.sentinel), ("phrase", rule.phrase)):
                _refuse_line("exit", what, text, SENTINEL)
        case Pass():
            _refuse_line("pass", "token", rule.token, TOKEN)


def _refuse_line(kind: str, what: str, text: str | None, usual: str) -> None:
    """Words that cannot be found on one line."""
    if text is not None and (silence(text) or len(text.splitlines()) > 1):
        raise ConfigurationError(
            f"the {what} {text!r} cannot stand on a line of its own: give {kind!r} one "
            f'line of visible text, for instance "{usual}"'
        )


def _refuse_clash(rules: Iterable[Ending]) -> None:
    """One line that would be a leaving and a pass at once."""
    declared = tuple(leaves(rules))
    gone = {rule.line.casefold() for rule in declared if isinstance(rule, Exit) and rule.line}
    for rule in declared:
        if isinstance(rule, Pass) and rule.line is not None and rule.line.casefold() in gone:
            raise ConfigurationError(
                f"{rule.line!r} would be an exit and a pass at once: give 'pass' another token"
            )


def _refuse_tools(rules: Iterable[Ending]) -> None:
    """A tool without the words that are sent for it, words without a tool, or two of one name."""
    offered: dict[str, tuple[str | None, str | None]] = {}
    for rule in leaves(rules):
        if not isinstance(rule, Exit):
            continue
        words = (rule.description, rule.answer)
        if any((word is None) != (rule.tool is None) for word in words):
            raise ConfigurationError(
                f"the exit by the tool {rule.tool!r} says description = {rule.description!r} and "
                f"answer = {rule.answer!r}: a tool needs both (what it is for, and the words with "
                'which its call is answered, for instance "Noted."), and nothing else takes them'
            )
        if rule.tool is not None and offered.setdefault(rule.tool, words) != words:
            raise ConfigurationError(
                f"the tool {rule.tool!r} is declared twice with different words: give each exit "
                "its own tool, or the same words"
            )


_AFTERS = {
    ExitRule.EITHER: frozenset(After),
    ExitRule.MUTUAL: frozenset({After.END}),
    ExitRule.UNANIMOUS: frozenset({After.END, After.ALONE}),
}


def _refuse_after(rules: Iterable[Ending], *, composed: bool = False) -> None:
    """What is to follow a leaving, where the rule gives it no meaning."""
    for rule in rules:
        if isinstance(rule, AnyOf | AllOf):
            _refuse_after(rule.rules, composed=composed or isinstance(rule, AllOf))
        elif isinstance(rule, Exit) and rule.after not in _AFTERS[rule.rule]:
            raise ConfigurationError(
                f"an exit with the rule {rule.rule.value!r} lets everybody speak until all have "
                f"left, so after = {rule.after.value!r} says nothing there: leave out one of them"
            )
        elif isinstance(rule, Exit) and composed and rule.after is not After.END:
            raise ConfigurationError(
                f"an exit within 'all' ends nothing by itself, so after = {rule.after.value!r} "
                "could leave nobody to speak: leave it out, or take the exit out of 'all'"
            )


def _ordered_names(order: Order) -> tuple[str, ...]:
    """Every name that an order mentions."""
    if isinstance(order, Sequence):
        return order.names
    if isinstance(order, RoundRobin) and order.first is not None:
        return (order.first,)
    return ()
