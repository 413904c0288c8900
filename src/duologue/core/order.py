"""Who speaks next: a pure function of the conversation so far.

The draw of a shuffled order is a hash, not a random generator, so that it is the same in every
version of every language. This module does not know what is said, only who said it.
"""

from hashlib import blake2b
from typing import assert_never

from duologue.core.spec import ConversationSpec, RoundRobin, Sequence, Shuffled
from duologue.core.state import State


def next_speaker(state: State) -> str:
    """The name of the participant whose turn it is.

    Raises:
        RecordError: the conversation has not started.
    """
    spec = state.begun().spec
    taken = _taken(state, spec)
    match spec.order:
        case RoundRobin(first=first):
            if first is not None and not taken:
                return first
            return _after(spec.names(), _last_seated(state, spec))
        case Sequence(names=names):
            return names[len(taken) % len(names)]
        case Shuffled(seed=seed):
            return _shuffled(spec.names(), seed, len(taken))
    assert_never(spec.order)


def _taken(state: State, spec: ConversationSpec) -> tuple[str, ...]:
    """Who took each turn since the opening; words under other names take no turn."""
    names = frozenset(spec.names())
    spoken = state.entries[len(spec.opening) :]
    return tuple(entry.message.author for entry in spoken if entry.message.author in names)


def _last_seated(state: State, spec: ConversationSpec) -> str | None:
    """The participant under whose name the last words stand, the opening included."""
    names = frozenset(spec.names())
    authors = (entry.message.author for entry in reversed(state.entries))
    return next((author for author in authors if author in names), None)


def _after(names: tuple[str, ...], last: str | None) -> str:
    """The seat that follows ``last``; the first seat when nobody has spoken."""
    return names[0] if last is None else names[(names.index(last) + 1) % len(names)]


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
