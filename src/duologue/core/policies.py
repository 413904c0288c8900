"""Ready ways to end, by name: rules, and the words in which participants are told of them.

Each is a value to be put into a spec; whoever wants other words or numbers writes them there.
Rules and words are separate: a policy may be declared and not told, told in other words, or
combined with others. This module does not know how policies are chosen.
"""

from collections.abc import Iterable
from typing import assert_never

import msgspec
from msgspec.structs import replace

from duologue.core.spec import (
    SENTINEL,
    TOKEN,
    After,
    AllOf,
    AnyOf,
    Budget,
    ConversationSpec,
    Detector,
    Ending,
    Exit,
    ExitRule,
    Keep,
    Pass,
    RefusalPolicy,
    SilenceCap,
    StopPhrase,
    TurnCap,
    bound,
    leaves,
)
from duologue.errors import ConfigurationError


class Policy(msgspec.Struct, frozen=True):
    """A way to end.

    Attributes:
        about: what it is, for a person who chooses.
        ending: its rules; the cap comes on top.
        told: what everybody is told of it; None for nothing.
    """

    about: str
    ending: tuple[Ending, ...] = ()
    told: str | None = None


_HONOURED = "It will be honoured."
_ALONE = f"by writing {SENTINEL} on a line of its own"
PHRASE = "this conversation is over"
TOOL = "end_conversation"
PURE = "pure"
USUAL = ("exit", "silence")
"""What a conversation of models that were merely named offers."""

POLICIES = {
    PURE: Policy("nothing is told, and only the cap ends it"),
    "exit": Policy(
        "the first to leave ends it",
        (Exit(SENTINEL),),
        f"You may end this conversation at any time {_ALONE}. {_HONOURED}",
    ),
    "mutual": Policy(
        "it ends when everybody has left, each within four messages of the others",
        (Exit(SENTINEL, ExitRule.MUTUAL),),
        f"You may end this conversation at any time, but only together: say so "
        f"{_ALONE}. It ends when everybody has said so within four messages.",
    ),
    "unanimous": Policy(
        "it ends when everybody has left, however far apart",
        (Exit(SENTINEL, ExitRule.UNANIMOUS),),
        f"Say that this conversation may end {_ALONE}. It ends as soon as everybody has said so.",
    ),
    "last-word": Policy(
        "when one leaves, each of the others has one more turn",
        (Exit(SENTINEL, after=After.LAST_WORD),),
        f"You may leave this conversation at any time {_ALONE}. {_HONOURED} "
        "Everybody else then has one last word.",
    ),
    "alone": Policy(
        "whoever leaves is out, and the others go on",
        (Exit(SENTINEL, after=After.ALONE),),
        f"You may leave this conversation at any time {_ALONE}. {_HONOURED} "
        "Whoever stays may go on.",
    ),
    "phrase": Policy(
        f"the first to say '{PHRASE}' ends it",
        (Exit(phrase=PHRASE),),
        f'You may end this conversation at any time by saying "{PHRASE}". {_HONOURED}',
    ),
    "tool": Policy(
        "the first to call a tool ends it; the models must have tools",
        (
            Exit(
                tool=TOOL,
                description="Ends this conversation at once, for everybody.",
                answer="The conversation has ended.",
            ),
        ),
        f"You may end this conversation at any time by calling the tool {TOOL}. {_HONOURED}",
    ),
    "pass": Policy(
        "it ends when everybody passes in turn",
        (Pass(TOKEN),),
        f"If you have nothing to add, pass by writing {TOKEN} on a line of its own. "
        "When everybody passes in turn, the conversation ends.",
    ),
    "silence": Policy("it ends when everybody is silent in turn", (SilenceCap(),)),
    "detector": Policy(
        "it ends when two sides are seen to have taken leave", (Detector("mutual_closing"),)
    ),
}
"""Every policy, by its name."""


