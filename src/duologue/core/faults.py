"""What is wrong with an experiment as a whole, each fault with the place in the file it is at.

What a file can get wrong key by key is ``toml_shape``'s to say; here is what only shows when keys
are put together: names that nobody has, factors said twice, rules that fit nothing. This module
makes no spec and knows no lines.
"""

from collections.abc import Iterable, Iterator
from math import prod
from typing import Any, get_type_hints

import msgspec

from duologue.core.experiment import (
    OUTCOMES,
    BySeat,
    Cross,
    Exclusion,
    Experiment,
    Opening,
    Said,
    TurnOrder,
)
from duologue.core.factors import (
    SCENARIO,
    Combination,
    casts,
    crossing,
    leaves_out,
    levels,
    members,
    same_table,
    seatings,
    wanted,
)
from duologue.core.message import silence
from duologue.core.spec import Ending, Sampling, TurnCap, check_name, check_rules
from duologue.core.toml_document import TOP, Fault, nearest, quoted
from duologue.core.toml_lines import Path
from duologue.errors import ConfigurationError

_FEWEST = 2
_MOST_CELLS = 100_000
"""More combinations than these are a slip: a plan of them would take minutes, and gigabytes."""
_MOST_TURNS = 10_000_000
"""Each turn of one replicate is reckoned when the plan is shown: more of them would take longer."""
_MOST_CONVERSATIONS = 1_000_000
"""Two ids of 48 bits are the same among so many in 0.18 % of plans; that grows as the square."""
_BEFORE = ", whatever 'exclude' leaves out"
"""To know what is left, all have to be made."""
_TWICE = (
    ("turn_order", "turn_orders"),
    ("opener", "openings"),
    ("system", "systems"),
    ("scenario", "scenarios"),
    ("silence", "silences"),
    ("told", "endings"),
)
"""What is said in the singular for all, or in the plural as a factor."""
_NAMED = (
    "turn_orders",
    "openings",
    "systems",
    "scenarios",
    "samplings",
    "endings",
    "silences",
)
"""The factors whose levels are tables of named variants."""
_HINTS = get_type_hints(Experiment, include_extras=True)


def kept(experiment: Experiment) -> Iterator[Combination]:
    """Every combination that no ``exclude`` rule leaves out."""
    for each in crossing(experiment):
        if not any(leaves_out(rule, each) for rule in experiment.exclude):
            yield each


def faults(experiment: Experiment) -> list[Fault]:
    """Everything that is wrong; who sits together is looked at first, for all else rests on it."""
    found = [*_of_participants(experiment), *_of_pairs(experiment)]
    found += [*_of_keys(experiment), *_of_seeds(experiment)]
    found = found or [*_of_size(experiment)]
    if not found:
        found = [*_of_texts(experiment), *_of_openings(experiment), *_of_samplings(experiment)]
        found += _of_turn_orders(experiment)
        found += _of_exclusions(experiment)
    return found


def _unknown(what: str, word: str, known: Iterable[str]) -> str:
    """A word that is none of the known ones, and what may have been meant."""
    names = list(known)
    return f"{what} {quoted(word)} is not known; {nearest(word, names) or _listed(names)}"


def _listed(names: Iterable[str]) -> str:
    return f"known: {', '.join(map(quoted, names))}"


def _of_participants(experiment: Experiment) -> Iterator[Fault]:
    """Names that come twice, and settings that miss their model by a letter."""
    seen: dict[str, int] = {}
    pool = members(experiment)
    staged = experiment.scenario is not None or experiment.scenarios
    for at, member in enumerate(pool):
        name = str(member.name)
        try:
            check_name(name)
        except ConfigurationError as error:
            yield Fault(("participants", at), str(error))
        if seen.setdefault(name, at) != at:
            text = f"two participants are named {quoted(name)}: give this one another 'name'"
            yield Fault(("participants", at), text)
        if name == SCENARIO and staged:
            text = f"{quoted(name)} is the name over scenarios: give this participant another"
            yield Fault(("participants", at), text)
    models = {member.model for member in pool}
    for at, settings in enumerate(experiment.settings):
        for place, model in enumerate(settings.models):
            if model not in models and (meant := nearest(model, models)):
                text = f"no participant's model is {quoted(model)}; {meant}"
                yield Fault(("settings", at, "models", place), text)


def _of_pairs(experiment: Experiment) -> Iterator[Fault]:
    """Names that nobody has, tables with one seat, pairs given twice."""
    pairs = experiment.pairs
    known = {str(member.name) for member in members(experiment)}
    lists = pairs.cross if isinstance(pairs, Cross) else pairs
    root: Path = ("pairs", "cross") if isinstance(pairs, Cross) else ("pairs",)
    for at, names in enumerate(() if isinstance(lists, str) else lists):
        for place, name in enumerate(names):
            if name not in known:
                yield Fault((*root, at, place), _unknown("the participant", name, known))
    if not isinstance(pairs, str | Cross):
        yield from _of_listed(experiment, pairs)
    if not casts(experiment):
        text = "nobody sits together: name two participants, or more"
        yield Fault(("pairs",), text)


