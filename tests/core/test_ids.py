from hypothesis import given
from hypothesis import strategies as st

from duologue.core.ids import plain, speakable


def test_ids_are_the_published_proquints() -> None:
    assert speakable(bytes([127, 0, 0, 1])) == "lusab-babad"
    assert speakable(bytes([63, 84, 220, 193])) == "gutih-tugad"
    assert speakable(b"") == ""


@given(st.binary(min_size=6, max_size=6), st.binary(min_size=6, max_size=6))
def test_no_two_numbers_have_the_same_name(one: bytes, other: bytes) -> None:
    assert (plain(speakable(one)) == plain(speakable(other))) == (one == other)


def test_case_and_hyphens_do_not_matter() -> None:
    assert plain("Lusab-BABAD") == plain("lusabbabad") == "lusabbabad"
