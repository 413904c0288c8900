"""From the name of a model to whoever answers for it.

``provider:model`` is split once, at the first colon, so any id may follow it; a name without a
colon is a short name for such a pair, or a local model's. Engines and clients are imported only
when they are used. This module knows no conversation and no wire.
"""

import os
import re
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from duologue.core.perspective import offered
from duologue.core.provider import Provider, Seat
from duologue.core.spec import ConversationSpec, Participant
from duologue.core.toml_document import nearest
from duologue.errors import ConfigurationError
from duologue.providers.catalog import (
    Environ,
    Listed,
    Rule,
    aliases,
    catalog,
    config_file,
    loopback,
    origin,
    shown,
    unfit,
)
from duologue.providers.dialect import Dialect
from duologue.providers.secret import Secret


class Opening(msgspec.Struct, frozen=True):
    """How a model is to be reached; what is left out, the catalogue and the environment say.

    Attributes:
        base_url: where, instead of the provider's own address.
        stream: whether replies are to come piece by piece.
        key: the provider's key, instead of the one that is found.
        seats: how many participants it will answer for; a local engine keeps each one's prefix.
        context: tokens of context that a local model is opened with; others refuse it.
    """

    base_url: str | None = None
    stream: bool = True
    key: Secret | None = None
    seats: int = 1
    context: int | None = None


async def _local(name: str, seats: int = 1, context: int | None = None) -> Provider:
    from duologue.providers.local.provider import Options, open_local  # noqa: PLC0415 - heavy

    return await open_local(name, Options(context, slots=seats))


async def _scripted(name: str) -> Provider:
    from duologue.providers import scripted  # noqa: PLC0415 - only when it is used

    return scripted.load(Path(name))


async def _function(name: str) -> Provider:
    from duologue.providers import function  # noqa: PLC0415 - only when it is used

    return function.load(name)


async def _human(name: str) -> Provider:
    from duologue.providers.human import Human  # noqa: PLC0415 - only when it is used

    return Human(name)


async def _llm(name: str) -> Provider:
    from duologue.providers import llm_bridge  # noqa: PLC0415 - an extra

    return llm_bridge.load(name)


PROVIDERS: dict[str, Callable[[str], Awaitable[Provider]]] = {
    "local": _local,
    "scripted": _scripted,
    "function": _function,
    "human": _human,
    "llm": _llm,
}
"""Providers that are no catalogue's and no plug-in's: who opens a model of that name."""

_TOOLLESS = ("function", "human", "llm", "local")
"""Providers of ours that no tool can be offered to. A script says for itself what it calls."""

_NAMELESS = ("human",)
"""Providers that need no model's name."""


def split(model: str, environ: Environ = os.environ) -> tuple[str, str]:
    """The provider's name and the model's id, from ``provider:model`` or a short name.

    Raises:
        ConfigurationError: there is no such provider, or no such short name or local model.
    """
    provider, colon, name = model.partition(":")
    if not colon and model not in _NAMELESS:
        return _short(model, environ)
    if provider not in PROVIDERS and provider not in (known := catalog(environ)):
        plugged = _plugins()
        if provider in plugged:
            return provider, name
        names = [*PROVIDERS, *sorted(known), *plugged]
        hint = nearest(provider, names) or f"known are {', '.join(names)}"
        where = config_file("catalog.toml", "DUOLOGUE_CATALOG", environ)
        raise ConfigurationError(
            f"unknown provider {provider!r} in the model {model!r}: {hint} "
            f"(one of your own is declared in {where or 'the file that DUOLOGUE_CATALOG names'})"
        )
    if not name and provider not in _NAMELESS:
        raise ConfigurationError(f"the model {model!r} names no model: type {model}MODEL")
    return provider, name


def find(model: str) -> tuple[str, str]:
    """As ``split``, for a seat of an experiment: files and modules are looked for, too.

    No code of a module runs, and a known local model need not be installed.

    Raises:
        ConfigurationError: there is no such model, file or module; or a person is to sit there.
    """
    from duologue.providers import function, scripted  # noqa: PLC0415 - only when they are used

    provider, name = split(model)
    match provider:
        case "scripted":
            scripted.load(Path(name))
        case "function":
            function.look_for(name)
        case "human":
            raise ConfigurationError(
                f"the model {model!r} is a person, who has no keyboard in an experiment: hold "
                "conversations with people one by one ('duologue run -a human …')"
            )
        case "local" if not _known(name):
            from duologue.providers.local.provider import locate  # noqa: PLC0415 - heavy

            locate(name)
    return provider, name


def _known(name: str) -> bool:
    """Whether a local model can be fetched by that name."""
    from duologue.providers.local.models import KNOWN  # noqa: PLC0415 - a catalogue of its own

    return any(known.name == name for known in KNOWN)


