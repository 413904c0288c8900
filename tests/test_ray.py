"""Experiments on a Ray cluster: law 8 again, where a worker and a whole node can be lost.

What is done is in ``tests/on_ray.py``, which runs in a process of its own.
"""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import msgspec
import pytest

WITHOUT = "Ray is not installed (pip install 'duologue[ray]'): nothing of --on ray was tried"
CONVERSATIONS = 40


@pytest.fixture
def _cluster() -> None:
    """Ray, or a loud word that it is not there."""
    if find_spec("ray") is None:
        (pytest.fail if os.environ.get("DUOLOGUE_RAY") == "required" else pytest.skip)(WITHOUT)


@pytest.mark.ray
@pytest.mark.kill
@pytest.mark.usefixtures("_cluster")
def test_a_cluster_that_loses_workers_a_node_and_the_parent_loses_and_doubles_nothing(
    tmp_path: Path,
) -> None:
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, Path(__file__).with_name("on_ray.py"), tmp_path],
        capture_output=True,
        check=False,
        timeout=1800,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    came = msgspec.json.decode(done.stdout.splitlines()[-1])
    assert came["faults"] == []
    assert (came["missing"], came["doubled"], came["equal"]) == (0, 0, CONVERSATIONS)
    assert (came["workers"], came["nodes"], came["parents"]) == (2, 1, 1)
    assert came["nodes_used"] == 2
    assert came["spread"] > 0, "some conversation goes on in another segment than it began in"
    assert came["budget"] == 200
