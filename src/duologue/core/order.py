"""Who speaks next: a pure function of the conversation so far.

The draw of a shuffled order is a hash, not a random generator, so that it is the same in every
version of every language. This module does not know what is said, only who said it and who left.
"""

from collections.abc import Collection, Mapping
from hashlib import blake2b
from typing import assert_never

from duologue.core.leaving import departures, speakers
from duologue.core.spec import ConversationSpec, RoundRobin, Sequence, Shuffled
from duologue.core.state import State
from duologue.errors import RecordError


def next_speaker(state: State) -> str:
    """The name of the participant whose turn it is; whoever speaks no more is passed over.

    Raises:
        RecordError: the conversation has not started, or nobody is left to speak.
    """
    spec = state.begun().spec
    gone = departures(state)
    if gone and speakers(spec) <= gone.keys():
        raise RecordError("nobody is left to speak: the conversation should have ended")
    match spec.order:
        case RoundRobin(first=first):
            if first is not None and not _taken(state, spec):
                return first
            names = spec.names()
            return _after(names, _last_seated(state, names), gone)
        case Sequence(names=names):
            return _sequenced(names, state, gone)
        case Shuffled(seed=seed):
            present = tuple(name for name in spec.names() if name not in gone)
            since = max(gone.values(), default=0)
            return _shuffled(present, seed, len(_taken(state, spec, since)))
    assert_never(spec.order)


def _taken(state: State, spec: ConversationSpec, since: int = 0) -> tuple[str, ...]:
    """Who took each turn since the opening, and since message ``since``.

    Words under other names take no turn.
    """
    names = frozenset(spec.names())
    spoken = state.entries[max(len(spec.opening), since) :]
    return tuple(entry.message.author for entry in spoken if entry.message.author in names)


def _last_seated(state: State, names: tuple[str, ...]) -> str | None:
    """The participant under whose name the last words stand, the opening included."""
    for entry in reversed(state.entries):
        if entry.message.author in names:
            return entry.message.author
    return None


def _after(names: tuple[str, ...], last: str | None, gone: Collection[str]) -> str:
    """The seat that follows ``last``, the first seat when nobody has spoken; nobody who is gone."""
    start = 0 if last is None else names.index(last) + 1
    turned = (*names[start % len(names) :], *names[: start % len(names)])
    return next(name for name in turned if name not in gone)


def _sequenced(names: tuple[str, ...], state: State, gone: Mapping[str, int]) -> str:
    """Whose place in the sequence it is.

    From each departure on, the places that are left are gone through in their order, from the one
    after that which was taken last.
    """
    spec, places, since = state.begun().spec, list(range(len(names))), 0
    for turn in sorted(set(gone.values())):
        places = _turned(places, len(_taken(state, spec, since)) - len(_taken(state, spec, turn)))
        places = [place for place in places if gone.get(names[place], turn + 1) > turn]
        since = turn
    return names[places[len(_taken(state, spec, since)) % len(places)]]


def _turned(places: list[int], taken: int) -> list[int]:
    """Places in the order in which they come after so many were taken."""
    start = taken % len(places)
    return [*places[start:], *places[:start]]


def _shuffled(names: tuple[str, ...], seed: int, taken: int) -> str:
    """The speaker of turn ``taken`` when each round is drawn anew."""
    number, place = divmod(taken, len(names))
    return _round(names, seed, number)[place]


def _round(names: tuple[str, ...], seed: int, number: int) -> list[str]:
    """Round ``number``: everyone once, ordered by a hash, nobody twice running across rounds.

    Whoever would follow itself changes places with the second of its round. Only a round's last
    place decides that, and with three seats or more the exchange never touches it, so the round
    before need not be built recursively; two seats keep the order of their first round.
    """
    if len(names) <= 2:  # noqa: PLR2004 - with two seats, any change of order repeats somebody
        return _draw(names, seed, 0)
    drawn = _draw(names, seed, number)
    if number and _draw(names, seed, number - 1)[-1] == drawn[0]:
        drawn[0], drawn[1] = drawn[1], drawn[0]
    return drawn


def _draw(names: tuple[str, ...], seed: int, number: int) -> list[str]:
    """The names ordered by BLAKE2b of seed, round and name."""

    def key(name: str) -> bytes:
        return blake2b(f"{seed}/{number}/{name}".encode(), digest_size=16).digest()

    return sorted(names, key=key)
