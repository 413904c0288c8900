# ruff: noqa: INP001 - a script, not a package
"""Take the pictures of the reading room that stand in the README and the docs.

    python scripts/screenshots.py LIBRARY ID BRANCH RUN [TRANSCRIPT]

Opens the room on a library of real runs and photographs its pages in Debian's Chromium, light and
dark: the conversation ID, its BRANCH beside it, the grid of the experiment RUN; and, where that
file is there, a founding TRANSCRIPT, which is imported into a library of its own for it. It knows
no page but by its address.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, sync_playwright

IMAGES = Path(__file__).parent.parent / "docs" / "images"
DUOLOGUE = (sys.executable, "-m", "duologue", "--library")
SHOTS = (
    ("conversation-light", "/c/{id}", "light", 1100, 900),
    ("conversation-dark", "/c/{id}", "dark", 1100, 900),
    ("library", "/", "light", 1180, 640),
    ("run", "/r/{run}?metric=farewell_loop", "light", 1100, 740),
    ("seen", "/c/{id}/9/seen", "dark", 1100, 780),
    ("compare", "/compare?left={id}&right={branch}", "light", 1100, 640),
)
FOUNDING = (
    ("founding-light", "/c/{id}", "light", 1100, 900),
    ("founding-dark", "/c/{id}/13", "dark", 1100, 900),
)
Shots = tuple[tuple[str, str, str, int, int], ...]


def main(library: str, *named: str) -> None:
    """Take every picture; ``named`` are the conversation, its branch, the run, a transcript."""
    names = dict(zip(("id", "branch", "run"), named, strict=False))
    transcript = named[3] if len(named) > len(names) else ""
    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        with opened(library) as room:
            take(browser, room, SHOTS, names)
        if Path(transcript).is_file():
            with TemporaryDirectory() as folder:
                made = subprocess.check_output((*DUOLOGUE, folder, "import", transcript), text=True)  # noqa: S603
                with opened(folder) as room:
                    take(browser, room, FOUNDING, {"id": made.split()[0]})
        browser.close()


@contextmanager
def opened(library: str) -> Iterator[str]:
    """A room on a library, and its address."""
    command = (*DUOLOGUE, library, "open", "--no-browser", "--port", "0")
    room = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603
    try:
        told = room.stdout.readline() if room.stdout else ""
        found = re.search(r"http://[^/]+", told)
        if found is None:
            raise SystemExit(f"the room did not open: {told}")
        yield found[0]
    finally:
        room.terminate()
        room.wait()


def take(browser: Browser, room: str, shots: Shots, names: dict[str, str]) -> None:
    """Photograph pages of a room."""
    for name, path, scheme, width, height in shots:
        page = browser.new_page(
            color_scheme="dark" if scheme == "dark" else "light",
            viewport={"width": width, "height": height},
        )
        page.goto(room + path.format(**names))
        page.wait_for_load_state("networkidle")
        page.screenshot(path=IMAGES / f"{name}.png")
        page.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
