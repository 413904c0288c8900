"""A run: a grid of its cells as a heat map of a metric: an experiment's, or pairs by policies.

Shares of conversations have Wilson intervals; a median has the interval between two of its order
statistics, which supposes nothing about how the values are spread.
"""

from collections.abc import Callable, Iterable, Sequence
from math import floor, sqrt

import msgspec
from starlette.requests import Request

from duologue.catalogue.asking import Facts, among, facts, runs
from duologue.catalogue.shape import Shelved
from duologue.core.transcript import Status
from duologue.endings.codebook import EndState
from duologue.endings.rates import rate
from duologue.errors import ConfigurationError, UnknownIdError
from duologue.store.library import Library, folder_name
from duologue.store.run import Run
from duologue.web.answering import Answer, Page, Parameter
from duologue.web.cells import Layout, Place, experiment, layout
from duologue.web.pages.library import busy
from duologue.web.shelf import DRAWING, given
from duologue.web.turns import STATES

_HEATS = 8
_Z = 1.96
_LEAST = 6
_LISTED = 200


class Measured(msgspec.Struct, frozen=True):
    """One metric in one cell.

    Attributes:
        value: the share (0 to 1) or the median; None where nothing can be said.
        n: of how many conversations.
        low: lower bound of the 95 % interval; None where there are too few.
        high: its upper bound.
    """

    value: float | None
    n: int
    low: float | None = None
    high: float | None = None


class Cell(msgspec.Struct, frozen=True):
    """The conversations of one cell.

    Attributes:
        row: of an experiment the seats, in the order in which they speak; else the pair.
        column: of an experiment the levels of its other factors; else how it could end.
        key: the cell's name in its experiment; empty where there is none.
        n: how many conversations there are.
        planned: how many there are to be; None where no plan says so.
        open: how many of them have no ending yet.
        measured: the metric that was asked for.
        heat: from 0 to 8, for the colour.
    """

    row: str
    column: str
    key: str
    n: int
    planned: int | None
    open: int
    measured: Measured
    heat: int = 0


class Grid(msgspec.Struct, frozen=True):
    """A run.

    Attributes:
        run: its name.
        metric: what the cells show.
        share: whether that is a share of conversations, else a median.
        factors: what the columns of an experiment differ in; empty for any other run.
        rows: what the rows are called.
        columns: what the columns are called.
        cells: row by row; combinations that do not occur are left out.
        conversations: how many in all.
        ended: how many have ended.
        turns: messages in all.
        tokens: generated in all, as far as they are known.
        spend: United States dollars in all; None where nothing is known.
        planned: how many conversations there are to be; None where no plan says so.
        running: whether a process is writing to it.
        chosen: the cell whose conversations are listed; empty for none.
        listed: these conversations, newest first, so many at the most.
        reading: whether its log is still being taken in.
    """

    run: str
    metric: str
    share: bool
    factors: tuple[str, ...]
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[Cell, ...]
    conversations: int
    ended: int
    turns: int
    tokens: int
    spend: float | None
    planned: int | None
    running: bool = False
    reading: bool = False
    chosen: str = ""
    listed: tuple[Shelved, ...] = ()


_SHARES: dict[str, Callable[[Facts], bool]] = {
    "mutual": lambda one: one.mutual_closing is not None,
    "reopened": lambda one: one.reopenings > 0,
}
_MEDIANS: dict[str, Callable[[Facts], float | None]] = {
    "closing": lambda one: one.mutual_closing,
    "first_closing": lambda one: one.first_closing,
    "length": lambda one: one.turns,
    "tokens": lambda one: one.tokens,
    "spend": lambda one: one.spend,
}
METRICS: dict[str, str] = {
    "mutual": "both took leave",
    "reopened": "somebody started again",
    "closing": "turns to the mutual closing",
    "first_closing": "turns to the first closing",
    "length": "length in messages",
    "tokens": "tokens",
    "spend": "spend in dollars",
    **{state.value: f"end state: {STATES[state]}" for state in EndState},
}
"""Every metric and its words."""


def run_page(request: Request) -> Answer:
    """The grid of a run.

    Raises:
        UnknownIdError: there is no such run.
        ConfigurationError: there is no such metric.
    """
    name, metric = request.path_params["run"], given(request, "metric") or "mutual"
    if metric not in METRICS:
        raise ConfigurationError(f"metric is {metric!r}: choose one of {', '.join(METRICS)}")
    catalogue = request.app.state.catalogue
    reading = not catalogue.refresh()
    # What SQLite cannot take is no run's name.
    known = name.encode(errors="ignore").decode()
    planned = experiment(catalogue.library, known) == known
    ask = catalogue.ask if planned else catalogue.sought
    found: list[Facts] = ask(lambda db: facts(db, known))
    coming = planned or (reading and _coming(catalogue.library, known))
    if not found and not coming:
        raise UnknownIdError(
            f"no conversation is in a run {name!r}: the library shows what there is"
        )
    laid = layout(Run(catalogue.library.path / known), found)
    cell = given(request, "cell")
    convs = [conv for conv, place in laid.of.items() if cell and place.key == cell][-_LISTED:]
    grid = msgspec.structs.replace(
        _grid(name, metric, found, laid),
        running=bool(busy(catalogue.library, [known])),
        reading=reading,
        chosen=cell if convs else "",
        listed=tuple(catalogue.ask(lambda db: among(db, known, convs))) if convs else (),
    )
    table = {(each.row, each.column): each for each in grid.cells}
    running = (name,) if grid.running else ()
    more = {**DRAWING, "table": table, "metrics": METRICS, "written": written}
    more |= {"state_words": STATES, "busy": running}
    return Answer("run.html", grid, name, more=more)


