"""A worker: holds what its parent gives it, in its own segment, until the parent is gone.

``work`` is a worker, whatever line it hangs on. ``python -m duologue.scale.worker SOCKET LOCK`` is
one as a process, with two inherited file descriptors: the socket to the parent and the run's lock,
which is only kept: while a worker lives the run is not free. When the parent says that it is
enough, or is gone, turns in flight are finished and nothing more is begun. This module decides
nothing about what is held.
"""

import asyncio
import gc
import os
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import msgspec

from duologue.core.event import AttemptFailed, TurnCompleted
from duologue.endings.detectors import Lookout
from duologue.errors import ConfigurationError, DuologueError
from duologue.providers.cast import Cast
from duologue.providers.pacing import Whom, paces
from duologue.scale.messages import (
    Answer,
    Ask,
    Broken,
    Done,
    Enough,
    Line,
    Origin,
    Setup,
    Take,
    Took,
    ToParent,
    Wait,
    Want,
    heard_by_worker,
    tell,
)
from duologue.scale.wire import Wire
from duologue.scheduler import Holding, Lease, Outcome, Room
from duologue.store.run import Run
from duologue.store.standing import Fact, spent

_FILES = 1 << 14
"""Open files at the most; a conversation with a hosted model needs one."""


class Parent:
    """The parent as its worker sees it: who gives leases, and who is asked before each turn."""

    def __init__(self, line: Line, *, asks: bool) -> None:
        """Speak over a line.

        Args:
            line: our end of it.
            asks: whether it wants to be asked before each turn.
        """
        self._line = line
        self._asks = asks
        self._open = True
        self._leases: asyncio.Queue[Lease | None] = asyncio.Queue()
        self._answers: dict[str, asyncio.Future[bool]] = {}

    async def listen(self) -> None:
        """Hear the parent until it is gone."""
        while (message := await heard_by_worker(self._line)) is not None:
            match message:
                case Take(lease=lease):
                    self._leases.put_nowait(lease)
                case Answer(conv=conv, may=may):
                    if (asked := self._answers.pop(conv, None)) and not asked.done():
                        asked.set_result(may)
                case Wait(whom=whom, seconds=seconds):
                    paces().hold(whom, seconds)
                case Enough():
                    self.close()
        self.close()

    def close(self) -> None:
        """Begin nothing more: it is enough, the parent is gone, or the disk refuses."""
        self._open = False
        self._leases.put_nowait(None)
        for asked in self._answers.values():
            if not asked.done():
                asked.set_result(False)

    async def leases(self) -> AsyncIterator[Lease]:
        """What the parent gives, one by one as it is asked for."""
        while self._open:
            tell(self._line, Want())
            if (lease := await self._leases.get()) is None:
                return
            yield lease

    async def turn(self, conv: str) -> bool:
        """Whether a turn may be taken."""
        if not self._open or not self._asks:
            return self._open
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._answers[conv] = answer
        tell(self._line, Ask(conv))
        return await answer

    def came(self, conv: str, outcome: TurnCompleted | AttemptFailed | None) -> None:
        """Tell what a turn took."""
        if self._asks:
            tell(self._line, _took(conv, outcome))

    async def done(self, outcome: Outcome) -> None:
        """Tell what came of a lease."""
        await self._surely(Done(outcome))

    def held(self, whom: Whom, seconds: float) -> None:
        """Tell that a provider wants to be left alone."""
        tell(self._line, Wait(whom, seconds))

    async def broken(self, error: DuologueError) -> None:
        """The last word."""
        await self._surely(Broken(type(error).__name__, str(error)))

    async def _surely(self, message: ToParent) -> None:
        """Tell, and wait until it has gone out; a parent that is gone need not hear it."""
        tell(self._line, message)
        await self._line.sent()


def _took(conv: str, outcome: TurnCompleted | AttemptFailed | None) -> Took:
    """What a turn took, as far as it says."""
    if outcome is None:
        return Took(conv)
    took = spent(msgspec.convert(msgspec.to_builtins(outcome), Fact))
    if took is None:
        return Took(conv)
    return Took(
        conv,
        None if took.uncounted else float(took.input + took.output),
        None if took.unpriced else took.usd,
        took.seconds / 60,
    )


async def work(line: Line) -> int:
    """Be set up, then work until the parent is gone; the exit code."""
    setup = await heard_by_worker(line)
    if not isinstance(setup, Setup):
        return 0
    parent = Parent(line, asks=setup.asks)
    paces().share(setup.workers, parent.held)
    listening = asyncio.create_task(parent.listen())
    try:
        if setup.origin is not None:
            _compare(Run(Path(setup.run)), setup.origin)
        async with Cast(setup.most, setup.alike) as cast:
            room = Room(setup.most, paces().crowded)
            with Run(Path(setup.run)).appending(setup.segment) as log:
                holding = Holding(log, cast.of, room, gate=parent, eyes=Lookout)
                await holding.all(parent.leases(), parent.done)
    except DuologueError as error:
        await parent.broken(error)
        return error.exit_code
    finally:
        listening.cancel()
        line.close()
    return 0


def _compare(run: Run, origin: Origin) -> None:
    """Look whether this machine sees the run as its parent does, and go where that one is.

    Raises:
        ConfigurationError: it does not, or another duologue is installed here.
    """
    here = f"the machine {socket.gethostname()}"
    if origin.version != version("duologue"):
        raise ConfigurationError(
            f"on {here} duologue is of version {version('duologue')}, and of version "
            f"{origin.version} where the command was typed: install the same on every machine"
        )
    if run.holder() != origin.lock:
        raise ConfigurationError(
            f"{here} does not see the run in {run.path}: give a --library in a folder that every "
            "machine sees under the same name, on a file system that they share"
        )
    if not run.busy():
        raise ConfigurationError(
            f"{here} does not see that {run.path} is locked: its file system keeps locks to each "
            "machine, so two could write at once; mount it with locks that all machines share"
        )
    if Path(origin.folder).is_dir():
        os.chdir(origin.folder)


async def _process(connection: socket.socket) -> int:
    """Be a worker at the far end of a socket."""
    return await work(await Wire.over(connection))


def settle_in() -> None:
    """Make this process one that holds many conversations.

    It asks for as many open files as the system lets it have. And the collector of cycles leaves
    alone what is here for good, and looks less often: facts refer to each other in one direction,
    so there is little to find, and with a thousand conversations in hand the search took a tenth
    of the time.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    with suppress(ValueError, OSError):  # some systems allow less than they say
        if soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


def main() -> None:
    """The worker's process; the terminal's Ctrl-C is the parent's to hear."""
    settle_in()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection = socket.socket(fileno=int(sys.argv[1]))
    sys.exit(asyncio.run(_process(connection)))


if __name__ == "__main__":
    main()
