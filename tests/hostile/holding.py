"""A conversation held against the hostile server, and what its record gets wrong, in words.

Two participants of one dialect. A scenario hits the first of them at message 3; everything else is
plain. Seats, addresses, wrapping, loop, log, proof and replay are the product's own. Time is
virtual, for the client and for the server. What really happened is read off the server, by code
that shares nothing with the client; this module knows no wire of ours.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from duologue.api import hold
from duologue.core.event import (
    AttemptFailed,
    ConversationEnded,
    EndReason,
    Event,
    Record,
    TurnCompleted,
    TurnStarted,
)
from duologue.core.message import silence
from duologue.core.provider import Delta, Finish, Provider, Usage
from duologue.core.rebuild import rebuild
from duologue.core.spec import ConversationSpec, Exit, ExitRule, Line, Participant, TurnCap
from duologue.core.specfile import Asked
from duologue.errors import DuologueError
from duologue.providers.anthropic import Anthropic
from duologue.providers.catalog import catalog
from duologue.providers.dialect import Dialect
from duologue.providers.google import Google
from duologue.providers.hosted import IDLE_S, HostedProvider
from duologue.providers.openai import OpenAI
from duologue.providers.registry import Opening, hosted_seat
from duologue.providers.wrapping import wrapped
from duologue.replaying import replay, settled
from duologue.store.library import Library
from duologue.store.run import Run
from duologue.verify import verify
from swift import run as in_virtual_time

from .parts import Pause, Truth, body, words
from .scenarios import SCENARIOS
from .server import Exchange, HostileServer, Script

KEYS = {"Ada": "sk-planted-ada-7f3a9c41", "Bo": "sk-planted-bo-19d2e07b"}
MODELS = {"openai": "gpt-5.2", "anthropic": "claude-opus-5", "google": "gemini-2.5-pro"}
"""Of each dialect the model on which most rules fall: thinking that is bound, no prefill."""
DIALECTS: dict[str, type[Dialect]] = {"openai": OpenAI, "anthropic": Anthropic, "google": Google}

LATE = ("stall:700", "slow_first_byte:700", "slow_first_token:700")
"""Longer than anybody waits."""
STUBBORN = ("overloaded*6", "cut*6")
"""As often as anybody is asked."""
ROWS = (*SCENARIOS, *LATE, *STUBBORN)

STAND_IN = "(says nothing)"
TOOL = Exit("[END]", ExitRule.MUTUAL, tool="end_it", description="Leave.", answer="Noted.")
"""Ada may leave, which alone ends nothing."""
_REFUSES_SILENCE = ("anthropic", "google")
_HIT = 3
_TURNS = 5

# What may pass, in the words of ``Truth.boundary``: asked for again after a wait.
_PASSING = {"rate_limit", "overload", "timeout", "broken_stream", "malformed_reply"}
_OWN_WAIT_S = 1.0
_ATTEMPTS = 6

Outcome = TurnCompleted | AttemptFailed


class Heard(msgspec.Struct, frozen=True):
    """One attempt as the record has it, and what was seen and heard beside the record.

    Attributes:
        started: the request, as recorded.
        outcome: what became of it, as recorded.
        live: the words that were shown while they came.
        at: virtual seconds at which the outcome was written.
        exchange: what the server received, and what it really said.
        number: which attempt at its turn this is, counted from 1.
    """

    started: TurnStarted
    outcome: Outcome
    live: str
    at: float
    exchange: Exchange
    number: int

    @property
    def passing(self) -> bool:
        """Whether what happened may be different the next time, and there is a next time."""
        unwritable = self.exchange.scenario == "surrogate"
        return (
            truth(self.exchange).boundary in _PASSING and not unwritable and self.number < _ATTEMPTS
        )


class Held(msgspec.Struct, frozen=True):
    """A conversation that was held, from both sides.

    Attributes:
        scenario: what hit it.
        dialect: of both participants.
        events: the log.
        watched: every outcome, the words shown before it, and when it was written.
        exchanges: what the server received and said.
        on_disk: every byte that was written.
        unproved: what ``verify`` found wrong.
        replayed: what a replay from the log came to.
    """

    scenario: str
    dialect: str
    events: Sequence[Event]
    watched: Sequence[tuple[Outcome, str, float]]
    exchanges: Sequence[Exchange]
    on_disk: bytes
    unproved: Sequence[str]
    replayed: str


class Cell(msgspec.Struct, frozen=True):
    """One cell of the table.

    Attributes:
        said: what the record says of message 3, short.
        faults: what is wrong with the record; empty when nothing is.
    """

    said: str
    faults: tuple[str, ...]


def cell(scenario: str, dialect: str, *, stream: bool) -> Cell:
    """Hold a conversation through ``scenario`` and judge its record."""
    memory = Path("/dev/shm")  # noqa: S108 - hundreds of small logs; a disk would do, slowly
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        try:
            held = in_virtual_time(held_in(Path(folder), scenario, dialect, stream=stream))
        except (DuologueError, ExceptionGroup, ValueError, LookupError, TypeError) as error:
            return Cell("", (f"{type(error).__name__}: {error}",))
    return Cell(told(held), tuple(faults(held)))


async def held_in(folder: Path, scenario: str, dialect: str, *, stream: bool) -> Held:
    """Hold the conversation, recorded below ``folder``."""
    loop = asyncio.get_running_loop()
    watched: list[tuple[Outcome, str, float]] = []
    live: list[str] = []

    def watch(item: Record | Delta) -> None:
        if isinstance(item, Delta):
            live.append("" if item.reasoning else item.text)
        elif isinstance(item.event, TurnCompleted | AttemptFailed):
            watched.append((item.event, "".join(live), loop.time()))
            live.clear()

    name, _, times = scenario.partition("*")
    script = Script(scenarios={KEYS["Ada"]: (*[name] * int(times or 1), "plain")})
    async with HostileServer(script) as server:
        providers = seated(server, dialect, stream=stream)
        made = await hold(
            Asked(None, spec(dialect, stream=stream)),
            Library(folder),
            providers=providers,
            watch=watch,
        )
        for provider in providers.values():
            await provider.aclose()
        exchanges = tuple(server.exchanges)
    kept = Run(made.folder)
    events = kept.events(made.id)
    return Held(
        scenario=scenario,
        dialect=dialect,
        events=events,
        watched=watched,
        exchanges=exchanges,
        on_disk=on_disk(folder),
        unproved=[f"{fault.place}: {fault.what}" for fault in verify(kept).faults],
        replayed=await _replayed(events),
    )


def on_disk(folder: Path) -> bytes:
    """Every byte of every file below a folder."""
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


def spec(dialect: str, *, stream: bool) -> ConversationSpec:
    """Two participants, five messages; silence has a stand-in, and one may leave."""
    model = f"{dialect}:{MODELS[dialect]}"
    return ConversationSpec(
        tuple(Participant(name, model, system="Be brief.", stream=stream) for name in KEYS),
        opening=(Line("Ada", "Good evening. What have you been reading?"),),
        ending=(TOOL, TurnCap(_TURNS)),
        seed=7,
        stand_in=STAND_IN,
    )


def seated(server: HostileServer, dialect: str, *, stream: bool) -> dict[str, Provider]:
    """Both participants as the registry would make them, each with its own key.

    Only the clock differs from what the registry hands out: timings are virtual, too.
    """
    options = Opening(server.url(dialect), stream)
    seat = hosted_seat(catalog({})[dialect], MODELS[dialect], options, {})
    clock = asyncio.get_running_loop().time
    return {
        name: wrapped(HostedProvider(seat, DIALECTS[dialect](), key, clock=clock), key)
        for name, key in KEYS.items()
    }


async def _replayed(events: Sequence[Event]) -> str:
    """How many facts came out of the log again, of how many; or why none did."""
    try:
        count = await replay(events, lambda _item: None)
    except DuologueError as error:
        return str(error)
    return f"{count} of {len(settled(events))}"


# What the record says.


def told(held: Held) -> str:
    """What the record says of message 3 and of the end, short."""
    said = []
    for event in held.events:
        if isinstance(event, AttemptFailed) and event.turn == _HIT:
            waits = f", told {event.wait_s:g} s" if event.wait_s is not None else ""
            kept = f", {len(event.partial):,} kept" if event.partial else ""
            said.append(f"{event.boundary}{waits}{kept}")
        elif isinstance(event, TurnCompleted) and event.turn == _HIT:
            said.append(_completed(event))
        elif isinstance(event, ConversationEnded) and event.reason is not EndReason.MAX_TURNS:
            said.append(f"ended: {event.reason.value}")
    runs = [(one, len(list(same))) for one, same in groupby(said)]
    return " → ".join(one if count == 1 else f"{one}, {count} times" for one, count in runs)


def _completed(event: TurnCompleted) -> str:
    """A message in a few words: why it stopped, and what is odd about it."""
    kind = silence(event.message.text)
    odd = [f"silent ({kind.value})"] if kind else []
    odd += ["reasoning apart"] if event.reasoning else []
    odd += ["sealed reasoning kept"] if event.blocks and not event.reasoning else []
    odd += [f"served by {event.served}"] if event.served not in MODELS.values() else []
    return ", ".join([event.finish.value, *odd])


# What is wrong with it.


def faults(held: Held) -> Iterator[str]:
    """Everything that the record says and that did not happen, or the other way round."""
    yield from held.unproved
    if not re.fullmatch(r"(\d+) of \1", held.replayed):
        yield f"a replay from the log does not agree: {held.replayed}"
    for key in KEYS.values():
        if key.encode() in held.on_disk:
            yield "a key was written down"
    if held.exchanges[1].scenario != held.scenario.partition("*")[0]:
        yield f"message 3 was not hit by {held.scenario} but {held.exchanges[1].scenario}"
    sent = [seen.body for seen in held.exchanges]
    if sent != [again.wire.body for again in rebuild(held.events)]:
        yield "the bodies that were received are not those that the log makes"
        return
    attempts = list(_attempts(held))
    for before, attempt in zip([None, *attempts], attempts, strict=False):
        place = f"message {attempt.started.turn}"
        yield from (f"{place}: {fault}" for fault in _attempt_faults(held, attempt))
        yield from (f"{place}: {fault}" for fault in _wait_faults(before, attempt))
    yield from _end_faults(held, attempts)
    yield from _view_faults(held, attempts)


def _attempts(held: Held) -> Iterator[Heard]:
    """Every attempt with what the server knows of it; both are in the order of the requests."""
    started = [event for event in held.events if isinstance(event, TurnStarted)]
    made: Counter[int] = Counter()
    for begun, (outcome, live, at), exchange in zip(
        started, held.watched, held.exchanges, strict=True
    ):
        made[begun.turn] += 1
        yield Heard(begun, outcome, live, at, exchange, made[begun.turn])


def truth(exchange: Exchange) -> Truth:
    """What a client that gives up after ten minutes must make of an exchange."""
    reply, real = exchange.reply, exchange.truth
    if reply.late_s > IDLE_S:
        return Truth(boundary="timeout")
    for at, step in enumerate(reply.steps):
        if isinstance(step, Pause) and step.seconds > IDLE_S:
            text, reasoning = words(reply.steps[:at])
            return Truth(boundary="timeout", text=text, reasoning=reasoning)
    if exchange.scenario == "reset_early":  # no byte came, so nothing began that could break
        return Truth(boundary="overload")
    if _writable(real.text) != real.text:  # half a character has no bytes: kept as an escape
        return Truth(boundary="malformed_reply", text=_writable(real.text))
    return real


def _writable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _attempt_faults(held: Held, attempt: Heard) -> Iterator[str]:
    """One attempt's record against what really happened."""
    if attempt.exchange.scenario == "refused":
        yield f"the provider refused what was sent: {attempt.outcome}"
    if attempt.exchange.ask and attempt.exchange.ask.key != KEYS[attempt.started.participant]:
        yield "it was sent with another's key"
    real, outcome = truth(attempt.exchange), attempt.outcome
    if isinstance(outcome, AttemptFailed):
        yield from _failure_faults(attempt, outcome, real)
    elif real.boundary is not None:
        yield f"{real.boundary} was crossed, and the record has a message"
    else:
        yield from _message_faults(held.dialect, attempt, outcome, real)


