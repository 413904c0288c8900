"""How fast the reading room is, in a real Chromium: opened cold, long pages, and live.

    python benchmarks/room.py [LIBRARY]

Measures, and prints with what the issue asks for: a conversation of 2,000 turns (until it can be
read; frames while it is scrolled to its end), and a conversation that another process holds at 200
turns a second (how far behind the log the page is; frames while it is typed). With a LIBRARY,
such as ``benchmarks/catalogue.py`` makes, also the first answer of every page after a cold start.
Needs Debian's chromium on the PATH.
"""

import asyncio
import http.client
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import count
from pathlib import Path
from tempfile import mkdtemp

from playwright.sync_api import Browser, Page, sync_playwright

from duologue.api import hold
from duologue.core.provider import Call, Completion, Delta
from duologue.core.spec import ConversationSpec, Participant, TurnCap
from duologue.core.specfile import Asked
from duologue.providers.scripted import Scripted
from duologue.store.library import Library

TURNS = 2_000
A_SECOND = 200
FRAME_MS = 1_000 / 60
REPLIES = ("word " * 60, "*other* words\nin lines " * 12)
COLD = ("/", "/", "/?words=sea", "/?who=ada", "/?state=open", "/?least=14", "/runs")
OF_ONE = ("", "", "/branches", "/page.html", "/plain.txt", "/founding.md")

FRAMES = """() => {
  window.frames_ = [];
  let before = performance.now();
  const next = (now) => {
    window.frames_.push(now - before);
    before = now;
    requestAnimationFrame(next);
  };
  requestAnimationFrame(next);
}"""
# As a wheel does: 120 pixels a frame, until nothing more comes.
SCROLL = """() => new Promise((done) => {
  let still = 0;
  const step = () => {
    const at = scrollY;
    scrollBy(0, 120);
    still = scrollY === at ? still + 1 : 0;
    if (still > 60 || window.frames_.length > 3000) done(); else requestAnimationFrame(step);
  };
  step();
})"""
ARRIVALS = """() => {
  window.arrived_ = {};
  const note = () => {
    for (let at = window.noted_ ?? 0; at < turns.children.length; at += 1) {
      window.arrived_[turns.children[at].id] = Date.now();
      window.noted_ = at + 1;
    }
  };
  const turns = document.getElementById("turns");
  note();
  // Told with the frame in which they are drawn.
  new MutationObserver(() => requestAnimationFrame(note)).observe(turns, { childList: true });
}"""


class Paced:
    """A script that speaks at a steady pace."""

    def __init__(self, name: str, due: Iterator[float]) -> None:
        """Say what there is to say, each reply when it is due, which all seats share."""
        self._script = Scripted(REPLIES, name)
        self.seat = self._script.seat
        self._due = due

    async def stream(self, call: Call) -> AsyncGenerator[Delta | Completion, None]:
        """Say the next reply when it is due."""
        await asyncio.sleep(max(0.0, next(self._due) - time.monotonic()))
        async for item in self._script.stream(call):
            yield item


def speak(folder: str, turns: str, paced: str) -> None:
    """In a process of its own: hold a conversation, at a pace or as fast as it goes."""
    spec = ConversationSpec(
        (Participant("Ada", "scripted:a"), Participant("Ben", "scripted:b")),
        ending=(TurnCap(int(turns)),),
    )
    # The page is open by then.
    due = count(time.monotonic() + 3, 1 / A_SECOND)
    cast = {
        name: Paced(name, due) if paced == "paced" else Scripted(REPLIES, name)
        for name in spec.names()
    }
    asyncio.run(hold(Asked("play", spec), Library(Path(folder)), providers=cast))


def speaking(folder: Path, turns: int, pace: str) -> subprocess.Popen[bytes]:
    """The process that holds a conversation."""
    return subprocess.Popen([sys.executable, __file__, "--speak", str(folder), str(turns), pace])  # noqa: S603


@contextmanager
def opened(library: Path) -> Iterator[tuple[str, float]]:
    """A room in a process of its own: its address, and after how many seconds it was ready."""
    began = time.perf_counter()
    command = (sys.executable, "-m", "duologue", "--library", str(library), "open", "--no-browser")
    room = subprocess.Popen((*command, "--port", "0"), stdout=subprocess.PIPE, text=True)  # noqa: S603
    try:
        told = room.stdout.readline() if room.stdout else ""
        took = time.perf_counter() - began
        yield re.findall(r"http://[^/\s]+", told)[0], took
    finally:
        room.terminate()
        room.wait()


def tell(what: str, value: str) -> None:
    """One line."""
    print(f"{what:62} {value}", flush=True)


