"""What every contestant is asked and tells: the command line, the counting, one line of JSON.

Each contestant is a program of its own, run by the Python of its own environment:

    python with_NAME.py BASE_URL --conversations 1 --messages 50 [--stream]

It holds one short conversation first, so that imports and first uses are paid for, then those that
were asked for; CPU is this process's and its children's between the two marks, in seconds. This
module imports nothing but the standard library, since it runs in all the environments.
"""

import argparse
import asyncio
import json
import os
import resource
import time
from collections.abc import Awaitable, Callable
from contextlib import redirect_stderr, redirect_stdout

OPENER = "Hello. What have you been thinking about?"
SEATS = ("Ada", "Bo")
KEY = "no-key"

Asked = argparse.Namespace
Hold = Callable[[Asked, int, int], Awaitable[int] | int]


def asked() -> Asked:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("base")
    parser.add_argument("--conversations", type=int, default=1)
    parser.add_argument("--messages", type=int, default=50)
    parser.add_argument("--stream", action="store_true")
    return parser.parse_args()


def measured(hold: Hold) -> None:
    """Hold the conversations, count, tell.

    ``hold(asked, conversations, messages)`` gives the number of messages that came to be, the
    openers counted; whatever it prints is not shown.
    """
    given = asked()
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):  # noqa: PTH123 - a device
        _run(hold, given, 1, 4)
        cpu, began = _cpu(), time.perf_counter()
        messages = _run(hold, given, given.conversations, given.messages)
        cpu, wall = _cpu() - cpu, time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    told = {"messages": messages, "cpu_s": cpu, "wall_s": wall, "peak_mb": peak}
    print(json.dumps(told), flush=True)


def _run(hold: Hold, given: Asked, conversations: int, messages: int) -> int:
    held = hold(given, conversations, messages)
    if isinstance(held, int):
        return held

    async def wait() -> int:
        return await held

    return asyncio.run(wait())


def _cpu() -> float:
    times = os.times()  # of the children that have ended; a hundredth of a second is its grain
    return time.process_time() + times.children_user + times.children_system
