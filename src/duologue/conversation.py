"""The loop: a conversation as an async generator of facts.

``converse`` yields events, which are to be stored before it is asked to go on, and deltas, which
are to be shown and forgotten. Run, resume, branch and replay are this one function with different
histories and providers. It knows no disk, no clock, no console and no network.
"""

from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from duologue.core.detectors import Detectors, require
from duologue.core.ending import due
from duologue.core.event import (
    AttemptFailed,
    ConversationEnded,
    ConversationStarted,
    Event,
    TurnCompleted,
    TurnStarted,
)
from duologue.core.growing import Views
from duologue.core.message import Message, silence
from duologue.core.order import next_speaker
from duologue.core.perspective import SILENCE, key, view
from duologue.core.provider import Call, Completion, Delta, Failure, Item, Provider, Seat
from duologue.core.spec import ConversationSpec, Resend, check
from duologue.core.state import State, apply, fold
from duologue.core.wire import encode
from duologue.errors import (
    ConfigurationError,
    DuologueError,
    MalformedReplyError,
    ProviderBugError,
    ProviderError,
)

_PASSED_ON = Delta, Failure


async def converse(
    spec: ConversationSpec,
    providers: Mapping[str, Provider],
    history: Iterable[Event] = (),
    *,
    key: str = "",
    detectors: Detectors | None = None,
) -> AsyncGenerator[Event | Delta, None]:
    """Hold the conversation that ``spec`` declares, from where ``history`` leaves off.

    Close it (``contextlib.aclosing``) to stop in mid-turn: the turn stays started, not finished.

    Args:
        spec: what to hold; with a history, the spec that the history began with.
        providers: who answers, by participant's name.
        history: the facts so far; they are not yielded again.
        key: the conversation's name towards providers, from which caches are routed; recorded.
        detectors: what sees the signs that the spec's detectors name; needed where it names one.

    Yields:
        Event: a fact, to be stored before the generator is resumed.
        Delta: live text of the turn in progress.

    Raises:
        ConfigurationError: the spec or the providers do not fit; nothing was yielded.
        RecordError: the history is not one that this loop could have made.
    """
    state = fold(history)
    if state.started is not None and state.started.spec != spec:
        raise ConfigurationError(
            "the spec differs from the one that the history began with: go on with the recorded "
            "spec, or branch to change it"
        )
    if state.over:
        return
    require(spec.ending, detectors)
    if state.started is None:
        start = ConversationStarted(check(spec), _seats(spec, providers), key=key)
        state = apply(state, start)
        rehearse(state)
        yield start
    _refuse_other_seats(state.begun(), providers)
    views = Views()
    while True:
        while fact := due(state, detectors):
            state = apply(state, fact)
            yield fact
            if isinstance(fact, ConversationEnded):
                return
        turn = _turn(state, views, providers)
        try:
            async for item in turn:
                if not isinstance(item, Delta):
                    state = apply(state, item)
                yield item
        finally:
            await turn.aclose()


def _seats(spec: ConversationSpec, providers: Mapping[str, Provider]) -> dict[str, Seat]:
    """What each participant's model resolved to, in the order of the seats."""
    return {name: _provider(providers, name).seat for name in spec.names()}


def rehearse(state: State) -> None:
    """Make everybody's next request: what a dialect cannot say is refused before the start.

    Raises:
        ConfigurationError: somebody's request cannot be made.
    """
    for name, seat in state.begun().seats.items():
        try:
            encode(seat, view(state, name))
        except ProviderError as error:
            if name == next_speaker(state):
                raise ConfigurationError(f"{name} cannot be asked: {error.detail}") from error


def _provider(providers: Mapping[str, Provider], name: str) -> Provider:
    """Who answers for ``name``."""
    try:
        return providers[name]
    except KeyError:
        raise ConfigurationError(f"no provider was given for the participant {name!r}") from None


def _refuse_other_seats(started: ConversationStarted, providers: Mapping[str, Provider]) -> None:
    """A conversation goes on with the models that it began with, or not at all."""
    for name in started.spec.names():
        found = _provider(providers, name).seat
        recorded = started.seats.get(name)
        if recorded is None:
            raise ConfigurationError(
                f"no model is on record for {name!r}: branch with --model to go on with one"
            )
        if _identity(found) != _identity(recorded):
            raise ConfigurationError(
                f"{name!r} was held by {recorded.provider}:{recorded.model} and is now "
                f"{_difference(recorded, found)}: branch with --model to go on with another model"
            )


def _identity(seat: Seat) -> Seat:
    """A seat without what may change while it stays the same model.

    Quirks are how its requests are written: those on record are used, whatever the catalogue has
    learnt since.
    """
    settings = {key: value for key, value in seat.settings.items() if key != "quirks"}
    return replace(seat, settings=settings, running={})


def _difference(recorded: Seat, found: Seat) -> str:
    """What is not the same about a seat, in words."""
    if (recorded.provider, recorded.model) != (found.provider, found.model):
        return f"{found.provider}:{found.model}"
    keys = sorted(
        key
        for key in recorded.settings.keys() | found.settings.keys()
        if recorded.settings.get(key) != found.settings.get(key)
    )
    return f"another build of it (differs in {', '.join(keys) or 'dialect'})"


