"""Workers on a Ray cluster: each an actor, which has a core, and a line of two queues.

Ray starts the workers, says when one is lost, and carries messages; it keeps nothing of the run. An
actor that is lost is not restarted by Ray: its parent finds in the log how far it came, and has
another one go on from there. Run and scripts are read and written through the file system, which
all machines must share; keys are read from each machine's own environment and never sent. This
module is imported only where a cluster is asked for.
"""

import asyncio
import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from itertools import cycle
from pathlib import Path
from typing import Any

from duologue.errors import ConfigurationError
from duologue.scale.messages import Origin
from duologue.scale.worker import settle_in, work

EXTRA = 'pip install "duologue[ray]"'
"""What brings Ray."""

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody outside


class Post:
    """A worker in an actor; its end of the line. Its methods are called from afar."""

    def __init__(self) -> None:
        """Wait to be set up."""
        self._in: asyncio.Queue[bytes] = asyncio.Queue()
        self._out: list[bytes] = []
        self._over = False
        self._changed = asyncio.Event()

    async def work(self) -> int:
        """Be a worker; the exit code."""
        try:
            settle_in()
            return await work(self)
        finally:
            self.close()

    async def give(self, bodies: list[bytes]) -> None:
        """Messages for the worker; the parent awaits each call before the next."""
        for body in bodies:
            self._in.put_nowait(body)

    async def take(self) -> list[bytes]:
        """What the worker has said since; nothing when it will say nothing more."""
        while not (self._out or self._over):
            self._changed.clear()
            await self._changed.wait()
        said, self._out = self._out, []
        return said

    # The worker's end of the line.

    def say(self, body: bytes) -> None:
        """Send a message, without waiting."""
        self._out.append(body)
        self._changed.set()

    async def heard(self) -> bytes:
        """The next message; where the parent is gone, Ray ends the actor."""
        return await self._in.get()

    async def sent(self) -> None:
        """What was said waits to be fetched, even when the worker has ended."""

    def close(self) -> None:
        """Say nothing more."""
        self._over = True
        self._changed.set()


class Actor:
    """A worker in an actor, as its parent reaches it."""

    def __init__(self, ray: Any, actor: Any) -> None:  # noqa: ANN401 - Ray's own
        """Have the actor begin; the cluster may need a while to find a place for it."""
        self.up = False
        self.why = ""
        self._ray = ray
        self._actor = actor
        self._working = actor.work.remote()
        self._heard: deque[bytes] = deque()
        self._said: list[bytes] = []
        self._giving: asyncio.Task[None] | None = None

    def say(self, body: bytes) -> None:
        """Send a message, without waiting; one call at a time, so that none overtakes another."""
        self._said.append(body)
        if self._giving is None:
            self._giving = asyncio.create_task(self._give())

    async def _give(self) -> None:
        """Send what was said, and what is said meanwhile; a worker that is gone hears nothing."""
        with suppress(self._ray.exceptions.RayError):
            while self._said:
                said, self._said = self._said, []
                await self._actor.give.remote(said)
        self._giving = None

    async def heard(self) -> bytes | None:
        """The worker's next message; None when there will be none."""
        while not self._heard:
            try:
                said = await self._actor.take.remote()
            except self._ray.exceptions.RayError as error:
                self.why = str(error).strip()
                return None
            self.up = True
            if not said:
                return None
            self._heard.extend(said)
        return self._heard.popleft()

    async def sent(self) -> None:
        """Wait until what was said has gone out, or nobody hears it any more."""
        if self._giving is not None:
            await self._giving

    def close(self) -> None:
        """Say nothing more."""
        self._said.clear()

    def kill(self) -> None:
        """End it at once."""
        self._ray.kill(self._actor)

    async def gone(self) -> bool:
        """Wait until it has ended; whether with exit code 0."""
        self.close()
        try:
            code = await self._working
        except self._ray.exceptions.RayError:
            return False
        self.kill()
        return bool(code == 0)


class Cluster:
    """Carries workers on the machines of a Ray cluster: one for each core."""

    def __init__(self, ray: Any) -> None:  # noqa: ANN401 - Ray's own
        """Use the cluster to which ``ray`` is connected."""
        self._ray = ray
        self._whole: Iterator[str] | None = None

    def places(self, *, local: bool) -> int:
        """One for each core; where a local model takes part, one for each machine."""
        if not local:
            return max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        machines = [node["NodeID"] for node in self._ray.nodes() if node["Alive"]]
        self._whole = cycle(machines)
        return len(machines)

    def origin(self, lock: str) -> Origin | None:
        """What another machine may see otherwise."""
        return Origin(version("duologue"), str(Path.cwd()), lock)

    async def start(self, lock: int) -> Actor:
        """Begin an actor; a run's lock cannot be sent, so a worker keeps its segment's."""
        del lock
        options: dict[str, Any] = {"num_cpus": 1, "scheduling_strategy": "SPREAD"}
        if self._whole is not None:
            at = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
            options["scheduling_strategy"] = at(next(self._whole), soft=True)
        return Actor(self._ray, self._ray.remote(Post).options(**options).remote())


@contextmanager
def connected(address: str | None) -> Iterator[Cluster]:
    """The Ray cluster at an address; without one, the one that Ray finds, or one of this machine.

    Raises:
        ConfigurationError: Ray is not installed, or there is no cluster.
    """
    if address is not None and "://" in address:
        raise ConfigurationError(
            f"--on ray={address}: duologue has to run on a machine of the cluster, where the run's "
            "folder is, not at the far end of a Ray Client: give HOST:PORT there, or leave it out"
        )
    ray = _ray()
    try:
        ray.init(
            address=address,
            configure_logging=False,
            log_to_driver=False,
            include_dashboard=None if address else False,
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        where = "" if address is None else f"={address}"
        raise ConfigurationError(
            f"--on ray{where}: no cluster answers: {error}. 'ray status' shows whether there is "
            "one; 'ray start --head' makes one"
        ) from error
    try:
        yield Cluster(ray)
    finally:
        ray.shutdown()


def _ray() -> Any:  # noqa: ANN401 - Ray's own
    """Ray.

    Raises:
        ConfigurationError: it is not installed.
    """
    try:
        import ray  # noqa: PLC0415 - seconds, and an extra
        import ray.util.scheduling_strategies  # noqa: PLC0415
    except ImportError as error:
        raise ConfigurationError(f"--on ray needs Ray: {EXTRA}") from error
    return ray
