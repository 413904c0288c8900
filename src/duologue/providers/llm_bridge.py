"""Every model of the ``llm`` package and of its plug-ins takes a seat: ``llm:MODEL-ID``.

The record proves what was handed to ``llm``, not what ``llm`` sent: the bytes on the wire are its
own. Nothing is written to ``llm``'s database; no tool, schema or fragment is used. A plug-in that
has only a blocking model runs in a thread of its own. This module is imported where the extra
``llm`` is used. Keys are ``llm``'s; one is looked up only to take it out of an error.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, suppress
from difflib import get_close_matches
from importlib import import_module
from time import monotonic
from typing import Any

import msgspec

from duologue.core.provider import Call, Completion, Delta, Finish, Seat, Usage
from duologue.core.request import Heard, Role
from duologue.core.spec import Sampling
from duologue.errors import (
    AuthenticationError,
    BrokenStreamError,
    ConfigurationError,
    DuologueError,
    OverloadError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitError,
    RequestRefusedError,
)
from duologue.providers.secret import Secret, redact

_QUIRKS = {"silence": "refused", "prefill": "refused"}
_FINISHES = {
    "stop": Finish.STOP,
    "end_turn": Finish.STOP,
    "stop_sequence": Finish.STOP,
    "length": Finish.LENGTH,
    "max_tokens": Finish.LENGTH,
    "content_filter": Finish.CONTENT_FILTER,
    "refusal": Finish.REFUSAL,
}
_STATUSES: dict[int, type[ProviderError]] = {
    400: RequestRefusedError,
    401: AuthenticationError,
    403: AuthenticationError,
    404: RequestRefusedError,
    408: ProviderTimeoutError,
    413: RequestRefusedError,
    422: RequestRefusedError,
    429: RateLimitError,
}
_SERVER = 500


class _Body(msgspec.Struct, frozen=True):
    """The request, as it was encoded."""

    system: str | None
    messages: tuple[Heard, ...]
    sampling: Sampling
    seed: int | None


class Bridge:
    """A model of the ``llm`` package."""

    def __init__(self, llm: Any, model: Any) -> None:  # noqa: ANN401 - an optional package's own
        """Take the package and one of its models, blocking or not."""
        self.seat = Seat("llm", model.model_id, "llm", {"quirks": _QUIRKS})
        self._llm, self._model = llm, model

    async def stream(self, call: Call) -> AsyncGenerator[Delta | Completion, None]:
        """What the model says to this request.

        Raises:
            ProviderError: classified from what ``llm`` or its plug-in raised.
        """
        began, first = monotonic(), None
        said, thought = list[str](), list[str]()
        try:
            prompt = self._prompt(msgspec.json.decode(call.body, type=_Body))
            response = self._response(prompt)
            async with aclosing(_events(response)) as events:
                async for event in events:
                    if event.chunk and event.type in ("text", "reasoning"):
                        first = monotonic() - began if first is None else first
                        (said if event.type == "text" else thought).append(event.chunk)
                        yield Delta(event.chunk, reasoning=event.type == "reasoning")
        except DuologueError:
            raise
        except Exception as error:  # an SDK of any provider raises what it likes
            raise _classified(error, self._llm, self._key()) from error
        _refuse_blind(prompt, self.seat.model)
        seconds = monotonic() - began
        yield _completion(response, "".join(said), "".join(thought), seconds=seconds, first=first)

    async def aclose(self) -> None:
        """Nothing is held: ``llm`` opens its connections for each call."""

    def _key(self) -> Secret | None:
        """The key that ``llm`` will have used, so that no error shows it."""
        if getattr(self._model, "needs_key", None):
            with suppress(self._llm.NeedsKeyException, ConfigurationError):
                return Secret(self._model.get_key() or "")
        return None

    def _prompt(self, body: _Body) -> Any:  # noqa: ANN401 - an llm.Prompt
        """The request in ``llm``'s words, message for message."""
        messages = [_message(self._llm, heard) for heard in body.messages]
        if body.system is not None:
            messages.insert(0, self._llm.system(body.system))
        return _watched(self._llm)(
            body.messages[-1].text,
            self._model,
            system=body.system,
            messages=messages,
            options=_options(self._model, body),
        )

    def _response(self, prompt: Any) -> Any:  # noqa: ANN401 - an llm.Response
        """A reply that has not begun; made directly, so that nothing is logged."""
        waits = isinstance(self._model, self._llm.AsyncModel | self._llm.AsyncKeyModel)
        kind = self._llm.AsyncResponse if waits else self._llm.Response
        response = kind(prompt, self._model, stream=bool(self._model.can_stream))
        prompt.read = False  # making the response looks at the messages, too
        return response


