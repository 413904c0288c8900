"""``echo:upper`` and ``echo:lower`` say again what they heard last, in that case."""

from collections.abc import AsyncGenerator

import msgspec

from duologue.core.provider import Call, Completion, Delta, Seat
from duologue.errors import ConfigurationError

_MODELS = {"upper": str.upper, "lower": str.lower}


class Echo:
    """Says again what it heard last."""

    def __init__(self, model: str) -> None:
        self.seat = Seat("echo", model)  # the dialect is "plain": the request as JSON
        self._changed = _MODELS[model]

    async def stream(self, call: Call) -> AsyncGenerator[Delta | Completion, None]:
        """Any number of deltas, then exactly one completion."""
        heard = msgspec.json.decode(call.body)["messages"]
        text = self._changed(heard[-1]["text"]) if heard else ""
        yield Delta(text)
        yield Completion(text, served=self.seat.model)

    async def aclose(self) -> None:
        """Let go of whatever is held: a client's connections, say."""


def open_model(model: str) -> Echo:
    """The entry point: whoever answers for ``echo:MODEL``. It may be ``async``."""
    if model not in _MODELS:
        raise ConfigurationError(f"echo has no model {model!r}; it has: {', '.join(_MODELS)}")
    return Echo(model)
