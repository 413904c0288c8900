from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
import pytest

from duologue.core.toml_document import parse, quoted
from duologue.core.toml_shape import fill
from duologue.errors import SpecError


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Leaf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    size: Annotated[float, msgspec.Meta(gt=0, lt=10)] = 1.0


class Oak(msgspec.Struct, frozen=True, tag_field="kind", tag="oak"):
    age: int


class Fir(msgspec.Struct, frozen=True, tag_field="kind", tag="fir"):
    height: float = 2.5


class Wood(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    owner: str = "nobody"
    open: bool = False
    leaf: Leaf | None = None
    trees: list[Oak | Fir] = []
    either: str | bool | None = None
    table_or_name: str | Leaf | None = None
    tags: Annotated[tuple[str, ...], msgspec.Meta(max_length=2)] = ()
    colour: Colour = Colour.RED
    level: Literal[1, 2] = 1
    ages: dict[str, Annotated[int, msgspec.Meta(ge=0, le=150)]] = {}
    extra: dict[str, Any] = {}
    described: Annotated[Leaf, msgspec.Meta(description="d", extra={"a": 1})] = Leaf()
    code: Annotated[str, msgspec.Meta(pattern="^[a-z]+$")] = "x"
    unique: set[int] = set()
    anything: list[Any] = []


def _wood(text: str) -> Wood:
    return fill(parse(text, "wood.toml"), Wood)


def _refusal(text: str) -> str:
    with pytest.raises(SpecError) as caught:
        _wood(text)
    return str(caught.value)


def test_a_good_document_becomes_the_struct() -> None:
    text = """
        owner = "Ada"
        trees = [{ kind = "oak", age = 3 }, { kind = "fir" }]
        either = true
        table_or_name = { size = 2 }
        ages.ada = 36
        unique = [1, 2]
        level = 2
        [extra]
        a = [1.5, { b = "c", d = 12345678901234567890 }]
    """
    assert _wood(text) == Wood(
        owner="Ada",
        trees=[Oak(3), Fir()],
        either=True,
        table_or_name=Leaf(2.0),
        ages={"ada": 36},
        unique={1, 2},
        level=2,
        extra={"a": [1.5, {"b": "c", "d": 12345678901234567890}]},
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\nonwer = 1", 'line 2: unknown key "onwer" at the top level; did you mean "owner"?'),
        (
            "[leaf]\nbroad = 1",
            'line 2: unknown key "broad" in leaf; known keys: "size"',
        ),
        (
            "size = 1",
            (
                'line 1: unknown key "size" at the top level; it belongs in leaf or in '
                "table_or_name or in described"
            ),
        ),
        ("age = 1", 'line 1: unknown key "age" at the top level; it belongs in trees[…]'),
        (
            "[leaf]\nowner = 1",
            (
                'line 2: unknown key "owner" in leaf; '
                "it belongs at the top level, above the first [table]"
            ),
        ),
        ("owner = 3", "line 1: owner: expected a string; found the whole number 3"),
        ("owner = true", "line 1: owner: expected a string; found true"),
        ("open = 1", "line 1: open: expected true or false; found the whole number 1"),
        (
            "ages.x = true",
            "line 1: ages.x: expected a whole number, at least 0, at most 150; found true",
        ),
        (
            'ages."x y" = -1',
            (
                'line 1: ages."x y": expected a whole number, at least 0, at most 150; '
                "found the whole number -1"
            ),
        ),
        (
            "ages.x = 2.0",
            (
                "line 1: ages.x: expected a whole number, at least 0, at most 150; "
                "found the number 2.0"
            ),
        ),
        (
            "[leaf]\nsize = 0",
            (
                "line 2: leaf.size: expected a number, more than 0, less than 10; "
                "found the whole number 0"
            ),
        ),
        (
            "leaf = { size = inf }",
            ("line 1: leaf.size: expected a number, more than 0, less than 10; found inf"),
        ),
        (
            "described.size = 11",
            (
                "line 1: described.size: expected a number, more than 0, less than 10; "
                "found the whole number 11"
            ),
        ),
        ("leaf = 2024-01-02", "line 1: leaf: expected a table; found the date or time 2024-01-02"),
        ('tags = [\n"a",\n3]', "line 3: tags[1]: expected a string; found the whole number 3"),
        (
            'tags = ["a", "b", "c"]',
            "line 1: tags: expected an array of strings, of length 2 or less; found an array",
        ),
        ("owner = []", "line 1: owner: expected a string; found an empty array"),
        ("owner = {}", "line 1: owner: expected a string; found an empty table"),
        (
            "[trees]\nkind = 'oak'",
            (
                "line 1: trees: expected an array of tables; found a table; "
                "a table in an array is written [[trees]], or [{ … }]"
            ),
        ),
        ("anything = 1", "line 1: anything: expected an array; found the whole number 1"),
        (
            "either = 3",
            ("line 1: either: expected a string or true or false; found the whole number 3"),
        ),
        (
            "table_or_name = 3",
            ("line 1: table_or_name: expected a string or a table; found the whole number 3"),
        ),
        (
            "table_or_name.sise = 3",
            'line 1: unknown key "sise" in table_or_name; did you mean "size"?',
        ),
        (
            "colour = 'rde'",
            (
                'line 1: colour: expected one of "red", "blue"; found the string "rde"; '
                'did you mean "red"?'
            ),
        ),
        ("colour = 'x'", 'line 1: colour: expected one of "red", "blue"; found the string "x"'),
        ("level = 3", "line 1: level: expected one of 1, 2; found the whole number 3"),
        (
            "[[trees]]\nkind = 'oka'\nage = 1",
            (
                'line 2: trees[0].kind: expected one of "oak", "fir"; '
                'found the string "oka"; did you mean "oak"?'
            ),
        ),
        (
            "[[trees]]\nkind = 'oak'",
            'line 1: missing key "age" in trees[0]: expected a whole number',
        ),
        (
            "[extra]\na = [1, { b = -inf }]",
            ("line 2: extra.a[1].b: JSON cannot hold -inf; write it as a string"),
        ),
        (
            "[extra]\na = 07:32:00",
            ("line 2: extra.a: JSON cannot hold the date or time 07:32:00; write it as a string"),
        ),
    ],
)
def test_each_fault_is_told_with_its_line_its_key_and_the_remedy(text: str, message: str) -> None:
    assert _refusal(text) == f"wood.toml, {message}"


