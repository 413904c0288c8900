"""Take out the handling of one failure at a time, and see that the hostile table notices.

    python scripts/mutations.py [--write] [WORD ...]

Each mutation is made in a copy, which then runs the rows of the table where it should show. With
words, only mutations whose title holds one of them. ``--write`` puts the list into
``docs/hostile.md``. The exit status is 1 if a mutation is not noticed, or the code to mutate is no
longer there. A copy that does not run at all counts as not noticed.
"""

# ruff: noqa: INP001, T201 - a script that prints

import argparse
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "hostile.md"
BEGIN, END = "<!-- mutations -->\n", "<!-- end of mutations -->\n"
TABLE = Path("scripts") / "hostile_table.py"
COPIED = ("src", "tests/hostile", "tests/swift.py", str(TABLE))
WORKERS = 2


class Mutation(NamedTuple):
    """Something that is taken out.

    Attributes:
        title: what, in a few words.
        file: below ``src/duologue``.
        old: the code, which must stand there exactly once.
        new: what stands there instead.
        rows: the scenarios that should show it.
    """

    title: str
    file: str
    old: str
    new: str
    rows: tuple[str, ...]


OPENAI, ANTHROPIC, GOOGLE = (f"providers/{name}.py" for name in ("openai", "anthropic", "google"))
HOSTED, RETRYING, READING = (f"providers/{name}.py" for name in ("hosted", "retrying", "reading"))

MUTATIONS = (
    Mutation(
        "OpenAI: an error inside a 200 is an error",
        OPENAI,
        'if chunk.error or chunk.object == "error" or failed:',
        "if failed:",
        ("error_in_200",),
    ),
    Mutation(
        "Anthropic: an error in the stream is an error",
        ANTHROPIC,
        'case "error":',
        'case "nothing":',
        ("error_in_200",),
    ),
    Mutation(
        "Google: an error in the stream is an error",
        GOOGLE,
        "if chunk.error is not None:",
        "if chunk.error is Ellipsis:",
        ("error_in_200",),
    ),
    Mutation(
        "OpenAI: a stream without an end is broken",
        OPENAI,
        "if not self.done:",
        "if self.done is None:",
        ("ends_early",),
    ),
    Mutation(
        "Anthropic: a stream without an end is broken",
        ANTHROPIC,
        "if not self._done:",
        "if self._done is None:",
        ("ends_early",),
    ),
    Mutation(
        "OpenAI: a reply without choices is no reply",
        OPENAI,
        "if not self._spoke:",
        "if self._spoke is None:",
        ("no_choices",),
    ),
    Mutation(
        "OpenAI: a refusal in its own place is one",
        OPENAI,
        "self._refused = self._refused or bool(said.refusal)",
        "self._refused = False",
        ("refusal",),
    ),
    Mutation(
        "Anthropic: a refusal is one",
        ANTHROPIC,
        '"refusal": Finish.REFUSAL,',
        "",
        ("refusal",),
    ),
    Mutation(
        "Anthropic: the category of a refusal is kept",
        ANTHROPIC,
        "why = self._stop.stop_details or _StopDetails()",
        "why = _StopDetails()",
        ("refusal",),
    ),
    Mutation(
        "Google: a blocked prompt is a refusal",
        GOOGLE,
        "return Finish.REFUSAL, self._blocked",
        "return Finish.UNKNOWN, self._blocked",
        ("refusal",),
    ),
    Mutation(
        "Anthropic: its filter is told from a bad request",
        ANTHROPIC,
        "_FILTERED.search(error.message)",
        "False",
        ("content_filter",),
    ),
    Mutation(
        "OpenAI: a view that is too long is told from a bad request",
        OPENAI,
        "if status in _TOO_LONG and _CONTEXT.search(words):",
        "if status in ():",
        ("context_full",),
    ),
    Mutation(
        "Google: a view that is too long is told from a bad request",
        GOOGLE,
        "if kind is RequestRefusedError and _TOO_LONG.search(error.message):",
        "if kind is None:",
        ("context_full",),
    ),
    Mutation(
        "Google: a refused key is told from a bad request",
        GOOGLE,
        'if any(reason.startswith("API_KEY") for reason in reasons):',
        "if kind is None:",
        ("unauthorized",),
    ),
    Mutation(
        "Google: how long to wait is read from the body",
        GOOGLE,
        "wait_s=_wait(error.details)",
        "wait_s=None",
        ("rate_limited",),
    ),
    Mutation(
        "how long to wait is read from headers",
        HOSTED,
        "wait_s = told_wait(exchange.headers, time.time())",
        "wait_s = None",
        ("rate_limited",),
    ),
    Mutation(
        "who is not told to wait waits all the same",
        RETRYING,
        "await self._wait(wait_s)",
        "await self._wait(0.0)",
        ("rate_limited_bare", "server_error", "cut"),
    ),
    Mutation(
        "a broken stream is asked for again",
        RETRYING,
        "    ProviderTimeoutError,\n    BrokenStreamError,\n",
        "    ProviderTimeoutError,\n",
        ("cut", "reset"),
    ),
    Mutation(
        "a refused key is not tried again",
        RETRYING,
        "PASSING = (\n",
        "PASSING = (\n    ProviderError,\n",
        ("unauthorized",),
    ),
    Mutation(
        "a cut connection is a broken stream",
        HOSTED,
        "return BrokenStreamError(f",
        "return ProviderBugError(f",
        ("cut", "reset"),
    ),
    Mutation(
        "who says nothing for ten minutes is given up",
        HOSTED,
        "sock_read=idle_s)",
        "sock_read=None)",
        ("stall:700", "slow_first_byte:700"),
    ),
    Mutation(
        "waiting is by gaps, not in all",
        HOSTED,
        "ClientTimeout(total=None,",
        "ClientTimeout(total=60.0,",
        ("stall",),
    ),
    Mutation(
        "a key that is echoed is taken out",
        "providers/secret.py",
        "text = text.replace(shape, _MARK)",
        "text = text.replace(_MARK, _MARK)",
        ("echoed_key",),
    ),
    Mutation(
        "the first byte tells what a body is, not what was asked for",
        READING,
        'return Form.WHOLE if start.startswith((b"{", b"[")) or not asked else Form.EVENTS',
        "return Form.EVENTS if asked else Form.WHOLE",
        ("unstreamed", "error_in_200"),
    ),
    Mutation(
        "lines may end with CR LF",
        "providers/sse.py",
        'b"".join(self._line).rstrip(b"\\r\\n")',
        'b"".join(self._line).rstrip(b"\\n")',
        ("crlf", "plain"),
    ),
    Mutation(
        "half a character is let through to the loop, which tells of it",
        "conversation.py",
        "msgspec.json.decode(msgspec.json.encode(reply), type=Completion)",
        "msgspec.json.Encoder()",
        ("surrogate",),
    ),
    Mutation(
        "Anthropic: null where words stand is silence",
        ANTHROPIC,
        'more = "" if more is None and part == "text" else more',
        "more = more",
        ("null_content",),
    ),
    Mutation(
        "a refused silence gets its stand-in",
        "core/wire/pieces.py",
        'if kind is not None and quirk(seat, "silence") == "refused":',
        "if kind is None and kind is not None:",
        ("empty_text", "white_space"),
    ),
    Mutation(
        "Anthropic: thinking is kept to be given back",
        ANTHROPIC,
        "blocks=self._bound(),",
        "blocks=(),",
        ("reasoning", "reasoning_second"),
    ),
    Mutation(
        "Google: thoughts are no words",
        GOOGLE,
        "(self._thoughts if part.thought else self._text).append(text)",
        "self._text.append(text)",
        ("reasoning", "reasoning_only"),
    ),
    Mutation(
        "OpenAI: the model that really answered is recorded",
        OPENAI,
        "self._model = chunk.model if isinstance(chunk.model, str) else self._model",
        "self._model = self._seat.model",
        ("other_model",),
    ),
    Mutation(
        "an exit that is quoted is no exit",
        "core/ending.py",
        "fence = mark[1]",
        'fence = ""',
        ("quoted_exit",),
    ),
)


