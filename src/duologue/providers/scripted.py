"""A provider that says what it was told to say: for rehearsals, tests and demonstrations.

Which reply comes is read from the request alone (how often the participant has spoken in its
view), so a resumed conversation goes on as if it had never stopped. It knows no clock.
"""

from collections.abc import AsyncGenerator, Sequence
from hashlib import blake2b
from pathlib import Path

import msgspec

from duologue.core.provider import Call, Completion, Delta, Finish, Seat, ToolCall
from duologue.errors import ConfigurationError, ProviderError


class Reply(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One scripted reply.

    Attributes:
        text: the words.
        finish: why it stops.
        reasoning: what it thinks first, if anything.
        calls: the tools that it calls, offered or not.
    """

    text: str
    finish: Finish = Finish.STOP
    reasoning: str | None = None
    calls: tuple[ToolCall, ...] = ()


class _Said(msgspec.Struct, frozen=True):
    """As much of a message in a plain body as a script needs."""

    role: str


class _Body(msgspec.Struct, frozen=True):
    """As much of a plain body as a script needs."""

    messages: tuple[_Said, ...]


class Scripted:
    """Gives its replies in order, again and again; a ``ProviderError`` among them is raised.

    A script in which a tool is called can be offered tools; any other could never call one.
    """

    def __init__(
        self, replies: Sequence[str | Reply | ProviderError], name: str = "script"
    ) -> None:
        """Take the replies.

        Args:
            replies: what to say at the first turn, the second, and so on, round and round.
            name: the model's name on the record.

        Raises:
            ConfigurationError: there is nothing to say.
        """
        if not replies:
            raise ConfigurationError(f"the script {name!r} holds no reply: write at least one")
        self._replies = [Reply(reply) if isinstance(reply, str) else reply for reply in replies]
        shown = f"[{', '.join(map(_shown, self._replies))}]".encode("utf-8", "surrogatepass")
        digest = blake2b(shown, digest_size=16).hexdigest()
        calling = any(isinstance(reply, Reply) and reply.calls for reply in self._replies)
        quirks = {"quirks": {"tools": "accepted"}} if calling else {}
        self.seat = Seat("scripted", name, settings={"script": digest, **quirks})

    async def stream(self, call: Call) -> AsyncGenerator[Delta | Completion, None]:
        """Say the reply that is due, word by word."""
        said = msgspec.json.decode(call.body, type=_Body).messages
        turn = sum(message.role == "assistant" for message in said)
        reply = self._replies[turn % len(self._replies)]
        if isinstance(reply, ProviderError):
            raise reply
        if reply.reasoning:
            yield Delta(reply.reasoning, reasoning=True)
        for word in _words(reply.text):
            yield Delta(word)
        stopped = reply.finish is Finish.STOP
        yield Completion(
            reply.text,
            Finish.CALL if stopped and reply.calls else reply.finish,
            served=self.seat.model,
            reasoning=reply.reasoning,
            calls=reply.calls,
        )

    async def aclose(self) -> None:
        """Nothing is held."""


def _shown(reply: Reply | ProviderError) -> str:
    """A reply for the digest; one without calls as before there were any: old records go on."""
    if isinstance(reply, ProviderError):
        return repr(reply)
    said = f"text={reply.text!r}, finish={reply.finish!r}, reasoning={reply.reasoning!r}"
    return f"Reply({said}, calls={reply.calls!r})" if reply.calls else f"Reply({said})"


def _words(text: str) -> list[str]:
    """The text in pieces that end after a space, as models send it."""
    pieces = text.split(" ")
    return [piece + " " for piece in pieces[:-1]] + ([pieces[-1]] if pieces[-1] else [])


def load(path: Path) -> Scripted:
    """A script from a JSON Lines file: each line a string, or an object with ``text`` and more.

    Raises:
        ConfigurationError: the file cannot be read, or a line is not a reply.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise ConfigurationError(
            f"the script {path} cannot be read: {error.strerror}; a path is seen from the folder "
            "in which duologue is started"
        ) from error
    replies = [_reply(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    return Scripted(replies, path.name)


def _reply(path: Path, number: int, line: bytes) -> str | Reply:
    """One line of a script."""
    try:
        return msgspec.json.decode(line, type=str | Reply)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{path}, line {number}: {error}; each line is a JSON string, or an object like "
            '{"text": "Hello.", "finish": "stop"}'
        ) from error
