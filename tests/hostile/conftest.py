"""A server for the tests of a wire, which waits for nobody.

The project should move ``hostile`` to ``tests/conftest.py`` as it is, and mark every test module
that uses a wire ``pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])``: pytest-socket then keeps
every other address blocked. (Its mark ``enable_socket`` would open them all.)
"""

from collections.abc import AsyncIterator

import pytest

from hostile import HostileServer, Script


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
