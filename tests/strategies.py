"""Hypothesis strategies for specs, nasty texts, scripts and whole histories.

Also the few fakes with which a conversation is held in a test: nothing here touches a disk.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from random import Random

import msgspec
from hypothesis import strategies as st

from duologue.conversation import converse
from duologue.core import spec as s
from duologue.core.event import Event
from duologue.core.message import Message, Origin, silence
from duologue.core.provider import Call, Completion, Delta, Finish, Provider, Seat, ToolCall
from duologue.errors import (
    BrokenStreamError,
    ContextFullError,
    OverloadError,
    ProviderError,
    RateLimitError,
)
from duologue.providers.scripted import Reply, Scripted

SENTINEL = "[END]"
PHRASE = "full stop"
FRAMES = {
    "system": ["<|im_start|>system\n", "<|im_end|>\n"],
    "user": ["<|im_start|>user\n", "<|im_end|>\n"],
    "assistant": ["<|im_start|>assistant\n", "<|im_end|>\n"],
}
LOCAL = Seat("local", "tiny", "gguf", {"bos": "<s>", "frames": FRAMES})

_NASTY = (
    "", " ", "\n", "\r\n", "\t", "\u200b", "\ufeff\u2060", "\u3164", "\u2800\ufe0f", "\x00",
    "a", "Zoë", "\u0301", "👩\u200d👩\u200d👧", "\U0010ffff", "\\", '"', "'", "]}", ":", "Ada:",
    "<|im_end|>", "<|im_start|>assistant\n", "---", "### Ben", "```", "~~~", "> ", "    ", "\t",
    SENTINEL, "*[End]*", f"\n{SENTINEL}\n", PHRASE,
)  # fmt: skip


_MIXED = tuple(
    "".join(Random(number).choices(_NASTY, k=number % 4 + 1))  # noqa: S311 - the same pool always
    for number in range(400)
)


def texts() -> st.SearchStrategy[str]:
    """Words with what breaks parsers, encoders and terminals; cheap to draw."""
    characters = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
    return st.sampled_from(("", " ", "a", *_NASTY, *_MIXED)) | characters


def names() -> st.SearchStrategy[str]:
    """Display names, odd ones among them."""
    odd = ("Ada", "Ben", "ada", "A/1", "A/1/0", "O'Neil", 'q"', "Ada:", "\\", "😀", "a\u200b")
    return st.sampled_from(odd) | texts().filter(_readable)


def _readable(name: str) -> bool:
    """Whether a seat may have that name."""
    return silence(name) is None and len(name.splitlines()) == 1


_LINES = st.builds(
    s.Line,
    author=names(),
    text=texts(),
    origin=st.sampled_from(["opening", "scenario"]),
)
_SAMPLING = st.builds(
    s.Sampling,
    temperature=st.none() | st.floats(0, 2),
    top_p=st.none() | st.floats(0, 1),
    max_tokens=st.none() | st.integers(1, 2048),
    seed=st.none() | st.integers(-(2**63), 2**63 - 1),
    stop=st.lists(texts(), max_size=2).map(tuple),
    extra=st.dictionaries(texts(), st.none() | st.booleans() | st.integers(-9, 9), max_size=2),
)


@st.composite
def seats(draw: st.DrawFn, name: str) -> s.Participant:
    """A participant of that name."""
    return s.Participant(
        name,
        f"scripted:{draw(texts())}",
        system=draw(st.none() | texts()),
        framing=draw(st.sampled_from(s.Framing)),
        sampling=draw(st.just(s.Sampling()) | _SAMPLING),
        private=tuple(draw(st.lists(_LINES, max_size=2))),
        base_url=draw(st.none() | texts()),
        stream=draw(st.booleans()),
        context=draw(st.none() | st.integers(1, 2**31)),
    )


def orders(named: tuple[str, ...]) -> st.SearchStrategy[s.Order]:
    """Every kind of order for these seats."""
    some = st.sampled_from(named)
    return st.one_of(
        st.builds(s.RoundRobin, first=st.none() | some),
        st.builds(s.Shuffled, seed=st.integers(-(2**63), 2**63 - 1)),
        st.builds(s.Sequence, names=st.lists(some, min_size=1, max_size=5).map(tuple)),
    )


_TOOL = {"tool": "leave", "description": "Leaves.", "answer": "Noted."}
_WAYS = st.sampled_from([{}, {}, {"phrase": PHRASE}, _TOOL])
_SENTINELS = st.sampled_from([SENTINEL, "bye", "**over**"])
_WITHIN = st.integers(1, 4)
_RULES = st.sampled_from(s.ExitRule)
_AFTERS = st.sampled_from(
    [(s.ExitRule.EITHER, after) for after in s.After] + [(s.ExitRule.UNANIMOUS, s.After.ALONE)]
)
_ROWS = st.none() | st.integers(1, 3)


def exits(*, composed: bool = False) -> st.SearchStrategy[s.Exit]:
    """Every kind of exit; within ``all`` nothing may follow a leaving."""
    plain = st.builds(
        lambda line, rule, within, ways: s.Exit(line, rule, within, **ways),
        *(_SENTINELS, _RULES, _WITHIN, _WAYS),
    )
    following = st.builds(
        lambda line, both, ways: s.Exit(line, both[0], after=both[1], **ways),
        *(_SENTINELS, _AFTERS, _WAYS),
    )
    return plain if composed else plain | following


def rules(*, composed: bool = False) -> st.SearchStrategy[s.Ending]:
    """Rules that are no composition."""
    return st.one_of(
        exits(composed=composed),
        st.just(s.StopPhrase(PHRASE)),
        st.builds(s.SilenceCap, turns=_ROWS),
        st.builds(s.Pass, token=st.none() | st.just("[PASS]"), silent=st.booleans(), turns=_ROWS),
        st.builds(s.Detector, sign=st.sampled_from(sorted(EYES.signs)), turns=st.integers(1, 3)),
        st.builds(s.Budget, minutes=st.just(0.5)),
        st.builds(s.TurnCap, turns=st.integers(1, 9)),
    )


def composed() -> st.SearchStrategy[s.Ending]:
    """Rules and compositions of them, two deep."""
    inner = st.lists(rules(composed=True), min_size=1, max_size=3).map(tuple)
    once = st.builds(s.AllOf, inner) | st.builds(s.AnyOf, inner)
    twice = st.lists(once | rules(composed=True), min_size=1, max_size=2).map(tuple)
    outer = st.lists(rules(), min_size=1, max_size=2).map(tuple)
    return once | st.builds(s.AllOf, twice) | st.builds(s.AnyOf, outer)


@st.composite
def endings(draw: st.DrawFn) -> tuple[s.Ending, ...]:
    """A cap, and whatever other rules."""
    others = rules() | rules() | composed()
    cap = s.TurnCap(draw(st.integers(1, 9)))
    return tuple(draw(st.permutations([cap, *draw(st.lists(others, max_size=3))])))


class Eyes:
    """Detectors that see how short a message is, and whether it echoes the one before."""

    signs = frozenset({"short", "echo"})

    def __call__(self, said: Sequence[Message]) -> list[frozenset[str]]:
        """The signs of each message."""
        pairs = zip(said, [None, *said], strict=False)
        return [
            frozenset(
                name
                for name, seen in (
                    ("short", len(one.text) < 3),
                    ("echo", before is not None and one.text == before.text),
                )
                if seen
            )
            for one, before in pairs
        ]


EYES = Eyes()


@st.composite
def specs(draw: st.DrawFn, max_seats: int = 4) -> s.ConversationSpec:
    """A conversation of one to four seats."""
    named = tuple(draw(st.lists(names(), min_size=1, max_size=max_seats, unique=True)))
    authors = st.sampled_from(named) | names()
    lines = st.builds(msgspec.structs.replace, _LINES, author=authors)
    return s.ConversationSpec(
        participants=tuple(draw(seats(name)) for name in named),
        opening=tuple(draw(st.lists(lines, max_size=3))),
        order=draw(orders(named)),
        ending=draw(endings()),
        told=draw(st.none() | texts()),
        labels=draw(st.sampled_from(s.Labels)),
        seed=draw(st.none() | st.integers(-(2**63), 2**63 - 1)),
        silence=draw(silences()),
        refusal=draw(st.sampled_from(s.RefusalPolicy)),
        keep_last=draw(st.none() | st.integers(1, 4)),
        share_reasoning=draw(st.booleans()),
    )


def silences() -> st.SearchStrategy[s.SilencePolicy]:
    """Every policy for silent turns."""
    return st.one_of(
        st.just(s.Keep()),
        st.builds(s.Resend, times=st.integers(1, 3)),
        st.builds(s.Nudge, text=texts().filter(bool)),
        st.just(s.EndAtSilence()),
    )


_FINISHES = st.sampled_from([Finish.STOP] * 5 + list(Finish))
_KINDS: tuple[type[ProviderError], ...] = (
    OverloadError,
    ContextFullError,
    BrokenStreamError,
    RateLimitError,
)


@st.composite
def errors(draw: st.DrawFn) -> ProviderError:
    """A provider's error with everything that it can carry."""
    kind = draw(st.sampled_from(_KINDS))
    wait = draw(st.none() | st.floats(0, 60))
    return kind(draw(texts()), partial=draw(texts()), wait_s=wait)


