"""From a conversation's facts to the log: every fact is written before the loop goes on.

Today one conversation at a time. This module does not know how models answer, or how a
conversation is shown: it hands every record and every delta to whoever watches.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing

from duologue.conversation import converse
from duologue.core.detectors import Detectors
from duologue.core.event import AttemptFailed, Event, Record, TurnCompleted
from duologue.core.provider import Delta, Provider
from duologue.core.spec import ConversationSpec
from duologue.errors import StoreError, UnrecordedError
from duologue.store.run import Log

Watch = Callable[[Record | Delta], None]


async def record(
    log: Log,
    conv: str,
    spec: ConversationSpec,
    providers: Mapping[str, Provider],
    *,
    history: Iterable[Event] = (),
    watch: Watch,
    detectors: Detectors | None = None,
) -> None:
    """Hold a conversation, or go on with one, and write it down.

    Args:
        log: where to write.
        conv: the conversation's id.
        spec: what to hold.
        providers: who answers, by participant's name.
        history: the facts that the log already has.
        watch: sees every record after it was written, and every delta.
        detectors: what sees the signs that the spec's detectors name.

    Raises:
        ConfigurationError: the spec or the providers do not fit.
        UnrecordedError: the disk refused a message that was finished; its words are in the error.
        StoreError: the disk refused; everything before is in the log.
    """
    facts = converse(spec, providers, history, key=conv, detectors=detectors)
    async with aclosing(facts):
        async for item in facts:
            watch(item if isinstance(item, Delta) else _written(log, conv, item))
            # A provider that never waits must not keep a Ctrl-C, or anybody else, waiting.
            await asyncio.sleep(0)


def _written(log: Log, conv: str, event: Event) -> Record:
    """The record of an event; words that the disk refuses are handed to the person.

    Raises:
        UnrecordedError: the disk refused a message that was finished; it stands in the error.
        StoreError: the disk refused another fact; what had arrived of a reply stands in the error.
    """
    try:
        return log.append(conv, event)
    except StoreError as error:
        if isinstance(event, TurnCompleted):
            raise UnrecordedError(f"{error}\n{_handed(event)}") from error
        if isinstance(event, AttemptFailed) and event.partial:
            raise StoreError(
                f"{error}\nMessage {event.turn}, by {event.participant}, failed "
                f"({event.boundary}) and could not be recorded. This had arrived of it:\n"
                f"{event.partial}"
            ) from error
        raise


def _handed(done: TurnCompleted) -> str:
    """All that was said in a message, for a person."""
    thought = f"\nBefore them it thought:\n{done.reasoning}" if done.reasoning else ""
    return (
        f"Message {done.turn}, by {done.message.author}, was finished and could not be recorded. "
        f"These were its words:\n{done.message.text}{thought}"
    )
