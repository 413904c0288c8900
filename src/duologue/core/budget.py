"""Whether what a conversation may spend is used up: a pure reading of its facts.

This module knows no prices: what a turn took stands in its fact.
"""

from duologue.core.event import AttemptFailed, ConversationEnded, EndReason, TurnCompleted
from duologue.core.spec import Budget
from duologue.core.state import State


def overrun(state: State, rule: Budget, end: int) -> ConversationEnded | None:
    """Whether a turn after message ``end`` could go over, reckoned as dear as the dearest so far.

    Where a reply does not say what it took, a limit could not be kept: it ends there, too. Once
    that is so, it stays so.
    """
    outcomes = _outcomes(state, end)
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


def _outcomes(state: State, end: int) -> list[TurnCompleted | AttemptFailed]:
    """Everything that this conversation paid for; what a branch inherited was paid before."""
    fork = state.begun().fork
    own = state.entries[fork.turn if fork is not None else 0 : end]
    failed = [attempt for entry in own for attempt in entry.attempts]
    due = state.attempts if end == len(state.entries) else ()
    return [*failed, *(entry.completed for entry in own if entry.completed), *due]


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
