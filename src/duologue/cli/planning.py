"""``duologue run --dry-run``: what would be sent first, to whom, and about what it would cost."""

from collections.abc import Iterator

import msgspec
from rich.text import Text

from duologue.core.provider import Seat
from duologue.core.spec import ConversationSpec
from duologue.core.wire import digest
from duologue.estimate import Estimate, Plan, Share


def show(plan: Plan) -> None:
    """Print a plan; words are made fit for a terminal, and every line stays whole."""
    from duologue.cli.screen import console
    from duologue.cli.words import visible

    out = console()
    for line in lines(plan):
        out.print(visible(line) if line else Text(), soft_wrap=True)


def lines(plan: Plan) -> Iterator[str]:
    """A plan for a person to read."""
    yield "Nothing was sent, and nothing was spent."
    yield ""
    yield "Seats"
    for name, seat in plan.seats.items():
        yield f"  {name}: {_seat(seat)}"
    yield ""
    yield "Endings, whichever comes first"
    for rule in plan.spec.ending:
        yield f"  {_json(rule)}"
    yield ""
    yield "Everyone is told"
    yield f"  {'nothing' if plan.spec.told is None else plan.spec.told}"
    yield ""
    yield from _request(plan)
    yield ""
    yield from _estimate(plan)


def _seat(seat: Seat) -> str:
    """What a model resolved to, and where it is."""
    where = f" at {url}" if (url := seat.settings.get("base_url")) else ""
    way = "" if seat.settings.get("stream", True) else ", not streamed"
    return f"{seat.provider}:{seat.model}, dialect {seat.dialect}{where}{way}"


def _json(value: object) -> str:
    """A value as one line of JSON."""
    return msgspec.json.encode(value).decode()


def _request(plan: Plan) -> Iterator[str]:
    """The first request, exactly."""
    if plan.wire is None:
        yield "Nobody would be asked: what is declared ends the conversation before a first turn."
        return
    body = plan.wire.body
    yield f"First request: to {plan.first}, {len(body):,} bytes, BLAKE2b-256 {digest(body)}"
    if plan.spec.seed is not None:
        yield f"  with the seed {plan.spec.seed}; a routing key of the same length is drawn"
    for edit in plan.wire.edits:
        yield f"  edited view: {edit.what}: {edit.detail}"
    yield from msgspec.json.format(body, indent=2).decode().split("\n")


def _estimate(plan: Plan) -> Iterator[str]:
    """The range, its ends explained."""
    total = plan.high.total
    yield f"Estimate for all {total.turns} turns up to the cap, if nothing ends it before"
    rows = [*plan.low.shares, None]
    for name in rows:
        low, high = (_share(end, name) for end in (plan.low, plan.high))
        yield f"  {'together' if name is None else name}: {_range(low, high)}"
    yield "Assumed"
    for end in (plan.low, plan.high):
        yield f"  {end.guess.told()}"
    yield "  tokens are guessed from characters; no model's own tokeniser was asked"
    for name, seat in plan.seats.items():
        if plan.high.shares[name].usd is None:
            yield f"  the price of {seat.provider}:{seat.model} ({name}) is not known"
    yield from _bounds(plan.spec, total)


def _share(end: Estimate, name: str | None) -> Share:
    """One participant's, or everybody's."""
    return end.total if name is None else end.shares[name]


def _range(low: Share, high: Share) -> str:
    """From one end to the other."""
    read = f"{low.input:,} to {high.input:,} tokens read"
    said = f"{low.output:,} to {high.output:,} said"
    cost = "price unknown"
    if low.usd is not None and high.usd is not None:
        cost = "no cost" if high.usd == 0 else f"${low.usd:,.4f} to ${high.usd:,.4f}"
    return f"{read}, {said}, {cost}"


def _bounds(spec: ConversationSpec, total: Share) -> Iterator[str]:
    """What a declared budget means for the estimate."""
    from duologue.core.spec import Budget, leaves

    for rule in leaves(spec.ending):
        if not isinstance(rule, Budget):
            continue
        if rule.usd is not None and total.usd is None:
            yield "  a price is not known: the budget ends the run after its first such turn"
        elif rule.usd is not None and (total.usd or 0) > rule.usd:
            yield f"  the budget of ${rule.usd:,.10g} would end the high case before the cap"
        if rule.tokens is not None and total.input + total.output > rule.tokens:
            yield f"  the budget of {rule.tokens:,} tokens would end the high case before the cap"
