"""From a conversation's facts to the log: every fact is written before the loop goes on.

Today one conversation at a time. This module does not know how models answer, or how a
conversation is shown: it hands every record and every delta to whoever watches.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing

from duologue.conversation import converse
from duologue.core.detectors import Detectors
from duologue.core.event import Event, Record, TurnCompleted
from duologue.core.provider import Delta, Provider
from duologue.core.spec import ConversationSpec
from duologue.errors import StoreError
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
        StoreError: the disk refused. A message that was complete stands in the error, whole.
    """
    try:
        return log.append(conv, event)
    except StoreError as error:
        if not isinstance(event, TurnCompleted):
            raise
        raise StoreError(
            f"{error}\nMessage {event.turn}, by {event.message.author}, was finished and could not "
            f"be recorded. These were its words:\n{event.message.text}"
        ) from error
