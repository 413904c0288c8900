"""The frames of a chat template: what stands before and after each role's words.

A GGUF file carries its template as a Jinja program. We do not run it turn by turn: it may drop,
trim or move words, and it can only place a message's text where the tokeniser takes it for
control text. We show it probes instead, read off what it puts around each role, and check that
the frames render the probes exactly as the template does. What cannot be so expressed is
refused with its reason. This module starts no engine: it is given a function that renders.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from duologue.errors import ConfigurationError

Said = tuple[str, str]
"""A role (``system``, ``user`` or ``assistant``) and the words."""


class Render(Protocol):
    """A template at work."""

    async def __call__(self, messages: Sequence[Said], *, reply: bool = False) -> str:
        """``messages`` as text, and the opening of the assistant's next one if asked.

        Raises:
            ConfigurationError: the template refuses these messages.
        """
        ...


Around = tuple[str, str]
"""Control text before the words, and after them."""


class Frames(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Control text around words, for each role.

    Attributes:
        system: around a system prompt; None when the template has no place for one.
        user: around the words of others.
        assistant: around the model's own words; the first half also opens its next message.
        default_system: the system prompt that the template slips in when there is none. It is
            recorded here and never sent: a view holds what the spec says and nothing else.
        stop: the model's own end-of-message tokens, as text; for the record.
    """

    system: Around | None
    user: Around
    assistant: Around
    default_system: str | None
    stop: tuple[str, ...]

    def render(self, messages: Sequence[Said], *, reply: bool) -> str:
        """``messages`` in their frames, then the opening of a reply if asked; no first token."""
        around = {"system": self.system, "user": self.user, "assistant": self.assistant}
        parts: list[str] = []
        for role, words in messages:
            before, after = around[role] or ("", "")
            parts += [before, words, after]
        return "".join([*parts, self.assistant[0] if reply else ""])


class _UnlikeFramesError(Exception):
    """A template does not keep to frames; says where."""


# Words that no template contains, with nothing at the edges that a template might trim.
_SYSTEM, _HERS, _HIS, _MORE = "SYSTEM7f3a", "USER19be", "ASSISTANT5d0c", "USER82ee"


async def probe(render: Render, *, bos: str, stop: Sequence[str]) -> Frames:
    """Read the frames off a template.

    Args:
        render: the template.
        bos: the token, as text, that the tokeniser wants before everything; or nothing.
        stop: the model's own end-of-message tokens, as text.

    Raises:
        ConfigurationError: the template cannot be expressed as frames; says why.
    """
    try:
        frames = await _read(render, bos, tuple(stop))
        await _check(render, frames, bos)
    except _UnlikeFramesError as why:
        raise ConfigurationError(
            f"the model's chat template cannot be used turn by turn: {why}. Give the participant "
            'framing = "script", which needs no template'
        ) from None
    return frames


async def _read(render: Render, bos: str, stop: tuple[str, ...]) -> Frames:
    """The frames that explain the probes, not yet checked."""
    asked = _unbos(await render([("user", _HERS)]), bos)
    opened = _unbos(await render([("user", _HERS)], reply=True), bos)
    head, user_after = _around(asked, _HERS)
    if not opened.startswith(asked):
        raise _UnlikeFramesError("it changes what was said before when a reply is asked for")
    own_before = opened[len(asked) :]
    answered = _unbos(await render([("user", _HERS), ("assistant", _HIS)]), bos)
    if not answered.startswith(opened + _HIS):
        raise _UnlikeFramesError("a reply in the history is not framed as a reply being written")
    own_after = answered[len(opened + _HIS) :]
    again = [("user", _HERS), ("assistant", _HIS), ("user", _MORE)]
    user_before = _after(_unbos(await render(again), bos), answered, _MORE)
    if not head.endswith(user_before):
        raise _UnlikeFramesError("the first message is framed unlike those that follow")
    system = await _system(render, bos, (user_before, user_after))
    hidden = head[: len(head) - len(user_before)]
    return Frames(
        system=system,
        user=(user_before, user_after),
        assistant=(own_before, own_after),
        default_system=_words_in(hidden, system),
        stop=stop,
    )


async def _system(render: Render, bos: str, user: Around) -> Around | None:
    """The frame of a system prompt, or None where the template has none of its own."""
    try:
        both = await render([("system", _SYSTEM), ("user", _HERS)])
    except ConfigurationError:
        return None
    before, rest = _around(_unbos(both, bos), _SYSTEM)
    message = user[0] + _HERS + user[1]
    # Some templates write the system prompt into the first user message: that is not a frame.
    if not rest.endswith(message) or before.startswith(user[0]):
        return None
    return before, rest[: len(rest) - len(message)]


async def _check(render: Render, frames: Frames, bos: str) -> None:
    """Render longer probes both ways and compare."""
    talk: list[Said] = [("user", _HERS), ("assistant", _HIS)] * 2 + [("user", _MORE)]
    starts: list[list[Said]] = [[("system", _SYSTEM)]] if frames.system else []
    if frames.default_system is None:
        starts.append([])
    for start in starts:
        for size in range(1, len(talk) + 1):
            messages = [*start, *talk[:size]]
            reply = messages[-1][0] == "user"
            theirs = _unbos(await render(messages, reply=reply), bos)
            if theirs != frames.render(messages, reply=reply):
                raise _UnlikeFramesError(f"it renders a talk of {size} messages in its own way")


def _unbos(text: str, bos: str) -> str:
    """``text`` without the first token: some templates write it and some leave it out."""
    return text.removeprefix(bos) if bos else text


def _around(text: str, words: str) -> Around:
    """What stands before and after ``words``, which must stand in ``text`` once."""
    if text.count(words) != 1:
        raise _UnlikeFramesError(f"it shows the words of a message {text.count(words)} times")
    before, _, after = text.partition(words)
    return before, after


def _after(text: str, history: str, words: str) -> str:
    """What stands between ``history`` and the ``words`` that follow it."""
    if not text.startswith(history):
        raise _UnlikeFramesError("it changes earlier messages when later ones come")
    return _around(text[len(history) :], words)[0]


def _words_in(hidden: str, system: Around | None) -> str | None:
    """The system prompt inside ``hidden``, which a template put before the first message."""
    if not hidden:
        return None
    if system and hidden.startswith(system[0]) and hidden.endswith(system[1]):
        return hidden[len(system[0]) : len(hidden) - len(system[1])]
    return hidden
