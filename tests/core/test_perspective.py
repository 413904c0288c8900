import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.core.event import ConversationStarted, MessageInjected
from duologue.core.message import Message, Origin
from duologue.core.perspective import turn_seed, view
from duologue.core.provider import Seat
from duologue.core.request import Heard, Role
from duologue.core.spec import (
    ConversationSpec,
    Framing,
    Labels,
    Line,
    Participant,
    Sampling,
    TurnCap,
)
from duologue.core.state import State, fold
from duologue.core.wire import digest, encode
from duologue.errors import ConfigurationError
from strategies import LOCAL, names, pair, specs, texts

SECRET = "s3cret-4f1"  # noqa: S105 - a word to look for
SEATS = (Seat("scripted", "m"), LOCAL)


def state(spec: ConversationSpec, *said: Message) -> State:
    start = len(spec.opening) + 1
    facts = [MessageInjected(turn, message) for turn, message in enumerate(said, start)]
    return fold([ConversationStarted(spec), *facts])


def by(author: str, text: str, seen_by: tuple[str, ...] | None = None) -> Message:
    return Message(author, text, Origin.HUMAN, seen_by)


def trio(**changes: object) -> ConversationSpec:
    return pair(participants=tuple(Participant(name, "m") for name in "ABC"), **changes)


def test_own_words_are_the_assistants_and_all_others_the_users() -> None:
    talk = state(pair(opening=(Line("Ada", " "),)), by("Ben", "hi"), by("Ada", "ho"))
    assert view(talk, "Ada").messages == (
        Heard(Role.OWN, "Ada", " "),
        Heard(Role.OTHER, "Ben", "hi"),
        Heard(Role.OWN, "Ada", "ho"),
    )
    assert [heard.role for heard in view(talk, "Ben").messages] == [
        Role.OTHER,
        Role.OWN,
        Role.OTHER,
    ]


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (pair(), "hi"),
        (pair(labels=Labels.ALWAYS), "Ben: hi"),
        (trio(), "Ben: hi"),
        (trio(labels=Labels.NEVER), "hi"),
    ],
)
def test_names_stand_before_words_where_more_than_one_other_may_speak(
    spec: ConversationSpec, text: str
) -> None:
    first = spec.names()[0]
    talk = state(spec, by("Ben", "hi"), by(first, "ho"))
    assert [heard.text for heard in view(talk, first).messages] == [text, "ho"]


def test_a_script_has_its_own_names_and_needs_no_labels() -> None:
    seats = tuple(Participant(name, "m", framing=Framing.SCRIPT) for name in "ABC")
    talk = state(pair(participants=seats, labels=Labels.ALWAYS), by("B", "hi"))
    assert view(talk, "A").messages == (Heard(Role.OTHER, "B", "hi"),)


@pytest.mark.parametrize(
    ("own", "told", "system"),
    [
        (None, None, None),
        ("own", None, "own"),
        (None, "told", "told"),
        ("own", "told", "own\n\ntold"),
        ("", None, ""),
    ],
)
def test_what_everybody_is_told_comes_after_the_own_prompt(
    own: str | None, told: str | None, system: str | None
) -> None:
    spec = pair(participants=(Participant("Ada", "m", system=own),), told=told)
    assert view(state(spec), "Ada").system == system


def test_private_lines_come_first_and_only_to_their_seat() -> None:
    seats = (Participant("Ada", "m", private=(Line("Ada", "I lie"),)), Participant("Ben", "m"))
    talk = state(pair(participants=seats), by("Ben", "hi"))
    assert view(talk, "Ada").messages[0] == Heard(Role.OWN, "Ada", "I lie")
    assert [heard.text for heard in view(talk, "Ben").messages] == ["hi"]