def _of_listed(experiment: Experiment, pairs: tuple[tuple[str, ...], ...]) -> Iterator[Fault]:
    """Pairs that were written out."""
    seen: dict[tuple[str, ...], int] = {}
    for at, cast in enumerate(pairs):
        if len(cast) < _FEWEST:
            yield Fault(("pairs", at), "a conversation needs two: name two participants, or more")
        elif (first := seen.setdefault(same_table(experiment, cast), at)) != at:
            text = f"these are those of pairs[{first}] again: take one out"
            if cast != pairs[first]:
                text += ' (or say order = "as_given", if who speaks first is to be given)'
            yield Fault(("pairs", at), text)


def _of_keys(experiment: Experiment) -> Iterator[Fault]:
    """A factor that is said for all, too; a cap beside ``turns``; levels and an outcome."""
    for one, many in _TWICE:
        if getattr(experiment, one) is not None and getattr(experiment, many):
            said = f"{quoted(one)} is for all, {quoted(many)} says what varies: keep one of them"
            yield Fault((one,), said)
    yield from _of_rules(experiment)
    yield from _of_levels(experiment)
    yield from _of_places(experiment)
    if (outcome := experiment.outcome) is not None and outcome not in OUTCOMES:
        yield Fault(("outcome",), _unknown("the outcome", outcome, OUTCOMES))


def _of_rules(experiment: Experiment) -> Iterator[Fault]:
    """A number of turns among the endings, and rules that could never come true."""
    for path, rules in ruled(experiment):
        for at, rule in enumerate(rules):
            if isinstance(rule, TurnCap):
                yield Fault((*path, at), f"write turns = {rule.turns} at the top level instead")
        try:
            check_rules(rules)
        except ConfigurationError as error:
            yield Fault(path, str(error))


def ruled(experiment: Experiment) -> Iterator[tuple[Path, tuple[Ending, ...]]]:
    """Every list of rules in the file, and where it stands."""
    yield ("ending",), experiment.ending
    for name, variant in experiment.endings.items():
        yield ("endings", name, "rules"), variant.rules


def _of_levels(experiment: Experiment) -> Iterator[Fault]:
    """Levels whose names cannot be read, and levels of one factor that are the same."""
    for factor in _NAMED:
        table: dict[str, Any] = getattr(experiment, factor)
        for at, (name, value) in enumerate(table.items()):
            if silence(name) or not name.isprintable():
                yield Fault((factor, name), "the name of a level is one visible line")
            for before, other in list(table.items())[:at]:
                if other == value:
                    text = f"{quoted(name)} is the same as {quoted(before)}: take one out"
                    yield Fault((factor, name), text)
    if not isinstance(turns := experiment.turns, int):
        for at, cap in enumerate(turns):
            if cap in turns[:at]:
                yield Fault(("turns", at), f"{cap} turns are given twice: take one out")


def _of_places(experiment: Experiment) -> Iterator[Fault]:
    """Keys that were meant for the top level, and became levels since a [table] stands above."""
    for factor in _NAMED:
        for name, value in getattr(experiment, factor).items():
            if name in _HINTS and _could_be(value, _HINTS[name]):
                text = f"{quoted(name)} is a level here: if the key is meant, it belongs {TOP}"
                yield Fault((factor, name), f"{text}; else give the level another name")


def _could_be(value: object, kind: object) -> bool:
    """Whether a level's value could be that of a key."""
    try:
        msgspec.convert(msgspec.to_builtins(value), kind)
    except msgspec.ValidationError:
        return False
    return isinstance(value, str)


def _of_seeds(experiment: Experiment) -> Iterator[Fault]:
    """Seeds that would make every replicate draw the same."""
    for path, sampling in _samplings(experiment):
        if sampling.seed is not None:
            text = (
                "a seed of its own would draw the same in every replicate: leave it out; each "
                "replicate's is derived from the experiment's 'seed'"
            )
            yield Fault((*path, "seed"), text)


def _samplings(experiment: Experiment) -> Iterator[tuple[Path, Sampling]]:
    """Every way of drawing words in the file, and where it stands."""
    yield ("sampling",), experiment.sampling
    for at, settings in enumerate(experiment.settings):
        yield ("settings", at, "sampling"), settings.sampling
    for at, member in enumerate(experiment.participants):
        if not isinstance(member, str):
            yield ("participants", at, "sampling"), member.sampling
    for name, ways in experiment.samplings.items():
        if isinstance(ways, Sampling):
            yield ("samplings", name), ways
        else:
            yield from ((("samplings", name, at), way) for at, way in enumerate(ways))


