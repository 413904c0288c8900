"""When a conversation ends, and when a participant leaves: pure readings of the state.

Only a declared policy stops a conversation. This module does not judge how a conversation sounds:
that is for annotations, which describe and never stop.
"""

import re
from typing import assert_never

from duologue.core.event import (
    AttemptFailed,
    ContextReset,
    ConversationEnded,
    EndReason,
    MessageInjected,
    ParticipantLeft,
    TurnCompleted,
)
from duologue.core.message import Message, Origin, silence
from duologue.core.provider import Finish
from duologue.core.spec import (
    Budget,
    EndAtSilence,
    Ending,
    Exit,
    ExitRule,
    Nudge,
    RefusalPolicy,
    SilenceCap,
    StopPhrase,
    TurnCap,
)
from duologue.core.state import Entry, State
from duologue.errors import ContextFullError

# What follows a fence of backticks may not hold another backtick: that would be code in a line.
_FENCE = re.compile(r" {0,3}(`{3,}(?=[^`]*$)|~{3,})")
_INDENT = 4
# Marks of emphasis may stand around a sentinel: models like to write *[End]*.
_EMPHASIS = "*_"


def exits(text: str, sentinel: str) -> bool:
    """Whether ``text`` holds ``sentinel`` on a line of its own, as an act and not as a quotation.

    Inside a fenced or indented code block, a quotation, or a sentence it is not an exit: models
    discuss such words before they use them. Emphasis around it and letter case do not matter.
    """
    wanted = _bare(sentinel)
    return any(_bare(line) == wanted for line in _plain_lines(text))


def _bare(line: str) -> str:
    """A line without white space and emphasis around it, in folded case."""
    return (line.strip().strip(_EMPHASIS).strip() or line.strip()).casefold()


def _plain_lines(text: str) -> list[str]:
    """The lines of ``text`` outside code blocks and quotations (CommonMark's marks for them)."""
    lines: list[str] = []
    fence = ""
    for line in text.split("\n"):
        mark = _FENCE.match(line)
        if fence:
            if mark and mark[1].startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
        elif mark:
            fence = mark[1]
        elif not _indented(line) and not line.lstrip().startswith(">"):
            lines.append(line)
    return lines


def _indented(line: str) -> bool:
    """Whether a line stands as far in as code does; a tab reaches to the next stop."""
    return line.expandtabs(_INDENT).startswith(" " * _INDENT)


Due = ParticipantLeft | MessageInjected | ContextReset | ConversationEnded

NUDGER = "duologue"


def due(state: State) -> Due | None:
    """The next fact that follows from what was said; None when the next turn is to be taken.

    It is read from the state alone, so a conversation that was killed between a message and what
    follows from it comes to the same facts when it is resumed.
    """
    if fact := _leaving(state):
        return fact
    if state.ended:
        return None
    return _reset(state) or decide(state) or _nudge(state)


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
    if not isinstance(policy, Nudge) or last is None or not silence(last.message.text):
        return None
    return MessageInjected(state.turn, Message(NUDGER, policy.text, Origin.NUDGE))


def _leaving(state: State) -> ParticipantLeft | None:
    """The fact that the last speaker left, if its words say so and it is not yet recorded."""
    last = _last_completed(state)
    if last is None or last.left is not None:
        return None
    for rule in state.begun().spec.ending:
        if isinstance(rule, Exit) and exits(last.message.text, rule.sentinel):
            return ParticipantLeft(last.turn, last.message.author, rule.sentinel)
    return None


def decide(state: State) -> ConversationEnded | None:
    """How the conversation ends now, or None when it goes on.

    When several rules fire at once, what stopped a model comes first, then the participants' own
    acts, then counts.
    """
    if stopped := _stopped(state):
        return stopped
    spec = state.begun().spec
    verdicts = [verdict for rule in spec.ending if (verdict := _judge(state, rule))]
    return min(verdicts, key=lambda verdict: _PRECEDENCE.index(verdict.reason), default=None)


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
    if isinstance(spec.silence, EndAtSilence) and silence(last.message.text):
        return ConversationEnded(EndReason.SILENCE, by=author, detail=f"{author} said nothing")
    if spec.refusal is RefusalPolicy.END and reply.finish is Finish.REFUSAL:
        return ConversationEnded(EndReason.REFUSAL, by=author, detail=f"{author} refused{said}")
    if spec.refusal is RefusalPolicy.END and reply.finish is Finish.CONTENT_FILTER:
        detail = f"{author}'s reply was filtered{said}"
        return ConversationEnded(EndReason.CONTENT_FILTER, by=author, detail=detail)
    return None


_PRECEDENCE = (
    EndReason.EXIT,
    EndReason.MUTUAL_EXIT,
    EndReason.STOP_PHRASE,
    EndReason.SILENCE,
    EndReason.MAX_TURNS,
    EndReason.BUDGET,
)