async def _turn(
    state: State, views: Views, providers: Mapping[str, Provider]
) -> AsyncGenerator[Event | Delta, None]:
    """One turn: the fact that it starts, the reply as it comes, the fact of what came.

    A silence that is to be asked for again ends this turn as a failed attempt; the next one has
    the same number and a seed of its own.
    """
    name = next_speaker(state)
    said: list[str] = []
    running = _otherwise(state, name, _provider(providers, name).seat)
    start = TurnStarted(state.turn, name, "", running=running)
    try:
        wire = views.wire(state, name)
        start = replace(start, request=wire.digest, edits=wire.edits)
        yield start
        reply = _reply(_provider(providers, name), Call(wire.body, key(state, name)))
        try:
            async for item in reply:
                if isinstance(item, Delta):
                    said.append("" if item.reasoning else item.text)
                    yield item
                elif isinstance(item, Failure):
                    yield _failure(state.turn, name, item, "".join(said))
                    said.clear()
                    yield start
                else:
                    yield _outcome(state, name, item)
        finally:
            await reply.aclose()
    except ProviderError as error:
        if not start.request:
            yield start
        yield _failed(state.turn, name, error, "".join(said))


def _otherwise(state: State, name: str, seat: Seat) -> dict[str, Any] | None:
    """How the seat is run, where that is not as it was recorded last."""
    known = state.running.get(name, state.begun().seats[name].running)
    return None if seat.running == known else seat.running


def _outcome(state: State, name: str, reply: Completion) -> TurnCompleted | AttemptFailed:
    """A reply as a message or, where silence is to be asked for again, as a failed attempt."""
    policy, kind = state.begun().spec.silence, silence(reply.text)
    tried = sum(attempt.boundary == SILENCE for attempt in state.attempts)
    if kind is None or reply.calls or not isinstance(policy, Resend) or tried >= policy.times:
        return _completed(state.turn, name, reply)
    return AttemptFailed(
        state.turn,
        name,
        SILENCE,
        f"the reply was silent ({kind.value}), and is asked for again",
        partial=reply.text,
        again=True,
        usage=reply.usage,
        cost=reply.cost,
        seconds=reply.seconds,
        pace=reply.pace,
    )


async def _reply(provider: Provider, call: Call) -> AsyncGenerator[Item, None]:
    """A provider's stream that ends with exactly one completion, or with a provider's error."""
    whole: list[Completion] = []
    try:
        stream = provider.stream(call)
        try:
            async for item in stream:
                if isinstance(item, _PASSED_ON):
                    yield _spoken(item)
                else:
                    whole.append(_sound(item))
        finally:
            await stream.aclose()
    except Exception as error:  # a plug-in may raise anything: that too is a fact, not a crash
        if isinstance(error, DuologueError) and not whole:
            raise
        detail = f"{type(error).__name__}: {error}"
        raise ProviderBugError(detail, partial=_words(whole)) from error
    if len(whole) != 1:
        detail = f"the reply ended with {len(whole)} completions, not with one"
        raise MalformedReplyError(detail, partial=_words(whole))
    yield whole[0]


def _spoken(item: Delta | Failure) -> Delta | Failure:
    """What is passed on as it comes; a delta without words would trip whoever shows it."""
    if isinstance(item, Delta) and not isinstance(item.text, str):
        raise TypeError(f"a delta's text is a str, not a {type(item.text).__name__}")
    return item


def _words(whole: list[Completion]) -> str:
    """All that was said in replies that cannot be taken as one."""
    return "\n".join(reply.text for reply in whole)


def _sound(reply: Completion) -> Completion:
    """A reply that can be written down; a lone surrogate, say, has no bytes in any encoding."""
    if not isinstance(reply, Completion):
        raise TypeError(
            f"a provider yields deltas and one completion, not a {type(reply).__name__}"
        )
    try:
        msgspec.json.decode(msgspec.json.encode(reply), type=Completion)
    except (ValueError, TypeError) as error:
        detail = f"the reply cannot be recorded: {error}"
        raise MalformedReplyError(detail, partial=reply.text or "") from error
    return reply


def _completed(turn: int, name: str, reply: Completion) -> TurnCompleted:
    """A reply as a fact."""
    return TurnCompleted(
        turn,
        Message(name, reply.text, reply.origin),
        finish=reply.finish,
        finish_raw=reply.finish_raw,
        usage=reply.usage,
        first_token_s=reply.first_token_s,
        seconds=reply.seconds,
        served=reply.served,
        reasoning=reply.reasoning,
        detail=reply.detail,
        blocks=reply.blocks,
        cost=reply.cost,
        pace=reply.pace,
        calls=reply.calls,
    )


def _failure(turn: int, name: str, failure: Failure, said: str) -> AttemptFailed:
    """A failed attempt that is made again, as a fact."""
    return AttemptFailed(
        turn,
        name,
        failure.boundary,
        _escaped(failure.detail),
        partial=_escaped(failure.partial or said),
        wait_s=failure.wait_s,
        again=True,
        pace=failure.pace,
    )


def _failed(turn: int, name: str, error: ProviderError, said: str) -> AttemptFailed:
    """A provider's error as a fact, with what had been said if the error does not know it."""
    return AttemptFailed(
        turn,
        name,
        error.boundary,
        _escaped(error.detail),
        partial=_escaped(error.partial or said),
        wait_s=error.wait_s,
        pace=error.pace,
    )


def _escaped(text: str) -> str:
    """Text that can be written down: half a character stands as its escape."""
    return text.encode("utf-8", "backslashreplace").decode()