def _short(model: str, environ: Environ) -> tuple[str, str]:
    """What a name without a colon stands for."""
    from duologue.providers.local.models import KNOWN  # noqa: PLC0415 - a catalogue of its own

    local = [known.name for known in KNOWN]
    if "/" in model or model.endswith(".gguf") or model in local:
        return "local", model
    names = aliases(environ)
    if model in names:
        return split(names[model], environ)
    hint = nearest(model, [*local, *names]) or f"local models are {', '.join(local)}"
    raise ConfigurationError(
        f"there is no model named {model!r}: {hint} (`duologue models` lists all; any other is "
        "typed provider:model)"
    )


async def open_model(
    model: str, *, options: Opening | None = None, environ: Environ = os.environ
) -> Provider:
    """Whoever answers for ``model``, ready to speak.

    Raises:
        ConfigurationError: the model is unknown or not installed, or its key is missing.
    """
    from duologue.providers.wrapping import wrapped  # noqa: PLC0415 - readers need none of it

    options = options or Opening()
    provider, name = split(model, environ)
    if provider != "local":
        _refuse_context(model, options)
    if provider in PROVIDERS:
        _refuse_address(model, options)
        if provider == "local":
            return wrapped(await _local(name, options.seats, options.context))
        return wrapped(await PROVIDERS[provider](name))
    known = catalog(environ).get(provider)
    if known is None:
        _refuse_address(model, options)
        from duologue.providers.plugins import open_plugin  # noqa: PLC0415 - others' code

        return wrapped(await open_plugin(provider, name))
    from duologue.providers.hosted import HostedProvider  # noqa: PLC0415 - an HTTP client

    seat = hosted_seat(known, name, options, environ)
    key = options.key or _key(known, seat.settings["base_url"], environ)
    asked = HostedProvider(seat, _dialect(seat.dialect), key)
    return wrapped(asked, key.reveal() if key else None)


def hosted_seat(known: Listed, model: str, options: Opening, environ: Environ = os.environ) -> Seat:
    """What goes on record of a model behind HTTP; no key is in it.

    Raises:
        ConfigurationError: the base URL is unfit.
    """
    url = address(known, environ) if options.base_url is None else options.base_url
    if what := unfit(url):
        raise ConfigurationError(f"the base URL of {known.name}, {shown(url)!r}, is unfit: {what}")
    settings = {
        "base_url": url.rstrip("/"),
        "stream": options.stream,
        "quirks": known.ways(model).quirks,
    }
    return Seat(known.name, model, known.dialect, settings)


def address(known: Listed, environ: Environ = os.environ) -> str:
    """A provider's base URL: ``$DUOLOGUE_BASE_URL_NAME``, else the catalogue's."""
    return environ.get(address_variable(known.name)) or known.base_url


def address_variable(provider: str) -> str:
    """The variable that moves a provider elsewhere: ``DUOLOGUE_BASE_URL_LLAMA_CPP``."""
    return f"DUOLOGUE_BASE_URL_{re.sub(r'[^A-Z0-9]', '_', provider.upper())}"


@asynccontextmanager
async def seated(spec: ConversationSpec) -> AsyncGenerator[dict[str, Provider], None]:
    """Everyone who answers for the participants of ``spec``, by name; closed at the end.

    Participants of the same model, reached in the same way, share one provider, and so one engine.
    """
    async with AsyncExitStack() as stack:
        ways = {seat.name: _way(seat) for seat in spec.participants}
        sharing, opened = Counter(ways.values()), dict[tuple[Any, ...], Provider]()
        for seat in spec.participants:
            if (way := ways[seat.name]) not in opened:
                options = Opening(
                    seat.base_url, seat.stream, seats=sharing[way], context=seat.context
                )
                provider = await open_model(seat.model, options=options)
                stack.push_async_callback(provider.aclose)
                opened[way] = provider
        yield {name: opened[way] for name, way in ways.items()}


def warnings(spec: ConversationSpec, environ: Environ = os.environ) -> tuple[str, ...]:
    """What the providers are known to refuse or to ignore of what ``spec`` declares, in words.

    A seed that is ignored is told only where a seat has one of its own. The conversation's may have
    been drawn because nobody gave one; whoever knows that it was asked for asks ``unseeded``.

    Raises:
        ConfigurationError: a model is unknown.
    """
    return tuple(line for seat in spec.participants for line in _told(spec, seat, environ))


def unseeded(spec: ConversationSpec, environ: Environ = os.environ) -> tuple[str, ...]:
    """For whom the conversation's seed changes nothing, in words.

    Raises:
        ConfigurationError: a model is unknown.
    """
    told: list[str] = []
    for seat in spec.participants:
        if (found := _ways(seat, environ)) and spec.seed is not None and seat.sampling.seed is None:
            model, ways = found
            only = replace(ways, refuses=(), pins={})
            told += _doubts(seat.name, model, only, {"seed": spec.seed})
    return tuple(told)


