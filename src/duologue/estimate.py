"""What a run would send first, and about how much it would read, say and cost; nothing is sent.

The arithmetic is pure: a walk over the speakers up to the cap, each of whom reads everything that
was said before. It is done twice, with assumptions that make a low and a high end, and both are
stated. For one conversation local models are loaded, for their templates decide the bytes; nothing
is asked of them. For an experiment nothing is opened; its time comes from what was measured before.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import reduce

import msgspec

from duologue.conversation import rehearse
from duologue.core.ending import decide
from duologue.core.event import ConversationStarted, Event, TurnCompleted, TurnStarted
from duologue.core.message import Message
from duologue.core.order import next_speaker
from duologue.core.perspective import view
from duologue.core.plan import Cell
from duologue.core.plan import Plan as Experiment
from duologue.core.provider import Seat, Usage
from duologue.core.request import Wire
from duologue.core.spec import ConversationSpec, Participant, bound, check
from duologue.core.state import State, fold
from duologue.core.state import apply as after
from duologue.core.transcript import seated
from duologue.core.wire import encode
from duologue.providers.catalog import catalog
from duologue.providers.pricing import SPOKEN, price
from duologue.providers.registry import Opening, hosted_seat, open_model, split

FRAME = 4
"""Tokens around each message: its role and its end."""
_ID = "an-id-to-come-xxx"


class Guess(msgspec.Struct, frozen=True):
    """The assumptions of one end of the range.

    Attributes:
        name: which end.
        letters: characters in a token.
        reply: tokens of a reply, where its limit does not make it shorter; with ``full``, where
            it has no limit.
        full: whether every reply goes up to its limit.
        cached: whether what was sent before is read from a cache.
    """

    name: str
    letters: float
    reply: int
    full: bool
    cached: bool

    def length(self, limit: int | None) -> int:
        """Tokens of a reply with that limit."""
        if limit is None:
            return self.reply
        return limit if self.full else min(self.reply, limit)

    def told(self) -> str:
        """The assumptions in words."""
        up = ", or each seat's own max_tokens" if self.full else " at the most"
        cache = "what was sent before is read from a cache" if self.cached else "nothing is cached"
        return (
            f"{self.name}: {self.letters:g} characters a token, {self.reply:,} tokens a reply{up}, "
            f"{cache}"
        )


LOW = Guess("low", 4.5, 60, full=False, cached=True)
HIGH = Guess("high", 3.0, 1024, full=True, cached=False)


class Share(msgspec.Struct, frozen=True):
    """What one participant takes, or all together.

    Attributes:
        turns: how often it speaks.
        input: tokens that it reads.
        output: tokens that it says.
        usd: what that costs; None where the price is not known.
    """

    turns: int = 0
    input: int = 0
    output: int = 0
    usd: float | None = 0.0

    def times(self, count: int) -> "Share":
        """So many of it."""
        usd = None if self.usd is None else self.usd * count
        return Share(self.turns * count, self.input * count, self.output * count, usd)

    def plus(self, other: "Share") -> "Share":
        """Both together."""
        known = self.usd is not None and other.usd is not None
        return Share(
            self.turns + other.turns,
            self.input + other.input,
            self.output + other.output,
            (self.usd or 0.0) + (other.usd or 0.0) if known else None,
        )


class Estimate(msgspec.Struct, frozen=True):
    """One end of the range.

    Attributes:
        guess: what it assumes.
        shares: by participant's name, in the order of the seats.
    """

    guess: Guess
    shares: dict[str, Share]

    @property
    def total(self) -> Share:
        """Everybody together."""
        whole = Share()
        for share in self.shares.values():
            whole = whole.plus(share)
        return whole


class Plan(msgspec.Struct, frozen=True):
    """What a run would do.

    Attributes:
        spec: what was declared.
        seats: what each model resolved to, by name.
        first: who speaks first; None if nobody would.
        wire: the exact first request, for a conversation with a made-up id of the usual length.
        low: the low end of the range.
        high: the high end of the range.
    """

    spec: ConversationSpec
    seats: dict[str, Seat]
    first: str | None
    wire: Wire | None
    low: Estimate
    high: Estimate


Pricing = Callable[[Seat, Usage], float | None]


def speakers(state: State) -> Iterator[str]:
    """Who speaks from here to the cap, if nothing else ends it before."""
    while state.turn <= (bound(state.begun().spec.ending) or 0):
        name = next_speaker(state)
        yield name
        state = after(state, TurnStarted(state.turn, name, ""))
        state = after(state, TurnCompleted(state.turn, Message(name, "")))


def turns(state: State, guess: Guess) -> Iterator[tuple[str, Usage]]:
    """What each turn would read and say: its speaker reads all that was said before."""
    spec = state.begun().spec
    reads = {name: _tokens(state, name, guess) for name in spec.names()}
    known = dict.fromkeys(reads, 0)
    for name in speakers(state):
        said = guess.length(spec.seat(name).sampling.max_tokens)
        cached = known[name] if guess.cached else 0
        yield name, Usage(input=reads[name], output=said, cached=cached)
        known[name] = reads[name]
        reads = {each: tokens + said + FRAME for each, tokens in reads.items()}


def _tokens(state: State, name: str, guess: Guess) -> int:
    """Tokens of a participant's view as it is now."""
    seen = view(state, name)
    letters = len(seen.system or "") + sum(len(heard.text) for heard in seen.messages)
    return round(letters / guess.letters) + FRAME * (len(seen.messages) + (seen.system is not None))