def _judge(state: State, rule: Ending) -> ConversationEnded | None:
    """What one rule says."""
    match rule:
        case TurnCap(turns=turns):
            if len(state.entries) >= turns:
                return ConversationEnded(EndReason.MAX_TURNS, detail=f"the cap of {turns} messages")
            return None
        case Exit():
            return _judge_exit(state, rule)
        case StopPhrase(phrase=phrase):
            return _judge_phrase(state, phrase)
        case SilenceCap(turns=turns):
            return _judge_silence(state, turns)
        case Budget():
            return _judge_budget(state, rule)
    assert_never(rule)


def _judge_budget(state: State, rule: Budget) -> ConversationEnded | None:
    """Whether the next turn could go over, reckoned as dear as the dearest so far.

    Where a reply does not say what it took, a limit could not be kept: it ends there, too.
    """
    outcomes = _outcomes(state)
    for limit, unit, measure in (
        (rule.tokens, "tokens", _tokens),
        (rule.usd, "USD", _money),
        (rule.minutes, "minutes", _minutes),
    ):
        if limit is None or not outcomes:
            continue
        known = [spent for outcome in outcomes if (spent := measure(outcome)) is not None]
        total = sum(known)
        detail = f"{total:,.10g} of {limit:,.10g} {unit} are spent"
        if len(known) < len(outcomes):
            detail += "; what a turn took is not known, so the budget cannot be kept"
            return ConversationEnded(EndReason.BUDGET, detail=detail)
        if total + max(known) > limit:
            detail += "; the next turn could need more than is left"
            return ConversationEnded(EndReason.BUDGET, detail=detail)
    return None


def _outcomes(state: State) -> list[TurnCompleted | AttemptFailed]:
    """Everything that this conversation paid for; what a branch inherited was paid before."""
    fork = state.begun().fork
    own = state.entries[fork.turn :] if fork is not None else state.entries
    failed = [attempt for entry in own for attempt in entry.attempts]
    return [*failed, *(entry.completed for entry in own if entry.completed), *state.attempts]


def _tokens(outcome: TurnCompleted | AttemptFailed) -> float | None:
    """Tokens read and generated; None where a reply does not say."""
    read, made = outcome.usage.input, outcome.usage.output
    if read is None and made is None:
        return _unsaid(outcome)
    return (read or 0) + (made or 0)


def _money(outcome: TurnCompleted | AttemptFailed) -> float | None:
    """Dollars; None where the price of a reply is not known."""
    return _unsaid(outcome) if outcome.cost is None else outcome.cost


def _minutes(outcome: TurnCompleted | AttemptFailed) -> float:
    """Minutes of the model's time; a script has none."""
    return (outcome.seconds or 0.0) / 60


def _unsaid(outcome: TurnCompleted | AttemptFailed) -> float | None:
    """What an outcome took that does not say: a failed attempt nothing, a reply who knows."""
    return 0.0 if isinstance(outcome, AttemptFailed) else None


def _judge_exit(state: State, rule: Exit) -> ConversationEnded | None:
    """Leaving counts from the message in which it stands; under ``mutual`` it can lapse."""
    if not state.entries or state.entries[-1].left != rule.sentinel:
        return None
    last = state.entries[-1]
    if rule.rule is ExitRule.EITHER:
        detail = f"{last.message.author} wrote {rule.sentinel}"
        return ConversationEnded(EndReason.EXIT, by=last.message.author, detail=detail)
    recent = state.entries[-(rule.within + 1) :]
    gone = {entry.message.author for entry in recent if entry.left == rule.sentinel}
    if gone >= set(state.begun().spec.names()):
        detail = f"everyone wrote {rule.sentinel}"
        return ConversationEnded(EndReason.MUTUAL_EXIT, by=last.message.author, detail=detail)
    return None


def _judge_phrase(state: State, phrase: str) -> ConversationEnded | None:
    """Only what a participant's model said can trip a phrase; an opening may mention it."""
    last = _last_completed(state)
    if last is None or phrase not in last.message.text:
        return None
    detail = f"{last.message.author} said {phrase!r}"
    return ConversationEnded(EndReason.STOP_PHRASE, by=last.message.author, detail=detail)


def _judge_silence(state: State, turns: int) -> ConversationEnded | None:
    """The last ``turns`` messages are participants' turns, and nothing of them can be seen."""
    tail = state.entries[-turns:]
    if len(tail) < turns or any(entry.completed is None for entry in tail):
        return None
    if any(silence(entry.message.text) is None for entry in tail):
        return None
    return ConversationEnded(EndReason.SILENCE, detail=f"{turns} silent turns in a row")


def _last_completed(state: State) -> Entry | None:
    """The last message, if a participant's turn made it."""
    if state.entries and state.entries[-1].completed is not None:
        return state.entries[-1]
    return None
