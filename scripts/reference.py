"""Write the pages of the documentation that are read off the code.

    python scripts/reference.py

writes ``docs/events.md`` and ``docs/spec-file.md`` from the structs and their docstrings, and
``docs/cli.md`` from the verbs. A test fails when a page differs from the code. This script knows
how a struct and a verb are shown; what they mean stands in their own docstrings.
"""

# ruff: noqa: INP001 - a script, not a package

import inspect
import json
import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args, get_origin

import msgspec
from msgspec import inspect as shapes
from typer.models import OptionInfo, ParameterInfo
from typer.utils import get_params_from_function

from duologue.cli import app as verbs
from duologue.core import event as facts
from duologue.core import message, provider, spec, specfile

DOCS = Path(__file__).resolve().parent.parent / "docs"
_MADE = "<!-- Made by scripts/reference.py from the code: change the docstrings, not this page. -->"

# Structs and closed lists.


def struct_section(kind: type[msgspec.Struct], level: str = "##") -> str:
    """A struct: its heading, what it is, and a row for each field."""
    about, fields = _docstring(kind)
    shape = shapes.type_info(kind)
    assert isinstance(shape, shapes.StructType)  # noqa: S101 - a struct's shape is a struct's
    rows = [_row(field, fields) for field in shape.fields]
    if shape.tag_field is not None:
        rows.insert(0, f'| `{shape.tag_field}` | `"{shape.tag}"` | | says which of them it is |')
    table = ["| key | value | default | meaning |", "|---|---|---|---|", *rows]
    return "\n".join([f"{level} {kind.__name__}", "", about, "", *table])


def list_section(kind: type[StrEnum], level: str = "##") -> str:
    """A closed list of words."""
    about, _ = _docstring(kind)
    words = ", ".join(f"`{member.value}`" for member in kind)
    return f"{level} {kind.__name__}\n\n{about}\n\n{words}"


def _row(field: shapes.Field, fields: dict[str, str]) -> str:
    """One field as a row of a table."""
    name = field.encode_name
    meaning = re.sub(r"\bNone\b", "`null`", fields[name])
    return f"| `{name}` | {_cell(_shown(field.type))} | {_default(field)} | {_cell(meaning)} |"


def _default(field: shapes.Field) -> str:
    """What stands for a field that is left out; nothing where it must be there."""
    if field.required:
        return "**required**"
    value = field.default
    if field.default_factory is not msgspec.NODEFAULT:
        value = field.default_factory()
    return f"`{json.dumps(msgspec.to_builtins(value), ensure_ascii=False)}`"


_PLAIN = {
    shapes.AnyType: "any JSON value",
    shapes.BoolType: "true or false",
    shapes.FloatType: "number",
    shapes.IntType: "integer",
    shapes.NoneType: "null",
    shapes.StrType: "string",
}
_LIMITS = {"ge": "{} or more", "le": "{} or less", "min_length": "not empty"}


def _shown(kind: shapes.Type) -> str:
    """A type in words; structs and closed lists are links."""
    match kind:
        case shapes.StructType() | shapes.EnumType():
            return f"[{kind.cls.__name__}](#{kind.cls.__name__.lower()})"
        case shapes.UnionType():
            return " or ".join(_shown(member) for member in kind.types)
        case shapes.VarTupleType():
            return f"array of {_shown(kind.item_type)}"
        case shapes.DictType():
            return f"object of {_shown(kind.value_type)}"
        case shapes.LiteralType():
            return " or ".join(f'`"{value}"`' for value in kind.values)
    limits = [
        text.format(f"{limit:g}")
        for name, text in _LIMITS.items()
        if (limit := getattr(kind, name, None)) is not None
    ]
    return _PLAIN[type(kind)] + (f" ({', '.join(limits)})" if limits else "")