def estimate(state: State, guess: Guess, pricing: Pricing) -> Estimate:
    """What all turns from here to the cap would take."""
    begun = state.begun()
    shares = dict.fromkeys(begun.spec.names(), Share())
    for name, usage in turns(state, guess):
        cost = pricing(begun.seats[name], usage)
        turn = Share(1, usage.input or 0, usage.output or 0, cost)
        shares[name] = shares[name].plus(turn)
    return Estimate(guess, shares)


def planned(spec: ConversationSpec, seats: Mapping[str, Seat], pricing: Pricing) -> Plan:
    """What a run would do, given what its models resolved to.

    Raises:
        ConfigurationError: the spec makes no sense, or the first request cannot be made.
    """
    state = fold([ConversationStarted(check(spec), dict(seats), key=_ID)])
    rehearse(state)
    first = None if decide(state) else next_speaker(state)
    wire = None if first is None else encode(seats[first], view(state, first))
    low, high = (estimate(state, guess, pricing) for guess in (LOW, HIGH))
    return Plan(spec, dict(seats), first, wire, low, high)


async def plan(spec: ConversationSpec, at: datetime | None = None) -> Plan:
    """What a run of ``spec`` would do, at the prices of a day; no key is needed.

    Raises:
        ConfigurationError: a model is unknown or not installed, or the spec makes no sense.
    """
    day = at or datetime.now(UTC)
    resolved: dict[str, Seat] = {}
    for participant in check(spec).participants:
        resolved[participant.name] = await _seat(participant)
    return planned(spec, resolved, lambda seat, usage: price(seat, usage, day))


class Rate(msgspec.Struct, frozen=True):
    """How fast a model was, as the record says.

    Attributes:
        turns: how many turns were measured.
        seconds: from request to end of reply, all of them together; reading is in it.
        output: tokens said in them.
    """

    turns: int = 0
    seconds: float = 0.0
    output: int = 0

    @property
    def per_token(self) -> float | None:
        """Seconds for each token said; None where nothing was measured."""
        return self.seconds / self.output if self.output else None


Model = tuple[str, str]
"""A provider's name and a model's id there."""


def rates(conversations: Iterable[Iterable[Event]]) -> dict[Model, Rate]:
    """How fast each model was in conversations that have been held."""
    found: dict[Model, Rate] = {}
    for events in conversations:
        state = fold(events)
        for entry in state.entries:
            seat, done = seated(state, entry), entry.completed
            if seat is None or done is None or not (done.seconds and done.usage.output):
                continue
            key = (seat.provider, seat.model)
            so_far = found.get(key, Rate())
            seconds, output = so_far.seconds + done.seconds, so_far.output + done.usage.output
            found[key] = Rate(so_far.turns + 1, seconds, output)
    return found


