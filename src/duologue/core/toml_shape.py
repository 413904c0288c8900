"""From a TOML document to a struct, with every fault of the document told at once.

What a document may hold is read off the struct itself, so a new field needs no change here. The
last word is msgspec's: what this walk does not know (patterns, sets) is refused in its words.
This module does not know what the structs mean.

``Any`` in a struct means: passed on as JSON. What JSON cannot hold is refused there.
"""

import math
import operator
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias, TypeVar

import msgspec
from msgspec import inspect

from duologue.core.toml_document import TOP, Document, Fault, nearest, quoted, spelt
from duologue.core.toml_lines import Path
from duologue.errors import SpecError

T = TypeVar("T", bound=msgspec.Struct)
Value: TypeAlias = Any  # whatever tomllib may read
_WIDTH = 72  # characters of a wrong value that are shown


def fill(document: Document, kind: type[T]) -> T:
    """The ``kind`` that ``document`` describes.

    Raises:
        SpecError: naming every key that is unknown, missing, of the wrong type or out of range.
    """
    shape = inspect.type_info(kind)
    faults = list(_Walk(shape).faults(document.data, shape, ()))
    if faults:
        raise document.error(faults)
    try:
        return msgspec.convert(document.data, kind)
    except msgspec.ValidationError as error:
        raise SpecError(f"{document.where}: {error}") from error


class _Walk(msgspec.Struct, frozen=True):
    """A document beside the shape that it should have; ``root`` is the shape of its top level."""

    root: inspect.Type

    def faults(self, value: Value, kind: inspect.Type, path: Path) -> Iterator[Fault]:
        """Everything that is wrong with ``value``, which stands at ``path``, as a ``kind``."""
        match _bare(kind):
            case inspect.AnyType():
                yield from _unspeakable(value, path)
            case inspect.UnionType() as union:
                yield from self.union(value, union, path)
            case bare if not _fits(value, bare):
                yield _mismatch(value, bare, path)
            case inspect.StructType() as struct:
                yield from self.struct(value, struct, path)
            case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
                for index, inside in enumerate(value):
                    yield from self.faults(inside, item, (*path, index))
            case inspect.DictType(value_type=item):
                for key, inside in value.items():
                    for fault in self.faults(inside, item, (*path, key)):
                        yield self.at_home(fault, (*path, key))

    def union(self, value: Value, kind: inspect.UnionType, path: Path) -> Iterator[Fault]:
        """The faults of a value that may be one of several kinds."""
        members = _members(kind)
        structs = [member for member in members if isinstance(member, inspect.StructType)]
        if structs and isinstance(value, dict):
            yield from self.tagged(value, structs, path)
        elif fitting := members if len(members) == 1 else _fitting(value, members):
            yield from self.faults(value, fitting[0], path)
        else:
            yield _mismatch(value, kind, path)

    def tagged(
        self, value: dict[str, Any], structs: list[inspect.StructType], path: Path
    ) -> Iterator[Fault]:
        """The faults of a table whose tag says which struct it is, if there are several."""
        if len(structs) == 1:
            yield from self.struct(value, structs[0], path)
            return
        tag = str(structs[0].tag_field)
        tags = inspect.LiteralType(tuple(struct.tag for struct in structs))
        if tag not in value:
            yield _missing(tag, tags, path)
        elif value[tag] not in tags.values:
            yield _mismatch(value[tag], tags, (*path, tag))
        else:
            chosen = structs[tags.values.index(value[tag])]
            yield from self.struct(value, chosen, path)

    def struct(
        self, value: dict[str, Any], kind: inspect.StructType, path: Path
    ) -> Iterator[Fault]:
        """The faults of a table, in its own order; then what it lacks."""
        fields = {field.encode_name: field for field in kind.fields}
        for key, inside in value.items():
            if key in fields:
                yield from self.faults(inside, fields[key].type, (*path, key))
            elif key != kind.tag_field:
                yield self.unknown(key, kind, path)
        for key, field in fields.items():
            if field.required and key not in value:
                yield _missing(key, field.type, path)

    def at_home(self, fault: Fault, path: Path) -> Fault:
        """A variant's fault; whose name is a key of the top level may have been meant as that."""
        if fault.path != path or path[-1] not in _keys(self.root):
            return fault
        meant = f"if the key {quoted(str(path[-1]))} is meant, it belongs {TOP}"
        return Fault(path, f"{fault.text}; {meant}")

    def unknown(self, key: str, kind: inspect.StructType, path: Path) -> Fault:
        """The fault of a key that the table does not have, and where the key is at home."""
        homes = [f"in {home}" for home, table in _tables_in(kind, path) if key in _keys(table)]
        if path and key in _keys(self.root):
            homes.append(TOP)
        known = _keys(kind)
        remedy = f"it belongs {' or '.join(homes)}" if homes else nearest(key, known)
        remedy = remedy or f"known keys: {', '.join(map(quoted, known))}"
        return Fault((*path, key), f"unknown key {quoted(key)} {_inside(path)}; {remedy}")


