"""Two workers and one thing that they share: a model that can be asked so often, a disk's room."""

import subprocess
import sys
from pathlib import Path

import pytest

from duologue.providers.pacing import MOST, OPEN
from duologue.store.run import Run
from duologue.verify import verify
from torturing import told

CONVERSATIONS = 3000
SERVER = Path(__file__).with_name("counting_server.py")
EXPERIMENT = """
name = "crowd"
participants = [{{ name = "A", model = "vllm:m" }}, {{ name = "B", model = "vllm:m" }}]
pairs = "cross"
opener = "Hello."
turns = 3
replicates = {replicates}
base_url = "{url}"
stream = false
"""
TINY = """
name = "tiny"
participants = ["scripted:{folder}/a.jsonl", "scripted:{folder}/b.jsonl"]
pairs = "cross"
opener = " "
turns = 12
replicates = 40
"""


def _command(folder: Path, file: Path, *more: str) -> list[str]:
    command = [sys.executable, "-m", "duologue", "--library", str(folder), "run", str(file)]
    return [*command, "--quiet", "--workers", "2", *more]


@pytest.mark.kill
def test_two_workers_never_ask_a_model_oftener_at_once_than_one_may(tmp_path: Path) -> None:
    file = tmp_path / "crowd.toml"
    with subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, SERVER, str(OPEN), str(MOST // 2 + 1), "0.1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        file.write_text(EXPERIMENT.format(url=url, replicates=CONVERSATIONS // 2), "utf-8")
        done = subprocess.run(  # noqa: S603 - our own program
            _command(tmp_path, file, "--at-once", "700"),
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        server.stdin.close()
        most, calls = map(int, server.stdout.read().split())
    assert (done.returncode, done.stderr) == (0, "")
    assert calls == CONVERSATIONS * 2
    assert MOST // 2 < most <= MOST, "each alone may have half; both together no more than one"


@pytest.mark.kill
def test_two_workers_on_a_really_full_disk_stop_and_more_room_ends_it(tmp_path: Path) -> None:
    for letter in "ab":
        said = "".join(f'"{letter} {place} {"wörd " * 200}"\n' for place in range(12))
        (tmp_path / f"{letter}.jsonl").write_text(said, "utf-8")
    file, small, roomy = tmp_path / "tiny.toml", tmp_path / "small", tmp_path / "roomy"
    file.write_text(TINY.format(folder=tmp_path), "utf-8")
    small.mkdir()
    # What is left on the small disk is carried to a larger one, as it is.
    script = (
        f'mount -t tmpfs -o size=2500k none "{small}" && {{ "$@"; code=$?; df -k "{small}" >&2; '
        f'cp -a "{small}" "{roomy}"; exit $code; }}'
    )
    mounts = ["unshare", "-rm", "sh", "-c", script, "sh"]
    if subprocess.run([*mounts, "true"], check=False, capture_output=True).returncode:  # noqa: S603
        pytest.skip("this system lets nobody mount a small disk")
    roomy.rmdir()  # it was tried whether it can be done
    full = subprocess.run(  # noqa: S603 - our own program
        [*mounts, *_command(small, file)], capture_output=True, text=True, check=False, timeout=600
    )
    assert full.returncode == 4, full.stderr
    assert "No space left on device" in full.stderr
    assert "Traceback" not in full.stderr
    run = Run(roomy / "tiny")
    assert len(run.segments()) == 2
    before = told(run)
    assert 0 < sum(map(len, before.values())) < 80 * 11
    assert verify(run).faults == ()
    more = subprocess.run(  # noqa: S603 - our own program
        _command(roomy, file), capture_output=True, text=True, check=False, timeout=600
    )
    assert (more.returncode, more.stderr) == (0, "")
    after = told(run)
    assert len(after) == 80
    assert all(len(said) == 11 for said in after.values())
    assert all(after[conv][: len(said)] == said for conv, said in before.items())
    assert verify(run).faults == ()
