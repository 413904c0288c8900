"""A provider that answers from a log: the log is the cassette.

It answers a request only if the very same bytes were sent before; a changed prompt is refused,
never silently answered. It knows nothing of models.
"""

from collections import deque
from collections.abc import AsyncGenerator, Iterable

from duologue.core.event import AttemptFailed, Event, TurnCompleted, TurnStarted
from duologue.core.perspective import SILENCE
from duologue.core.provider import Call, Completion, Delta, Failure, Item, Seat
from duologue.core.wire import digest
from duologue.errors import ProviderError, ReplayError, boundary_error

Outcome = TurnCompleted | AttemptFailed


class Replay:
    """Gives to each request what the log says came of it, in the order in which it came."""

    def __init__(self, seat: Seat, events: Iterable[Event]) -> None:
        """Read the answers out of a conversation's facts.

        Args:
            seat: whom this stands in for, as recorded.
            events: the conversation's facts.
        """
        self.seat = seat
        self._answers = _answers(events)

    async def stream(self, call: Call) -> AsyncGenerator[Item, None]:
        """What came of this request, attempt by attempt, or an error.

        Raises:
            ReplayError: these bytes were never sent, or not so often.
            ProviderError: the recorded attempt failed.
        """
        waiting = self._answers.get(digest(call.body))
        while waiting:
            outcome = waiting.popleft()
            if isinstance(outcome, TurnCompleted) or outcome.boundary == SILENCE:
                reply = _completion(outcome)
                if reply.text:
                    yield Delta(reply.text)
                yield reply
                return
            if not outcome.again:
                raise _error(outcome)
            yield _failure(outcome)
        raise ReplayError(
            f"the request for {call.key!r} differs from every recorded one: something in the "
            "spec or the history was changed; branch instead of replaying"
        )

    async def aclose(self) -> None:
        """Nothing is held."""


def _answers(events: Iterable[Event]) -> dict[str, deque[Outcome]]:
    """What came of each request, by its digest, in order."""
    answers: dict[str, deque[Outcome]] = {}
    sent = ""
    for event in events:
        if isinstance(event, TurnStarted):
            sent = event.request
        elif isinstance(event, TurnCompleted | AttemptFailed):
            answers.setdefault(sent, deque()).append(event)
    return answers


def _completion(event: Outcome) -> Completion:
    """The reply that became this fact; a silence that was asked for again was a reply, too."""
    if isinstance(event, AttemptFailed):
        return Completion(
            event.partial,
            usage=event.usage,
            seconds=event.seconds,
            cost=event.cost,
            pace=event.pace,
        )
    return Completion(
        event.message.text,
        event.finish,
        finish_raw=event.finish_raw,
        usage=event.usage,
        first_token_s=event.first_token_s,
        seconds=event.seconds,
        served=event.served,
        reasoning=event.reasoning,
        origin=event.message.origin,
        detail=event.detail,
        blocks=event.blocks,
        cost=event.cost,
        pace=event.pace,
        calls=event.calls,
    )


def _failure(event: AttemptFailed) -> Failure:
    """The failure that another attempt followed."""
    return Failure(
        event.boundary, event.detail, event.partial, wait_s=event.wait_s, pace=event.pace
    )


def _error(event: AttemptFailed) -> ProviderError:
    """The error that became this fact."""
    kind = boundary_error(event.boundary)
    error = kind(event.detail, partial=event.partial, wait_s=event.wait_s)
    error.pace = event.pace
    error.boundary = event.boundary  # a plug-in may have named one that we do not know
    return error