@given(specs(), texts(), st.data())
def test_nothing_private_is_in_anybody_elses_request(
    spec: ConversationSpec, text: str, data: st.DataObject
) -> None:
    private = f"{text}{SECRET}"
    owner, *others = spec.participants
    owner = msgspec.structs.replace(
        owner, system=private, private=(Line(data.draw(names()), private),)
    )
    held = msgspec.structs.replace(spec, participants=(owner, *others))
    whisper = by("Eve", private, (owner.name,))
    thought = by(owner.name, private, ())
    talk = state(held, whisper, thought)
    for seat in SEATS:
        own = encode(seat, view(talk, owner.name)).body.decode()
        assert own.count(SECRET) == 4
        for other in others:
            assert SECRET not in encode(seat, view(talk, other.name)).body.decode()


@given(specs(), st.lists(texts(), max_size=4))
def test_every_word_of_a_view_is_in_the_record_byte_for_byte(
    spec: ConversationSpec, said: list[str]
) -> None:
    named = spec.names()
    messages = [by(named[place % len(named)], text) for place, text in enumerate(said)]
    request = view(state(spec, *messages), named[0])
    private = [(line.author, line.text) for line in spec.participants[0].private]
    opening = [(line.author, line.text) for line in spec.opening]
    expected = [*private, *opening, *((message.author, message.text) for message in messages)]
    assert [heard.author for heard in request.messages] == [author for author, _ in expected]
    for heard, (author, text) in zip(request.messages, expected, strict=True):
        assert heard.text in (text, f"{author}: {text}")


@given(specs(), st.lists(texts(), max_size=3))
def test_a_plain_body_is_the_request_itself(spec: ConversationSpec, said: list[str]) -> None:
    name = spec.names()[-1]
    request = view(state(spec, *(by("Eve", text) for text in said)), name)
    wire = encode(SEATS[0], request)
    held = msgspec.json.decode(wire.body)
    assert list(held) == ["model", "participant", "system", "sampling", "messages", "seed"]
    assert held["messages"] == [msgspec.to_builtins(heard) for heard in request.messages]
    assert (held["participant"], held["system"], held["seed"]) == (
        name,
        request.system,
        request.seed,
    )
    assert msgspec.convert(held["sampling"], Sampling) == request.sampling
    assert [edit.what for edit in wire.edits] == (["tools"] if request.tools else [])


def test_without_a_seed_no_turn_has_one() -> None:
    spec = pair()
    assert turn_seed(spec, spec.seat("Ada"), 1) is None
    assert view(state(spec), "Ada").seed is None


def test_a_seat_may_have_a_seed_of_its_own() -> None:
    spec = pair(seed=1)
    ada = msgspec.structs.replace(spec.seat("Ada"), sampling=Sampling(seed=2))
    two = pair(seed=2)
    assert turn_seed(spec, ada, 1) == turn_seed(two, two.seat("Ada"), 1)
    assert turn_seed(spec, ada, 1) != turn_seed(spec, spec.seat("Ada"), 1)


@given(st.integers(), st.lists(names(), min_size=2, max_size=2, unique=True))
def test_every_turn_attempt_and_seat_has_its_own_seed(base: int, named: list[str]) -> None:
    seats = tuple(Participant(name, "m") for name in named)
    spec = ConversationSpec(seats, ending=(TurnCap(9),), seed=base)
    seeds = {
        turn_seed(spec, seat, turn, attempt)
        for seat in seats
        for turn in (1, 2, 11)
        for attempt in (0, 1)
    }
    assert len(seeds) == 12
    assert all(seed is not None and 0 <= seed < 2**31 for seed in seeds)


def test_a_seed_is_the_same_for_ever() -> None:
    spec = pair(seed=1)
    assert turn_seed(spec, spec.seat("Ada"), 1) == 1710685836


def test_a_view_is_of_somebody_who_is_seated() -> None:
    with pytest.raises(KeyError, match="Cy"):
        view(state(pair()), "Cy")


def test_a_dialect_that_nobody_speaks_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"dialect 'klingon' of model 'm'; known: .*plain"):
        encode(Seat("x", "m", "klingon"), view(state(pair()), "Ada"))


def test_a_digest_is_blake2b_of_32_bytes() -> None:
    assert digest(b"").startswith("0e5751c026e543b2e8ab2eb06099daa1")
    assert len(digest(b"x")) == 64
