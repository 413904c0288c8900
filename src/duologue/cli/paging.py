"""A page that is longer than the screen, given to a pager: ``$PAGER``, else ``less``, else none.

Colours go to ``less`` alone, which is told to pass them on; what another pager does with escapes
is not known, so it gets plain text. This module does not know what it shows.
"""

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from io import StringIO
from pathlib import PurePath

from rich.console import Console

from duologue.cli.screen import Page, put

_LESS = "less"


def chosen(environ: Mapping[str, str]) -> list[str] | None:
    """The pager's command; None where there is none, or where it is set to nothing or ``cat``."""
    try:
        typed = shlex.split(environ.get("PAGER", _LESS))
    except ValueError:
        return None
    if not typed or typed[0] == "cat" or shutil.which(typed[0]) is None:
        return None
    return [*typed, "-R"] if PurePath(typed[0]).name == _LESS else typed


def rendered(console: Console, page: Page, *, coloured: bool) -> str:
    """What ``console`` would show of a page."""
    held = StringIO()
    out = Console(
        file=held,
        force_terminal=True,
        width=console.width,
        color_system=console.color_system if coloured else None,  # type: ignore[arg-type]
        no_color=console.no_color,
        legacy_windows=False,
    )
    put(out, page)
    return held.getvalue()


def page_through(console: Console, page: Page) -> bool:
    """Show a page in the pager; False where it fits the screen, or there is no pager."""
    command = chosen(os.environ)
    if command is None or console.is_dumb_terminal:
        return False
    text = rendered(console, page, coloured=PurePath(command[0]).name == _LESS)
    if text.count("\n") < console.height:
        return False
    environ = {"LESSCHARSET": "utf-8", **os.environ}
    try:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environ)  # noqa: S603 - chosen by the user
    except OSError:
        return False
    _feed(process, text.encode())
    return True


def _feed(process: "subprocess.Popen[bytes]", data: bytes) -> None:
    """Give the pager its text and wait for it; Ctrl-C is the pager's own business meanwhile."""
    while True:
        try:
            process.communicate(data)
        except KeyboardInterrupt:
            continue
        return
