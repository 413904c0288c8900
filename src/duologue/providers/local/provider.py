"""A local model as a provider: requests in, words out, one engine process behind it.

It turns a recorded body into the engine's terms and the engine's events into deltas and one
completion; what happens to be cached never changes what was asked. It knows no participant:
a call's key merely says which cache it wants.
"""

import asyncio
import difflib
import hashlib
import os
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import msgspec

from duologue.core.provider import Call, Completion, Delta, Finish, Seat, Usage
from duologue.errors import (
    BrokenStreamError,
    ConfigurationError,
    ContextFullError,
    RequestRefusedError,
)
from duologue.providers.local.child import Child, RefusedError, engine_version
from duologue.providers.local.fetch import path_of
from duologue.providers.local.frames import Frames, Said, probe
from duologue.providers.local.header import trained_context
from duologue.providers.local.hearing import Hearing, replaced
from duologue.providers.local.slots import Slots

# Sampling settings that the engine lists with their defaults; nothing else changes the words.
_LISTED = (
    "temperature",
    "dynatemp_range",
    "dynatemp_exponent",
    "top_k",
    "top_p",
    "min_p",
    "top_n_sigma",
    "xtc_probability",
    "xtc_threshold",
    "typical_p",
    "repeat_last_n",
    "repeat_penalty",
    "presence_penalty",
    "frequency_penalty",
    "dry_multiplier",
    "dry_base",
    "dry_allowed_length",
    "dry_penalty_last_n",
    "mirostat",
    "mirostat_tau",
    "mirostat_eta",
    "adaptive_target",
    "adaptive_decay",
    "ignore_eos",
    "min_keep",
    "samplers",
)
# Settings that it takes and does not list.
_UNLISTED = ("logit_bias", "grammar", "json_schema", "dry_sequence_breakers")


CONTEXT = 8192


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How an engine is run.

    Attributes:
        context: tokens that one participant's view and reply can take together; None is 8192,
            or as many as the model was made for, if that is less. More than that is refused.
        slots: participants whose prefix is kept at once; more of them take turns.
        threads: computing threads; None leaves one core free, for a busy neighbour costs an
            engine on all cores three quarters of its speed.
        batch: prompt tokens read in one go; a cancelled request stops after at most so many.
        reuse: whether a turn continues from what its participant's slot holds. Without it every
            turn reads its whole view again: slower and slower, but each answer depends on its
            request alone.
    """

    context: int | None = None
    slots: int = 2
    threads: int | None = None
    batch: int = 128
    reuse: bool = True


class _Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request body of the ``gguf`` dialect."""

    model: str
    sampling: dict[str, Any]
    prompt: list[tuple[str, str]]
    seed: int | None = None


