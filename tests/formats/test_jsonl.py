import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.core.message import Origin
from duologue.errors import FormatError
from duologue.formats import jsonl
from duologue.formats.foreign import Foreign, ForeignMessage

words = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from("\n\r\x00\x85\u2028\ufeff")
)
messages = st.builds(
    ForeignMessage,
    author=words.filter(bool),
    text=words,
    origin=st.none() | st.sampled_from(Origin),
    turn=st.none() | st.integers(0, 2**63 - 1),
)


def _foreign(*said: ForeignMessage, **fields: str) -> Foreign:
    names = tuple(dict.fromkeys(message.author for message in said))
    return Foreign("jsonl", names, said, fields)


conversations = st.builds(
    lambda said, fields: _foreign(*said, **fields),
    st.lists(messages, min_size=1),
    st.sampled_from([{}, {"bom": "\ufeff"}]),
)


@given(conversations)
def test_export_then_import_is_the_identity(foreign: Foreign) -> None:
    assert jsonl.cannot_hold(foreign) == ()
    assert jsonl.parse(jsonl.render(foreign)) == (foreign, ())


@given(conversations)
def test_a_written_file_comes_back_byte_for_byte(foreign: Foreign) -> None:
    data = jsonl.render(foreign)
    assert jsonl.render(jsonl.parse(data)[0]) == data


@given(conversations)
def test_every_way_of_splitting_lines_finds_the_same_lines(foreign: Foreign) -> None:
    data = jsonl.render(foreign).decode()
    assert data.splitlines() == data.split("\n")[:-1]


@pytest.mark.parametrize("ascii_only", [True, False])
@given(foreign=conversations)
def test_another_writer_s_blanks_escapes_and_line_ends_mean_the_same(
    *, foreign: Foreign, ascii_only: bool
) -> None:
    lines = [
        json.loads(line) for line in jsonl.render(foreign).decode("utf-8-sig").split("\n")[:-1]
    ]
    other = "\r\n".join(json.dumps(line, ensure_ascii=ascii_only, indent=None) for line in lines)
    read, _ = jsonl.parse(f"{foreign.fields.get('bom', '')}{other}\r\n\r\n".encode())
    assert read == foreign


@given(st.binary(max_size=100))
def test_bytes_that_are_no_messages_are_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        jsonl.parse(data)


def test_a_file_is_as_the_documentation_shows_it() -> None:
    foreign = _foreign(
        ForeignMessage("A", "the first words"),
        ForeignMessage("B", "the answer", Origin.MODEL, 2),
    )
    data = jsonl.render(foreign)
    for line in data.decode().splitlines():
        assert f"    {line}\n" in (jsonl.__doc__ or "")


GOOD = '{"author": "A", "text": ""}\n'


@pytest.mark.parametrize(
    ("data", "line", "expected"),
    [
        ("", None, "holds no message"),
        ("\n\n", None, "holds no message"),
        (GOOD + "\n" + GOOD, 2, "the line is empty"),
        (GOOD + '{"author": "A", }', 2, "not valid JSON at column 17"),
        (GOOD + "[1]", 2, "expected a JSON object, found a list"),
        ("null", 1, "found null"),
        ("1", 1, "found a number"),
        ('{"author": "A", "txt": ""}', 1, "unknown key 'txt'; did you mean 'text'"),
        ('{"author": "A", "zzz": ""}', 1, "unknown key 'zzz'; known are author, text"),
        ('{"author": "A"}', 1, "`text` must be a string, found nothing"),
        ('{"author": true, "text": ""}', 1, "`author` must be a string, found a truth value"),
        ('{"author": "", "text": ""}', 1, "`author` is empty"),
        ('{"author": "A", "author": "B", "text": ""}', 1, "the key 'author' is given twice"),
        ('{"author": "A", "text": "\\ud800"}', 1, "half of a surrogate pair"),
        ('{"author": "A", "text": "", "origin": "modell"}', 1, "did you mean 'model'"),
        ('{"author": "A", "text": "", "origin": 3}', 1, "unknown origin 3"),
        ('{"author": "A", "text": "", "turn": true}', 1, "`turn` must be a whole number"),
        ('{"author": "A", "text": "", "turn": -1}', 1, "`turn` must be a whole number"),
        ('{"author": "A", "text": "", "turn": NaN}', 1, "`turn` must be a whole number"),
        ('{"author": "A", "text": "", "turn": 1' + "0" * 5000 + "}", 1, "too large to read"),
        ("[" * 200_000, 1, "too large to read"),
    ],
)
def test_a_wrong_line_is_refused_with_its_number(
    data: str, line: int | None, expected: str
) -> None:
    with pytest.raises(FormatError) as caught:
        jsonl.parse(data.encode())
    assert expected in str(caught.value)
    assert caught.value.line == line


def test_a_line_that_is_not_utf8_is_refused_with_the_byte() -> None:
    with pytest.raises(FormatError, match=r"line 2: byte 3 of the line \(0xff\) is not UTF-8"):
        jsonl.parse(GOOD.encode() + b'{"\xff')


@pytest.mark.parametrize(
    ("foreign", "expected"),
    [
        (_foreign(), "no message to write"),
        (_foreign(ForeignMessage("A", ""), bom="x"), "not a byte order mark"),
        (_foreign(ForeignMessage("", "")), "message 1 has no author"),
        (_foreign(ForeignMessage("A", ""), ForeignMessage("A", "\udc00")), "message 2 holds half"),
        (_foreign(ForeignMessage("A", "", turn=-1)), "the turn of message 1"),
    ],
)
def test_what_no_file_can_hold_is_refused_and_named(foreign: Foreign, expected: str) -> None:
    assert any(expected in loss for loss in jsonl.cannot_hold(foreign))
    with pytest.raises(FormatError, match=expected):
        jsonl.render(foreign)


@pytest.mark.parametrize(
    ("foreign", "expected"),
    [
        (Foreign("jsonl", ("A", "B"), (ForeignMessage("A", ""),), {}), "the seats"),
        (Foreign("founding", ("A",), (ForeignMessage("A", ""),), {}), "the format `founding`"),
        (_foreign(ForeignMessage("A", ""), started="S"), "the field `started`"),
    ],
)
def test_what_a_file_would_lose_is_named(foreign: Foreign, expected: str) -> None:
    assert any(expected in loss for loss in jsonl.cannot_hold(foreign))
    assert jsonl.parse(jsonl.render(foreign))[0].messages == foreign.messages
