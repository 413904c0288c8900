"""Which servers of one's own answer now, and with which models.

Each is asked for its list of models, all at once, and has half a second. Nobody else is asked:
hosted providers are never contacted from here. This module starts no server.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from threading import Thread
from urllib.parse import urlsplit

import msgspec

from duologue.errors import DuologueError
from duologue.providers.secret import Secret

TIMEOUT_S = 0.5
_MOST = 1 << 20
_OK = 200


class Asked(msgspec.Struct, frozen=True):
    """A server to be asked.

    Attributes:
        name: the provider's.
        base_url: where its dialect begins; ``/models`` is added.
        key: what to show it, if anything.
    """

    name: str
    base_url: str
    key: Secret | None = None


class Heard(msgspec.Struct, frozen=True):
    """What came of it.

    Attributes:
        models: the ids that it lists; None if it did not answer as such a server does.
        why: what happened instead, in a few words.
    """

    models: tuple[str, ...] | None
    why: str = ""


class _Model(msgspec.Struct, frozen=True):
    id: str


class _Models(msgspec.Struct, frozen=True):
    data: tuple[_Model, ...] | None


class _SilentError(DuologueError):
    """A server did not answer as it should."""


Fetch = Callable[[Asked, float], bytes]


def listening(
    servers: Iterable[Asked], timeout_s: float = TIMEOUT_S, *, fetch: Fetch | None = None
) -> Mapping[str, Heard]:
    """What each server says, by name; takes no longer than ``timeout_s``, whatever they do.

    Args:
        servers: whom to ask.
        timeout_s: how long they have, all together.
        fetch: brings a server's list; by default over HTTP.
    """
    servers = tuple(servers)
    heard: dict[str, Heard] = {}

    def ask(server: Asked) -> None:
        heard[server.name] = _heard(server, timeout_s, fetch or _fetch)

    # Threads of our own, for a pool's would be waited for at the end.
    threads = [Thread(target=ask, args=(server,), daemon=True) for server in servers]
    for thread in threads:
        thread.start()
    until = time.monotonic() + timeout_s
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    late = Heard(None, f"did not answer within {timeout_s:g} s")
    return {server.name: heard.get(server.name, late) for server in servers}


def _heard(server: Asked, timeout_s: float, fetch: Fetch) -> Heard:
    """What one server says."""
    try:
        listed = msgspec.json.decode(fetch(server, timeout_s), type=_Models)
    except _SilentError as error:
        return Heard(None, str(error))
    except (msgspec.MsgspecError, UnicodeDecodeError, HTTPException):
        return Heard(None, "something else answers there")
    except OSError as error:
        return Heard(None, (error.strerror or "does not answer").lower())
    return Heard(tuple(model.id for model in listed.data or ()))


def _fetch(server: Asked, timeout_s: float) -> bytes:
    """The list of models, as bytes."""
    url = urlsplit(server.base_url)
    kind = HTTPSConnection if url.scheme == "https" else HTTPConnection
    connection = kind(url.hostname or "", url.port, timeout=timeout_s)
    headers = {} if server.key is None else {"Authorization": f"Bearer {server.key.reveal()}"}
    try:
        connection.request("GET", f"{url.path}/models", headers=headers)
        reply = connection.getresponse()
        if reply.status in (401, 403):
            raise _SilentError("answers, and wants a key")
        if reply.status != _OK:
            raise _SilentError(f"answers with status {reply.status}")
        return reply.read(_MOST)
    finally:
        connection.close()
