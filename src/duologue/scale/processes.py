"""Workers as processes of this machine, each reached over a socket of its own."""

import asyncio
import os
import socket
import subprocess
import sys

from duologue.scale.messages import Origin
from duologue.scale.wire import Wire


class Process(Wire):
    """A worker's process, as its parent reaches it."""

    up = True
    why = ""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        process: "subprocess.Popen[bytes]",
    ) -> None:
        """Speak with a process that was started."""
        super().__init__(reader, writer)
        self._process = process

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    async def gone(self) -> bool:
        """Wait until it has ended; whether with exit code 0."""
        self.close()
        return await asyncio.to_thread(self._process.wait) == 0


class Processes:
    """Carries workers on this machine: one for each core."""

    def places(self, *, local: bool) -> int:
        """One for each core; a local model's engine keeps all of them busy from one process."""
        return 1 if local else len(os.sched_getaffinity(0))

    def origin(self, lock: str) -> Origin | None:  # noqa: ARG002 - it cannot differ
        """A process of this machine sees what its parent sees."""
        return None

    async def start(self, lock: int) -> Process:
        """Start a process that keeps the lock, and waits to be set up."""
        ours, theirs = socket.socketpair()
        with theirs:
            keep = (theirs.fileno(), lock)
            process = subprocess.Popen(  # noqa: S603, ASYNC220 - our own program; it starts at once
                [sys.executable, "-m", "duologue.scale.worker", *map(str, keep)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=keep,
                process_group=0,
            )
        reader, writer = await asyncio.open_connection(sock=ours)
        return Process(reader, writer, process)