class LocalProvider:
    """A GGUF model in a process of its own. Made by ``open_local``."""

    def __init__(self, seat: Seat, child: Child, accepted: frozenset[str]) -> None:
        self._seat = seat
        self._child = child
        self._accepted = accepted
        self._slots = Slots(child.setup.slots)
        running = seat.running
        self._served = f"{seat.model}, {running['engine']}, threads {running['threads']}"

    @property
    def seat(self) -> Seat:
        """The model, its weights' hash, its frames, and how the engine runs."""
        return self._seat

    @property
    def pid(self) -> int:
        """The engine's process id."""
        return self._child.pid

    async def stream(self, call: Call) -> AsyncGenerator[Delta | Completion, None]:
        """Answer one request; closing the generator stops the engine within a batch.

        Raises:
            RequestRefusedError: the body is not one that this engine can be asked.
            ContextFullError: the view fills the context; nothing was truncated.
            BrokenStreamError: the engine died.
        """
        began = time.monotonic()
        heard: list[str] = []
        hearing = Hearing(self._child.text)
        first: float | None = None
        try:
            body = _decode(call.body)
            asked = self._asked(body)
            asked["prompt"] = await self._tokens(body)
            async with self._slots.take(call.key) as slot:
                if slot.fresh:
                    await self._child.erase(slot.number)
                asked["id_slot"] = slot.number
                async with aclosing(self._child.complete(asked)) as events:
                    async for event in events:
                        first = first or time.monotonic() - began
                        if event["stop"]:
                            text, detail = await hearing.end(event)
                        else:
                            text, detail = hearing.hear(event), None
                        if text:
                            heard.append(text)
                            yield Delta(text)
                        if event["stop"]:
                            yield _completion(
                                "".join(heard),
                                event,
                                self._served,
                                detail=detail,
                                first=first,
                                seconds=time.monotonic() - began,
                            )
                            return
        except RefusedError as refused:
            # A model may have been trained for less than the context that was asked for.
            full = refused.kind == "exceed_context_size_error"
            kind = ContextFullError if full else RequestRefusedError
            raise kind(
                f"the engine refused the request: {refused}",
                partial="".join([*heard, hearing.pending]),
            ) from refused
        except (OSError, EOFError) as gone:
            raise self._gone("".join([*heard, hearing.pending])) from gone
        raise self._gone("".join([*heard, hearing.pending]))

    async def aclose(self) -> None:
        """End the engine's process and remove its directory."""
        await self._child.aclose()

    async def _tokens(self, body: _Body) -> list[int]:
        """The prompt's tokens, if they leave room for at least one more."""
        tokens = await self._child.prompt(body.prompt)
        if not tokens:
            raise RequestRefusedError(
                f"there is nothing to send to {body.model}: the view is empty. Give the "
                "conversation an opening, or the participant a system prompt"
            )
        context = self._child.setup.context
        if len(tokens) >= context:
            raise ContextFullError(
                f"the view of {len(tokens)} tokens leaves no room in the context of {context} "
                f"tokens of {body.model}, {self._most()}; nothing was cut"
            )
        return tokens

    def _most(self) -> str:
        """How long the model's context could be, for whoever wants a longer one."""
        trained = self._seat.settings.get("context_trained") or 0
        if trained > self._child.setup.context:
            return f"which can have up to {trained:,} (--context)"
        return "the most that it was made for"

    def _asked(self, body: _Body) -> dict[str, Any]:
        """The body in the engine's terms, all but prompt and slot."""
        plain = dict(body.sampling)
        extra = plain.pop("extra", {})
        plain.pop("seed", None)
        for name in extra:
            if name not in self._accepted:
                near = difflib.get_close_matches(name, self._accepted, n=1)
                raise RequestRefusedError(
                    f"the engine has no sampling setting {name!r}"
                    + (f"; did you mean {near[0]!r}?" if near else "")
                )
        asked = {
            "n_predict": plain.pop("max_tokens", -1),
            "cache_prompt": self._seat.running["reuse"],
            "return_tokens": True,
            **plain,
            **extra,
        }
        return asked if body.seed is None else {**asked, "seed": body.seed}

    def _gone(self, partial: str) -> BrokenStreamError:
        return BrokenStreamError(
            f"the engine of {self._seat.model} (process {self.pid}) died; the conversation can "
            "be resumed",
            partial=partial,
        )


async def open_local(model: str, options: Options | None = None) -> LocalProvider:
    """Load a model in a process of its own.

    Args:
        model: a known model's name, or the path of a GGUF file.
        options: how to run it.

    Raises:
        ConfigurationError: no such model or file, not installed, or not loadable.
    """
    options = options or Options()
    name, weights = locate(model)
    context = _context(name, weights, options.context)
    hashing = asyncio.create_task(asyncio.to_thread(_sha256, weights))
    threads = options.threads or max(1, _cores() - 1)
    try:
        child = await Child.start(
            weights,
            name,
            context=context,
            slots=options.slots,
            threads=threads,
            batch=options.batch,
        )
    finally:
        sha256 = await hashing
    try:
        props = await child.ask("/props")
        frames = await read_frames(child, props)
        meta = (await child.ask("/v1/models"))["data"][0]["meta"]
    except BaseException:
        await child.aclose()
        raise
    defaults = _defaults(props)
    seat = Seat(
        provider="local",
        model=name,
        dialect="gguf",
        settings={
            "weights": weights.name,
            "sha256": sha256,
            "context": context,
            "context_trained": meta["n_ctx_train"],
            **frames,
        },
        running={
            "engine": engine_version(),
            "slots": options.slots,
            "threads": threads,
            "batch": options.batch,
            "reuse": options.reuse,
            "defaults": defaults,
        },
    )
    return LocalProvider(seat, child, frozenset({*defaults, *_UNLISTED}))


