"""From the name of a model to whoever answers for it.

``provider:model`` is split once, at the first colon; a name without a colon is a local model's.
Engines and clients are imported only when they are used. This module knows no conversation.
"""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from duologue.core.provider import Provider
from duologue.core.spec import ConversationSpec
from duologue.errors import ConfigurationError

PROVIDERS = ("local", "scripted")


def split(model: str) -> tuple[str, str]:
    """The provider's name and the model's, from ``provider:model`` or a bare local name.

    Raises:
        ConfigurationError: there is no such provider.
    """
    provider, colon, name = model.partition(":")
    if not colon:
        return "local", model
    if provider not in PROVIDERS:
        raise ConfigurationError(
            f"unknown provider {provider!r} in the model {model!r}; known: {', '.join(PROVIDERS)}"
        )
    return provider, name


async def open_model(model: str) -> Provider:
    """Whoever answers for ``model``, ready to speak.

    Raises:
        ConfigurationError: the model is unknown, or not installed.
    """
    provider, name = split(model)
    if provider == "scripted":
        from duologue.providers import scripted  # noqa: PLC0415 - only when it is used

        return scripted.load(Path(name))
    from duologue.providers.local.provider import open_local  # noqa: PLC0415 - a heavy engine

    return await open_local(name)


@asynccontextmanager
async def seated(spec: ConversationSpec) -> AsyncGenerator[dict[str, Provider], None]:
    """Everyone who answers for the participants of ``spec``, by name; closed at the end.

    Participants of the same model share one provider, and so one engine.
    """
    async with AsyncExitStack() as stack:
        opened: dict[str, Provider] = {}
        for participant in spec.participants:
            if participant.model not in opened:
                provider = await open_model(participant.model)
                stack.push_async_callback(provider.aclose)
                opened[participant.model] = provider
        yield {seat.name: opened[seat.model] for seat in spec.participants}
