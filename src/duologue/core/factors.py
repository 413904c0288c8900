"""What an experiment crosses: who sits together, who speaks first, and each factor's levels.

A level is a name and a change to a spec. A combination of levels is a spec that every one of them
has changed in turn. This module takes an experiment for sound (``duologue.core.faults`` says
whether it is) and knows no ids, seeds or replicates.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import combinations, combinations_with_replacement, product
from typing import TypeAlias, TypeVar

import msgspec
from msgspec.structs import replace

from duologue.core.experiment import (
    BySeat,
    Cross,
    EndingVariant,
    Exclusion,
    Experiment,
    Level,
    Manner,
    Member,
    Opening,
    Said,
    TurnOrder,
)
from duologue.core.spec import (
    ConversationSpec,
    Keep,
    Line,
    Order,
    Participant,
    RoundRobin,
    Sampling,
    Sequence,
    Shuffled,
    SilencePolicy,
    TurnCap,
)

SCENARIO = "Scenario"
"""The name under which a scenario stands."""

Cast: TypeAlias = tuple[str, ...]
"""Who sits together, by the names in the experiment, in the order of the seats."""

Change: TypeAlias = Callable[[ConversationSpec, Cast], ConversationSpec]
"""What a level does to a spec whose seats are taken by a cast."""

M = TypeVar("M", bound=Manner)


class Seating(msgspec.Struct, frozen=True):
    """A pair (or more) at the table, in the order in which they speak.

    Attributes:
        pair: what the pair is called, whoever speaks first: ``Ada+Bo``.
        cast: who sits where; the first speaks first.
        names: under which names: whoever sits there twice has two.
    """

    pair: str
    cast: Cast
    names: tuple[str, ...]


def members(experiment: Experiment) -> tuple[Member, ...]:
    """The participants, each with a name, and all that the file says of how it is run."""
    return tuple(_complete(experiment, each) for each in experiment.participants)


def _complete(experiment: Experiment, given: str | Member) -> Member:
    """A participant with what is said of everybody, of its model and of itself; the last counts."""
    own = Member(model=given) if isinstance(given, str) else given
    named = replace(own, name=own.name or _last_part(own.model))
    for settings in reversed(experiment.settings):
        if own.model in settings.models:
            named = _over(settings, named)
    return _over(experiment, named)


def _last_part(model: str) -> str:
    """``smollm2-135m`` of ``local:/models/smollm2-135m``; a model's name is never empty."""
    return model.partition(":")[2].rpartition("/")[2] or model.rpartition("/")[2] or model


def _over(base: Manner, own: M) -> M:
    """``own``, with what it leaves out taken from ``base``."""
    left = {
        field: getattr(base, field)
        for field in Manner.__struct_fields__
        if field != "sampling" and getattr(own, field) in (None, ())
    }
    return replace(own, **left, sampling=laid_over(base.sampling, own.sampling))


def laid_over(base: Sampling, own: Sampling) -> Sampling:
    """``own``, with the keys that it leaves out taken from ``base``; ``extra`` key by key."""
    said = {
        field: value
        for field in Sampling.__struct_fields__
        if (value := getattr(own, field)) not in (None, (), {})
    }
    return replace(base, **{**said, "extra": {**base.extra, **own.extra}})


# Who sits together.


def casts(experiment: Experiment) -> list[Cast]:
    """Every pair, as it is given, whoever speaks first; a repetition is left in."""
    names = [str(member.name) for member in members(experiment)]
    match experiment.pairs:
        case "all":
            return list(combinations_with_replacement(names, 2))
        case "cross":
            return list(combinations(names, 2))
        case "self":
            return [(name, name) for name in names]
        case Cross(cross=lists):
            met = {same_table(experiment, cast): cast for cast in reversed([*product(*lists)])}
            return list(reversed(met.values()))
        case listed:
            return list(listed)


def rotations(cast: Cast) -> list[Cast]:
    """The cast with each seat first, once; the others follow in their order."""
    return list(dict.fromkeys(cast[at:] + cast[:at] for at in range(len(cast))))


def same_table(experiment: Experiment, cast: Cast) -> Cast:
    """What two casts have in common if they make the same conversations."""
    return cast if experiment.order == "as_given" else min(rotations(cast))


