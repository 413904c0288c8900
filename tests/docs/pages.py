"""The pages of the documentation, and the blocks of code in them."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("*.md"), *ROOT.glob("*.md")])

_FENCE = re.compile(
    r"^(?P<mark>`{3,})(?P<tongue>\w*)\n(?P<code>.*?)^(?P=mark)$", re.DOTALL | re.MULTILINE
)


def blocks(page: Path, tongue: str) -> list[str]:
    """The fenced blocks of a page in one language, in order."""
    found = _FENCE.finditer(page.read_text("utf-8"))
    return [block["code"] for block in found if block["tongue"] == tongue]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return _FENCE.sub("", page.read_text("utf-8"))
