"""What a test of a wire needs: loopback, and a server that waits for nobody.

The project should move ``loopback`` and ``hostile`` to ``tests/conftest.py`` as they are. The
mark is pytest-socket's: every other address stays blocked. (``enable_socket`` would open all.)
"""

from collections.abc import AsyncIterator

import pytest

from hostile import HostileServer, Script

loopback = pytest.mark.allow_hosts(["127.0.0.1"])


class Instant:
    """A wait that is over at once, and remembers how long it would have been."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.waits.append(seconds)


@pytest.fixture
async def hostile(request: pytest.FixtureRequest) -> AsyncIterator[HostileServer]:
    """A server that never really waits; parametrise it indirectly with a ``Script``.

    The test needs the mark ``allow_hosts(["127.0.0.1"])``.
    """
    script = getattr(request, "param", None)
    assert script is None or isinstance(script, Script)
    async with HostileServer(script, wait=Instant()) as server:
        yield server