def seatings(experiment: Experiment) -> Iterator[Seating]:
    """Every pair with everybody first, or as given; a pair of one with itself, once."""
    taken = {str(member.name) for member in members(experiment)}
    for cast in casts(experiment):
        shown = _shown(cast, taken)
        turned = rotations(cast) if experiment.order == "both" else [cast]
        for at, each in enumerate(turned):
            yield Seating("+".join(cast), each, shown[at:] + shown[:at])


def _shown(cast: Cast, taken: set[str]) -> tuple[str, ...]:
    """A display name for each seat: whoever comes again is numbered."""
    shown: list[str] = []
    for name in cast:
        again, number = name, 2
        while again in shown or (again != name and again in taken):
            again, number = f"{name} {number}", number + 1
        shown.append(again)
    return tuple(shown)


def base(
    experiment: Experiment, pool: Mapping[str | None, Member], seating: Seating
) -> ConversationSpec:
    """What is the same in every conversation of a seating, whose members are in ``pool``."""
    seats = zip(seating.names, seating.cast, strict=True)
    spec = ConversationSpec(
        tuple(_seat(name, pool[member]) for name, member in seats),
        ending=experiment.ending,
        told=experiment.told,
        labels=experiment.labels,
        silence=Keep() if experiment.silence is None else experiment.silence,
        stand_in=experiment.stand_in,
        refusal=experiment.refusal,
        keep_last=experiment.keep_last,
        share_reasoning=experiment.share_reasoning,
    )
    if experiment.turn_order is not None:
        spec = _turned(experiment.turn_order, spec, seating.cast)
    if isinstance(experiment.turns, int):
        spec = _capped(experiment.turns, spec, seating.cast)
    if experiment.opener is not None:
        spec = _opened(experiment.opener, spec, seating.cast)
    if experiment.scenario is not None:
        spec = _staged(experiment.scenario, spec, seating.cast)
    return spec


def _seat(name: str, member: Member) -> Participant:
    """A participant at a table; what nobody said is the spec's own default."""
    fields = Manner.__struct_fields__
    said = {field: value for field in fields if (value := getattr(member, field)) is not None}
    return Participant(name=name, model=member.model, **said)


# What varies besides: every factor's levels, each with what it does.


def levels(experiment: Experiment) -> dict[str, dict[str, Change]]:
    """The factors that the file declares, besides ``pair`` and ``order``."""
    turns = experiment.turns
    caps: dict[str, Change] = {}
    if not isinstance(turns, int):
        caps = {str(cap): partial(_capped, cap) for cap in turns}
    tables: dict[str, dict[str, Change]] = {
        "turn_order": {
            name: partial(_turned, each) for name, each in experiment.turn_orders.items()
        },
        "opening": {name: partial(_opened, each) for name, each in experiment.openings.items()},
        "system": {name: partial(_prompted, each) for name, each in experiment.systems.items()},
        "scenario": {name: partial(_staged, each) for name, each in experiment.scenarios.items()},
        "sampling": {name: partial(_drawn, each) for name, each in experiment.samplings.items()},
        "turns": caps,
        "ending": {name: partial(_ended, each) for name, each in experiment.endings.items()},
        "silence": {name: partial(_silenced, each) for name, each in experiment.silences.items()},
    }
    return {factor: table for factor, table in tables.items() if table}


def _turned(turns: TurnOrder, spec: ConversationSpec, cast: Cast) -> ConversationSpec:
    """Another way to take turns; a shuffled one gets its draw with the replicate's seed."""
    del cast
    names = spec.names()
    order: Order
    if turns == "shuffled":
        order = Shuffled(0)
    elif turns == "round_robin":
        order = RoundRobin()
    else:
        order = Sequence(tuple(names[int(seat) - 1] for seat in turns))
    return replace(spec, order=order)


def _opened(opening: Opening, spec: ConversationSpec, cast: Cast) -> ConversationSpec:
    """Lines before the first turn."""
    del cast
    said = (opening,) if isinstance(opening, str) else opening
    names = spec.names()
    return replace(spec, opening=tuple(_line(each, at, names) for at, each in enumerate(said)))


