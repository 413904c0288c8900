from typing import Any

import pytest
import tomli_w
from hypothesis import given, reject
from hypothesis import strategies as st

from duologue.core import spec as specs
from duologue.core import specfile
from duologue.core.message import silence
from duologue.core.spec import (
    ConversationSpec,
    Exit,
    Line,
    Participant,
    RoundRobin,
    Sampling,
    SilenceCap,
    TurnCap,
)
from duologue.core.specfile import Asked, document, read
from duologue.errors import ConfigurationError, SpecError

TWO = """
[[participants]]
name = "Ada"
model = "smol"

[[participants]]
name = "Bo"
model = "qwen"
"""
SEATS = (Participant("Ada", "smol"), Participant("Bo", "qwen"))


def _is_visible_line(text: str) -> bool:
    """Whether a name, or an exit's sentinel, may be that text."""
    return silence(text) is None and len(text.splitlines()) == 1


nasty = st.sampled_from("\n\r\t\x00\x1b\x7f\x85\u200b\u2028\"'\\ #=")
whole = st.sampled_from([" ", "\r\n", "\u200b", '"""', "'''", "[[a]]\nb = 1\n", "\ufeff", "\\"])
words = st.text(st.characters(exclude_categories=["Cs"]) | nasty) | whole
visible = words.filter(_is_visible_line)
finite = st.floats(allow_nan=False, allow_infinity=False)
plain = st.recursive(
    words | st.integers() | finite | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
lines = st.builds(Line, words, words, st.sampled_from(("opening", "scenario")))
samplings = st.builds(
    Sampling,
    temperature=st.none() | st.floats(0, 2),
    top_p=st.none() | st.floats(0, 1),
    max_tokens=st.none() | st.integers(1),
    seed=st.none() | st.integers(),
    stop=st.lists(words, max_size=2).map(tuple),
    extra=st.dictionaries(words, plain, max_size=3),
)
endings = st.one_of(
    st.builds(Exit, visible, st.sampled_from(specs.ExitRule), st.integers(1)),
    st.builds(specs.StopPhrase, words.filter(bool)),
    st.builds(SilenceCap, st.integers(1)),
)


def _seat(name: str) -> st.SearchStrategy[Participant]:
    """Any seat of that name."""
    return st.builds(
        Participant,
        name=st.just(name),
        model=words,
        system=st.none() | words,
        framing=st.sampled_from(specs.Framing),
        sampling=samplings,
        private=st.lists(lines, max_size=2).map(tuple),
    )


@st.composite
def _asked(draw: st.DrawFn) -> Asked:
    """A conversation that anybody might ask for: every field drawn, all of it in order."""
    names = draw(st.lists(visible, min_size=1, max_size=3, unique=True))
    orders = st.one_of(
        st.builds(RoundRobin, st.none() | st.sampled_from(names)),
        st.builds(specs.Shuffled, st.integers()),
        st.builds(specs.Sequence, st.lists(st.sampled_from(names), min_size=1).map(tuple)),
    )
    caps = st.builds(TurnCap, st.integers(1))
    spec = ConversationSpec(
        participants=tuple(draw(_seat(name)) for name in names),
        opening=tuple(draw(st.lists(lines, max_size=2))),
        order=draw(orders),
        ending=(*draw(st.lists(endings, max_size=3)), draw(caps)),
        told=draw(st.none() | words),
        labels=draw(st.sampled_from(specs.Labels)),
        seed=draw(st.none() | st.integers()),
    )
    return Asked(draw(st.none() | words), _sensible(spec))


def _sensible(spec: ConversationSpec) -> ConversationSpec:
    """``spec``, unless ``check`` refuses it: then another is drawn."""
    try:
        return specs.check(spec)
    except ConfigurationError:
        reject()


def _refusal(text: str) -> str:
    with pytest.raises(SpecError) as caught:
        read(text, "my.toml")
    return str(caught.value)


@given(_asked())
def test_what_is_written_is_read_back_as_equal(asked: Asked) -> None:
    assert read(tomli_w.dumps(document(asked)), "my.toml") == asked


@pytest.mark.parametrize("text", [" ", "\r\n", "\r", "\x00", "\x1b[2J", "\u200b", '"""', "\\"])
def test_an_opening_comes_back_byte_for_byte(text: str) -> None:
    asked = Asked(None, ConversationSpec(SEATS, (Line("Ada", text),)))
    assert read(tomli_w.dumps(document(asked)), "my.toml").spec.opening[0].text == text


def test_a_file_of_two_seats_gets_every_default() -> None:
    assert read(TWO, "my.toml") == Asked(None, ConversationSpec(SEATS))


def test_a_byte_order_mark_and_crlf_do_no_harm() -> None:
    assert read("\ufeff" + TWO.replace("\n", "\r\n"), "my.toml") == read(TWO, "my.toml")


def test_the_founding_set_up_is_five_short_keys_and_two_seats() -> None:
    asked = read(f'name = "founding"\nopener = " "\nturns = 49\n{TWO}', "my.toml")
    opening = (Line("Ada", " ", "opening"),)
    assert asked == Asked("founding", ConversationSpec(SEATS, opening, ending=(TurnCap(49),)))


def test_an_opener_may_stand_under_anybodys_name_and_be_empty() -> None:
    assert read(f'opener = ""\nopener_by = "Zed"\n{TWO}', "x").spec.opening == (Line("Zed", ""),)


def test_first_is_short_for_round_robin() -> None:
    assert read(f'first = "Bo"\n{TWO}', "my.toml").spec.order == RoundRobin("Bo")


def test_turns_are_added_to_an_ending_that_has_no_cap() -> None:
    text = f'turns = 9\n{TWO}[[ending]]\nkind = "exit"\n[[ending]]\nkind = "silence"\n'
    assert read(text, "my.toml").spec.ending == (Exit(), SilenceCap(), TurnCap(9))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            f'opener = "a"\nopening = []\n{TWO}',
            'my.toml, line 1: "opener" and opening (line 2) say the same: keep one of them',
        ),
        (
            f'first = "Bo"\n{TWO}[order]\nkind = "shuffled"\nseed = 1\n',
            'my.toml, line 1: "first" and order (line 10) say the same: keep one of them',
        ),
        (
            f"turns = 9\n{TWO}[[ending]]\nkind = 'exit'\n[[ending]]\nkind = 'max_turns'\nturns = 9",
            'my.toml, line 1: "turns" and ending[1] (line 12) say the same: keep one of them',
        ),
        (
            f'opener_by = "Bo"\n{TWO}',
            (
                'my.toml, line 1: "opener_by" says whose "opener" it is: '
                "give it, or an author to each line of opening"
            ),
        ),
    ],
)
def test_a_short_form_beside_its_full_form_is_refused_naming_both(text: str, message: str) -> None:
    assert _refusal(text) == message