# How each type is called where it is expected, and which Python values it takes.
_NAMES: dict[type[inspect.Type], tuple[str, tuple[type, ...]]] = {
    inspect.BoolType: ("true or false", (bool,)),
    inspect.IntType: ("a whole number", (int,)),
    inspect.FloatType: ("a number", (int, float)),
    inspect.StrType: ("a string", (str,)),
    inspect.ListType: ("an array", (list,)),
    inspect.VarTupleType: ("an array", (list,)),
    inspect.DictType: ("a table", (dict,)),
    inspect.StructType: ("a table", (dict,)),
}
_PLURALS = {"a table": "tables", "a string": "strings"}
_LIMITS: dict[str, tuple[Callable[[Any, Any], bool], str]] = {
    "ge": (operator.ge, "at least {:g}"),
    "gt": (operator.gt, "more than {:g}"),
    "le": (operator.le, "at most {:g}"),
    "lt": (operator.lt, "less than {:g}"),
    "min_length": (lambda value, least: len(value) >= least, "of length {} or more"),
    "max_length": (lambda value, most: len(value) <= most, "of length {} or less"),
}
_ARRAYS = inspect.ListType | inspect.VarTupleType
_FOUND = {bool: "", int: "the whole number ", float: "the number ", str: "the string "}


def _bare(kind: inspect.Type) -> inspect.Type:
    """A type without what is only said about it, such as a description."""
    return _bare(kind.type) if isinstance(kind, inspect.Metadata) else kind


def _members(kind: inspect.UnionType) -> list[inspect.Type]:
    """The types of a union that a TOML value can have: TOML has no null."""
    return [_bare(member) for member in kind.types if not isinstance(member, inspect.NoneType)]


def _fitting(value: object, kinds: list[inspect.Type]) -> list[inspect.Type]:
    """The kinds that a value is of; msgspec's unions leave one at the most."""
    return [kind for kind in kinds if _fits(value, kind)]


def _choices(kind: inspect.Type) -> tuple[Any, ...]:
    """The values of a type that has a closed list of them, else nothing."""
    if isinstance(kind, inspect.UnionType):
        return tuple(choice for member in _members(kind) for choice in _choices(member))
    if isinstance(kind, inspect.EnumType):
        return tuple(member.value for member in kind.cls)
    return kind.values if isinstance(kind, inspect.LiteralType) else ()


def _limits(kind: inspect.Type) -> dict[str, Any]:
    """The limits that a type declares, by their name in ``_LIMITS``."""
    declared = {name: getattr(kind, name, None) for name in _LIMITS}
    return {name: limit for name, limit in declared.items() if limit is not None}


def _fits(value: object, kind: inspect.Type) -> bool:
    """Whether a value is of a kind and within its limits, whatever may be inside it."""
    if choices := _choices(kind):
        return value in choices
    if type(kind) not in _NAMES:
        return True  # msgspec has the last word
    classes = _NAMES[type(kind)][1]
    if not isinstance(value, classes) or (isinstance(value, bool) and bool not in classes):
        return False
    if isinstance(value, float) and not math.isfinite(value):
        return False
    return all(_LIMITS[name][0](value, limit) for name, limit in _limits(kind).items())


