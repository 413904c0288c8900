"""Which of the lines that look like a message heading are headings.

A model may quote the format it is recorded in, so there can be more candidates than messages. A
*reading* picks as many candidates as there are messages; the first candidate is always one of
them. The best reading has, in this order,

1. the fewest messages whose author is not the next seat of the round robin, and
2. the fewest messages that cut a code fence in two.

If several are equally good, each message begins at the earliest line possible, and every other
choice is reported. Dynamic programming: time and memory grow with candidates times the smaller of
messages and surplus, never exponentially. This module knows neither bytes nor lines.
"""

from collections.abc import Iterable, Sequence

import msgspec

_Rows = list[list[int]]
# The least cost of each number of messages, by who began the last of them (None: anyone) and
# whether that was after an odd number of fences.
_Seen = dict[tuple[str | None, bool], list[int]]

# A cost that no reading reaches: candidates times the price of one break is far below it.
_IMPOSSIBLE = 1 << 60


class Candidate(msgspec.Struct, frozen=True):
    """A place that looks like a heading.

    Attributes:
        name: whose heading it would be.
        fenced: whether the number of code-fence lines before it is odd.
        clashes: whether it shares characters with the candidate before it, so that at most one of
            the two is a heading.
    """

    name: str
    fenced: bool
    clashes: bool


class Reading(msgspec.Struct, frozen=True):
    """The best reading, and what could be read instead.

    Attributes:
        chosen: for each message, the index of the candidate that begins it.
        possible: for each message, every candidate that begins it in some equally good reading,
            ascending; one alone means that there is no doubt about this message.
    """

    chosen: tuple[int, ...]
    possible: tuple[tuple[int, ...], ...]


class _Puzzle(msgspec.Struct, frozen=True):
    """The candidates reduced to what decides.

    ``turns[name]`` are the names that may speak before ``name`` in the round robin, ``penalty`` is
    what a message out of turn costs, ``picks`` the number of messages. A cut fence costs 1.
    """

    names: list[str]
    fenced: list[bool]
    clashes: list[bool]
    turns: dict[str, set[str]]
    penalty: int
    picks: int

    def span(self, at: int) -> range:
        """The messages, counted from 1, that candidate ``at`` can begin."""
        surplus = len(self.names) - self.picks
        return range(max(1, at + 1 - surplus), min(self.picks, at + 1) + 1)

    def price(self, previous: int, at: int) -> int:
        """What it costs that a message beginning at ``previous`` is followed by one at ``at``."""
        in_turn = self.names[previous] in self.turns[self.names[at]]
        return self.penalty * (not in_turn) + (self.fenced[previous] != self.fenced[at])

    def mirrored(self) -> "_Puzzle":
        """The same puzzle read from its end."""
        return _Puzzle(
            names=self.names[::-1],
            fenced=self.fenced[::-1],
            clashes=[False, *self.clashes[:0:-1]],
            turns=_turns((after, before) for after in self.turns for before in self.turns[after]),
            penalty=self.penalty,
            picks=self.picks,
        )


def work(candidates: int, messages: int, seats: int) -> int:
    """A bound on the numbers that ``best_reading`` keeps, and so on its time and memory."""
    return candidates * min(messages, candidates - messages + 1) + 2 * seats * messages


def best_reading(
    candidates: Sequence[Candidate], names: Sequence[str], messages: int
) -> Reading | None:
    """The best reading of ``candidates`` as ``messages`` messages; None if there is none.

    ``names`` are the seats in the order of the round robin; one name may hold several seats.
    Expects ``1 <= messages <= len(candidates)``, and every candidate's name among ``names``.
    """
    puzzle = _puzzle(candidates, names, messages)
    before = _cheapest(puzzle, starts=1)
    after = [row[::-1] for row in _cheapest(puzzle.mirrored(), starts=len(candidates))[::-1]]
    # Every reading begins with the first candidate, which can begin no message but the first.
    best = after[0][0]
    if best >= _IMPOSSIBLE:
        return None
    possible = _possible(puzzle, before, after, best)
    return Reading(
        chosen=_earliest(puzzle, after, possible),
        possible=tuple(tuple(each) for each in possible),
    )