def smooth(what: str, frames: Sequence[float]) -> None:
    """How evenly frames came: one that took as long as ``n`` has dropped ``n - 1``."""
    spent = sorted(frames[1:])
    dropped = sum(max(0, round(each / FRAME_MS) - 1) for each in spent)
    slow = sum(each > 100 for each in spent)  # noqa: PLR2004 - what an eye takes for a halt
    share = dropped / (dropped + len(spent))
    tell(
        f"  frames {what}: median and 99 % (ms), dropped, over 100 ms",
        f"{statistics.median(spent):.1f} {spent[int(len(spent) * 0.99)]:.1f}, "
        f"{dropped} of {dropped + len(spent)} ({share:.1%}), {slow}",
    )


def cold(library: Path) -> None:
    """The first answer of every page, the file's pages not in memory."""
    for file in library.glob(".catalogue.sqlite*"):
        descriptor = os.open(file, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)
    with opened(library) as (room, ready):
        tell("duologue open says that it is ready after", f"{ready * 1000:.0f} ms")
        asking = http.client.HTTPConnection(room.removeprefix("http://"))
        _, page = timed(asking, COLD[0])
        for path in COLD[1:]:
            timed(asking, path)
        conv = re.findall(rb'href="/c/([a-z-]+)"', page)[0].decode()
        run = re.findall(rb'href="/r/([^"]+)"', page)[0].decode()
        for path in (f"/r/{run}", f"/r/{run}?metric=length"):
            timed(asking, path)
        for path in OF_ONE:
            timed(asking, f"/c/{conv}{path}")
        timed(asking, f"/compare?left={conv}&right={conv}")


def timed(asking: http.client.HTTPConnection, path: str) -> tuple[float, bytes]:
    """Print how long an answer takes, whole."""
    began = time.perf_counter()
    asking.request("GET", path)
    page = asking.getresponse().read()
    took = (time.perf_counter() - began) * 1000
    tell(f"  {path}", f"{took:.0f} ms")
    return took, page


def long(browser: Browser) -> None:
    """A conversation of 2,000 turns: read, and scrolled to its end."""
    folder = Path(mkdtemp(prefix="room-"))
    speaking(folder, TURNS, "fast").wait()
    with opened(folder) as (room, _):
        for what in ("first time", "again"):
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            began = time.perf_counter()
            page.goto(f"{room}/c/play")
            took = time.perf_counter() - began
            tell(f"{TURNS:,} turns can be read, {what} (limit 1 s)", f"{took:.2f} s")
            page.evaluate(FRAMES)
            page.evaluate(SCROLL)
            shown = page.locator("#turns > .turn").count()
            smooth(f"while {shown:,} turns are scrolled by", page.evaluate("window.frames_"))
            page.close()
    shutil.rmtree(folder)


def live(browser: Browser) -> None:
    """A conversation that another process holds at 200 turns a second."""
    folder = Path(mkdtemp(prefix="room-"))
    speaker = speaking(folder, TURNS, "paced")
    while not list(folder.glob("play/log-*.jsonl")):
        time.sleep(0.02)
    with opened(folder) as (room, _):
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(f"{room}/c/play")
        page.evaluate(ARRIVALS)
        page.evaluate(FRAMES)
        speaker.wait()
        frames = page.evaluate("window.frames_")
        page.wait_for_function(f"() => window.arrived_['t{TURNS}']", timeout=60_000)
        behind(page, folder)
        smooth("while it is typed", frames)
        page.close()
    shutil.rmtree(folder)


def behind(page: Page, folder: Path) -> None:
    """How long after its record each turn stood on the page."""
    arrived = page.evaluate("window.arrived_")
    library = Library(folder)
    run, conv = library.find("play")
    written = {
        record.event.turn: datetime.fromisoformat(record.at).timestamp() * 1000
        for record in run.conversation(conv)
        if record.event.__class__.__name__ == "TurnCompleted"
    }
    lags = [arrived[f"t{turn}"] - at for turn, at in sorted(written.items())]
    numbers = sorted(written)
    spent = (written[numbers[-1]] - written[numbers[0]]) / 1000
    tell(
        f"a live page, {len(lags):,} turns in {spent:.1f} s: turns a second",
        f"{(len(lags) - 1) / spent:.0f}",
    )
    ordered = sorted(lags)
    tell(
        "  behind the log: median, 99 %, worst; the last turn",
        f"{statistics.median(lags):.0f} {ordered[int(len(lags) * 0.99)]:.0f} {ordered[-1]:.0f}; "
        f"{lags[-1]:.0f} ms",
    )
    first, last = statistics.mean(lags[:200]), statistics.mean(lags[-200:])
    tell("  behind, mean of the first 200 turns and of the last 200", f"{first:.0f} {last:.0f} ms")


def main(library: str = "") -> None:
    """Measure everything."""
    if library:
        cold(Path(library))
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        long(browser)
        live(browser)
        browser.close()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--speak"]:
        speak(*sys.argv[2:])
    else:
        main(*sys.argv[1:])
