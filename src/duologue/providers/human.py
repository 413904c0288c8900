"""A person in the terminal takes a seat: ``human:``, or ``human:a-name``.

A turn ends with a line that holds a single full stop and nothing else, or with Ctrl-D. The words
are what was typed before it, line for line; the last line's own end is the Enter key, no part of
them. No words make a silent turn. A pipe works like a keyboard, but where it has ended nobody is
there any more: that is an error, not a silence. The terminal's own line editing is used, and none
of its settings is touched; it hands over at most 4,095 bytes a line. This module shows nothing but
the prompt, on standard error, and does not know what else is on the screen: whoever draws there
sets ``PAUSE``.
"""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from functools import cache
from typing import Protocol

import msgspec

from duologue.core.message import Origin
from duologue.core.provider import Call, Completion, Seat, Usage
from duologue.core.request import Role
from duologue.errors import BrokenStreamError, MalformedReplyError
from duologue.providers.function import View

END = b"."
_CHUNK = 65_536
_ENTER = (b"\n", b"\r")

PAUSE: ContextVar[Callable[[], AbstractContextManager[object]]] = ContextVar(
    "PAUSE", default=nullcontext
)
"""Makes a context manager in which nobody else draws on the terminal: a person is typing."""


class Reader(Protocol):
    """Where a person's words come from."""

    @property
    def endless(self) -> bool:
        """Whether more can come after an end, as after Ctrl-D in a terminal."""
        ...

    async def line(self) -> bytes:
        """The next line with its end; without one before the end of input; then ``b""``.

        Raises:
            OSError: nothing can be read.
        """
        ...


class Descriptor:
    """Lines from a file descriptor, read in the event loop, so that Ctrl-C is never held up."""

    def __init__(self, number: int) -> None:
        """Take an open descriptor; it is left open, and as it is."""
        self._number = number
        self._rest = b""

    @property
    def endless(self) -> bool:
        """Whether it is a terminal."""
        return os.isatty(self._number)

    async def line(self) -> bytes:
        """The next line; what comes after it is kept for the next time."""
        while b"\n" not in self._rest:
            more = await self._more()
            if not more:
                line, self._rest = self._rest, b""
                return line
            self._rest += more
        line, enter, self._rest = self._rest.partition(b"\n")
        return line + enter

    async def _more(self) -> bytes:
        """Whatever is there to be read, as soon as there is something."""
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        try:
            loop.add_reader(self._number, ready.set)
        except PermissionError:  # a plain file cannot be waited for: it is always ready
            return os.read(self._number, _CHUNK)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(self._number)
        return os.read(self._number, _CHUNK)


@cache
def keyboard() -> Descriptor:
    """Standard input; one for the whole process, since several seats may share it."""
    return Descriptor(0)


@cache
def _floor() -> asyncio.Lock:
    """One person is asked at a time, whatever else is going on."""
    return asyncio.Lock()


def show(text: str) -> None:
    """Write to standard error, which is not mixed up with a transcript that is piped away."""
    sys.stderr.write(text)
    sys.stderr.flush()


class Human:
    """A person who is asked in the terminal."""

    def __init__(
        self,
        name: str = "",
        reader: Reader | None = None,
        show: Callable[[str], None] = show,
    ) -> None:
        """Give a person a seat.

        Args:
            name: who it is, for the record; ``terminal`` if nobody says.
            reader: where the words come from; standard input by default.
            show: what the prompt is written with.
        """
        self.seat = Seat("human", name or "terminal")
        self._reader = keyboard() if reader is None else reader
        self._show = show

    async def stream(self, call: Call) -> AsyncGenerator[Completion, None]:
        """Ask, and give what was typed.

        Raises:
            BrokenStreamError: the input has ended, or cannot be read.
            MalformedReplyError: the words are not UTF-8.
        """
        view = msgspec.json.decode(call.body, type=View)
        async with _floor():
            with PAUSE.get()():
                self._show(_prompt(view))
                words = await self._typed()
        # A person uses no tokens and costs nothing: a budget can count on that.
        yield Completion(
            _decoded(words),
            usage=Usage(input=0, output=0),
            served=self.seat.model,
            cost=0.0,
            origin=Origin.HUMAN,
        )

    async def _typed(self) -> bytes:
        """The words of one turn."""
        lines: list[bytes] = []
        while True:
            try:
                line = await self._reader.line()
            except OSError as error:
                detail = f"the input cannot be read: {error.strerror}"
                raise BrokenStreamError(detail, partial=_shown(_joined(lines))) from error
            if not line.endswith(b"\n"):
                return self._ended(lines, line)
            if line.rstrip(b"\r\n") == END:
                return _joined(lines)
            lines.append(line)

    def _ended(self, lines: list[bytes], last: bytes) -> bytes:
        """The words before the end of the input, if anybody is there."""
        if self._reader.endless:
            self._show("\n")
        elif not (lines or last):
            raise BrokenStreamError(
                "the input has ended and nobody is there to answer: end each turn with a line "
                "that holds only a full stop"
            )
        elif last.rstrip(b"\r") == END:
            return _joined(lines)
        return _joined([*lines, last]) if last else _joined(lines)

    async def aclose(self) -> None:
        """Nothing is held."""


def _joined(lines: list[bytes]) -> bytes:
    """All that was typed, without the last Enter."""
    whole = b"".join(lines)
    return whole[: -len(b"\r\n")] if whole.endswith(b"\r\n") else whole.removesuffix(b"\n")


def _shown(words: bytes) -> str:
    """Words that may be in another encoding, as far as they can be read."""
    return words.decode("utf-8", "backslashreplace")


def _decoded(words: bytes) -> str:
    """What was typed, as text."""
    try:
        return words.decode()
    except UnicodeDecodeError as error:
        detail = f"what was typed is not UTF-8 ({error.reason} at byte {error.start})"
        raise MalformedReplyError(detail, partial=_shown(words)) from error


def _prompt(view: View) -> str:
    """Who is asked and how to answer; at its first turn, also what the seat is told."""
    told = view.system and not any(said.role is Role.OWN for said in view.messages)
    what = f"{view.participant} is told:\n{view.system}\n\n" if told else ""
    return f"{what}{view.participant}, it is your turn (a line with only '.' or Ctrl-D ends it):\n"