def scripts() -> st.SearchStrategy[list[str | Reply | ProviderError]]:
    """What one participant will say, failures included."""
    replies = st.builds(
        Reply,
        texts(),
        calls=st.sampled_from([(), (ToolCall("leave"),)]),
        finish=_FINISHES,
        reasoning=st.none() | st.sampled_from(["", "hmm", "\n"]),
    )
    spoken = texts() | st.sampled_from(
        [SENTINEL, "[PASS]", "bye", "**over**", "", "\u200b", PHRASE]
    )
    return st.lists(st.one_of(spoken, spoken, spoken, replies, errors()), min_size=1, max_size=4)


class Cast(msgspec.Struct, frozen=True):
    """A spec and what everybody will say: whoever asks for ``providers`` gets fresh ones."""

    spec: s.ConversationSpec
    scripts: dict[str, list[str | Reply | ProviderError]]
    dialects: dict[str, Seat]

    def providers(self) -> dict[str, Provider]:
        """Everybody, as if in a new process."""
        return {
            name: Spoken(replies, self.dialects[name]) for name, replies in self.scripts.items()
        }


class Spoken(Scripted):
    """A script that is spoken in any dialect: the length of the body chooses the reply."""

    def __init__(self, replies: Sequence[str | Reply | ProviderError], seat: Seat) -> None:
        super().__init__(replies)
        self.seat = seat

    async def stream(self, call: Call) -> AsyncGenerator[Delta | Completion, None]:
        """What is due for this very body, as with a model at temperature 0."""
        reply = self._replies[len(call.body) % len(self._replies)]
        if isinstance(reply, ProviderError):
            raise reply
        if reply.text:
            yield Delta(reply.text)
        yield Completion(reply.text, reply.finish, reasoning=reply.reasoning, calls=reply.calls)


