"""Whether the declared rules end a conversation: one verdict from the facts.

A rule is judged at a message: as if the conversation had come just so far. Only so can ``all``
know when each of its rules came true. This module makes no other facts, and hears no words: that
somebody left or passed stands in the facts.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import assert_never

import msgspec
from msgspec.structs import replace

from duologue.core.budget import overrun
from duologue.core.detectors import Detectors
from duologue.core.event import ConversationEnded, EndReason
from duologue.core.leaving import departures, leaving, recent, speakers
from duologue.core.message import Origin
from duologue.core.spec import (
    After,
    AllOf,
    AnyOf,
    Budget,
    Detector,
    Ending,
    Exit,
    ExitRule,
    Pass,
    Rule,
    SilenceCap,
    StopPhrase,
    TurnCap,
    leaves,
)
from duologue.core.state import Entry, State

_PRECEDENCE = (
    EndReason.EXIT,
    EndReason.MUTUAL_EXIT,
    EndReason.STOP_PHRASE,
    EndReason.PASS,
    EndReason.SILENCE,
    EndReason.DETECTOR,
    EndReason.MAX_TURNS,
    EndReason.BUDGET,
)


class _Facts(msgspec.Struct, frozen=True):
    """What rules are judged by.

    Attributes:
        state: the conversation so far.
        seen: the signs that hold at each message; nothing where no detector is declared.
        gone: who speaks no more, and its last message.
    """

    state: State
    seen: Sequence[frozenset[str]]
    gone: dict[str, int]


class _Came(msgspec.Struct, frozen=True):
    """That a rule came true.

    Attributes:
        at: with which message.
        ended: what it says.
    """

    at: int
    ended: ConversationEnded

    @property
    def rank(self) -> int:
        """Which verdict counts where several came at once: the smallest."""
        return _PRECEDENCE.index(self.ended.reason)


def verdict(state: State, detectors: Detectors | None = None) -> ConversationEnded | None:
    """How the declared rules end the conversation now, or None when they let it go on."""
    rules = state.begun().spec.ending
    facts = _Facts(state, _seen(state, rules, detectors), departures(state))
    came = _now(facts, AnyOf(rules))
    return None if came is None else came.ended


def _seen(
    state: State, rules: Iterable[Ending], detectors: Detectors | None
) -> Sequence[frozenset[str]]:
    """The signs that hold at each message, if a rule asks for them."""
    if detectors is None or not any(isinstance(rule, Detector) for rule in leaves(rules)):
        return ()
    return detectors([entry.message for entry in state.entries])


def _now(facts: _Facts, rule: Ending) -> _Came | None:
    """What a rule says of the conversation as it stands."""
    if isinstance(rule, AnyOf):
        found = [came for each in rule.rules if (came := _now(facts, each))]
        return min(found, key=lambda came: came.rank, default=None)
    if isinstance(rule, AllOf):
        return _all(facts, rule)
    end = len(facts.state.entries)
    ended = _judge(facts, rule, end)
    return None if ended is None else _Came(end, ended)


def _all(facts: _Facts, rule: AllOf) -> _Came | None:
    """That each of the rules has come true, told as the one that came last."""
    found: list[_Came] = []
    for each in rule.rules:
        came = _ever(facts, each)
        if came is None:
            return None
        found.append(came)
    last = max(found, key=lambda came: (came.at, -came.rank))
    told = "; ".join(f"{came.ended.detail} (message {came.at})" for came in found)
    return _Came(last.at, replace(last.ended, detail=f"all of: {told}"))


def _ever(facts: _Facts, rule: Ending) -> _Came | None:
    """When a rule came true for the first time, if it did."""
    if isinstance(rule, AnyOf):
        found = [came for each in rule.rules if (came := _ever(facts, each))]
        return min(found, key=lambda came: (came.at, came.rank), default=None)
    if isinstance(rule, AllOf):
        return _all(facts, rule)
    ends = range(len(facts.state.entries) + 1)
    if isinstance(rule, TurnCap | Budget):  # once true, they stay true
        ends = ends[bisect_left(ends, 1, key=lambda end: int(bool(_judge(facts, rule, end)))) :]
    judged = ((end, _judge(facts, rule, end)) for end in ends)
    return next((_Came(end, ended) for end, ended in judged if ended), None)


def _judge(facts: _Facts, rule: Rule, end: int) -> ConversationEnded | None:
    """What a rule that is no composition says when the conversation holds ``end`` messages."""
    match rule:
        case TurnCap(turns=turns):
            if end >= turns:
                return ConversationEnded(EndReason.MAX_TURNS, detail=f"the cap of {turns} messages")
            return None
        case Exit():
            return _judge_exit(facts, rule, end)
        case StopPhrase(phrase=phrase):
            return _judge_phrase(_last(facts, end), phrase)
        case Pass() | SilenceCap():
            return _judge_row(facts, rule, end)
        case Budget():
            return overrun(facts.state, rule, end)
        case Detector():
            return _judge_sign(facts, rule, end)
    assert_never(rule)


def _last(facts: _Facts, end: int) -> Entry | None:
    """The message with which the conversation holds ``end``, if a participant's turn made it.

    Only what a participant did can trip a rule: an opening may mention every word.
    """
    if end and facts.state.entries[end - 1].completed is not None:
        return facts.state.entries[end - 1]
    return None


def _judge_exit(facts: _Facts, rule: Exit, end: int) -> ConversationEnded | None:
    """Leaving counts from the message in which it stands."""
    if rule.after is not After.END:
        return _judge_departed(facts, rule)
    last = _last(facts, end)
    fact = leaving(last, rule) if last else None
    if last is None or fact is None:
        return None
    name = last.message.author
    if rule.rule is ExitRule.EITHER:
        return ConversationEnded(EndReason.EXIT, by=name, detail=f"{name} {fact.did}")
    first = end - rule.within - 1 if rule.rule is ExitRule.MUTUAL else 0
    within = facts.state.entries[max(0, first) : end]
    gone = {entry.message.author for entry in within if leaving(entry, rule)}
    if not gone >= speakers(facts.state.begun().spec):
        return None
    did = f"wrote {rule.line}" if rule.phrase is None and rule.tool is None else "left"
    return ConversationEnded(EndReason.MUTUAL_EXIT, by=name, detail=f"everyone {did}")


def _judge_departed(facts: _Facts, rule: Exit) -> ConversationEnded | None:
    """Nobody is left to speak: all have left, or the others have had their last words."""
    left = [
        (entry.message.author, fact)
        for entry in recent(facts.state)
        if (fact := leaving(entry, rule))
    ]
    if not left or not speakers(facts.state.begun().spec) <= facts.gone.keys():
        return None
    if rule.after is After.ALONE:
        name, _ = left[-1]
        detail = f"everyone left, {name} last"
        return ConversationEnded(EndReason.MUTUAL_EXIT, by=name, detail=detail)
    name, fact = left[0]
    detail = f"{name} {fact.did}, and everyone else had a last word"
    return ConversationEnded(EndReason.EXIT, by=name, detail=detail)


def _judge_phrase(last: Entry | None, phrase: str) -> ConversationEnded | None:
    """A phrase that ends it all."""
    if last is None or phrase not in last.message.text:
        return None
    detail = f"{last.message.author} said {phrase!r}"
    return ConversationEnded(EndReason.STOP_PHRASE, by=last.message.author, detail=detail)


def _judge_row(facts: _Facts, rule: Pass | SilenceCap, end: int) -> ConversationEnded | None:
    """Whether a row is as long as declared; without a number, whether it went once round."""
    left = {name for name, turn in facts.gone.items() if turn <= end}
    missing = speakers(facts.state.begun().spec) - left
    for length, name in enumerate(_row(facts, rule, end), start=1):
        missing -= {name}
        if length == rule.turns or (rule.turns is None and not missing):
            if isinstance(rule, Pass):
                return ConversationEnded(EndReason.PASS, detail=f"{length} passes in a row")
            return ConversationEnded(EndReason.SILENCE, detail=f"{length} silent turns in a row")
    return None


def _row(facts: _Facts, rule: Pass | SilenceCap, end: int) -> Iterator[str]:
    """Who took the turns of an unbroken row, from message ``end`` back; nudges are not turns."""
    for entry in reversed(facts.state.entries[:end]):
        if entry.message.origin is Origin.NUDGE and entry.completed is None:
            continue
        if not (entry.quiet if isinstance(rule, SilenceCap) else _passed(entry, rule)):
            return
        yield entry.message.author


def _passed(entry: Entry, rule: Pass) -> bool:
    """Whether a turn was declined in a way that a rule declares."""
    if entry.passed is None:
        return False
    return entry.passed.token == rule.line if entry.passed.token is not None else rule.silent


def _judge_sign(facts: _Facts, rule: Detector, end: int) -> ConversationEnded | None:
    """Whether a sign was seen at so many messages in a row, the last a participant's."""
    seen = facts.seen[max(0, end - rule.turns) : end]
    last = _last(facts, end)
    if last is None or len(seen) < rule.turns or any(rule.sign not in signs for signs in seen):
        return None
    count = f"{rule.turns} messages in a row" if rule.turns > 1 else f"message {end}"
    detail = f"{rule.sign} was detected in {count}"
    return ConversationEnded(EndReason.DETECTOR, detail=detail, sign=rule.sign)