def _failure_faults(attempt: Heard, failed: AttemptFailed, real: Truth) -> Iterator[str]:
    """A failed attempt against what really happened."""
    if failed.boundary != real.boundary:
        yield f"{failed.boundary} is recorded, {real.boundary} happened ({failed.detail})"
    # After a reset the system may throw away what had come and was not read.
    lost_by_system = attempt.exchange.scenario == "reset" and real.text.startswith(failed.partial)
    if failed.partial != real.text and not lost_by_system:
        yield f"the words kept are {failed.partial!r}, not {real.text!r}"
    if _writable(attempt.live) != failed.partial:
        yield f"the words shown were {attempt.live!r}, the words kept are {failed.partial!r}"
    if failed.wait_s != real.wait_s:
        yield f"told to wait {real.wait_s} s, and {failed.wait_s} s is recorded"
    if failed.again != attempt.passing:
        yield f"after {real.boundary} it was {'' if failed.again else 'not '}asked again"


def _message_faults(
    dialect: str, attempt: Heard, done: TurnCompleted, real: Truth
) -> Iterator[str]:
    """A message against what really was said."""
    pairs: tuple[tuple[str, object, object], ...] = (
        ("text", done.message.text, real.text),
        ("words shown", attempt.live, real.text),
        ("reasoning", done.reasoning or "", real.reasoning),
        ("finish", done.finish.value, real.finish and real.finish.value),
        ("served model", done.served, real.served),
        ("calls", [(c.name, c.arguments) for c in done.calls], _calls(real)),
        ("usage", done.usage, usage(dialect, body(attempt.exchange.reply.steps))),
    )
    for name, recorded, happened in pairs:
        if recorded != happened:
            yield f"{name}: recorded {_short(recorded)}, happened {_short(happened)}"
    if real.category and real.category not in (done.detail or ""):
        yield f"the category {real.category} of the refusal is not recorded"
    reply = attempt.exchange.reply
    silent_s = reply.late_s + sum(s.seconds for s in reply.steps if isinstance(s, Pause))
    if (done.seconds or 0.0) < silent_s:
        yield f"it took more than {silent_s:g} s, and {done.seconds} s is recorded"