def main() -> int:
    """Read the command line; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"into {PAGE.relative_to(ROOT)}")
    parser.add_argument("words", nargs="*", metavar="WORD")
    options = parser.parse_args()
    words = options.words or [""]
    chosen = [one for one in MUTATIONS if any(word in one.title for word in words)]
    with ThreadPoolExecutor(WORKERS) as pool:
        told = list(pool.map(noticed, chosen))
    lines = ["| taken out | where | rows | failing cells |", "|---|---|---|---|"]
    for one, found in zip(chosen, told, strict=True):
        rows = ", ".join(f"`{row}`" for row in one.rows)
        lines.append(f"| {one.title} | `{one.file}` | {rows} | {found} |")
    text = "\n".join(lines) + "\n"
    if options.write:
        before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", "utf-8")
    print(text)
    missed = [one.title for one, found in zip(chosen, told, strict=True) if found[0] == "*"]
    print(f"{len(chosen)} mutations, {len(missed)} not noticed", file=sys.stderr)
    return 1 if missed else 0


def noticed(mutation: Mutation) -> str:
    """How many cells of the table fail with the mutation, of how many; in bold if none does."""
    with TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in COPIED:
            _copy(ROOT / name, copy / name)
        file = copy / "src" / "duologue" / mutation.file
        code = file.read_text("utf-8")
        if code.count(mutation.old) != 1:
            return f"**the code stands there {code.count(mutation.old)} times**"
        file.write_text(code.replace(mutation.old, mutation.new), "utf-8")
        command = (sys.executable, str(copy / TABLE), *mutation.rows)
        ran = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own script
    count = re.search(r"^(\d+) cells, (\d+) failing", ran.stderr, re.MULTILINE)
    if count is None:
        return f"**it does not run: {ran.stderr[-200:]}**"
    return f"{count[2]} of {count[1]}" if int(count[2]) else f"**none** of {count[1]}"


def _copy(source: Path, target: Path) -> None:
    """A file or a folder."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


if __name__ == "__main__":
    sys.exit(main())
