"""duologue, with everything that it keeps: a durable log from which each request can be rebuilt.

One conversation by its library; many as a person would hold them: an experiment's file and
``duologue run``, one process a core.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from told import OPENER, SEATS, Asked, measured

from duologue import ConversationSpec, Library, Line, Participant, TurnCap, hold
from duologue.core.specfile import Asked as Wanted

EXPERIMENT = """
pairs = "cross"
order = "as_given"
turns = {messages}
replicates = {conversations}
opener = "{opener}"
participants = [
  {{ name = "{one}", model = "vllm:fake", base_url = "{base}", stream = {stream} }},
  {{ name = "{two}", model = "vllm:fake-2", base_url = "{base}", stream = {stream} }},
]
"""


async def talk(asked: Asked, conversations: int, messages: int) -> int:
    """The messages that are in the log afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        if conversations > 1:
            return _experiment(asked, Path(folder), conversations, messages)
        seats = (
            Participant(name, "vllm:fake", base_url=asked.base, stream=asked.stream)
            for name in SEATS
        )
        spec = ConversationSpec(
            participants=tuple(seats),
            opening=(Line(author=SEATS[0], text=OPENER),),
            ending=(TurnCap(messages),),
        )
        recorded = await hold(Wanted(None, spec), Library(Path(folder)))
        return len(recorded.transcript.spoken)


def _experiment(asked: Asked, folder: Path, conversations: int, messages: int) -> int:
    """``duologue run FILE`` as a process of its own."""
    file = folder / "measured.toml"
    file.write_text(
        EXPERIMENT.format(
            one=SEATS[0], two=SEATS[1], base=asked.base, stream=str(asked.stream).lower(),
            messages=messages, conversations=conversations, opener=OPENER,
        )
    )  # fmt: skip
    command = [sys.executable, "-m", "duologue", "--library", str(folder), "run", str(file)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ)  # noqa: S603 - our own
    logs = (log.read_bytes() for log in folder.rglob("log-*.jsonl"))
    ended = sum(log.count(b'"kind":"turn_completed"') for log in logs)
    return ended + conversations  # each has an opener, said by nobody


if __name__ == "__main__":
    measured(talk)
