"""A conversation as a TOML file: reading one, with errors that help, and writing one.

The keys of a file are the fields of ``ConversationSpec``, and ``name``, what the conversation is
called. A file that says nothing else holds a conversation of 50 messages:

    [[participants]]
    name = "Ada"
    model = "smollm2-135m"

    [[participants]]
    name = "Bo"
    model = "qwen2.5-coder-0.5b"

Four short forms, on reading only, stand for the common cases. Each stands above the first
``[table]``, as every key of the top level must, and may not be mixed with what it is short for:

- ``opener = " "`` is an ``opening`` of that one line, and ``opener_by = "Bo"`` says under whose
  name it stands: the first participant's unless given;
- ``turns = 49`` adds ``{ kind = "max_turns", turns = 49 }`` to the ``ending`` that is given; where
  none is, it is the whole ending;
- ``first = "Bo"`` is ``order = { kind = "round_robin", first = "Bo" }``.

This module knows no disk: it takes text, and gives values that ``tomli_w`` can write.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec.structs import replace

from duologue.core.spec import ConversationSpec, Line, Positive, RoundRobin, TurnCap, check
from duologue.core.toml_document import Document, Fault, parse, quoted, spelt
from duologue.core.toml_lines import Path
from duologue.core.toml_shape import fill
from duologue.errors import ConfigurationError, SpecError


class Asked(msgspec.Struct, frozen=True):
    """What a file asks for.

    Attributes:
        name: what the conversation is to be called, if the file says so.
        spec: the conversation; it passes ``check``.
    """

    name: str | None
    spec: ConversationSpec


class _File(ConversationSpec, frozen=True):
    """Everything that a file may hold: a spec, a name and the short forms."""

    name: str | None = None
    opener: str | None = None
    opener_by: str | None = None
    turns: Positive | None = None
    first: str | None = None


def read(text: str, where: str) -> Asked:
    """The conversation that a file asks for.

    Args:
        text: the file's text; a byte order mark and CRLF line ends do no harm.
        where: the file's name, for messages.

    Raises:
        SpecError: naming the file and, for each fault, the line, the key and what would be right.
    """
    document = parse(text, where)
    file = fill(document, _File)
    clashes = list(_clashes(file, document))
    if clashes:
        raise document.error(clashes)
    try:
        return Asked(file.name, check(_spec(file, document)))
    except ConfigurationError as error:
        raise SpecError(f"{where}: {error}") from error


def document(asked: Asked) -> dict[str, Any]:
    """``asked`` as plain values that ``tomli_w`` can write and ``read`` reads back as equal.

    Raises:
        ConfigurationError: it holds a null, in a participant's ``extra``: TOML has none.
    """
    values: dict[str, Any] = {} if asked.name is None else {"name": asked.name}
    values |= msgspec.to_builtins(asked.spec)
    for path in nulls(values, ()):
        raise ConfigurationError(
            f"{spelt(path)} is null, which TOML cannot hold: leave the key out of the spec"
        )
    return values


def _clashes(file: _File, document: Document) -> Iterator[Fault]:
    """The short forms that say again, or against, what a full form says."""
    given = document.data
    pairs: list[tuple[str, Path]] = [("opener", ("opening",)), ("first", ("order",))]
    caps = [at for at, rule in enumerate(file.ending) if isinstance(rule, TurnCap)]
    if "ending" in given:
        pairs += [("turns", ("ending", at)) for at in caps]
    for short, full in pairs:
        if short in given and full[0] in given:
            place = f"{spelt(full)} (line {document.lines[full]})"
            yield Fault((short,), f"{quoted(short)} and {place} say the same: keep one of them")
    if "opener_by" in given and "opener" not in given:
        remedy = "give it, or an author to each line of opening"
        yield Fault(("opener_by",), f'"opener_by" says whose "opener" it is: {remedy}')


def _spec(file: _File, document: Document) -> ConversationSpec:
    """The spec that a file spells, its short forms written out."""
    fields = ConversationSpec.__struct_fields__
    spec = ConversationSpec(**{field: getattr(file, field) for field in fields})
    if file.opener is not None:
        author = file.participants[0].name if file.opener_by is None else file.opener_by
        spec = replace(spec, opening=(Line(author, file.opener),))
    if file.first is not None:
        spec = replace(spec, order=RoundRobin(first=file.first))
    if file.turns is not None:
        others = file.ending if "ending" in document.data else ()
        spec = replace(spec, ending=(*others, TurnCap(file.turns)))
    return spec


def nulls(value: object, path: Path) -> Iterator[Path]:
    """Where in plain values a null stands."""
    if value is None:
        yield path
    elif isinstance(value, dict):
        for key, inside in value.items():
            yield from nulls(inside, (*path, key))
    elif isinstance(value, list | tuple):
        for index, inside in enumerate(value):
            yield from nulls(inside, (*path, index))
