"""The dialect of the local engine: control text and words as separate pieces.

Words are data: the engine tokenises a ``["w", text]`` piece without special tokens, so a message
that contains ``<|im_end|>`` cannot end anything, and one model cannot forge the other's role.
Frames (the control text around a system, user or assistant message) come from the recorded seat,
so a body can be rebuilt from the log without the weights. This module tokenises nothing.

A script is plain words throughout, set like a play: a name and a colon on one line, the words on
the next, a blank line. After ``Name:`` on the same line a model's first token would be a space,
which would then be part of what it said; given the space it cannot say a natural first word.
The cost of a script: a message that itself holds such lines can look like another's.
"""

from typing import Any

import msgspec

from duologue.core.provider import Seat
from duologue.core.request import Heard, Request, Role, Wire
from duologue.core.spec import Framing, Sampling
from duologue.core.wire.pieces import Draft, written
from duologue.errors import ConfigurationError

Piece = tuple[str, str]

_ROLES = {Role.OWN: "assistant", Role.OTHER: "user"}
_NEWLINE = "\n"


class Prompt(Draft):
    """``{"model", "sampling", "prompt": [[kind, text], ...], "seed"}``, compact."""

    voiced = False

    def __init__(self, seat: Seat, request: Request) -> None:
        """Begin with what stands before everything that is said.

        Args:
            seat: ``settings["bos"]`` is the control text before everything, or nothing;
                ``settings["frames"]`` holds, for ``system``, ``user`` and ``assistant``, the
                control text before and after, or is None with the reason in
                ``settings["no_frames"]``.
            request: the view.

        Raises:
            ConfigurationError: the model has no chat template that fits the view.
        """
        super().__init__(seat, request)
        self._script = request.framing is Framing.SCRIPT
        self._frames = None if self._script else _frames(seat)
        sampling = _one_line(request.sampling) if self._script else request.sampling
        head = msgspec.json.encode({"model": seat.model, "sampling": sampling})
        self.put(head[:-1] + b',"prompt":[')
        self._between = b""
        if bos := seat.settings.get("bos"):
            self._put([("c", bos)])
        if request.system is not None:
            self._put(self._told(request.system))

    def say(self, heard: Heard) -> None:
        """A message between its role's control text, or a speech of a script."""
        if self._frames is None:
            self._put([("w", f"{heard.author}:\n"), ("w", heard.text), ("w", "\n\n")])
        else:
            self._put(_framed(self._frames[_ROLES[heard.role]], heard.text))

    def end(self, seed: int | None) -> Wire:
        """The opening of the next own message: the next body goes on from there."""
        turn = ("w", f"{self.request.participant}:\n")
        if self._frames is not None:
            turn = ("c", self._frames["assistant"][0])
        opening = self._between + msgspec.json.encode(turn)
        rest = b'],"seed":' + msgspec.json.encode(seed) + b"}"
        return self.closed(opening + rest, stable=len(opening))

    def _told(self, system: str) -> list[Piece]:
        """What stands before all that is said."""
        if self._frames is None:
            return [("w", system), ("w", "\n\n")]
        return _framed(_system_frame(self.seat, self._frames), system)

    def _put(self, pieces: list[Piece]) -> None:
        """More pieces of the prompt."""
        for piece in pieces:
            self.put(self._between + msgspec.json.encode(piece))
            self._between = b","


def encode(seat: Seat, request: Request) -> Wire:
    """The exact bytes of one request, from nothing.

    Raises:
        ConfigurationError: the model has no chat template that fits the view.
    """
    return written(Prompt(seat, request))


def _frames(seat: Seat) -> dict[str, Any]:
    """The control text around messages."""
    frames: dict[str, Any] | None = seat.settings["frames"]
    if frames is None:
        raise ConfigurationError(f"{seat.model}: {seat.settings['no_frames']}")
    return frames


def _system_frame(seat: Seat, frames: dict[str, Any]) -> tuple[str, str]:
    """Around a system prompt, if the template has a place for one."""
    if frames["system"] is None:
        raise ConfigurationError(
            f"the chat template of {seat.model} has no place for a system prompt: leave 'system' "
            "(and 'told') out, or give the participant framing = \"script\""
        )
    before, after = frames["system"]
    return before, after


def _framed(frame: tuple[str, str], words: str) -> list[Piece]:
    """Words between the control text before and after them."""
    return [("c", frame[0]), ("w", words), ("c", frame[1])]


def _one_line(sampling: Sampling) -> Sampling:
    """A speech ends with its line: what follows would be the model speaking for others."""
    if _NEWLINE in sampling.stop:
        return sampling
    return msgspec.structs.replace(sampling, stop=(*sampling.stop, _NEWLINE))