def _calls(real: Truth) -> list[tuple[str, str]]:
    return [(call.name, call.arguments) for call in real.calls]


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) < 300 else f"{shown[:300]}… ({len(shown):,})"


_COUNTS = {
    "openai": ("prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens"),
    "anthropic": ("input_tokens", "output_tokens", "cache_read_input_tokens", "none"),
    "google": (
        "promptTokenCount",
        "candidatesTokenCount",
        "cachedContentTokenCount",
        "thoughtsTokenCount",
    ),
}


def usage(dialect: str, sent: bytes) -> Usage:
    """The tokens that a reply's bytes tell of, found without reading it as JSON."""
    read, said, cached, thought = (_last(name, sent) for name in _COUNTS[dialect])
    if dialect == "anthropic":
        written = _last("cache_creation_input_tokens", sent)
        return Usage((read or 0) + (cached or 0) + (written or 0), said, cached, written=written)
    if dialect == "google":
        return Usage(read, (said or 0) + (thought or 0), cached, thought)
    return Usage(read, said, cached, thought)


def _last(name: str, sent: bytes) -> int | None:
    found = re.findall(rb'"%s":(\d+)' % name.encode(), sent)
    return int(found[-1]) if found else None


def _wait_faults(before: Heard | None, attempt: Heard) -> Iterator[str]:
    """Nobody is asked again sooner than told, nor at once."""
    if before is None or not isinstance(before.outcome, AttemptFailed) or not before.outcome.again:
        return
    least = _OWN_WAIT_S if before.outcome.wait_s is None else before.outcome.wait_s
    if attempt.at - before.at < least:
        yield f"asked again after {attempt.at - before.at:.2f} s, not {least:g} s"