_ATTRIBUTE = re.compile(r"^    (\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)


def _docstring(kind: type) -> tuple[str, dict[str, str]]:
    """What a docstring says of the whole, and of each attribute."""
    about, _, attributes = (inspect.getdoc(kind) or "").partition("\n\nAttributes:\n")
    found = _ATTRIBUTE.findall(attributes)
    return _markdown(about), {name: " ".join(_markdown(text).split()) for name, text in found}


def _markdown(text: str) -> str:
    """Our docstrings are Markdown but for the marks around code."""
    return text.replace("``", "`")


def _cell(text: str) -> str:
    """Text in a table."""
    return text.replace("|", "\\|")


def events_page() -> str:
    """``docs/events.md``."""
    kinds: tuple[type[msgspec.Struct], ...] = get_args(facts.Event)
    parts = (
        *(message.Message, provider.Seat, provider.Usage, provider.ToolCall),
        *(facts.Edit, facts.Source, facts.Fork),
    )
    lists = (facts.EndReason, message.Origin, provider.Finish)
    return _page(
        _EVENTS,
        struct_section(facts.Record, "##").replace("## Record", "## The line: Record"),
        "## The events",
        *(struct_section(kind, "###") for kind in kinds),
        "## What they are made of",
        "`ConversationSpec` and everything in it stands in [spec-file.md](spec-file.md).",
        *(struct_section(kind, "###") for kind in parts),
        "## Closed lists of words",
        *(list_section(kind, "###") for kind in lists),
    ).replace("(#conversationspec)", "(spec-file.md#conversationspec)")


_EVENTS = f"""# Events, version {facts.SCHEMA_VERSION}

{_MADE}

{_markdown(inspect.getdoc(facts) or "").partition(chr(10))[0]}

Each event stands in one line of the log ([log-format.md](log-format.md)). In an event, a key whose
value is its default may be left out; unknown keys are refused. `turn` numbers messages from 1, the
opening's lines included."""


def _middle(text: str | None) -> str:
    """A module's docstring without its first paragraph and its last: title and boundary."""
    return "\n\n".join(_markdown(text or "").split("\n\n")[1:-1])


def spec_page() -> str:
    """``docs/spec-file.md``."""
    return _page(
        _SPEC,
        *(struct_section(kind) for kind in (spec.ConversationSpec, spec.Participant)),
        *(struct_section(kind) for kind in (spec.Sampling, spec.Line)),
        "## Order: who speaks next",
        *(struct_section(kind, "###") for kind in get_args(spec.Order)),
        "## Ending: when it stops",
        *(struct_section(kind, "###") for kind in get_args(spec.Ending)),
        "## Silence: what follows a silent turn",
        *(struct_section(kind, "###") for kind in get_args(spec.SilencePolicy)),
        "## Closed lists of words",
        *(
            list_section(kind, "###")
            for kind in (
                *(spec.Framing, spec.Labels, spec.ExitRule, spec.After),
                spec.RefusalPolicy,
            )
        ),
    )


_SPEC = f"""# The spec file

{_MADE}

`duologue run FILE` reads a conversation from a TOML file. What a program calls
`duologue.ConversationSpec` has the same keys.

{_middle(specfile.__doc__)}

A file that says more, which `duologue run salon.toml` holds with the default models:

```toml
name = "salon"
opener = "Is the sea awake?"
opener_by = "Ada"
turns = 30
seed = 7
told = "Whoever has nothing more to say writes [END] alone on a line."
order = {{ kind = "shuffled", seed = 3 }}
ending = [
    {{ kind = "exit", sentinel = "[END]", rule = "mutual" }},
    {{ kind = "silence", turns = 3 }},
]

[[participants]]
name = "Ada"
model = "smollm2-135m"
framing = "script"
system = "Night at a lighthouse. Ada keeps it; Ben and Cleo came up to see the sea."
sampling = {{ temperature = 0.8, max_tokens = 96, extra = {{ min_p = 0.1 }} }}

[[participants]]
name = "Ben"
model = "qwen2.5-coder-0.5b"
framing = "script"
sampling = {{ temperature = 0.8, max_tokens = 96 }}

[[participants]]
name = "Cleo"
model = "qwen2.5-coder-0.5b"
framing = "script"
sampling = {{ temperature = 1.0, max_tokens = 96 }}
private = [{{ author = "Cleo", text = "I have never seen the sea.", origin = "scenario" }}]
```

A fault is told with the file, the line, the key and what would be right; all faults at once. The
resolved spec of every run is kept in its folder as `experiment.toml`, and in the log. TOML has no
null: leave a key out instead."""


# The verbs.


class Parameter(msgspec.Struct, frozen=True):
    """An argument or an option of a verb, as it was declared.

    Attributes:
        name: of the function's parameter.
        kind: what its value is; ``bool`` for a flag.
        many: whether it may be given more than once.
        default: what stands for it where it is left out; None for nothing, ``...`` where it must
            not be left out.
        info: what Typer was told about it.
    """

    name: str
    kind: type
    many: bool
    default: object
    info: Any

    @property
    def value(self) -> str:
        """What stands for its value in a usage line."""
        noun = {int: "N", float: "NUMBER", Path: "PATH"}.get(
            self.kind, self.name.strip("_").upper()
        )
        return str(self.info.metavar or noun)

    @property
    def names(self) -> list[str]:
        """An option's names, as typed."""
        if self.info.param_decls:
            return list(self.info.param_decls)
        word = self.name.strip("_").replace("_", "-")
        return [f"--{word}", f"--no-{word}"] if self.kind is bool else [f"--{word}"]


def _parameters(verb: Callable[..., Any]) -> tuple[list[Parameter], list[Parameter]]:
    """A verb's arguments, and its options."""
    declared: tuple[list[Parameter], list[Parameter]] = ([], [])
    for name, meta in get_params_from_function(verb).items():
        if isinstance(meta.default, ParameterInfo):
            kinds = [kind for kind in get_args(meta.annotation) if kind is not type(None)]
            kind = kinds[0] if kinds else meta.annotation
            many = get_origin(kind) is list or get_origin(meta.annotation) is list
            default = meta.default.default
            made = Parameter(name, kind, many, default, meta.default)
            declared[isinstance(meta.default, OptionInfo)].append(made)
    return declared


def cli_page() -> str:
    """``docs/cli.md``."""
    app = verbs.app
    codes = _markdown((inspect.getdoc(verbs) or "").partition("\n\n")[2])
    return _page(
        f"# The command line\n\n{_MADE}\n\n{app.info.help}",
        "```text\nduologue [OPTIONS] VERB …\n```",
        _options(_parameters(verbs.common)[1]),
        _IDS,
        *(verb_section(str(each.name), each.callback) for each in app.registered_commands),
        "## Exit codes",
        codes,
        "## Environment",
        _ENVIRONMENT,
    )


_IDS = """An id may be shortened to a beginning that no other id has, with or without hyphens; the
name of a run that holds one conversation does as well. `duologue --install-completion` makes the
tab key know verbs, ids, models and formats."""

_ENVIRONMENT = """| variable | meaning | default |
|---|---|---|
| `DUOLOGUE_LIBRARY` | the folder in which runs are kept | `$XDG_DATA_HOME/duologue/runs` |
| `DUOLOGUE_MODELS` | the folder in which local models are kept | `$XDG_DATA_HOME/duologue/models` |
| `XDG_DATA_HOME` | the user's data folder | `~/.local/share` |"""


def verb_section(name: str, verb: Callable[..., Any] | None) -> str:
    """A verb: how it is called, what it does, its arguments and options."""
    assert verb is not None  # noqa: S101 - Typer types a command's function so
    arguments, options = _parameters(verb)
    usage = " ".join([f"duologue {name}", "[OPTIONS]", *map(_argument, arguments)])
    told = "\n".join(f"- `{each.value}`: {each.info.help}" for each in arguments)
    parts = (f"## {name}", f"```text\n{usage}\n```", _prose(verb), told, _options(options))
    return "\n\n".join(part for part in parts if part)


def _prose(verb: Callable[..., Any]) -> str:
    """A verb's docstring."""
    return _markdown(inspect.getdoc(verb) or "")


def _argument(each: Parameter) -> str:
    """An argument as a usage line shows it."""
    needed = each.default in (..., None) and each.default is not None
    return each.value if needed or each.value.startswith("[") else f"[{each.value}]"


_SEAT = re.compile(r"-(?P<model>[a-h])|--\w+-(?P<other>[a-h])")


def _options(options: Sequence[Parameter]) -> str:
    """A table of options; those of every seat are shown once, for seat a."""
    rows = [_option(each) for each in options if _seat(each) in {"", "a"}]
    heading = ["| option | meaning | default |", "|---|---|---|"]
    return "\n".join([*heading, *rows]) if rows else "No options."


def _seat(each: Parameter) -> str:
    """The seat that an option is for; empty where it is for none."""
    found = _SEAT.fullmatch(each.names[0])
    return (found["model"] or found["other"]) if found else ""


def _option(each: Parameter) -> str:
    """An option as a row of a table."""
    value = "" if each.kind is bool else f" {each.value}"
    names = ", ".join(f"`{name}{value}`" for name in each.names)
    told = [_markdown(each.info.help or "")]
    if _seat(each):
        told.append(f"And so on: `{each.names[0][:-1]}b` to `{each.names[0][:-1]}h`.")
    if each.many:
        told.append("May be given more than once.")
    return f"| {_cell(names)} | {_cell(' '.join(told))} | {_fallback(each)} |"


def _fallback(each: Parameter) -> str:
    """What happens when an option is left out."""
    if isinstance(each.info.show_default, str):
        return each.info.show_default
    if each.default is ...:
        return "**required**"
    return "" if each.default is None or each.kind is bool else f"`{each.default}`"


# All of it.


def _page(*sections: str) -> str:
    """Sections as a page."""
    return "\n\n".join(sections) + "\n"


def pages() -> dict[str, str]:
    """Every generated page, by its file's name."""
    return {"events.md": events_page(), "spec-file.md": spec_page(), "cli.md": cli_page()}


if __name__ == "__main__":
    for name, text in pages().items():
        (DOCS / name).write_text(text, "utf-8")
