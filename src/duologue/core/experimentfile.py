"""An experiment as a TOML file: reading one, with errors that help, and writing one.

The keys of a file are the fields of ``Experiment``. Five lines are an experiment:

    participants = ["smollm2-135m", "qwen2.5-coder-0.5b"]
    pairs = "all"
    opener = " "
    turns = 49
    replicates = 3

What tells an experiment from a single conversation is the key ``pairs``. This module knows no
disk: it takes text, and gives values that ``tomli_w`` can write.
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from msgspec.structs import replace

from duologue.core.detectors import Detectors, require
from duologue.core.experiment import Experiment
from duologue.core.faults import faults, ruled
from duologue.core.plan import plan
from duologue.core.spec import Detector, leaves
from duologue.core.specfile import nulls
from duologue.core.toml_document import Document, Fault, nearest, parse, spelt
from duologue.core.toml_shape import fill
from duologue.errors import ConfigurationError, SpecError


def is_experiment(text: str, where: str) -> bool:
    """Whether a file holds an experiment, and not a single conversation.

    Raises:
        SpecError: it is not TOML.
    """
    return "pairs" in parse(text, where).data


def read(
    text: str,
    where: str,
    *,
    known: Callable[[str], object] | None = None,
    eyes: Callable[[], Detectors] | None = None,
) -> Experiment:
    """The experiment that a file describes; a file that gives no name is its own name.

    Args:
        text: the file's text; a byte order mark and CRLF line ends do no harm.
        where: the file's name, for messages.
        known: raises ``ConfigurationError`` for a model that nobody knows.
        eyes: makes what knows the signs that detectors may be declared for.

    Raises:
        SpecError: naming the file and, for each fault, the line, the key and what would be right.
    """
    document = parse(text, where)
    if _single(document):
        raise _unpaired(document)
    experiment = fill(document, Experiment)
    wrong = faults(experiment)
    wrong += _of_models(experiment, known) if known else ()
    wrong += _of_signs(experiment, eyes) if eyes else ()
    if wrong:
        raise document.error(wrong)
    if experiment.name is None:
        experiment = replace(experiment, name=_stem(where))
    try:
        plan(replace(experiment, replicates=1))
    except ConfigurationError as error:
        raise SpecError(f"{where}: {error}") from error
    return experiment


def _single(document: Document) -> bool:
    """Whether a file looks like a single conversation's: seats, and nobody who is to meet."""
    seats = document.data.get("participants")
    tables = isinstance(seats, list) and all(isinstance(seat, dict) for seat in seats)
    return "pairs" not in document.data and tables


def _unpaired(document: Document) -> SpecError:
    """Nobody is to meet: a slip of the key, or a single conversation."""
    for key in document.data:
        if nearest(key, ["pairs"]):
            text = f'unknown key "{key}" at the top level; did you mean "pairs"?'
            return document.error([Fault((key,), text)])
    return SpecError(
        f"{document.where}: there is no key 'pairs', so this is a single conversation: hold it "
        "with 'duologue run', or say who meets, for instance pairs = \"all\""
    )


def _of_signs(experiment: Experiment, eyes: Callable[[], Detectors]) -> Iterator[Fault]:
    """Detectors of signs that nobody knows."""
    for path, rules in ruled(experiment):
        if not any(isinstance(rule, Detector) for rule in leaves(rules)):
            continue
        try:
            require(rules, eyes())
        except ConfigurationError as error:
            yield Fault(path, str(error))


def _of_models(experiment: Experiment, known: Callable[[str], object]) -> Iterator[Fault]:
    """Participants whose model nobody knows."""
    for at, member in enumerate(experiment.participants):
        try:
            known(member if isinstance(member, str) else member.model)
        except ConfigurationError as error:
            yield Fault(("participants", at), str(error))


def _stem(where: str) -> str:
    """A file's name without its folder and its ending."""
    return where.rpartition("/")[2].removesuffix(".toml") or where


def document(experiment: Experiment) -> dict[str, Any]:
    """``experiment`` as plain values that ``tomli_w`` can write and ``read`` reads back as equal.

    Raises:
        ConfigurationError: it holds a null, in an ``extra``: TOML has none.
    """
    values: dict[str, Any] = msgspec.to_builtins(experiment)
    for path in nulls(values, ()):
        raise ConfigurationError(
            f"{spelt(path)} is null, which TOML cannot hold: leave the key out of the experiment"
        )
    return values