class Reckoned(msgspec.Struct, frozen=True):
    """One cell of an experiment, reckoned.

    Attributes:
        cell: which.
        conversations: how many are held in it.
        low: all of them, at the low end.
        high: all of them, at the high end.
    """

    cell: Cell
    conversations: int
    low: Share
    high: Share


class Span(msgspec.Struct, frozen=True):
    """What one model takes in a whole experiment.

    Attributes:
        seat: what it resolved to.
        low: at the low end.
        high: at the high end.
        rate: how fast it was measured to be; nothing, where it was not.
    """

    seat: Seat
    low: Share
    high: Share
    rate: Rate

    def seconds(self) -> tuple[float, float] | None:
        """Its own time at both ends, one turn after another; None where it is not known."""
        each = 0.0 if self.seat.provider in SPOKEN else self.rate.per_token
        return None if each is None else (self.low.output * each, self.high.output * each)


class Forecast(msgspec.Struct, frozen=True):
    """What an experiment would take.

    Attributes:
        cells: cell by cell, in the plan's order.
        models: model by model.
    """

    cells: tuple[Reckoned, ...]
    models: tuple[Span, ...]

    @property
    def low(self) -> Share:
        """Everything together at the low end."""
        return reduce(Share.plus, (each.low for each in self.cells), Share())

    @property
    def high(self) -> Share:
        """Everything together at the high end."""
        return reduce(Share.plus, (each.high for each in self.cells), Share())

    def seconds(self) -> tuple[float, float] | None:
        """All models' own time at both ends, one turn after another; None if any is not known."""
        each = [span.seconds() for span in self.models]
        known = [seconds for seconds in each if seconds is not None]
        if len(known) < len(each):
            return None
        return sum(low for low, _ in known), sum(high for _, high in known)


def forecast(
    experiment: Experiment,
    pricing: Pricing,
    measured: Mapping[Model, Rate],
) -> Forecast:
    """What the conversations of an experiment would take; no model is opened or asked.

    Args:
        experiment: its plan.
        pricing: what a reply costs.
        measured: how fast each model was before.

    Raises:
        ConfigurationError: a model is unknown.
    """
    held = Counter(each.cell.key for each in experiment.conversations)
    seats: dict[Model, Seat] = {}
    ends: dict[tuple[Model, str], Share] = {}
    cells = []
    for each in experiment.conversations:
        if each.replicate > 1:
            continue  # replicates differ in their seeds alone
        count = held[each.cell.key]
        named = {seat.name: named_seat(seat) for seat in each.spec.participants}
        state = fold([ConversationStarted(each.spec, named)])
        both = []
        for guess in (LOW, HIGH):
            found = estimate(state, guess, pricing)
            both.append(found.total.times(count))
            for name, share in found.shares.items():
                model = (named[name].provider, named[name].model)
                seats[model] = named[name]
                so_far = ends.get((model, guess.name), Share())
                ends[model, guess.name] = so_far.plus(share.times(count))
        cells.append(Reckoned(each.cell, count, *both))
    spans = (
        Span(seat, ends[model, LOW.name], ends[model, HIGH.name], measured.get(model, Rate()))
        for model, seat in seats.items()
    )
    return Forecast(tuple(cells), tuple(spans))


def named_seat(participant: Participant) -> Seat:
    """What a participant's model is called, without opening it: enough for its price.

    Raises:
        ConfigurationError: the model is unknown.
    """
    provider, model = split(participant.model)
    if provider in (known := catalog()):
        return hosted_seat(known[provider], model, Opening(participant.base_url))
    return Seat(provider, model)


async def _seat(participant: Participant) -> Seat:
    """What a participant's model resolves to; a hosted one is not asked anything."""
    provider, model = split(participant.model)
    options = Opening(participant.base_url, participant.stream, context=participant.context)
    if provider in (known := catalog()) and participant.context is None:
        return hosted_seat(known[provider], model, options)
    async with AsyncExitStack() as stack:
        opened = await open_model(participant.model, options=options)
        stack.push_async_callback(opened.aclose)
        return opened.seat