def _unspeakable(value: object, path: Path) -> Iterator[Fault]:
    """The faults of a value that is passed on as JSON: what JSON would alter in silence."""
    match value:
        case dict():
            for key, inside in value.items():
                yield from _unspeakable(inside, (*path, key))
        case list():
            for index, inside in enumerate(value):
                yield from _unspeakable(inside, (*path, index))
        case str() | int():
            pass
        case float() if math.isfinite(value):
            pass
        case _:  # infinities, dates and times
            text = f"{spelt(path)}: JSON cannot hold {_found(value)}; write it as a string"
            yield Fault(path, text)


def _keys(kind: inspect.Type) -> list[str]:
    """The keys that a table of a kind may have, its tag included."""
    if not isinstance(kind, inspect.StructType):
        return []
    tag = [kind.tag_field] if kind.tag_field else []
    return tag + [field.encode_name for field in kind.fields]


def _tables_in(kind: inspect.StructType, path: Path) -> Iterator[tuple[str, inspect.Type]]:
    """The tables that may stand directly in a table, each with how its place is spelt."""
    for field in kind.fields:
        home, inner = spelt((*path, field.encode_name)), _bare(field.type)
        if isinstance(inner, _ARRAYS):
            home, inner = f"{home}[…]", _bare(inner.item_type)
        members = _members(inner) if isinstance(inner, inspect.UnionType) else [inner]
        yield from ((home, member) for member in members)


def _inside(path: Path) -> str:
    return f"in {spelt(path)}" if path else "at the top level"


def _missing(key: str, kind: inspect.Type, path: Path) -> Fault:
    return Fault(path, f"missing key {quoted(key)} {_inside(path)}: expected {_expected(kind)}")


def _mismatch(value: object, kind: inspect.Type, path: Path) -> Fault:
    text = f"{spelt(path)}: expected {_expected(kind)}; found {_found(value)}"
    remedy = nearest(value, map(str, _choices(kind))) if isinstance(value, str) else None
    if isinstance(value, str) and isinstance(kind, inspect.UnionType):
        remedy = remedy or _tabled(value, kind)
    if isinstance(kind, _ARRAYS) and isinstance(value, dict):
        header = spelt(tuple(step for step in path if isinstance(step, str)))
        remedy = f"a table in an array is written [[{header}]], or [{{ … }}]"
    return Fault(path, f"{text}; {remedy}" if remedy else text)


def _tabled(value: str, kind: inspect.UnionType) -> str | None:
    """The table that is meant by the tag alone: ``{ kind = "end" }``."""
    for member in _members(kind):
        if isinstance(member, inspect.StructType) and value == member.tag:
            return f"write {{ {member.tag_field} = {quoted(value)} }}"
    return None


def _expected(kind: inspect.Type) -> str:
    """A kind in words: ``a number, at least 0, at most 1``."""
    kind = _bare(kind)
    if isinstance(kind, inspect.UnionType):
        return " or ".join(dict.fromkeys(map(_expected, _members(kind))))
    if choices := _choices(kind):
        return f"one of {', '.join(map(_shown, choices))}"
    noun = _NAMES[type(kind)][0] if type(kind) in _NAMES else "a value"
    if isinstance(kind, _ARRAYS) and (item := _expected(kind.item_type)) in _PLURALS:
        noun = f"an array of {_PLURALS[item]}"
    limits = (_LIMITS[name][1].format(limit) for name, limit in _limits(kind).items())
    return ", ".join((noun, *limits))


def _found(value: object) -> str:
    """A value in words: ``the string "hot"``, ``an empty array``."""
    if isinstance(value, list):
        return "an array" if value else "an empty array"
    if isinstance(value, dict):
        return "a table" if value else "an empty table"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return _FOUND.get(type(value), "the date or time ") + _shown(value)


def _shown(value: object) -> str:
    """A plain value as it might stand in the file, not too long."""
    if isinstance(value, str):
        return quoted(value if len(value) <= _WIDTH else f"{value[:_WIDTH]}…")
    return str(value).lower() if isinstance(value, bool) else str(value)
