# ruff: noqa: INP001 - a script, not a package
"""Take the pictures of the reading room that stand in the README and the docs.

    python scripts/screenshots.py LIBRARY ID

Opens the room on a library of real runs and photographs its pages in Debian's Chromium, light and
dark. It knows no page but by its address.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

IMAGES = Path(__file__).parent.parent / "docs" / "images"
SHOTS = (
    ("conversation-light", "/c/{id}", "light", 1100, 900),
    ("conversation-dark", "/c/{id}", "dark", 1100, 900),
    ("library", "/", "light", 1100, 600),
)


def main(library: str, conv: str) -> None:
    """Take every picture."""
    IMAGES.mkdir(exist_ok=True)
    command = (sys.executable, "-m", "duologue", "--library", library, "open", "--no-browser")
    room = subprocess.Popen((*command, "--port", "0"), stdout=subprocess.PIPE, text=True)  # noqa: S603
    try:
        told = room.stdout.readline() if room.stdout else ""
        found = re.search(r"http://[^/]+", told)
        if found is None:
            raise SystemExit(f"the room did not open: {told}")
        take(found[0], conv)
    finally:
        room.terminate()
        room.wait()


def take(room: str, conv: str) -> None:
    """Photograph the pages of a room."""
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for name, path, scheme, width, height in SHOTS:
            page = browser.new_page(
                color_scheme="dark" if scheme == "dark" else "light",
                viewport={"width": width, "height": height},
            )
            page.goto(room + path.format(id=conv))
            page.wait_for_load_state("networkidle")
            page.screenshot(path=IMAGES / f"{name}.png")
            page.close()
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