def test_the_classic_slips_are_each_told_where_and_how_to_mend_them() -> None:
    text = f"""{TWO}temperature = 0.7
turns = 49
[participants.sampling]
temprature = 0.5
top_p = 2
[[ending]]
kind = "maxturns"
"""
    assert _refusal(text).split("\n") == [
        (
            'my.toml, line 9: unknown key "temperature" in participants[1]; '
            "it belongs in participants[1].sampling"
        ),
        (
            'my.toml, line 10: unknown key "turns" in participants[1]; '
            "it belongs at the top level, above the first [table]"
        ),
        (
            'my.toml, line 12: unknown key "temprature" in participants[1].sampling; '
            'did you mean "temperature"?'
        ),
        (
            "my.toml, line 13: participants[1].sampling.top_p: "
            "expected a number, at least 0, at most 1; found the whole number 2"
        ),
        (
            'my.toml, line 15: ending[0].kind: expected one of "max_turns", "exit", "stop_phrase", '
            '"pass", "silence", "budget", "detector", "any", "all"; found the string "maxturns"; '
            'did you mean "max_turns"?'
        ),
    ]


def test_an_empty_file_is_told_what_it_needs() -> None:
    assert _refusal("") == (
        'my.toml: missing key "participants" at the top level: '
        "expected an array of tables, of length 1 or more"
    )


def test_a_spec_that_makes_no_sense_is_refused_with_the_name_of_the_file() -> None:
    assert _refusal(f'first = "Zed"\n{TWO}').startswith("my.toml: the order names 'Zed'")
    assert _refusal(f"ending = []\n{TWO}").startswith("my.toml: nothing bounds the conversation")


def test_a_null_cannot_be_written_and_its_place_is_named() -> None:
    extra: dict[str, Any] = {"a": [1, {"b c": None}]}
    seat = Participant("Ada", "smol", sampling=Sampling(extra=extra))
    with pytest.raises(ConfigurationError, match=r'^participants\[0\].sampling.extra.a\[1\]."b c"'):
        document(Asked(None, ConversationSpec((seat,))))


def test_no_short_form_hides_a_field_of_the_spec() -> None:
    short = {"name", "opener", "opener_by", "turns", "first"}
    assert not short & set(ConversationSpec.__struct_fields__)


def test_the_example_in_the_modules_docstring_is_a_file() -> None:
    text = str(specfile.__doc__)
    example = text[text.index("    [[participants]]") : text.index("Four short forms")]
    seats = (Participant("Ada", "smollm2-135m"), Participant("Bo", "qwen2.5-coder-0.5b"))
    assert read(example, "example").spec == ConversationSpec(seats)
