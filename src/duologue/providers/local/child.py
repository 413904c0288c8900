"""The parent's end of an engine: starts the child process, asks it things, ends it.

It knows the engine's routes and no conversation, slot or frame. The child ends with its standard
input, so that it cannot outlive this process, however this process ends.
"""

import asyncio
import contextlib
import shutil
import sys
import tempfile
from collections import OrderedDict
from collections.abc import AsyncGenerator, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from duologue.errors import ConfigurationError
from duologue.providers.local.engine import Setup
from duologue.providers.local.unixhttp import request

# Pieces of text whose tokens are remembered, so that a turn does not tokenise the whole history.
_REMEMBERED = 4096


class RefusedError(Exception):
    """The engine answered with an error.

    Attributes:
        kind: the engine's word for it.
    """

    def __init__(self, payload: bytes) -> None:
        error = msgspec.json.decode(payload).get("error", {})
        super().__init__(str(error.get("message", "no reason given")))
        self.kind = str(error.get("type", ""))


class Child:
    """A running engine process with one model loaded."""

    def __init__(self, process: asyncio.subprocess.Process, setup: Setup) -> None:
        self.setup = setup
        self._process = process
        self._tokens: OrderedDict[tuple[str, bool], tuple[int, ...]] = OrderedDict()

    @classmethod
    async def start(
        cls, weights: Path, alias: str, *, context: int, slots: int, threads: int, batch: int
    ) -> "Child":
        """Start a process and wait until the model is loaded.

        Raises:
            ConfigurationError: the engine is not installed, or cannot load the file.
        """
        if find_spec("xllamacpp") is None:
            raise ConfigurationError(
                "the local engine is not installed: pip install 'duologue[local]'"
            )
        directory = tempfile.mkdtemp(prefix="duologue-")
        setup = Setup(str(weights), alias, directory, context, slots, threads, batch)
        process = await _spawn(setup)
        child = cls(process, setup)
        try:
            await child._ready()
        except BaseException:
            await child.aclose()
            raise
        return child

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the child still runs, as far as is known."""
        return self._process.returncode is None

    async def ask(self, route: str, body: dict[str, Any] | None = None) -> Any:  # noqa: ANN401
        """One question, one answer, both JSON.

        Raises:
            RefusedError: the engine's answer is an error.
            OSError, EOFError: the engine is gone.
        """
        sent = None if body is None else msgspec.json.encode(body)
        async with request(self.setup.socket, route, sent) as reply:
            answer = await reply.body()
        if reply.status != 200:  # noqa: PLR2004 - HTTP's OK
            raise RefusedError(answer)
        return msgspec.json.decode(answer)

    async def complete(self, body: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """Generate; yields the engine's events. Closing the generator stops the engine.

        Raises:
            RefusedError: the engine refused, before or while it generated.
            OSError, EOFError: the engine is gone.
        """
        sent = msgspec.json.encode({**body, "stream": True})
        async with request(self.setup.socket, "/completion", sent) as reply:
            if reply.status != 200:  # noqa: PLR2004 - HTTP's OK
                raise RefusedError(await reply.body())
            async with contextlib.aclosing(reply.events()) as payloads:
                async for payload in payloads:
                    event = msgspec.json.decode(payload)
                    if "error" in event:
                        raise RefusedError(payload)
                    yield event

    async def tokens(self, text: str, *, special: bool) -> tuple[int, ...]:
        """The tokens of ``text``, remembered.

        Args:
            text: any text; the tokens of the whole are not the tokens of its parts.
            special: whether ``<|im_end|>`` and the like are control tokens or mere characters.
        """
        key = (text, special)
        known = self._tokens.pop(key, None)
        if known is None:
            question = {"content": text, "parse_special": special, "add_special": False}
            known = tuple((await self.ask("/tokenize", question))["tokens"])
        self._tokens[key] = known
        if len(self._tokens) > _REMEMBERED:
            self._tokens.popitem(last=False)
        return known

    async def text(self, tokens: Sequence[int]) -> str:
        """The text that ``tokens`` stand for, control tokens written out."""
        answer = await self.ask("/detokenize", {"tokens": list(tokens)})
        return str(answer["content"])

    async def prompt(self, pieces: Sequence[tuple[str, str]]) -> list[int]:
        """The tokens of a prompt, piece by piece; ``c`` is control text, anything else words."""
        tokens: list[int] = []
        for kind, text in pieces:
            tokens += await self.tokens(text, special=kind == "c")
        return tokens

    async def erase(self, slot: int) -> None:
        """Forget what a slot holds, so that what follows does not depend on it."""
        await self.ask(f"/slots/{slot}?action=erase", {})

    async def aclose(self) -> None:
        """End the child, without ceremony: it has nothing to save."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        try:
            await self._process.wait()
        finally:
            shutil.rmtree(self.setup.directory, ignore_errors=True)

    async def _ready(self) -> None:
        """Wait for the child's word that the model is loaded."""
        said = self._process.stdout
        assert said is not None  # noqa: S101 - asked for when it was started
        if await said.readline() == b"ready\n":
            return
        code = await self._process.wait()
        log = (Path(self.setup.directory) / "errors").read_text(errors="replace").split("\n")
        reason = next((line for line in reversed(log) if line.strip()), f"exit status {code}")
        raise ConfigurationError(
            f"the engine could not load {self.setup.weights}: {reason.strip()}. Is it a whole "
            "GGUF file, and is there memory for it?"
        )


def engine_version() -> str:
    """The engine's name and exact version, as recorded: sampled output depends on it."""
    return f"xllamacpp {version('xllamacpp')}"


async def _spawn(setup: Setup) -> asyncio.subprocess.Process:
    """Start the child; what it says on standard error is kept in its directory."""
    with (Path(setup.directory) / "errors").open("wb") as errors:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "duologue.providers.local.engine",
            msgspec.json.encode(setup).decode(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
        )