def _coming(library: Library, name: str) -> bool:
    """Whether a run of which nothing is known may be one that is not taken in yet."""
    return folder_name(name) == name and (library.path / name).is_dir()


def _grid(name: str, metric: str, found: Sequence[Facts], laid: Layout) -> Grid:
    """A run's cells and sums."""
    cells: dict[Place, list[Facts]] = {place: [] for place in laid.places}
    for one in found:
        cells[laid.of[one.id]].append(one)
    made = [_cell(place, some, metric, laid.planned.get(place)) for place, some in cells.items()]
    share = metric not in _MEDIANS
    known = [one.spend for one in found if one.spend is not None]
    return Grid(
        name,
        metric,
        share,
        factors=laid.factors,
        rows=tuple(dict.fromkeys(place.row for place in laid.places)),
        columns=tuple(dict.fromkeys(place.column for place in laid.places)),
        cells=tuple(_heated(made, share=share)),
        conversations=len(found),
        ended=sum(one.status != Status.INTERRUPTED.value for one in found),
        turns=sum(one.turns for one in found),
        tokens=sum(one.tokens for one in found),
        spend=sum(known) if known else None,
        planned=sum(laid.planned.values()) or None,
    )


def _cell(place: Place, some: Sequence[Facts], metric: str, planned: int | None) -> Cell:
    """One cell, not yet coloured. What is not over is counted as open, and in no share."""
    over = [one for one in some if one.status != Status.INTERRUPTED.value]
    if metric in _MEDIANS:
        values = (_MEDIANS[metric](one) for one in over)
        measured = median(value for value in values if value is not None)
    else:
        has = _SHARES.get(metric, lambda one: one.end_state.value == metric)
        measured = _share(sum(map(has, over)), len(over))
    return Cell(
        place.row, place.column, place.key, len(some), planned, len(some) - len(over), measured
    )


def _share(count: int, n: int) -> Measured:
    """A share with its interval."""
    if not n:
        return Measured(None, 0)
    found = rate(count, n)
    return Measured(found.share, n, found.low, found.high)


def median(values: Iterable[float]) -> Measured:
    """A median and a 95 % interval between two order statistics.

    The number of values below the median is binomial(n, 1/2); the interval is from the
    floor(n/2 - 1.96 sqrt(n)/2)-th value from below to the one as far from above (Conover 1999,
    Practical Nonparametric Statistics, 3.2). With fewer than six there is no such interval.
    """
    ordered = sorted(values)
    n = len(ordered)
    if not n:
        return Measured(None, 0)
    middle = (ordered[(n - 1) // 2] + ordered[n // 2]) / 2
    if n < _LEAST:
        return Measured(middle, n)
    rank = max(1, floor(n / 2 - _Z * sqrt(n) / 2))
    return Measured(middle, n, ordered[rank - 1], ordered[n - rank])


def _heated(cells: Sequence[Cell], *, share: bool) -> Iterable[Cell]:
    """The cells coloured: shares from 0 to 1, medians from 0 to the greatest."""
    known = [cell.measured.value for cell in cells if cell.measured.value is not None]
    most = 1.0 if share else max(known, default=0.0)
    for cell in cells:
        value = cell.measured.value
        heat = round(_HEATS * value / most) if value is not None and most > 0 else 0
        yield msgspec.structs.replace(cell, heat=heat)


def written(value: float | None, metric: str) -> str:
    """A value of a metric, short."""
    if value is None:
        return "–"  # noqa: RUF001 - a dash where there is no number
    if metric == "spend":
        return f"${value:.3g}"
    return (
        f"{value:,.0f}"
        if metric in _MEDIANS and value == int(value)
        else (f"{value:,.1f}" if metric in _MEDIANS else f"{100 * value:.0f} %")
    )


class Listed(msgspec.Struct, frozen=True):
    """A run in the list of runs.

    Attributes:
        run: its name.
        conversations: how many it holds.
        began: when the last of them began, UTC.
    """

    run: str
    conversations: int
    began: str


class Runs(msgspec.Struct, frozen=True):
    """The runs, newest first.

    Attributes:
        runs: at most 200.
        reading: whether logs are still being taken in, so that something may be missing.
    """

    runs: tuple[Listed, ...]
    reading: bool = False


def runs_page(request: Request) -> Answer:
    """The newest runs."""
    catalogue = request.app.state.catalogue
    reading = not catalogue.refresh()
    found = tuple(Listed(*one) for one in catalogue.remembered(runs))
    return Answer("runs.html", Runs(found, reading), "Runs", more=DRAWING)


PAGES = (
    Page("/runs", runs_page, Runs, "The newest runs"),
    Page(
        "/r/{run}",
        run_page,
        Grid,
        "A run: its cells as a heat map",
        (
            Parameter("metric", "what the cells show", {"type": "string", "enum": ["", *METRICS]}),
            Parameter("cell", "of an experiment: the cell whose conversations are listed"),
        ),
    ),
)