def _watched(llm: Any) -> Any:  # noqa: ANN401 - an optional package's own
    """A prompt that knows whether the plug-in has looked at all the messages."""

    class Watched(llm.Prompt):  # type: ignore[misc] # a class of an optional package
        """A prompt; ``read`` says whether its messages were looked at."""

        read = False

        @property
        def messages(self) -> Any:  # noqa: ANN401 - a list of llm.Message
            self.read = True
            return super().messages

    return Watched


def _refuse_blind(prompt: Any, model: str) -> None:  # noqa: ANN401 - the watched prompt
    """Refuse a reply to the last message alone, which older plug-ins would give."""
    if not prompt.read and sum(each.role != "system" for each in prompt.messages) > 1:
        raise RequestRefusedError(
            f"the plug-in of {model} read only the last message, not the conversation: update it "
            "to one made for llm 0.32 or newer"
        )


def _message(llm: Any, heard: Heard) -> Any:  # noqa: ANN401 - an llm.Message
    """One message; the participant's own bound reasoning comes before its words, unmodified."""
    role = "assistant" if heard.role is Role.OWN else "user"
    parts = [*heard.blocks, {"type": "text", "text": heard.text}]
    return llm.Message.from_dict({"role": role, "parts": parts})


def _options(model: Any, body: _Body) -> Any:  # noqa: ANN401 - an llm.Options
    """What was declared of sampling, as the model's own options.

    A turn's seed that comes from the conversation's is given where the model takes one, as in the
    other dialects; a participant's own must be taken.
    """
    known = set(type(model).Options.model_fields)
    named = ("temperature", "top_p", "max_tokens")
    asked = {name: getattr(body.sampling, name) for name in named}
    asked["stop"] = list(body.sampling.stop) or None
    if "seed" in known or body.sampling.seed is not None:
        asked["seed"] = body.seed
    declared = {name: value for name, value in asked.items() if value is not None}
    if twice := sorted(declared.keys() & body.sampling.extra.keys()):
        raise RequestRefusedError(
            f"{twice[0]!r} stands in 'extra' and is also set from elsewhere: declare it once"
        )
    chosen = {**declared, **body.sampling.extra}
    if unknown := sorted(chosen.keys() - known):
        raise RequestRefusedError(
            f"{model.model_id} takes no {', '.join(unknown)}; its options are: "
            f"{', '.join(sorted(known)) or 'none'} (name them in 'extra')"
        )
    try:
        return type(model).Options(**chosen)
    except ValueError as error:
        raise RequestRefusedError(f"{model.model_id} refuses an option: {error}") from error


async def _events(response: Any) -> AsyncGenerator[Any, None]:  # noqa: ANN401 - llm.StreamEvent
    """A reply's events, in the loop where the model can wait, else from a thread."""
    if hasattr(response, "astream_events"):
        async with aclosing(response.astream_events()) as events:
            async for event in events:
                yield event
        return
    async with aclosing(_threaded(response.stream_events())) as events:
        async for event in events:
            yield event


class _Over(msgspec.Struct, frozen=True):
    """The end of what a thread has to give."""

    error: Exception | None = None