def _end_faults(held: Held, attempts: Sequence[Heard]) -> Iterator[str]:
    """Whether the conversation went on, or ended as what happened last says."""
    last = truth(attempts[-1].exchange)
    wanted = EndReason.MAX_TURNS
    if last.boundary == "context_full" or last.finish == Finish.CONTEXT_FULL.value:
        wanted = EndReason.CONTEXT_FULL
    elif last.boundary is not None:
        wanted = EndReason.ERROR
    end = held.events[-1]
    if not isinstance(end, ConversationEnded) or end.reason is not wanted:
        yield f"the end is {end}, and not {wanted.value}"
    messages = sum(isinstance(event, TurnCompleted) for event in held.events)
    if wanted is EndReason.MAX_TURNS and messages != _TURNS - 1:
        yield f"{messages} turns were completed, not {_TURNS - 1}"


def _view_faults(held: Held, attempts: Sequence[Heard]) -> Iterator[str]:
    """What the participants were shown of message 3 afterwards."""
    hit = next((a for a in attempts if a.started.turn == _HIT and _done(a)), None)
    if hit is None or not isinstance(hit.outcome, TurnCompleted):
        return
    later = [a for a in attempts if a.started.turn > _HIT]
    silent = silence(hit.outcome.message.text) is not None
    called = [call for call in hit.outcome.calls if call.name == TOOL.tool]
    for attempt in later:
        own = attempt.started.participant == "Ada"
        substituted = silent and held.dialect in _REFUSES_SILENCE and not (own and called)
        edits = [edit for edit in attempt.started.edits if edit.what == "stand_in"]
        stands = STAND_IN.encode() in attempt.exchange.body
        if bool(edits) != substituted or stands != substituted:
            yield f"message {attempt.started.turn}: the stand-in for silence is wrong: {edits}"
        if (str(TOOL.answer).encode() in attempt.exchange.body) != (own and bool(called)):
            yield f"message {attempt.started.turn}: the answer to Ada's call is wrong"
    yield from _reasoning_faults(held, hit.outcome, later)


def _done(attempt: Heard) -> bool:
    return isinstance(attempt.outcome, TurnCompleted)


def _reasoning_faults(held: Held, hit: TurnCompleted, later: Sequence[Heard]) -> Iterator[str]:
    """Bound reasoning comes back to whose it is, to the byte, and is shown to nobody else."""
    binds = held.scenario.startswith("reasoning") and held.dialect in _REFUSES_SILENCE
    if bool(hit.blocks) != binds:
        yield f"bound reasoning: {hit.blocks}"
    back = [msgspec.json.encode(block) for block in hit.blocks]
    secret = [block for block in back if _SEALED.search(block)]
    secret += [msgspec.json.encode(hit.reasoning)[1:-1]] if hit.reasoning else []
    for attempt in later:
        sent, place = attempt.exchange.body, f"message {attempt.started.turn}"
        if attempt.started.participant == "Ada":
            if not all(block in sent for block in back):
                yield f"{place}: Ada's reasoning did not come back as it was"
        elif any(block in sent for block in secret):
            yield f"{place}: Bo was shown Ada's reasoning"


_SEALED = re.compile(rb'"(signature|thoughtSignature|data)":')
