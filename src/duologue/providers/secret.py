"""A key that does not show itself, and the removal of one from whatever a provider echoes.

This module does not know where keys come from.
"""

from urllib.parse import quote

import msgspec

from duologue.errors import ConfigurationError

_SHORTEST = 8
"""Keys shorter than this are stand-ins (``none``, ``ollama``): words, and no secrets."""

_MARK = "[key]"


class Secret:
    """A key; ``repr`` and ``str`` hide it, ``reveal`` does not."""

    __slots__ = ("_shapes", "_value")

    def __init__(self, value: str) -> None:
        """Take a key.

        Raises:
            ConfigurationError: it could not be sent in a header; the message does not show it.
        """
        if not (value and value.isascii() and value.isprintable() and " " not in value):
            raise ConfigurationError(
                "the key is empty, or holds spaces, line breaks or characters outside ASCII: copy "
                "it again from the provider's page"
            )
        self._value = value
        escaped = msgspec.json.encode(value)[1:-1].decode()
        shapes = {value, escaped, escaped.replace("/", "\\/"), quote(value, safe="")}
        self._shapes = sorted(shapes, key=len, reverse=True) if len(value) >= _SHORTEST else []

    def reveal(self) -> str:
        """The key itself, for the one header that carries it."""
        return self._value

    def removed(self, text: str) -> str:
        """``text`` with ``[key]`` wherever the key stood, also escaped for JSON or an address."""
        for shape in self._shapes:
            text = text.replace(shape, _MARK)
        return text

    def __repr__(self) -> str:
        return "Secret(…)"


def redact(text: str, key: Secret | None) -> str:
    """``text`` without the key."""
    return text if key is None else key.removed(text)


def redact_bytes(data: bytes, key: Secret | None) -> bytes:
    """``data`` without the key; no other byte is changed."""
    return data if key is None else key.removed(data.decode("latin-1")).encode("latin-1")
