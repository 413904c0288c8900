"""Law 8 for experiments: processes killed at random moments, disks that refuse, clocks that jump.

The moments of the kills are drawn from seeds. ``tests/torturing.py`` says what is counted.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path

import pytest

from duologue.scheduler import record
from duologue.store.run import Run
from duologue.verify import verify
from recording import PAIR, folder, unwatched
from torturing import CONVERSATIONS, NAME, Scene, Tally, Told, stage, torture
from torturing import told as told_in

KILLS = 104


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """A hundred conversations."""
    return stage(tmp_path_factory.mktemp("tortured"))


def _sound(tally: Tally) -> None:
    """Nothing was lost, nothing is there twice, and all came to the same end."""
    assert tally.faults == []
    assert (tally.lost, tally.doubled, tally.missing) == (0, 0, 0)
    assert tally.equal == tally.runs * CONVERSATIONS
    assert tally.kills == KILLS
    assert tally.parents > 0
    assert tally.workers > 0


@pytest.mark.kill
def test_a_parent_and_its_worker_killed_a_hundred_times_lose_and_double_nothing(
    scene: Scene,
) -> None:
    _sound(torture(scene, "one", KILLS, 11))


@pytest.mark.kill
def test_two_workers_and_their_parent_killed_a_hundred_times_lose_and_double_nothing(
    scene: Scene,
) -> None:
    tally = torture(scene, "two", KILLS, 12)
    _sound(tally)
    assert tally.spread > 0, "some conversation goes on in another segment than it began in"


_OBEYING = ("setpriv", "--inh-caps=-dac_override", "--bounding-set=-dac_override")
"""Before a command of root's: it may write only where it is allowed to, as anybody else."""


def _hold(
    scene: Scene, place: str, *, limit: int | None = None, workers: int = 2
) -> tuple[int, str]:
    """Hold the experiment, with no file longer than ``limit`` bytes; exit code and complaint."""

    def narrow() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    command = [sys.executable, "-m", "duologue", "--library", str(scene.folder / place)]
    command += ["run", str(scene.file), "--workers", str(workers), "--quiet"]
    if os.geteuid() == 0 and shutil.which("setpriv"):
        command = [*_OBEYING, *command]
    done = subprocess.run(  # noqa: S603 - our own program
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        preexec_fn=narrow,
    )
    return done.returncode, done.stderr


def _told(scene: Scene, place: str) -> Told:
    return told_in(Run(scene.folder / place / NAME))


@pytest.mark.kill
def test_files_that_may_not_grow_stop_the_experiment_and_more_room_ends_it(scene: Scene) -> None:
    for limit in (20_000, 90_011):
        code, complaint = _hold(scene, "narrow", limit=limit)
        assert code == 4
        assert "cannot be written" in complaint
        assert "Traceback" not in complaint
    assert _hold(scene, "narrow") == (0, "")
    assert _told(scene, "narrow") == scene.told
    assert verify(Run(scene.folder / "narrow" / NAME)).faults == ()


@pytest.mark.kill
def test_a_second_run_on_the_same_folder_is_refused_and_told_who_has_it(scene: Scene) -> None:
    (scene.folder / "shared").mkdir()
    first = _hold(scene, "shared")
    assert first[0] == 0
    with Run(scene.folder / "shared" / NAME).held():
        code, complaint = _hold(scene, "shared")
    assert code == 5
    assert f"process {os.getpid()}" in complaint


@pytest.mark.kill
def test_flipped_bytes_are_named_and_everything_else_is_held(scene: Scene) -> None:
    # One worker, however fast, comes so far and no further.
    assert _hold(scene, "flipped", limit=200_000, workers=1)[0] == 4
    log = scene.folder / "flipped" / NAME / "log-1.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    hurt = [0, len(lines) - 1]
    convs = {json.loads(lines[place])["conv"] for place in hurt}
    for place in hurt:
        lines[place] = lines[place][:-40] + bytes([lines[place][-40] ^ 0x80]) + lines[place][-39:]
    log.write_bytes(b"".join(lines))
    damaged = log.read_bytes()
    code, complaint = _hold(scene, "flipped")
    assert code == 1, complaint
    assert "log-1.jsonl" in complaint, "the segment that nothing is appended to is named"
    assert log.read_bytes() == damaged, "it is left as it is"
    found = _told(scene, "flipped")
    assert {conv for conv in scene.told if found.get(conv) != scene.told[conv]} <= convs
    assert any("log-1.jsonl, line 1" in fault.place for fault in verify(_run(scene)).faults)


def _run(scene: Scene) -> Run:
    return Run(scene.folder / "flipped" / NAME)


@pytest.mark.skipif(
    os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root may write where nobody may"
)
def test_a_folder_that_may_not_be_written_is_refused_with_its_name(
    scene: Scene, tmp_path: Path
) -> None:
    assert _hold(scene, str(tmp_path))[0] == 0
    run = tmp_path / NAME
    for path in (*run.iterdir(), run, tmp_path):
        path.chmod(path.stat().st_mode & ~0o222)
    code, complaint = _hold(scene, str(tmp_path))
    assert code == 4
    assert f"{run}/run.lock cannot be written: Permission denied" in complaint
    code, complaint = _hold(scene, str(tmp_path / "new"))
    assert code == 4
    assert str(tmp_path / "new") in complaint
    for path in (tmp_path, run):
        path.chmod(0o700)


async def test_a_clock_that_jumps_changes_nothing_but_the_times(tmp_path: Path) -> None:
    jumps = cycle((0, -86_400 * 365, 3, 10**9, -5))
    at = datetime(2026, 1, 1, tzinfo=UTC)
    run = folder(tmp_path / "jumping")
    with run.writing(lambda: at + timedelta(seconds=next(jumps))) as log:
        for conv in ("lusab-babad", "gutih-tugad"):
            await record(log, conv, PAIR.spec, PAIR.cast(), watch=unwatched)
    for conv in ("lusab-babad", "gutih-tugad"):
        assert run.events(conv) == await PAIR.events(conv)
    assert verify(run).faults == ()