def _context(name: str, weights: Path, asked: int | None) -> int:
    """Tokens of context to open a model with.

    Raises:
        ConfigurationError: more is asked for than it was made for; nothing was loaded.
    """
    most = trained_context(weights)
    if asked is not None and most is not None and asked > most:
        raise ConfigurationError(
            f"{name} was made for a context of {most:,} tokens, and {asked:,} are asked for: "
            f"give a context of {most} or less"
        )
    return min(CONTEXT, most or CONTEXT) if asked is None else asked


def locate(model: str) -> tuple[str, Path]:
    """The name to record and the file of weights, for a known name or the path of a GGUF file.

    Raises:
        ConfigurationError: there is no such file, or no such known model, or it is not installed.
    """
    if "/" not in model and not model.endswith(".gguf"):
        return model, path_of(model)
    path = Path(model).expanduser()
    if not path.is_file():
        raise ConfigurationError(f"there is no file {path}: give the path of a GGUF file")
    with path.open("rb") as weights:
        if weights.read(4) != b"GGUF":
            raise ConfigurationError(f"{path} is not a GGUF file: its first bytes do not say so")
    return path.stem, path


def _cores() -> int:
    """The processors that this process may use, where the system tells."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def _sha256(path: Path) -> str:
    with path.open("rb") as weights:
        return hashlib.file_digest(weights, "sha256").hexdigest()


def _defaults(props: dict[str, Any]) -> dict[str, Any]:
    """What the engine does about sampling where a request says nothing."""
    listed = props["default_generation_settings"]["params"]
    values = ((name, listed[name]) for name in _LISTED if name in listed)
    # The engine computes in single precision; 0.95 comes back as 0.949999988079071.
    return {name: round(v, 6) if isinstance(v, float) else v for name, v in values}


async def read_frames(child: Child, props: dict[str, Any]) -> dict[str, Any]:
    """The model's first token and its template's frames, or why it has none, as settings."""

    async def render(messages: Sequence[Said], *, reply: bool = False) -> str:
        said = [{"role": role, "content": words} for role, words in messages]
        question = {"messages": said, "add_generation_prompt": reply}
        try:
            return str((await child.ask("/apply-template", question))["prompt"])
        except RefusedError as refused:
            raise ConfigurationError(f"the chat template refuses: {refused}") from refused

    with_bos = (await child.ask("/tokenize", {"content": "a", "add_special": True}))["tokens"]
    without = await child.tokens("a", special=True)
    bos = props["bos_token"] if with_bos[0] != without[0] else ""
    try:
        frames: Frames = await probe(render, bos=bos, stop=(props["eos_token"],))
    except ConfigurationError as why:
        return {"bos": bos, "frames": None, "no_frames": str(why)}
    # As it will come back from the log: lists, not tuples, or a seat would not equal itself.
    return {"bos": bos, "frames": msgspec.json.decode(msgspec.json.encode(frames))}


def _decode(body: bytes) -> _Body:
    try:
        return msgspec.json.decode(body, type=_Body)
    except (msgspec.DecodeError, UnicodeDecodeError) as why:
        raise RequestRefusedError(f"this is no request for the local engine: {why}") from why


def _completion(
    text: str,
    event: dict[str, Any],
    served: str,
    *,
    detail: str | None,
    first: float | None,
    seconds: float,
) -> Completion:
    """The engine's last event as a completion."""
    timings = event["timings"]
    notes = [note for note in (detail, replaced(text)) if note]
    return Completion(
        text=text,
        finish=_finish(event),
        finish_raw=event["stop_type"],
        usage=Usage(
            input=event["tokens_evaluated"],
            output=event["tokens_predicted"],
            cached=timings["cache_n"],
        ),
        first_token_s=first,
        seconds=seconds,
        served=served,
        detail="; ".join(notes) or None,
    )


def _finish(event: dict[str, Any]) -> Finish:
    """Why it stopped; the engine calls the end of its context a limit too, and marks it."""
    if event["truncated"]:
        return Finish.CONTEXT_FULL
    known = {"eos": Finish.STOP, "word": Finish.STOP, "limit": Finish.LENGTH}
    return known.get(event["stop_type"], Finish.UNKNOWN)