def _line(said: str | Said, at: int, names: tuple[str, ...]) -> Line:
    """One line under its author's name; whose is not said goes round the seats."""
    round_ = names[at % len(names)]
    if isinstance(said, str):
        return Line(round_, said)
    seated = round_ if said.seat is None else names[said.seat - 1]
    return Line(said.author or seated, said.text, said.origin)


def _prompted(texts: BySeat, spec: ConversationSpec, cast: Cast) -> ConversationSpec:
    """Other system prompts; whoever a table does not name keeps its own."""
    seats = [
        seat if text is None else replace(seat, system=text or None)
        for seat, text in zip(spec.participants, _by_seat(texts, cast), strict=True)
    ]
    return replace(spec, participants=tuple(seats))


def _staged(texts: BySeat, spec: ConversationSpec, cast: Cast) -> ConversationSpec:
    """A line before everything for each seat, seen by it alone."""
    seats = [
        replace(seat, private=(Line(SCENARIO, text, "scenario"), *seat.private)) if text else seat
        for seat, text in zip(spec.participants, _by_seat(texts, cast), strict=True)
    ]
    return replace(spec, participants=tuple(seats))


def _by_seat(texts: BySeat, cast: Cast) -> list[str | None]:
    """The text for each seat of a cast; None for whoever is not named."""
    if isinstance(texts, str):
        return [texts] * len(cast)
    return [texts.get(name) for name in cast] if isinstance(texts, dict) else list(texts)


def _drawn(
    ways: Sampling | tuple[Sampling, ...], spec: ConversationSpec, cast: Cast
) -> ConversationSpec:
    """Words drawn otherwise, at every seat or at each its own way."""
    each = (ways,) * len(cast) if isinstance(ways, Sampling) else ways
    seats = [
        replace(seat, sampling=laid_over(seat.sampling, way))
        for seat, way in zip(spec.participants, each, strict=True)
    ]
    return replace(spec, participants=tuple(seats))


def _capped(cap: int, spec: ConversationSpec, cast: Cast) -> ConversationSpec:
    """So many messages at the most."""
    del cast
    return replace(spec, ending=(*spec.ending, TurnCap(cap)))


def _ended(variant: EndingVariant, spec: ConversationSpec, cast: Cast) -> ConversationSpec:
    """Another way to end, told or not."""
    del cast
    told = spec.told if variant.told is None else variant.told
    return replace(spec, ending=(*variant.rules, *spec.ending), told=told)


def _silenced(policy: SilencePolicy, spec: ConversationSpec, cast: Cast) -> ConversationSpec:
    """Something else after a silent turn."""
    del cast
    return replace(spec, silence=policy)


# The crossing.


class Combination(msgspec.Struct, frozen=True):
    """One level of every factor.

    Attributes:
        seating: who sits together and in which order.
        chosen: the levels of the factors that the file declares.
    """

    seating: Seating
    chosen: dict[str, str]

    @property
    def factors(self) -> dict[str, str]:
        """Every factor with its level, ``pair`` and ``order`` first."""
        first = f"{self.seating.names[0]} first"
        return {"pair": self.seating.pair, "order": first, **self.chosen}

    @property
    def key(self) -> str:
        """The combination's short name: the seats in order, then the levels."""
        return "/".join(("+".join(self.seating.cast), *self.chosen.values()))


def crossing(experiment: Experiment) -> Iterator[Combination]:
    """Every combination, whatever is to be left out."""
    tables = levels(experiment)
    for seating in seatings(experiment):
        for each in product(*tables.values()):
            yield Combination(seating, dict(zip(tables, each, strict=True)))


def leaves_out(rule: Exclusion, combination: Combination) -> bool:
    """Whether an ``exclude`` rule fits: every factor that it names has a level that it names."""
    factors = combination.factors
    return all(factors[factor] in wanted(level) for factor, level in rule.items())


def wanted(level: Level | tuple[Level, ...]) -> tuple[str, ...]:
    """The levels that an ``exclude`` rule names for a factor; a number is its own name."""
    return tuple(map(str, level)) if isinstance(level, tuple) else (str(level),)
