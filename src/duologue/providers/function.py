"""A provider that is a Python callable: for models of one's own, for baselines, for rehearsals.

The callable is given a small plain view and returns the words, or yields them piece by piece; it
may be ``async`` in either case. A plain function blocks the loop while it runs. What it raises
becomes a fact on the record, a bug's. This module knows no conversation and no wire.
"""

import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from importlib import import_module
from importlib.util import find_spec
from inspect import isawaitable
from typing import Any

import msgspec
from msgspec.structs import replace

from duologue.core.provider import Call, Completion, Delta, Seat
from duologue.core.request import Role
from duologue.core.spec import Sampling
from duologue.errors import ConfigurationError

FORM = "function:package.module:attribute"


class Said(msgspec.Struct, frozen=True):
    """A message as the participant is shown it.

    Attributes:
        role: ``assistant`` for the participant's own words, ``user`` for everybody else's.
        author: under whose name it stands.
        text: the words, exactly; may be silent.
    """

    role: Role
    author: str
    text: str


class View(msgspec.Struct, frozen=True):
    """What a participant is to answer, read from the exact request body.

    Attributes:
        participant: who is to speak.
        system: its system prompt, or None.
        messages: what it has heard and said, in order.
        sampling: how its words are to be drawn, as declared; it is the callable's to obey.
        seed: this turn's own seed, if the spec has one.
    """

    participant: str
    system: str | None
    messages: tuple[Said, ...]
    sampling: Sampling = Sampling()
    seed: int | None = None


Words = str | Completion
Pieces = Iterator[str] | AsyncIterator[str]
Reply = Callable[[View], Words | Pieces | Awaitable[Words]]


class Function:
    """Whatever a callable says."""

    def __init__(
        self, reply: Reply, name: str = "function", clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Take a callable.

        Args:
            reply: from a view to a string, a ``Completion``, an awaitable of either, or an
                iterator or async iterator of strings.
            name: the model's name on the record. A conversation goes on with a callable of the
                same name; what it does is not compared.
            clock: seconds; how long a reply took is on the record, unless it says so itself.
        """
        self.seat = Seat("function", name)
        self._reply = reply
        self._clock = clock

    async def stream(self, call: Call) -> AsyncGenerator[Delta | Completion, None]:
        """What the callable says to this request.

        Raises:
            TypeError: it gave anything else; the loop records that as a bug.
        """
        began = self._clock()
        found: object = self._reply(msgspec.json.decode(call.body, type=View))
        if isawaitable(found):
            found = await found
        if isinstance(found, Completion):
            own = found.seconds is not None
            yield found if own else replace(found, seconds=self._clock() - began)
            return
        said = []
        async with aclosing(_pieces(found)) as pieces:
            async for piece in pieces:
                said.append(_text(piece))
                yield Delta(said[-1])
        seconds = self._clock() - began
        yield Completion("".join(said), served=self.seat.model, seconds=seconds)

    async def aclose(self) -> None:
        """Nothing is held."""


async def _pieces(found: object) -> AsyncGenerator[object, None]:
    """The words, in as many pieces as they come in; an iterator is closed at the end."""
    if isinstance(found, str):
        if found:
            yield found
        return
    try:
        if isinstance(found, AsyncIterator):
            async for piece in found:
                yield piece
        elif isinstance(found, Iterator):
            for piece in found:
                yield piece
        else:
            yield found
    finally:
        if isinstance(found, AsyncGenerator):
            await found.aclose()
        elif close := getattr(found, "close", None):
            close()


def _text(piece: object) -> str:
    """A piece, if it is text."""
    if isinstance(piece, str):
        return piece
    raise TypeError(
        f"the function gave a {type(piece).__name__}: give a str, a Completion, or an iterator "
        "of str"
    )


def load(name: str) -> Function:
    """The provider of ``package.module:attribute``, as it stands after ``function:``.

    Modules are looked for where Python looks, and in the working directory.

    Raises:
        ConfigurationError: it is not there, cannot be imported, or cannot be called.
    """
    module, attribute = _parted(name)
    found: Any = _imported(module, name)
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise ConfigurationError(
                f"function:{name}: {_named(found)} has no {part!r}: check the spelling ({FORM})"
            )
        found = getattr(found, part)
    if not callable(found):
        raise ConfigurationError(
            f"function:{name} is a {type(found).__name__} and cannot be called: name a function "
            "that takes a view and returns text"
        )
    return Function(found, name)


def look_for(name: str) -> None:
    """Look for a callable as far as that goes without running a line of its code.

    Raises:
        ConfigurationError: it names none, or nothing of its module's first name is to be found.
    """
    module, _ = _parted(name)
    first, _, _ = module.partition(".")
    with _here():
        # What lies deeper is found only by importing what is above it.
        if first and (first in sys.modules or find_spec(first) is not None):
            return
    raise ConfigurationError(
        f"function:{name}: there is no module {first or module!r}: install it, or run where it "
        f"lies ({FORM})"
    )


def _parted(name: str) -> tuple[str, str]:
    """The module and the attribute that a name consists of."""
    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute):
        raise ConfigurationError(f"function:{name} names no callable: write {FORM}")
    return module, attribute


def _named(found: object) -> str:
    """What a person would call it."""
    return str(getattr(found, "__name__", type(found).__name__))


@contextmanager
def _here() -> Iterator[None]:
    """The working directory is one of the places where a module may be."""
    here = "" in sys.path
    if not here:
        sys.path.insert(0, "")
    try:
        yield
    finally:
        if not here:
            sys.path.remove("")


def _imported(module: str, name: str) -> object:
    """The module; the working directory is one of the places where it may be."""
    try:
        with _here():
            return import_module(module)
    except Exception as error:  # whatever a person's own module raises while it is imported
        raise ConfigurationError(
            f"function:{name}: the module {module!r} cannot be imported: "
            f"{type(error).__name__}: {error}. Install it, or run where it lies ({FORM})"
        ) from error