def governed(spec: ConversationSpec, names: Iterable[str]) -> ConversationSpec:
    """``spec`` with the rules and words of these policies in the place of its own; its cap stays.

    ``pure`` also takes out whatever else would put words into a view or end the conversation
    before its cap: nudges, stand-ins, asking again after a silence, ending at a refusal.

    Raises:
        ConfigurationError: no policy has such a name, or ``pure`` is combined with another.
    """
    chosen = tuple(dict.fromkeys(names))
    for name in chosen:
        if name not in POLICIES:
            raise ConfigurationError(
                f"there is no ending policy {name!r}; policies: {', '.join(POLICIES)}"
            )
    if PURE in chosen and len(chosen) > 1:
        raise ConfigurationError("the policy 'pure' means that nothing else ends it: name it alone")
    rules = tuple(rule for name in chosen for rule in POLICIES[name].ending)
    told = [words for name in chosen if (words := POLICIES[name].told) is not None]
    most = bound(spec.ending)
    ending = rules if most is None else (TurnCap(most), *rules)
    spec = replace(spec, ending=ending, told=" ".join(told) or None)
    if chosen != (PURE,):
        return spec
    return replace(spec, silence=Keep(), stand_in=None, refusal=RefusalPolicy.KEEP)


def reworded(spec: ConversationSpec, sentinel: str) -> ConversationSpec:
    """``spec`` with another sentinel in its exits, and in the words that tell of it.

    Raises:
        ConfigurationError: nobody could leave by a sentinel at all.
    """
    exits = [rule for rule in leaves(spec.ending) if isinstance(rule, Exit)]
    words = {rule.line for rule in exits if rule.line is not None}
    if not words:
        raise ConfigurationError(
            "--sentinel changes the line by which a participant leaves, and here no ending has "
            "one: add --ending exit"
        )
    told = spec.told
    for word in words:
        told = None if told is None else told.replace(word, sentinel)
    return replace(spec, ending=tuple(_with(rule, sentinel) for rule in spec.ending), told=told)


def _with(rule: Ending, sentinel: str) -> Ending:
    """A rule with another sentinel, wherever one stands in it."""
    match rule:
        case AnyOf(rules=rules) | AllOf(rules=rules):
            return replace(rule, rules=tuple(_with(each, sentinel) for each in rules))
        case Exit() if rule.line is not None:
            return replace(rule, sentinel=sentinel)
    return rule


def worded(rule: Ending) -> str:
    """A rule in words, for a person who reads how a conversation may end."""
    match rule:
        case TurnCap(turns=turns):
            return f"at {turns} messages"
        case StopPhrase(phrase=phrase):
            return f"when somebody's message contains {phrase!r}"
        case Budget():
            return f"before more is spent than {_limits(rule)}"
        case Detector(sign=sign, turns=turns):
            return f"when {sign} is detected" + (f" {turns} times in a row" if turns > 1 else "")
        case AnyOf(rules=rules):
            return f"any of ({'; '.join(map(worded, rules))})"
        case AllOf(rules=rules):
            return f"all of ({'; '.join(map(worded, rules))})"
        case Pass(turns=turns):
            ways = [*([rule.line] if rule.line else []), *(["silence"] if rule.silent else [])]
            row = "everybody passes in turn" if turns is None else f"{turns} turns in a row pass"
            return f"when {row}, by {' or '.join(ways)}"
        case SilenceCap(turns=turns):
            row = "everybody is" if turns is None else f"{turns} turns in a row are"
            return f"when {row} silent{' in turn' if turns is None else ''}"
        case Exit():
            return _exit(rule)
    assert_never(rule)


_LEAVINGS = {
    (ExitRule.EITHER, After.END): "when the first leaves",
    (ExitRule.EITHER, After.LAST_WORD): "when one leaves and the others have had a last word",
    (ExitRule.EITHER, After.ALONE): "when the last has left",
    (ExitRule.UNANIMOUS, After.END): "when everybody has left",
    (ExitRule.UNANIMOUS, After.ALONE): "when the last has left",
}


def _exit(rule: Exit) -> str:
    """An exit in words."""
    ways = [rule.line] if rule.line else []
    ways += [f"saying {rule.phrase!r}"] if rule.phrase else []
    ways += [f"calling {rule.tool}"] if rule.tool else []
    mutual = f"when everybody has left within {rule.within} messages"
    return f"{_LEAVINGS.get((rule.rule, rule.after), mutual)}, by {' or '.join(ways)}"


def _limits(rule: Budget) -> str:
    """What a budget limits, in words."""
    limits = ((rule.tokens, "tokens"), (rule.usd, "USD"), (rule.minutes, "minutes"))
    return " or ".join(f"{limit:,.10g} {unit}" for limit, unit in limits if limit is not None)
