"""The command line as a person meets it: what was typed, what was shown, the exit code."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from duologue.cli import main

PROGRAM = (sys.executable, "-m", "duologue")


class Shown(msgspec.Struct, frozen=True):
    """What came of a command."""

    code: int
    out: str
    err: str


class Desk:
    """A folder with two scripts and a library, and ``duologue`` to type."""

    def __init__(
        self, folder: Path, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]
    ) -> None:
        self.folder, self.library = folder, folder / "library"
        self._patch, self._capture = patch, capture
        patch.chdir(folder)
        patch.setenv("DUOLOGUE_LIBRARY", str(self.library))
        patch.setattr("duologue.store.segment._sync", lambda _file: None)  # no waiting for the disk
        self.script("a.jsonl", '"one"', '"two words"', '""')
        self.script("b.jsonl", '"eins"', '{"text": "zwei", "finish": "length"}')

    def script(self, name: str, *lines: str) -> Path:
        """A script."""
        file = self.folder / name
        file.write_text("".join(f"{line}\n" for line in lines), "utf-8")
        return file

    def __call__(self, *typed: str) -> Shown:
        """Type ``duologue`` and what follows, in this very process."""
        self._capture.readouterr()
        self._patch.setattr(sys, "argv", ["duologue", *typed])
        with pytest.raises(SystemExit) as left:
            main()
        out, err = self._capture.readouterr()
        code = left.value.code
        return Shown(code if isinstance(code, int) else 0, out, err)

    def run(self, *typed: str) -> Shown:
        """``duologue run`` with Ada and Ben."""
        return self("run", *SEATS, *typed)

    def held(self, name: str = "talk", turns: int = 5) -> str:
        """The id of a conversation that was held."""
        shown = self.run("--name", name, "--turns", str(turns), "--opener", " ", "--quiet")
        assert (shown.code, shown.err) == (0, "")
        return shown.out.strip()

    def start(
        self, *typed: str, env: Mapping[str, str] | None = None, **streams: int
    ) -> subprocess.Popen[bytes]:
        """Type it into a process of its own."""
        return subprocess.Popen(  # noqa: S603 - our own program
            [*PROGRAM, *typed],
            env={**os.environ, **(env or {})},
            stdin=streams.get("stdin", subprocess.DEVNULL),
            stdout=streams.get("stdout", subprocess.PIPE),
            stderr=subprocess.PIPE,
        )

    def folders(self) -> list[str]:
        """The runs that are there."""
        return sorted(path.name for path in self.library.glob("*")) if self.library.exists() else []


SEATS = (
    *("-a", "scripted:a.jsonl", "--name-a", "Ada"),
    *("-b", "scripted:b.jsonl", "--name-b", "Ben"),
)  # fmt: skip


@pytest.fixture
def desk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Desk:
    """A desk."""
    return Desk(tmp_path, monkeypatch, capsys)
