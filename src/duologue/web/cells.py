"""How the conversations of a run lie in a grid: by an experiment's cells, or by what they are.

Where a run is an experiment its plan is made again from its file, and every conversation has its
cell by its id. This module counts nothing and draws nothing.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import msgspec

from duologue.catalogue.asking import Facts
from duologue.core.experimentfile import is_experiment, read
from duologue.core.plan import Cell, Plan, plan
from duologue.errors import ConfigurationError, SpecError
from duologue.store.library import Library, folder_name
from duologue.store.run import SPEC_FILE, Run

UNPLANNED = "not in the plan"
_ALONE = "all"
_JOINED = " · "
_SEATS = frozenset({"pair", "order"})
_KEPT = 8


class Place(msgspec.Struct, frozen=True):
    """A place in a grid.

    Attributes:
        row: what its row is called.
        column: what its column is called.
        key: the cell's name in its experiment; empty where there is none.
    """

    row: str
    column: str
    key: str = ""


class Layout(msgspec.Struct, frozen=True):
    """The grid of a run.

    Attributes:
        factors: what its columns differ in; empty for a run that is no experiment.
        places: every place, planned or met, row by row.
        planned: for each place how many conversations it is to hold; empty where nothing says so.
        of: the place of each conversation, by its id.
    """

    factors: tuple[str, ...]
    places: tuple[Place, ...]
    planned: dict[Place, int]
    of: dict[str, Place]


def layout(run: Run, found: Sequence[Facts]) -> Layout:
    """The grid in which the conversations of a run lie."""
    whole = planned(run)
    if whole is None:
        of = {one.id: Place(one.pair, one.policy) for one in found}
        return Layout((), tuple(sorted(set(of.values()), key=_order)), {}, of)
    factors = tuple(_varied(whole))
    at = {cell.key: _place(cell, factors) for cell in whole.cells}
    cells = {each.id: at[each.cell.key] for each in whole.conversations}
    of = {one.id: cells.get(one.id, Place(one.pair, UNPLANNED)) for one in found}
    counts: dict[Place, int] = {}
    for place in cells.values():
        counts[place] = counts.get(place, 0) + 1
    return Layout(factors, tuple(dict.fromkeys((*at.values(), *of.values()))), counts, of)


def _order(place: Place) -> tuple[str, str]:
    """By row, then by column."""
    return place.row, place.column


def _varied(whole: Plan) -> list[str]:
    """The factors, besides the pair and the order, that have more than one level."""
    levels: dict[str, set[str]] = {}
    for cell in whole.cells:
        for factor, level in cell.factors.items():
            levels.setdefault(factor, set()).add(level)
    return [name for name, some in levels.items() if name not in _SEATS and len(some) > 1]


def _place(cell: Cell, factors: Sequence[str]) -> Place:
    """Where a cell lies: seats across, in the order in which they speak; everything else along."""
    others = [level for factor, level in cell.factors.items() if factor not in _SEATS]
    levels = [cell.factors[name] for name in factors if name in cell.factors]
    # A cell's key is its seats in order, then its levels.
    return Place(
        cell.key.removesuffix("/".join(("", *others))), _JOINED.join(levels) or _ALONE, cell.key
    )


def experiment(library: Library, name: str) -> str | None:
    """The run of an experiment of that name; None where there is none."""
    known = folder_name(name)
    return known if planned(Run(library.path / known)) is not None else None


def planned(run: Run) -> Plan | None:
    """The plan of a run that is an experiment; None for any other."""
    file = run.path / SPEC_FILE
    try:
        about = file.stat()
        return _planned(file, about.st_mtime_ns, about.st_size)
    except (OSError, UnicodeDecodeError):
        return None


@lru_cache(_KEPT)
def _planned(file: Path, _changed: int, _size: int) -> Plan | None:
    """The plan in a file, as long as the file is the same."""
    text = file.read_text("utf-8")
    try:
        return plan(read(text, str(file))) if is_experiment(text, str(file)) else None
    except (SpecError, ConfigurationError):
        return None  # edited since: 'duologue verify' says so; it is shown like any other run