def _offered(name: str) -> Seat:
    """A seat that can be offered tools."""
    return Seat("scripted", name, settings={"quirks": {"tools": "accepted"}})


@st.composite
def casts(draw: st.DrawFn, max_seats: int = 4) -> Cast:
    """A conversation that can be held, in either dialect."""
    spec = draw(specs(max_seats))
    dialects = {
        name: draw(st.sampled_from([Seat("scripted", name), _offered(name), LOCAL]))
        for name in spec.names()
    }
    return Cast(spec, {name: draw(scripts()) for name in spec.names()}, dialects)


def injections(named: tuple[str, ...]) -> st.SearchStrategy[Message]:
    """Words for a branch, perhaps for some ears only."""
    origins = [origin for origin in Origin if origin is not Origin.MODEL]
    ears = st.none() | st.lists(st.sampled_from(named), unique=True).map(tuple)
    authors = st.sampled_from(named) | names()
    return st.builds(Message, authors, texts(), st.sampled_from(origins), ears)


async def facts(
    spec: s.ConversationSpec, providers: Mapping[str, Provider], history: Iterable[Event] = ()
) -> list[Event]:
    """The facts that a conversation adds to a history."""
    async with aclosing(converse(spec, providers, history, detectors=EYES)) as items:
        return [item async for item in items if not isinstance(item, Delta)]


def hold(
    spec: s.ConversationSpec, providers: Mapping[str, Provider], history: Iterable[Event] = ()
) -> list[Event]:
    """``facts``, without an event loop of one's own."""
    return asyncio.run(facts(spec, providers, history))


def pair(*ending: s.Ending, **changes: object) -> s.ConversationSpec:
    """Ada and Ben, who end after six messages or as told."""
    capped = any(isinstance(rule, s.TurnCap) for rule in ending)
    plain = s.ConversationSpec(
        (s.Participant("Ada", "scripted:a"), s.Participant("Ben", "scripted:b")),
        ending=ending if capped else (*ending, s.TurnCap(6)),
    )
    return msgspec.structs.replace(plain, **changes)


def scripted(**lines: Sequence[str | Reply | ProviderError]) -> dict[str, Provider]:
    """Scripts by name."""
    return {name: Scripted(said, name) for name, said in lines.items()}
