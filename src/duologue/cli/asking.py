"""From options on the command line to what is asked for: a file or a preset, then changes to it.

Whatever was left to chance (the seed) is drawn here, so that the record holds it. This module
starts nothing.
"""

import re
import secrets
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
import typer
from msgspec.structs import replace

from duologue.core.policies import USUAL, governed, reworded
from duologue.core.spec import (
    Budget,
    ConversationSpec,
    Ending,
    Line,
    Order,
    Participant,
    RoundRobin,
    Sampling,
    Sequence,
    Shuffled,
    TurnCap,
    capped,
    check,
)
from duologue.core.specfile import Asked, read
from duologue.core.toml_document import nearest
from duologue.errors import ConfigurationError
from duologue.providers.registry import split, unseeded

LETTERS = "abcdefgh"
TURNS = 24
LIMIT = 160
UNTOLD = "none"
"""What a person types to have nothing told; no words begin so."""

_LIKE_A_FILE = re.compile(r"\S+\.[A-Za-z]{2,4}")
_SEED_BITS = 31
_FEWEST = 2


class Options(msgspec.Struct, frozen=True):
    """What a person typed; None where nothing was typed."""

    file: str | None = None
    seats: Mapping[str, Mapping[str, Any]] = {}
    opener: str | None = None
    opener_by: str | None = None
    first: str | None = None
    order: str | None = None
    turns: int | None = None
    system: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    context: int | None = None
    seed: int | None = None
    budget_usd: float | None = None
    budget_tokens: int | None = None
    budget_minutes: float | None = None
    stream: bool = True
    ending: tuple[str, ...] = ()
    told: str | None = None
    sentinel: str | None = None
    name: str | None = None


def assemble(options: Options, folder: Path) -> Asked:
    """What is asked for, whole.

    Args:
        options: what was typed.
        folder: relative to which files are named.

    Raises:
        ConfigurationError: a file cannot be read, or the whole makes no sense.
    """
    asked = _base(options, folder)
    spec = asked.spec
    spec = replace(spec, participants=_participants(spec, options, folder))
    spec = _opened(spec, options, folder)
    spec = _ended(replace(spec, order=_order(spec, options)), options, folder)
    if options.context is not None:
        spec = replace(spec, participants=_long(spec.participants, options.context))
    if options.seed is not None or spec.seed is not None:
        _doubt_seed(spec if options.seed is None else replace(spec, seed=options.seed))
    if options.seed is not None or spec.seed is None:
        drawn = secrets.randbits(_SEED_BITS) if options.seed is None else options.seed
        spec = replace(spec, seed=drawn)
    return Asked(options.name or asked.name, check(spec))


def _base(options: Options, folder: Path) -> Asked:
    """The file or preset that was named; else what the bare command holds; else an empty room."""
    if options.file is not None:
        return _named(options.file, folder)
    if any("model" in seat for seat in options.seats.values()):
        return Asked(None, _room(options))
    return _preset("hello")


def _named(name: str, folder: Path) -> Asked:
    """A file by its path, or a preset by its name."""
    path = folder / name
    if name in presets() and not path.is_file():
        return _preset(name)
    if path.exists():
        return read(text_of(path), name)
    from duologue.cli.plan import ready

    raise missing(name, conversations=presets(), experiments=ready())


def missing(name: str, **known: list[str]) -> ConfigurationError:
    """That there is neither such a file nor, of these kinds of things, one of that name."""
    told = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in known.items())
    meant = nearest(name, [each for names in known.values() for each in names])
    return ConfigurationError(
        f"there is no file {name!r} here, and none of the {' or '.join(known)} that come with "
        f"duologue has that name; {meant or told}"
    )


def presets() -> list[str]:
    """The names of the conversations that come with the package."""
    folder = resources.files("duologue") / "presets"
    return sorted(
        file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml")
    )


def _preset(name: str) -> Asked:
    """A conversation that comes with the package."""
    file = resources.files("duologue") / "presets" / f"{name}.toml"
    return read(file.read_text("utf-8"), file.name)


def text_of(path: Path) -> str:
    """A file's text."""
    try:
        return path.read_bytes().decode()  # line ends are the writer's: nothing is translated
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(
            f"{path} is not UTF-8: byte {error.start}, on line {line}, cannot be read; save it as "
            "UTF-8"
        ) from error
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error


def _room(options: Options) -> ConversationSpec:
    """Seats for the models that were named, nothing said, an exit offered."""
    models = [
        (letter, seat["model"]) for letter, seat in sorted(options.seats.items()) if "model" in seat
    ]
    if len(models) < _FEWEST:
        (letter, model) = models[0]
        other = "a" if letter != "a" else "b"
        raise ConfigurationError(
            f"a conversation needs two: -{letter} is {model}, give -{other} a model, too"
        )
    given = "".join(letter for letter, _ in models)
    if given != LETTERS[: len(given)]:
        missing = next(letter for letter in LETTERS if letter not in given)
        raise ConfigurationError(
            f"seats are given in a row: there is no -{missing}, but -{given[-1]}; give -{missing} "
            "a model, too"
        )
    names = _names([model for _, model in models])
    seats = tuple(_guest(name, model) for name, (_, model) in zip(names, models, strict=True))
    return governed(ConversationSpec(seats, ending=(TurnCap(TURNS),)), USUAL)


def _guest(name: str, model: str) -> Participant:
    """A seat for a model that was named; a local one is small, and would not stop by itself."""
    local = split(model)[0] == "local"
    return Participant(name, model, sampling=Sampling(max_tokens=LIMIT if local else None))


def _names(models: list[str]) -> list[str]:
    """A display name for each model: its last part, numbered where it comes again."""
    names: list[str] = []
    for model in models:
        base = Path(model.partition(":")[2] or model).name
        name, number = base, 2
        while name in names:
            name, number = f"{base} {number}", number + 1
        names.append(name)
    return names


