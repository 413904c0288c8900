"""The local engine's own HTTP server, on loopback, with one model: somebody else's OpenAI dialect.

    python tests/engine_server.py WEIGHTS NAME

Prints its base URL when it answers, and ends with its standard input. It knows nothing of duologue.
"""

import os
import sys


def main() -> None:
    """Serve until standard input ends."""
    says = os.dup(1)
    os.dup2(2, 1)  # the engine writes to both streams as it likes
    import xllamacpp  # noqa: PLC0415 - writes when it is imported

    params = xllamacpp.CommonParams()
    params.model.path, params.model_alias = sys.argv[1], {sys.argv[2]}
    params.hostnames, params.port = ["127.0.0.1"], 0
    params.n_ctx, params.n_parallel = 2048, 1
    params.verbosity, params.ui = -1, False
    params.cache_ram_mib = 0
    # Two threads wait for each other at every step: beside one busy neighbour on two cores they
    # need half a second for each token, and one thread needs 20 ms.
    for pool in (params.cpuparams, params.cpuparams_batch):
        pool.n_threads = 1
    server = xllamacpp.Server(params)
    os.write(says, f"{server.listening_address}/v1\n".encode())
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
