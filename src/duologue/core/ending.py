"""What follows from what was said: leaving, passing, an ending. Pure readings of the state.

Only a declared policy stops a conversation. This module does not judge how a conversation sounds:
a declared detector does, which is given to it.
"""

from collections.abc import Iterator

from duologue.core.acts import acts, says
from duologue.core.detectors import Detectors
from duologue.core.event import (
    AttemptFailed,
    ContextReset,
    ConversationEnded,
    EndReason,
    MessageInjected,
    ParticipantLeft,
    TurnCompleted,
    TurnPassed,
)
from duologue.core.message import Message, Origin
from duologue.core.provider import Finish
from duologue.core.rules import verdict
from duologue.core.spec import EndAtSilence, Exit, Nudge, Pass, RefusalPolicy, leaves
from duologue.core.state import Entry, State
from duologue.errors import ContextFullError

Due = ParticipantLeft | TurnPassed | MessageInjected | ContextReset | ConversationEnded

NUDGER = "duologue"


def due(state: State, detectors: Detectors | None = None) -> Due | None:
    """The next fact that follows from what was said; None when the next turn is to be taken.

    It is read from the state alone, so a conversation that was killed between a message and what
    follows from it comes to the same facts when it is resumed.

    Args:
        state: the conversation so far.
        detectors: what sees the signs that declared detectors name; without them none is seen.
    """
    if fact := _act(state):
        return fact
    if state.ended:
        return None
    return _reset(state) or decide(state, detectors) or _nudge(state)


def _reset(state: State) -> ContextReset | None:
    """A shorter view for whoever's view was too long, where the spec wants that and it helps."""
    keep = state.begun().spec.keep_last
    failed = _failed(state)
    if keep is None or failed is None or failed.boundary != ContextFullError.boundary:
        return None
    first = state.turn - keep
    if first <= state.views.get(failed.participant, 1):
        return None
    return ContextReset(state.turn, failed.participant, first)


def _failed(state: State) -> AttemptFailed | None:
    """The last attempt, if it failed and no other is due."""
    if state.pending is None and state.attempts and not state.again:
        return state.attempts[-1]
    return None


def _nudge(state: State) -> MessageInjected | None:
    """The declared words after a silent turn."""
    policy, last = state.begun().spec.silence, _last_completed(state)
    if not isinstance(policy, Nudge) or last is None or not last.quiet:
        return None
    return MessageInjected(state.turn, Message(NUDGER, policy.text, Origin.NUDGE))


def _act(state: State) -> ParticipantLeft | TurnPassed | None:
    """The fact that the last speaker left or passed, if it did and that is not yet recorded."""
    last = _last_completed(state)
    if last is None:
        return None
    rules = tuple(leaves(state.begun().spec.ending))
    for rule in rules:
        for fact in _ways(rule, last) if isinstance(rule, Exit) else ():
            if fact not in last.left:
                return fact
    passed = (fact for rule in rules if isinstance(rule, Pass) for fact in _passes(rule, last))
    return next(passed, None) if last.passed is None else None


def _ways(rule: Exit, last: Entry) -> Iterator[ParticipantLeft]:
    """Every way of a rule by which a message leaves."""
    turn, author, text = last.turn, last.message.author, last.message.text
    if rule.line is not None and acts(text, rule.line):
        yield ParticipantLeft(turn, author, rule.line)
    if rule.phrase is not None and says(text, rule.phrase):
        yield ParticipantLeft(turn, author, phrase=rule.phrase)
    calls = last.completed.calls if last.completed else ()
    if rule.tool is not None and any(call.name == rule.tool for call in calls):
        yield ParticipantLeft(turn, author, tool=rule.tool)


def _passes(rule: Pass, last: Entry) -> Iterator[TurnPassed]:
    """The way by which a message declines its turn."""
    if rule.line is not None and acts(last.message.text, rule.line):
        yield TurnPassed(last.turn, last.message.author, rule.line)
    elif rule.silent and last.quiet:
        yield TurnPassed(last.turn, last.message.author)


def decide(state: State, detectors: Detectors | None = None) -> ConversationEnded | None:
    """How the conversation ends now, or None when it goes on.

    When several rules fire at once, what stopped a model comes first, then the participants' own
    acts, then what was detected, then counts.
    """
    return _stopped(state) or verdict(state, detectors)


def _stopped(state: State) -> ConversationEnded | None:
    """What makes going on impossible: an attempt that failed for good, a context that is full."""
    if failed := _failed(state):
        full = failed.boundary == ContextFullError.boundary
        reason = EndReason.CONTEXT_FULL if full else EndReason.ERROR
        detail = f"{failed.boundary}: {failed.detail}"
        return ConversationEnded(reason, by=failed.participant, detail=detail)
    last = _last_completed(state)
    fork = state.begun().fork
    if last is None or last.completed is None or (fork is not None and last.turn <= fork.turn):
        return None  # what stopped another conversation does not stop its branch
    return _finished(state, last, last.completed)


def _finished(state: State, last: Entry, reply: TurnCompleted) -> ConversationEnded | None:
    """What the way in which a reply stopped means for the conversation."""
    author, spec = last.message.author, state.begun().spec
    said = f": {reply.detail}" if reply.detail else ""
    if reply.finish is Finish.CONTEXT_FULL:
        detail = f"{author}'s reply reached the end of its context"
        return ConversationEnded(EndReason.CONTEXT_FULL, by=author, detail=detail)
    if isinstance(spec.silence, EndAtSilence) and last.quiet:
        return ConversationEnded(EndReason.SILENCE, by=author, detail=f"{author} said nothing")
    if spec.refusal is RefusalPolicy.END and reply.finish is Finish.REFUSAL:
        return ConversationEnded(EndReason.REFUSAL, by=author, detail=f"{author} refused{said}")
    if spec.refusal is RefusalPolicy.END and reply.finish is Finish.CONTENT_FILTER:
        detail = f"{author}'s reply was filtered{said}"
        return ConversationEnded(EndReason.CONTENT_FILTER, by=author, detail=detail)
    return None


def _last_completed(state: State) -> Entry | None:
    """The last message, if a participant's turn made it."""
    if state.entries and state.entries[-1].completed is not None:
        return state.entries[-1]
    return None