def _of_size(experiment: Experiment) -> Iterator[Fault]:
    """More cells than can be planned, and more conversations than can have ids of their own."""
    seated = sum(1 for _ in seatings(experiment))
    sizes = {factor: len(table) for factor, table in levels(experiment).items()}
    cells = seated * prod(sizes.values())
    told = " × ".join([f"{seated:,} seatings", *(f"{n:,} {name}" for name, n in sizes.items())])
    if cells > _MOST_CELLS:
        text = (
            f"{told} are {cells:,} cells, and {_MOST_CELLS:,} is the most{_BEFORE}: take out levels"
        )
        yield Fault(("pairs",), f"{text}, or make several experiments of it")
    elif (held := cells * experiment.replicates) > _MOST_CONVERSATIONS:
        text = f"{cells:,} cells, each {experiment.replicates:,} times, are {held:,} conversations"
        yield Fault(("replicates",), f"{text}, and {_MOST_CONVERSATIONS:,} is the most{_BEFORE}")
    elif (said := _turns(experiment, cells)) > _MOST_TURNS:
        text = f"one replicate of {cells:,} cells would be {said:,} turns, and {_MOST_TURNS:,} is"
        yield Fault(("turns",), f"{text} the most{_BEFORE}: take fewer, or fewer cells")


def _turns(experiment: Experiment, cells: int) -> int:
    """Turns of one replicate of each of so many cells, each up to its number of turns."""
    turns = experiment.turns
    return cells * turns if isinstance(turns, int) else cells // len(turns) * sum(turns)


# What must fit who sits together.


def _of_texts(experiment: Experiment) -> Iterator[Fault]:
    """Texts for the wrong number of seats, or for nobody."""
    places: list[tuple[Path, BySeat]] = []
    if experiment.scenario is not None:
        places.append((("scenario",), experiment.scenario))
    for factor in ("systems", "scenarios"):
        table: dict[str, BySeat] = getattr(experiment, factor)
        places += [((factor, name), texts) for name, texts in table.items()]
    known = [str(member.name) for member in members(experiment)]
    for path, texts in places:
        if isinstance(texts, tuple):
            yield from _of_length(experiment, path, len(texts))
        elif isinstance(texts, dict):
            for name in texts:
                if name not in known:
                    yield Fault((*path, name), _unknown("the participant", name, known))


def _of_length(experiment: Experiment, path: Path, length: int) -> Iterator[Fault]:
    """A list with an item for each seat, where there are more seats or fewer."""
    for cast in casts(experiment):
        if len(cast) != length:
            text = f"{'+'.join(cast)} has {len(cast)} seats, and here is something for {length}"
            yield Fault(path, f"{text}: give one for each seat")
            return


def _of_openings(experiment: Experiment) -> Iterator[Fault]:
    """Lines of a seat that not every pair has, or of two authors."""
    places: list[tuple[Path, Opening]] = [(("opener",), experiment.opener or ())]
    places += [(("openings", name), opening) for name, opening in experiment.openings.items()]
    seats = min(len(cast) for cast in casts(experiment))
    for path, opening in places:
        for at, said in enumerate(opening):
            if not isinstance(said, Said) or said.seat is None:
                continue
            if said.seat > seats:
                yield Fault((*path, at, "seat"), f"there is no seat {said.seat}, but {seats} seats")
            if said.author is not None:
                yield Fault((*path, at), "a line has one author: give 'seat' or 'author'")


def _of_turn_orders(experiment: Experiment) -> Iterator[Fault]:
    """Seats that not every pair has."""
    places: list[tuple[Path, TurnOrder]] = []
    if experiment.turn_order is not None:
        places.append((("turn_order",), experiment.turn_order))
    places += [(("turn_orders", name), each) for name, each in experiment.turn_orders.items()]
    seats = min(len(cast) for cast in casts(experiment))
    for path, turns in places:
        for at, seat in enumerate(() if isinstance(turns, str) else turns):
            if seat > seats:
                yield Fault((*path, at), f"there is no seat {seat}, but {seats} seats")


def _of_samplings(experiment: Experiment) -> Iterator[Fault]:
    """Ways of drawing words for the wrong number of seats."""
    for name, ways in experiment.samplings.items():
        if isinstance(ways, tuple):
            yield from _of_length(experiment, ("samplings", name), len(ways))


def _of_exclusions(experiment: Experiment) -> Iterator[Fault]:
    """Rules with factors or levels that are not there, or that leave nothing out, or everything."""
    everything = list(crossing(experiment))
    known = _known(everything)
    found = []
    for at, rule in enumerate(experiment.exclude):
        here = list(_of_rule(("exclude", at), rule, known))
        if not here and not any(leaves_out(rule, each) for each in everything):
            here.append(Fault(("exclude", at), "it fits no cell: take it out"))
        found += here
    if not found and not any(True for _ in kept(experiment)):
        found.append(Fault(("exclude",), "nothing is left: every cell is left out"))
    yield from found


def _known(everything: Iterable[Combination]) -> dict[str, dict[str, None]]:
    """Every factor with its levels, in order."""
    known: dict[str, dict[str, None]] = {}
    for each in everything:
        for factor, level in each.factors.items():
            known.setdefault(factor, {})[level] = None
    return known


def _of_rule(path: Path, rule: Exclusion, known: dict[str, dict[str, None]]) -> Iterator[Fault]:
    """What one rule names and nothing has."""
    for factor, named in rule.items():
        if factor not in known:
            yield Fault((*path, factor), _unknown("the factor", factor, known))
            continue
        for level in wanted(named):
            if level not in known[factor]:
                what = f"the level of {quoted(factor)}"
                yield Fault((*path, factor), _unknown(what, level, known[factor]))