def _puzzle(candidates: Sequence[Candidate], names: Sequence[str], messages: int) -> _Puzzle:
    return _Puzzle(
        names=[each.name for each in candidates],
        fenced=[each.fenced for each in candidates],
        clashes=[each.clashes for each in candidates],
        turns=_turns(zip(names, [*names[1:], *names[:1]], strict=True)),
        # One message out of turn outweighs every cut fence that a reading can have.
        penalty=len(candidates) + 1,
        picks=messages,
    )


def _turns(pairs: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    turns: dict[str, set[str]] = {}
    for before, after in pairs:
        turns.setdefault(after, set()).add(before)
    return turns


def _cheapest(puzzle: _Puzzle, *, starts: int) -> _Rows:
    """The least cost of everything up to each candidate, for each message it can begin.

    Row ``i`` runs over ``puzzle.span(i)``. A reading may start at the first ``starts`` candidates.
    """
    seen: _Seen = {}
    rows: _Rows = []
    for at, clash in enumerate(puzzle.clashes):
        if at and not clash:
            _settle(puzzle, seen, at - 1, rows[-1])
        span = puzzle.span(at)
        row = _row(puzzle, seen, at)
        if span.start == 1:
            row[0] = 0 if at < starts else _IMPOSSIBLE
        if at and clash:
            _settle(puzzle, seen, at - 1, rows[-1])
        rows.append(row)
    return rows


def _row(puzzle: _Puzzle, seen: _Seen, at: int) -> list[int]:
    """The least cost of following what was ``seen`` with candidate ``at``."""
    span, fenced = puzzle.span(at), puzzle.fenced[at]
    in_turn = [(name, 0) for name in puzzle.turns[puzzle.names[at]]]
    nothing = [_IMPOSSIBLE] * len(span)
    costs = [nothing]
    # Anyone may speak at the price of being out of turn; who is in turn is cheaper anyway.
    for name, extra in [(None, puzzle.penalty), *in_turn]:
        for other in (False, True):
            price = extra + (other != fenced)
            before = seen.get((name, other), [])[span.start - 1 : span.stop - 1]
            if before:
                costs.append([cost + price for cost in before])
    return list(map(min, nothing, *costs))


def _settle(puzzle: _Puzzle, seen: _Seen, at: int, row: list[int]) -> None:
    """Let the candidates to come follow candidate ``at``, which ``row`` belongs to."""
    span = puzzle.span(at)
    for kind in ((puzzle.names[at], puzzle.fenced[at]), (None, puzzle.fenced[at])):
        if kind not in seen:
            seen[kind] = [_IMPOSSIBLE] * (puzzle.picks + 1)
        best = seen[kind]
        best[span.start : span.stop] = map(min, best[span.start : span.stop], row)


def _possible(puzzle: _Puzzle, before: _Rows, after: _Rows, best: int) -> list[list[int]]:
    """For each message, the candidates that begin it in some reading of cost ``best``."""
    found: list[list[int]] = [[] for _ in range(puzzle.picks)]
    for at, (done, rest) in enumerate(zip(before, after, strict=True)):
        for message, first, second in zip(puzzle.span(at), done, rest, strict=True):
            if first + second == best:
                found[message - 1].append(at)
    return found


def _earliest(puzzle: _Puzzle, after: _Rows, possible: list[list[int]]) -> tuple[int, ...]:
    """Of the best readings, the one whose every message begins as early as it can."""

    def rest(at: int, message: int) -> int:
        return after[at][message - puzzle.span(at).start]

    def follows(at: int, previous: int, message: int) -> bool:
        if at <= previous or (at == previous + 1 and puzzle.clashes[at]):
            return False
        return puzzle.price(previous, at) + rest(at, message) == rest(previous, message - 1)

    chosen = [0]
    for message, choices in enumerate(possible[1:], start=2):
        chosen.append(next(at for at in choices if follows(at, chosen[-1], message)))
    return tuple(chosen)