def _told(spec: ConversationSpec, seat: Participant, environ: Environ) -> Iterator[str]:
    """What a seat's provider will refuse, or ignore of what is the seat's own."""
    if (found := _ways(seat, environ)) is None:
        if split(seat.model, environ)[0] in _TOOLLESS:
            yield from _unoffered(spec, seat)
        return
    model, ways = found
    if ways.quirks.get("tools") == "refused":
        yield from _unoffered(spec, seat)
    if seat.sampling.seed is None:
        ways = replace(ways, ignores=tuple(each for each in ways.ignores or () if each != "seed"))
    yield from _doubts(seat.name, model, ways, _given(spec, seat))


def _ways(seat: Participant, environ: Environ) -> tuple[str, Rule] | None:
    """A hosted model, and what is known of it."""
    provider, model = split(seat.model, environ)
    known = catalog(environ).get(provider)
    return None if known is None else (f"{provider}:{model}", known.ways(model))


def _plugins() -> tuple[str, ...]:
    """The names of providers that plug-ins bring."""
    from duologue.providers import plugins  # noqa: PLC0415 - only for a name that is not ours

    return plugins.names()


def _way(seat: Participant) -> tuple[Any, ...]:
    """What two participants must have in common to share a provider."""
    return split(seat.model), seat.base_url, seat.stream, seat.context


def _refuse_address(model: str, options: Opening) -> None:
    """A model that is not behind HTTP has no address."""
    if options.base_url is not None:
        raise ConfigurationError(
            f"{model} is not reached over HTTP, so it has no base URL: leave 'base_url' out"
        )


def _refuse_context(model: str, options: Opening) -> None:
    """The length of a context can be chosen where the engine is ours."""
    if options.context is not None:
        raise ConfigurationError(
            f"{model} is not a local model, so the length of its context is not ours to choose: "
            "leave 'context' out"
        )


def _dialect(name: str) -> Dialect:
    """The dialect of that name."""
    if name == "anthropic":
        from duologue.providers.anthropic import Anthropic  # noqa: PLC0415 - one of three

        return Anthropic()
    if name == "google":
        from duologue.providers.google import Google  # noqa: PLC0415 - one of three

        return Google()
    from duologue.providers.openai import OpenAI  # noqa: PLC0415 - one of three

    return OpenAI()


def _key(known: Listed, url: str, environ: Environ) -> Secret | None:
    """The key to send to ``url``, or None where none is needed.

    A spec may come from anybody, so an address in it gets no key unless it is the provider's own,
    one of this machine, or one that the user has named.

    Raises:
        ConfigurationError: the key is missing, or would go to a stranger.
    """
    from duologue.providers.keys import find_key, need_key  # noqa: PLC0415 - not for local models

    trusted = origin(url) in (origin(known.base_url), origin(address(known, environ)))
    if trusted and not known.own and not loopback(url):
        return need_key(known, environ).secret
    found = find_key(known, environ)
    if found and not trusted and not loopback(url):
        raise ConfigurationError(
            f"the spec would send your key for {known.name} to {url}: if that is meant, set "
            f"{address_variable(known.name)}={url}"
        )
    return found.secret if found else None


def _given(spec: ConversationSpec, seat: Participant) -> dict[str, Any]:
    """The parameters that a participant's requests will hold, by our names."""
    sampling = seat.sampling
    values = {name: getattr(sampling, name) for name in sampling.__struct_fields__[:-1]}
    values["seed"] = spec.seed if sampling.seed is None else sampling.seed
    declared = {name: value for name, value in values.items() if value not in (None, ())}
    return declared | sampling.extra


def _unoffered(spec: ConversationSpec, seat: Participant) -> Iterator[str]:
    """One sentence for each tool that a participant will not be offered."""
    for tool in offered(spec):
        instead = "it will be refused a seat" if tool.needed else "it can leave by words only"
        yield f"{seat.name}: {seat.model} takes no tools, so never {tool.name}: {instead}"


def _doubts(name: str, model: str, ways: Rule, given: dict[str, Any]) -> Iterator[str]:
    """One sentence for each parameter that will not do what it says."""
    for refused in ways.refuses or ():
        if all(part in given for part in refused.split("+")):
            together = " together with ".join(refused.split("+"))
            yield f"{name}: {model} refuses {together}; leave it out, or the turn will fail"
    for pinned, value in (ways.pins or {}).items():
        if given.get(pinned, value) != value:
            yield f"{name}: {model} refuses any {pinned} but {value:g}; the turn will fail"
    for ignored in ways.ignores or ():
        if ignored in given:
            yield f"{name}: {model} ignores {ignored}; it changes nothing"