def _participants(
    spec: ConversationSpec, options: Options, folder: Path
) -> tuple[Participant, ...]:
    """The seats with what was typed for all of them, then for each."""
    seats = list(spec.participants)
    typed = sorted(options.seats.items())
    if options.file is None and len(typed) == len(seats):
        places = {letter: place for place, (letter, _) in enumerate(typed)}
    else:
        places = {letter: LETTERS.index(letter) for letter, _ in typed}
    for letter, place in places.items():
        if place >= len(seats):
            raise ConfigurationError(
                f"there is no seat {letter}: the conversation has {len(seats)} seats; "
                f"give -{letter} a model"
            )
    common = _set(options.temperature, options.max_tokens)
    seats = [
        replace(
            seat,
            sampling=replace(seat.sampling, **common),
            system=seat.system if options.system is None else _words(options.system, folder),
            stream=seat.stream and options.stream,
        )
        for seat in seats
    ]
    for letter, place in places.items():
        seats[place] = _seat(seats[place], options.seats[letter], folder)
    return tuple(seats)


def _long(seats: tuple[Participant, ...], context: int) -> tuple[Participant, ...]:
    """The seats, every local one with so many tokens of context."""
    local = [split(seat.model)[0] == "local" for seat in seats]
    if not any(local):
        raise ConfigurationError(
            "--context is for local models, and no seat has one: a hosted model has its own"
        )
    return tuple(
        replace(seat, context=context) if ours else seat
        for seat, ours in zip(seats, local, strict=True)
    )


def _doubt_seed(spec: ConversationSpec) -> None:
    """Say where a seed that was asked for changes nothing; one that is drawn was not asked for."""
    for line in unseeded(spec):
        typer.echo(f"duologue: {line}", err=True)


def _set(temperature: float | None, max_tokens: int | None) -> dict[str, Any]:
    """The sampling that was typed."""
    given = {"temperature": temperature, "max_tokens": max_tokens}
    return {key: value for key, value in given.items() if value is not None}


def _seat(seat: Participant, typed: Mapping[str, Any], folder: Path) -> Participant:
    """One seat with what was typed for it."""
    sampling: Sampling = replace(seat.sampling, **_set(typed.get("temperature"), None))
    return replace(
        seat,
        name=typed.get("name", seat.name),
        model=typed.get("model", seat.model),
        system=_words(typed["system"], folder) if "system" in typed else seat.system,
        sampling=sampling,
        base_url=typed.get("base_url", seat.base_url),
    )


def _words(typed: str, folder: Path) -> str:
    """Words, or the words in a file: of a file, one line end at its end is not part of them.

    Which of the two it was is told, where it could be mistaken.
    """
    try:
        there = (folder / typed).is_file()
    except (OSError, ValueError):
        there = False
    if there:
        typer.echo(f"duologue: the words are those in the file {typed}", err=True)
        return text_of(folder / typed).removesuffix("\n").removesuffix("\r")
    if _LIKE_A_FILE.fullmatch(typed):
        typer.echo(f"duologue: there is no file {typed} here; it is taken as the words", err=True)
    return typed


def _opened(spec: ConversationSpec, options: Options, folder: Path) -> ConversationSpec:
    """The spec with the opener that was typed; without one, names that were typed reach it."""
    if options.opener is not None:
        author = options.opener_by or spec.names()[0]
        return replace(spec, opening=(Line(author, _words(options.opener, folder)),))
    if options.opener_by is not None:
        if len(spec.opening) != 1:
            raise ConfigurationError("--opener-by needs an --opener to stand over")
        return replace(spec, opening=(replace(spec.opening[0], author=options.opener_by),))
    return spec


def _order(spec: ConversationSpec, options: Options) -> Order:
    """The order that was typed, or the spec's own."""
    if options.first is not None and options.order not in (None, "round-robin"):
        raise ConfigurationError("--first goes with the round-robin order only")
    if options.order is None:
        return spec.order if options.first is None else RoundRobin(options.first)
    if options.order == "round-robin":
        return RoundRobin(options.first)
    if options.order == "shuffled":
        return Shuffled(0 if options.seed is None else options.seed)
    return Sequence(tuple(name.strip() for name in options.order.split(",")))


def _ended(spec: ConversationSpec, options: Options, folder: Path) -> ConversationSpec:
    """The spec with the endings that were typed, and what is told of them, in the typed words."""
    ruled = governed(spec, options.ending) if options.ending else spec
    if options.sentinel is not None:
        ruled = reworded(ruled, options.sentinel)
    if options.told is not None:
        untold = options.told == UNTOLD
        ruled = replace(ruled, told=None if untold else _words(options.told, folder))
    return replace(ruled, ending=_limited(spec, ruled.ending, options))


def _limited(
    spec: ConversationSpec, rules: tuple[Ending, ...], options: Options
) -> tuple[Ending, ...]:
    """The rules with the cap and the budget that were typed."""
    if options.turns is not None:
        rules = capped(rules, options.turns)
    if budget := _budget(spec, options):
        rules = (*(rule for rule in rules if not isinstance(rule, Budget)), budget)
    return rules


def _budget(spec: ConversationSpec, options: Options) -> Budget | None:
    """The budget that was typed; what was not typed of it is the spec's own, if it has one."""
    typed = {
        "usd": options.budget_usd,
        "tokens": options.budget_tokens,
        "minutes": options.budget_minutes,
    }
    given = {key: value for key, value in typed.items() if value is not None}
    if not given:
        return None
    own = next((rule for rule in spec.ending if isinstance(rule, Budget)), Budget())
    return replace(own, **given)