def test_a_table_without_its_tag_is_told_which_tags_there_are() -> None:
    assert _refusal("[[trees]]\nkind = 'fir'\n[[trees]]\nage = 1") == (
        'wood.toml, line 3: missing key "kind" in trees[1]: expected one of "oak", "fir"'
    )


def test_what_the_walk_does_not_know_is_refused_in_the_words_of_msgspec() -> None:
    assert _refusal('code = "A1"').startswith("wood.toml: Expected `str` matching regex")
    assert "unique" in _refusal("unique = 3")


def test_a_union_with_a_kind_that_the_walk_does_not_know_is_left_to_msgspec() -> None:
    class Odd(msgspec.Struct):
        when: int | set[int] = 0

    assert fill(parse("when = [1]", "x"), Odd) == Odd({1})


def test_a_required_key_of_a_kind_without_a_name_is_missed_all_the_same() -> None:
    class Odd(msgspec.Struct):
        when: set[int]

    with pytest.raises(SpecError, match='missing key "when" at the top level: expected a value'):
        fill(parse("", "x"), Odd)


def test_all_faults_are_told_in_the_order_of_the_file_and_what_is_absent_last() -> None:
    class Pair(msgspec.Struct):
        left: int
        right: Wood

    with pytest.raises(SpecError) as caught:
        fill(parse("right.open = 1\n\nleft = 'x'\nright.owner = 1\nup = 2", "p"), Pair)
    assert [line.split(": ")[0] for line in str(caught.value).split("\n")] == [
        "p, line 1",
        "p, line 3",
        "p, line 4",
        "p, line 5",
    ]
    with pytest.raises(SpecError) as caught:
        fill(parse("\nup = 2\nright = {}", "p"), Pair)
    assert [line.split(": ")[0] for line in str(caught.value).split("\n")] == ["p, line 2", "p"]


def test_a_long_value_is_shown_in_part() -> None:
    assert _refusal(f"open = '{'x' * 500}'").endswith(f'the string "{"x" * 72}…"')


def test_what_cannot_be_seen_is_escaped_in_a_message() -> None:
    assert quoted('a"\x1b\x7f\u200b\u202e\né') == '"a\\"\\u001b\\x7f\\u200b\\u202e\\né"'
    assert "\x1b" not in _refusal('"\\u001b[2J" = 1\nopen = "\\u001b"')


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a = 1\nb = foo\n",
            (
                "line 2, column 5: Invalid value; text needs quotes, and true and "
                "false are written small\n     2 | b = foo\n             ^"
            ),
        ),
        (
            "a = 1\na = 2",
            (
                "line 2, column 6: Cannot overwrite a value; this key is given twice\n"
                "     2 | a = 2\n              ^"
            ),
        ),
        (
            "[a]\r\n[a]",
            (
                "line 2, column 3: Cannot declare ('a',) twice; a [table] is opened once; "
                "several of a kind are each a [[table]]\n     2 | [a]\n           ^"
            ),
        ),
        (
            "\ufeffx = 'a\tb\u200b' y",
            (
                "line 1, column 12: Expected newline or end of document after a "
                "statement\n     1 | x = 'a b ' y\n                    ^"
            ),
        ),
    ],
)
def test_a_syntax_error_shows_the_line_and_points_at_the_column(text: str, message: str) -> None:
    assert _refusal(text) == f"wood.toml, {message}"


def test_of_a_long_line_the_part_around_the_fault_is_shown() -> None:
    first, source, mark = _refusal(f"{'x' * 400} = \\").split("\n")
    assert first.startswith("wood.toml, line 1, column 404: Invalid value")
    assert source[mark.index("^")] == "\\"
    assert len(source) < 100


def test_what_is_never_closed_is_told_at_the_end() -> None:
    assert _refusal("x = [1,\n").startswith("wood.toml, at its end: ")
    assert _refusal('x = """a\n').endswith("a string, an array or a table above is not closed")


def test_values_beyond_what_python_reads_are_refused_with_the_name_of_the_file() -> None:
    assert _refusal(f"x = {'9' * 5000}").startswith("wood.toml: Exceeds the limit")
    assert _refusal(f"x = {'[' * 9000}{']' * 9000}") == (
        "wood.toml: arrays or tables are nested too deeply to be read"
    )
