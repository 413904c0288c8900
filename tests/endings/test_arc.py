"""What labels make of a conversation."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.endings.arc import arc, end_state, loops, transitions
from duologue.endings.codebook import Annotation, EndState, Label, Loop, Reopening, Repeat

CORPUS = Path(__file__).parents[3] / "shared" / "corpora" / "self-talk" / "labels.jsonl"
LETTERS = {
    ".": Label.TALK,
    "p": Label.PRE_CLOSING,
    "C": Label.CLOSING,
    "X": Label.REFUSAL,
    "t": Label.TOKEN,
    "_": Label.SILENCE,
    "=": Label.LOOP,
    "R": Label.REOPENING,
}
_LEAVES = {Label.CLOSING, Label.REFUSAL}


def turns(cells: str, names: str = "AB") -> list[Annotation]:
    """Annotations of a conversation in which everyone speaks in turn, ten characters each."""
    return [
        Annotation(
            turn,
            names[(turn - 1) % len(names)],
            LETTERS[cell],
            leaves=LETTERS[cell] in _LEAVES,
            length=10,
        )
        for turn, cell in enumerate(cells, start=1)
    ]


def test_a_conversation_without_turns_is_open() -> None:
    seen = arc([])
    assert (seen.turns, seen.end_state, seen.first_closing) == (0, EndState.OPEN, None)
    assert seen.transitions == {}


def test_the_first_and_the_mutual_closing_are_turns_counted_from_one() -> None:
    seen = arc(turns("...pCC.."))
    assert (seen.first_closing, seen.mutual_closing) == (5, 6)
    assert (seen.after_closing, seen.length_after) == (2, 20)


def test_a_closing_that_nobody_returns_is_not_mutual() -> None:
    seen = arc(turns("...C.C.C."))
    assert (seen.first_closing, seen.mutual_closing, seen.after_closing) == (4, None, None)


def test_a_token_accepts_a_farewell_and_silence_does_not() -> None:
    assert arc(turns("..Ct")).mutual_closing == 4
    assert arc(turns("..C_")).mutual_closing is None


def test_a_token_without_a_farewell_closes_nothing() -> None:
    assert arc(turns("..tt")).mutual_closing is None


def test_one_who_takes_leave_twice_does_not_close_for_two() -> None:
    assert arc(turns("CCC", names="A")).mutual_closing is None


def test_given_lines_take_no_leave() -> None:
    said = turns("C..")
    opening = Annotation(1, "A", Label.CLOSING, leaves=True, given=True)
    assert arc([opening, *said[1:]]).first_closing is None


def test_a_reopening_names_who_did_it_and_after_what() -> None:
    seen = arc(turns("..CCR.tR"))
    assert seen.reopenings == (
        Reopening(5, "A", Label.CLOSING),
        Reopening(8, "B", Label.TOKEN),
    )


@pytest.mark.parametrize(
    ("cells", "state"),
    [
        ("......", EndState.OPEN),
        ("..C", EndState.CLOSED),
        ("....CC", EndState.CLOSED),
        ("CCCCCC", EndState.FAREWELL_LOOP),
        ("CCCCCR..", EndState.OPEN),
        ("CCtttt", EndState.TOKEN_COLLAPSE),
        ("....t", EndState.OPEN),
        ("....__", EndState.SILENCE),
        ("t_t_t_", EndState.SILENCE),
        ("..====", EndState.VERBATIM_LOOP),
        ("===.==", EndState.VERBATIM_LOOP),
        ("....=.", EndState.OPEN),
        ("=====.", EndState.VERBATIM_LOOP),
        ("tXtXCX", EndState.REFUSAL_LOOP),
        (".....X", EndState.CLOSED),
        ("tt__==", EndState.OTHER),
        (".p.Ct=", EndState.CLOSED),
    ],
)
def test_the_last_six_turns_make_the_end_state(cells: str, state: EndState) -> None:
    assert end_state([LETTERS[cell] for cell in cells]) is state


def test_the_end_state_agrees_with_the_hand_labels() -> None:
    if not CORPUS.is_file():
        pytest.skip("the development corpus is not here")
    rows = [json.loads(line) for line in CORPUS.read_text("utf-8").splitlines()]
    wrong = [row for row in rows if end_state([*map(Label, row["labels"])]) != row["end_state"]]
    assert wrong == []


def repeating(turn: int, lag: int, *, verbatim: bool = True) -> Annotation:
    return Annotation(turn, "A", Label.LOOP, repeat=Repeat(turn - lag, lag, 1.0, verbatim))


def test_a_loop_has_a_period_and_says_whether_it_is_exact() -> None:
    said = [
        *turns("...."),
        repeating(5, 2),
        repeating(6, 2, verbatim=False),
        *turns("......")[6:],
        repeating(7, 1),
    ]
    assert list(loops(said)) == [Loop(5, 6, 2, verbatim=False)]


def test_collapse_is_the_start_of_the_first_run_of_three() -> None:
    assert arc(turns("..C.CtC.ttt")).collapse == 5
    assert arc(turns("..CC.CC")).collapse is None


def test_transitions_count_what_each_one_does_after_what() -> None:
    assert transitions(turns("..CC")) == {
        "A": {Label.TALK: {Label.CLOSING: 1}},
        "B": {Label.TALK: {Label.TALK: 1}, Label.CLOSING: {Label.CLOSING: 1}},
    }


@given(st.text(alphabet="".join(LETTERS), max_size=40))
def test_the_arc_of_a_longer_conversation_never_moves_its_first_events(cells: str) -> None:
    said = turns(cells)
    whole = arc(said)
    for end in range(len(said)):
        part = arc(said[:end])
        assert part.first_closing in {None, whole.first_closing}
        assert part.mutual_closing in {None, whole.mutual_closing}
        assert part.collapse in {None, whole.collapse}
        assert whole.reopenings[: len(part.reopenings)] == part.reopenings


@given(st.text(alphabet="".join(LETTERS), max_size=40))
def test_every_turn_but_the_first_is_one_transition(cells: str) -> None:
    table = transitions(turns(cells))
    counted = sum(n for rows in table.values() for row in rows.values() for n in row.values())
    assert counted == max(0, len(cells) - 1)
