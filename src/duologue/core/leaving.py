"""Who has left, and who may still speak: pure readings of the facts.

Leaving is read from the facts that record it, never from words. This module does not decide when
a conversation ends.
"""

from collections.abc import Iterator

from duologue.core.event import ParticipantLeft
from duologue.core.message import Origin
from duologue.core.spec import After, AnyOf, ConversationSpec, Ending, Exit, Sequence
from duologue.core.state import Entry, State


def speakers(spec: ConversationSpec) -> frozenset[str]:
    """Whoever gets a turn at all: a declared sequence may leave a seat out."""
    return frozenset(spec.order.names if isinstance(spec.order, Sequence) else spec.names())


def took(rule: Exit, fact: ParticipantLeft) -> bool:
    """Whether a leaving took one of the ways that a rule declares."""
    return (
        (fact.sentinel is not None and fact.sentinel == rule.line)
        or (fact.phrase is not None and fact.phrase == rule.phrase)
        or (fact.tool is not None and fact.tool == rule.tool)
    )


def leaving(entry: Entry, rule: Exit) -> ParticipantLeft | None:
    """How the author of a message left with it by this rule, if it did."""
    return next((fact for fact in entry.left if took(rule, fact)), None)


def departures(state: State) -> dict[str, int]:
    """With which message each participant who speaks no more spoke last.

    Under ``alone`` that is whoever left. Under ``last_word`` it is the first who left, and then
    whoever has had a last word. Words from outside, which only a branch can hold, call everybody
    back: what was left before them is over.
    """
    spec = state.begun().spec
    gone: dict[str, int] = {}
    for rule in _exits(spec.ending):
        for name, turn in _departed(spec, recent(state), rule):
            gone[name] = min(turn, gone.get(name, turn))
    return gone


def _exits(rules: tuple[Ending, ...]) -> Iterator[Exit]:
    """The exits after which somebody speaks no more; none of them stands within ``all``."""
    for rule in rules:
        if isinstance(rule, AnyOf):
            yield from _exits(rule.rules)
        elif isinstance(rule, Exit) and rule.after is not After.END:
            yield rule


def recent(state: State) -> tuple[Entry, ...]:
    """The messages since words came from outside; a nudge is the loop's own."""
    opening = len(state.begun().spec.opening)
    for place in range(len(state.entries) - 1, opening - 1, -1):
        entry = state.entries[place]
        if entry.completed is None and entry.message.origin is not Origin.NUDGE:
            return state.entries[place + 1 :]
    return state.entries


def _departed(
    spec: ConversationSpec, entries: tuple[Entry, ...], rule: Exit
) -> Iterator[tuple[str, int]]:
    """Who speaks no more by one rule, and its last message."""
    left = [entry for entry in entries if leaving(entry, rule)]
    if rule.after is After.ALONE:
        for entry in left:
            yield entry.message.author, entry.turn
    elif left:
        first = left[0]
        yield first.message.author, first.turn
        for entry in entries:
            if entry.turn > first.turn and entry.message.author in speakers(spec):
                yield entry.message.author, entry.turn
