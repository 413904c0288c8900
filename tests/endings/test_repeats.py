"""What counts as said before."""

from hypothesis import given
from hypothesis import strategies as st

from duologue.endings.repeats import NEAR, Said, clauses

TALK = (
    "The river bends at the old mill, and nobody asks why. Yet the miller's daughter counts the "
    "stones under the bridge every evening; she has counted them since the flood took the boats."
)
OTHER = "Quite another matter is how bread was baked there, in ovens that were older than the road."


def test_the_same_words_are_a_verbatim_repeat_of_the_latest_such_turn() -> None:
    said = Said()
    for text in (TALK, OTHER, TALK, OTHER):
        echo = said.hear(text)
    assert echo.repeat is not None
    assert (echo.repeat.turn, echo.repeat.lag, echo.repeat.verbatim) == (2, 2, True)
    assert echo.repeat.likeness == echo.known == 1.0


def test_a_changed_word_or_number_leaves_a_near_repeat() -> None:
    said = Said()
    said.hear(TALK)
    echo = said.hear(TALK.replace("daughter", "son").upper())
    assert echo.repeat is not None
    assert not echo.repeat.verbatim
    assert NEAR <= echo.repeat.likeness < 1


def test_figures_case_and_markup_make_no_difference() -> None:
    assert clauses("**Room 12** is taken tonight") == clauses("room 47 is taken _tonight_")


def test_an_earlier_turn_counts_however_long_ago() -> None:
    said = Said()
    said.hear(TALK)
    for index in range(50):
        said.hear(f"Something of its own, namely thing {'x' * index}, was said here instead.")
    echo = said.hear(TALK + " Indeed.")
    assert echo.repeat is not None
    assert (echo.repeat.turn, echo.repeat.lag) == (1, 51)


def test_new_words_repeat_nothing() -> None:
    said = Said()
    said.hear(TALK)
    assert said.hear(OTHER).repeat is None


def test_a_frame_is_looked_for_only_beside_a_least_likeness_and_in_short_texts() -> None:
    frame = (
        "The {0} is a mirror of the sea, and one day the {0} will know it. We call the {0} ours."
    )
    for least, longer, repeats in ((NEAR, 1, True), (0.0, 1, False), (NEAR, 60, False)):
        said = Said()
        said.hear(frame.format("road" * longer))
        echo = said.hear(frame.format("rain" * longer), least)
        assert (echo.repeat is not None) is repeats


def test_a_shared_frame_is_counted_with_every_use() -> None:
    said = Said()
    near = [
        said.hear(
            f"What a wonderful idea that is, my friend! I would choose {place}. It has such a "
            "marvellous old harbour, and the food there is simply the best; shall we go together?"
        ).near
        for place in ("Lisbon", "Trieste", "Odessa", "Bergen")
    ]
    assert near[:3] == [0, 1, 2]
    assert near[3] >= 2


def test_a_copy_goes_its_own_way() -> None:
    said = Said()
    said.hear(TALK)
    other = said.copy()
    said.hear(OTHER)
    assert other.turns == 1
    assert other.hear(OTHER).repeat is None


@given(st.lists(st.text(max_size=80), max_size=12))
def test_likeness_is_a_share_and_a_repeat_is_earlier(texts: list[str]) -> None:
    said = Said()
    for turn, text in enumerate(texts, 1):
        echo = said.hear(text)
        assert 0 <= echo.known <= 1
        if echo.repeat is not None:
            assert 0 < echo.repeat.likeness <= 1
            assert echo.repeat.turn == turn - echo.repeat.lag < turn
        else:
            assert text not in texts[: turn - 1]
