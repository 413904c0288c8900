"""From an experiment to its conversations: every cell, and each conversation's spec, id and seed.

``plan`` is pure. A conversation's id is a hash of what it is (its spec without the seed), of its
replicate's number and of the experiment's seed; so more replicates, or more cells, leave the ids
of the others as they were, and what has been held need not be held again. A replicate's seed
depends on its number and the experiment's seed alone, so it is the same in every cell: cells are
compared on the same draws (paired seeds; in simulation, common random numbers).

This module does not know files, models, prices or how conversations are held.
"""

from collections.abc import Iterator
from hashlib import blake2b

import msgspec
from msgspec.structs import replace

from duologue.core.experiment import Experiment
from duologue.core.factors import base, levels, members
from duologue.core.faults import faults, kept
from duologue.core.ids import ID_BYTES, speakable
from duologue.core.spec import ConversationSpec, Shuffled, check
from duologue.core.toml_document import spelt
from duologue.errors import ConfigurationError

_SEED_BITS = 0x7FFF_FFFF


class Cell(msgspec.Struct, frozen=True):
    """One combination of levels.

    Attributes:
        key: its short name: the seats in order, then the other levels: ``Ada+Bo/exit/keep``.
        factors: the level of each factor; ``pair`` and ``order`` (who speaks first) always.
    """

    key: str
    factors: dict[str, str]


class Planned(msgspec.Struct, frozen=True):
    """One conversation to be held.

    Attributes:
        id: its id, the same in every plan that holds this conversation.
        cell: where it belongs.
        replicate: its number in the cell, from 1.
        spec: what is to be held, its own seed included.
    """

    id: str
    cell: Cell
    replicate: int
    spec: ConversationSpec


class Plan(msgspec.Struct, frozen=True):
    """Everything that an experiment comes to.

    Attributes:
        name: the experiment's name; empty if it has none.
        outcome: the primary outcome that was declared, if one was.
        cells: pair by pair, and within a pair in the order of the file.
        conversations: the first replicate of every cell, then the second, and so on: what is cut
            short is balanced as far as it went.
    """

    name: str
    outcome: str | None
    cells: tuple[Cell, ...]
    conversations: tuple[Planned, ...]


def plan(experiment: Experiment) -> Plan:
    """What ``experiment`` comes to.

    Raises:
        ConfigurationError: it makes no sense, or one of its conversations could not be held.
    """
    wrong = [f"{spelt(fault.path)}: {fault.text}" for fault in faults(experiment)]
    if wrong:
        raise ConfigurationError("\n".join(wrong))
    declared = list(_declared(experiment))
    _refuse_twins(declared)
    planned = _replicated(declared, experiment)
    cells = tuple(cell for cell, _ in declared)
    return Plan(experiment.name or "", experiment.outcome, cells, _distinct(planned))


def _declared(experiment: Experiment) -> Iterator[tuple[Cell, ConversationSpec]]:
    """Every cell that is not left out, with its spec, which has no seed yet."""
    changes = levels(experiment)
    pool = {member.name: member for member in members(experiment)}
    bases: dict[tuple[str, ...], ConversationSpec] = {}
    for each in kept(experiment):
        cast = each.seating.cast
        if cast not in bases:
            bases[cast] = base(experiment, pool, each.seating)
        spec = bases[cast]
        for factor, level in each.chosen.items():
            spec = changes[factor][level](spec, cast)
        yield Cell(each.key, each.factors), _sound(each.key, spec)


def _sound(key: str, spec: ConversationSpec) -> ConversationSpec:
    """A cell's spec, if it can be held.

    Raises:
        ConfigurationError: it cannot; the message names the cell.
    """
    try:
        return check(spec)
    except ConfigurationError as error:
        raise ConfigurationError(f"in the cell {key}: {error}") from error


def _refuse_twins(declared: list[tuple[Cell, ConversationSpec]]) -> None:
    """Refuse two cells of one name, and two that hold the same conversation."""
    cells: dict[str, Cell] = {}
    specs: dict[bytes, str] = {}
    for cell, spec in declared:
        if (first := cells.setdefault(cell.key, cell)) is not cell:
            raise ConfigurationError(
                f"two cells would be called {cell.key}, {_told_apart(first, cell)} and "
                f"{_told_apart(cell, first)}: give a participant or a level another name"
            )
        twin = specs.setdefault(_content(spec), cell.key)
        if twin != cell.key:
            raise ConfigurationError(
                f"the cells {twin} and {cell.key} are the same conversation: leave one of them out "
                "with [[exclude]], take out one of the two levels, or say how they differ"
            )


def _told_apart(cell: Cell, other: Cell) -> str:
    """What is not the same in another cell."""
    own = (
        f"{factor} {level!r}"
        for factor, level in cell.factors.items()
        if other.factors[factor] != level
    )
    return f"that of {', '.join(own)}"


def _replicated(
    declared: list[tuple[Cell, ConversationSpec]], experiment: Experiment
) -> tuple[Planned, ...]:
    """Every replicate of every cell, replicate by replicate."""
    contents = [_content(spec) for _, spec in declared]
    return tuple(
        Planned(
            identity(content, number, experiment.seed),
            cell,
            number,
            _drawn(spec, replicate_seed(number, experiment.seed)),
        )
        for number in range(1, experiment.replicates + 1)
        for (cell, spec), content in zip(declared, contents, strict=True)
    )


def _drawn(spec: ConversationSpec, seed: int) -> ConversationSpec:
    """A spec with its replicate's seed, from which a shuffled order is drawn, too."""
    order = Shuffled(seed) if isinstance(spec.order, Shuffled) else spec.order
    return replace(spec, seed=seed, order=order)


def _distinct(planned: tuple[Planned, ...]) -> tuple[Planned, ...]:
    """``planned``, unless two of its ids happen to be the same.

    Raises:
        ConfigurationError: they are; 48 bits make that unlikely below a million conversations.
    """
    if len({each.id for each in planned}) < len(planned):
        raise ConfigurationError(
            "two conversations would have the same id, by chance: choose another seed"
        )
    return planned


def _content(spec: ConversationSpec) -> bytes:
    """What a conversation is, whatever is drawn in it: its spec, without the seed, as bytes."""
    return msgspec.json.encode(replace(spec, seed=None), order="deterministic")


def identity(content: bytes, replicate: int, seed: int) -> str:
    """The id of a conversation: 48 bits of BLAKE2b over what it is, as a speakable name."""
    drawn = blake2b(content, digest_size=ID_BYTES, salt=b"conversation")
    drawn.update(f"\n{replicate}/{seed}".encode())
    return speakable(drawn.digest())


def replicate_seed(replicate: int, seed: int) -> int:
    """The seed, 31 bits, of every conversation that is the replicate of that number."""
    drawn = blake2b(f"{seed}/{replicate}".encode(), digest_size=4).digest()
    return int.from_bytes(drawn) & _SEED_BITS
