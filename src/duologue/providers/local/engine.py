"""The child process: one model, served over HTTP on a Unix domain socket, and nothing else.

Started by ``child.py``, with a JSON ``Setup`` as its one argument. The engine listens on a socket
file in a directory that only its user may enter; no port is opened. One process holds one model,
because two engines in one process slow each other down by a quarter (their thread pools fight
for the same cores).

It knows nothing of conversations, roles or logs, and it does not outlive its parent: when its
standard input ends, for whatever reason, it removes its directory and exits at once. Ctrl-C in
the terminal reaches it too, and it ignores it: its parent decides.
"""

import os
import shutil
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec


class Setup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the child is told, as one JSON argument.

    Attributes:
        weights: path of the GGUF file.
        alias: the model's name in replies.
        directory: private directory for the socket; removed when the child exits.
        context: tokens that one slot can hold.
        slots: how many prefixes are kept, and how many replies can be generated at once.
        threads: computing threads.
        batch: prompt tokens read in one go; a cancelled request stops after at most so many.
    """

    weights: str
    alias: str
    directory: str
    context: int
    slots: int
    threads: int
    batch: int

    @property
    def socket(self) -> str:
        """Where the engine listens; the engine takes a name ending in ``.sock`` for a file."""
        return str(Path(self.directory) / "engine.sock")


def _leave_with_parent(directory: str) -> None:
    """Wait until standard input ends, then exit without asking the engine.

    A pipe's end is the one signal of a parent's death that no ``kill -9`` can suppress.
    """
    while os.read(0, 4096):
        pass
    shutil.rmtree(directory, ignore_errors=True)
    os._exit(0)


def _parameters(setup: Setup) -> Any:  # noqa: ANN401 (the wheel has no type information)
    """The engine's own parameters for ``setup``."""
    import xllamacpp  # noqa: PLC0415 (35 MB of machine code: only the child pays for it)

    params = xllamacpp.CommonParams()
    params.model.path = setup.weights
    params.model_alias = {setup.alias}
    params.hostnames = [setup.socket]
    params.verbosity = -1
    params.ui = False
    # A control token that the model generates is something that it said: write it out.
    params.special = True
    # Rendering probes with a last message of the assistant's must end that message.
    params.prefill_assistant = False
    # The engine divides its context between the slots.
    params.n_ctx = setup.context * setup.slots
    params.n_parallel = setup.slots
    params.kv_unified = False
    params.n_batch = params.n_ubatch = setup.batch
    params.fit_params = False
    # Erasing a slot is offered only where slots could be saved.
    params.slot_save_path = setup.directory
    # Parked prompts would grow to 8 GB; what is worth keeping is kept in its slot.
    params.cache_ram_mib = 0
    params.cache_idle_slots = False
    for pool in (params.cpuparams, params.cpuparams_batch):
        pool.n_threads = setup.threads
    return params


def main() -> None:
    """Serve until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    setup = msgspec.json.decode(sys.argv[1], type=Setup)
    watch = threading.Thread(target=_leave_with_parent, args=(setup.directory,), daemon=True)
    watch.start()
    # The engine writes to both standard streams as it likes; the parent reads one word of ours.
    says = os.dup(1)
    os.dup2(2, 1)
    import xllamacpp  # noqa: PLC0415 (see _parameters)

    server = xllamacpp.Server(_parameters(setup))
    os.write(says, b"ready\n")
    watch.join()
    del server


if __name__ == "__main__":
    main()