async def _threaded(items: Iterator[Any]) -> AsyncGenerator[Any, None]:
    """What a blocking iterator gives, from a thread that nobody has to wait for.

    The executor's threads are joined at exit, and would hold up Ctrl-C until the model has spoken.
    """
    loop, queue, stop = asyncio.get_running_loop(), asyncio.Queue[Any](), threading.Event()

    def put(item: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody listens any more
            loop.call_soon_threadsafe(queue.put_nowait, item)

    def pump() -> None:
        try:
            for item in items:
                if stop.is_set():
                    return
                put(item)
        except Exception as error:  # noqa: BLE001 - raised again where the reply is awaited
            put(_Over(error))
        else:
            put(_Over())

    threading.Thread(target=pump, name="duologue-llm", daemon=True).start()
    try:
        while not isinstance(item := await queue.get(), _Over):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stop.set()


def _completion(
    response: Any,  # noqa: ANN401 - an llm.Response
    said: str,
    thought: str,
    *,
    seconds: float,
    first: float | None,
) -> Completion:
    """The whole reply; ``llm`` says why it stopped only where the raw reply does."""
    raw: Any = response.response_json or {}
    raw = raw if isinstance(raw, Mapping) else {}
    why = raw.get("finish_reason") or raw.get("stop_reason")
    return Completion(
        said,
        _FINISHES.get(str(why), Finish.UNKNOWN),
        finish_raw=None if why is None else str(why),
        usage=Usage(input=response.input_tokens, output=response.output_tokens),
        first_token_s=first,
        seconds=seconds,
        served=response.resolved_model,
        reasoning=thought or None,
        blocks=_bound(response),
    )


def _bound(response: Any) -> tuple[dict[str, Any], ...]:  # noqa: ANN401 - an llm.Response
    """Reasoning that must be given back as it came: what a provider put its own mark on."""
    # The public way to the parts is a coroutine for one kind of response and not for the other.
    parts = response._build_parts()  # noqa: SLF001
    return tuple(
        part.to_dict()
        for part in parts
        if getattr(part, "provider_metadata", None) and part.to_dict()["type"] == "reasoning"
    )


def _classified(
    error: Exception,
    llm: Any,  # noqa: ANN401 - an optional package
    key: Secret | None,
) -> ProviderError:
    """An error as the boundary that was crossed, under its own name."""
    detail = redact(f"{type(error).__name__}: {error}", key)
    status = getattr(error, "status_code", None)
    if status is None:
        status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, llm.NeedsKeyException):
        return AuthenticationError(detail)
    if isinstance(status, int):
        kind = OverloadError if status >= _SERVER else _STATUSES.get(status, ProviderError)
        return kind(detail)
    return _by_nature(error)(detail)


def _by_nature(error: Exception) -> type[ProviderError]:
    """The boundary of an error without a status; by its name where SDKs agree on that."""
    if isinstance(error, TimeoutError) or "Timeout" in type(error).__name__:
        return ProviderTimeoutError
    if isinstance(error, ConnectionError) or "Connection" in type(error).__name__:
        return BrokenStreamError
    return RequestRefusedError if isinstance(error, NotImplementedError) else ProviderError


def load(model: str) -> Bridge:
    """The model that ``llm`` knows by that id or alias; one that can wait is preferred.

    Raises:
        ConfigurationError: the extra is not installed, or there is no such model.
    """
    llm = _package()
    found = _known(llm)
    if model in found:
        return Bridge(llm, found[model])
    near = ", ".join(get_close_matches(model, found, n=3))
    raise ConfigurationError(
        f"llm knows no model {model!r}{f'; near: {near}' if near else ''}: 'llm models' lists "
        "them, 'llm install' adds a plug-in"
    )


def models() -> tuple[str, ...]:
    """The ids of all models that ``llm`` knows here; empty where it is not installed."""
    try:
        llm = _package()
    except ConfigurationError:
        return ()
    return tuple(sorted({model.model_id for model in _known(llm).values()}))


def _package() -> Any:  # noqa: ANN401 - an optional package
    """The ``llm`` package."""
    try:
        return import_module("llm")
    except ImportError as error:
        raise ConfigurationError(
            f"the extra 'llm' is not installed ({error}): pip install 'duologue[llm]'"
        ) from error


def _known(llm: Any) -> dict[str, Any]:  # noqa: ANN401 - an optional package's own
    """Every model by id and by alias."""
    try:
        listed = llm.get_models_with_aliases()
    except Exception as error:  # any plug-in of llm may fail as it is loaded
        raise ConfigurationError(
            f"llm cannot list its models: {type(error).__name__}: {error}; 'llm plugins' shows "
            "what is installed"
        ) from error
    found: dict[str, Any] = {}
    for each in listed:
        model = each.async_model or each.model
        found |= dict.fromkeys((*each.aliases, model.model_id), model)
    return found
