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
from duologue.errors import ConfigurationError

Piece = tuple[str, str]

_ROLES = {Role.OWN: "assistant", Role.OTHER: "user"}
_NEWLINE = "\n"


def encode(seat: Seat, request: Request) -> Wire:
    """``{"model", "sampling", "prompt": [[kind, text], ...], "seed"}``, compact.

    Args:
        seat: ``settings["bos"]`` is the control text before everything, or nothing;
            ``settings["frames"]`` holds, for ``system``, ``user`` and ``assistant``, the control
            text before and after, or is None with the reason in ``settings["no_frames"]``.
        request: the view.

    Raises:
        ConfigurationError: the model has no chat template that fits the view.
    """
    script = request.framing is Framing.SCRIPT
    pieces: list[Piece] = [("c", bos)] if (bos := seat.settings.get("bos")) else []
    pieces += _script(request) if script else _chat(seat, request)
    sampling = _one_line(request.sampling) if script else request.sampling
    head = msgspec.json.encode({"model": seat.model, "sampling": sampling})
    prompt = b",".join(msgspec.json.encode(piece) for piece in pieces)
    grown = head[:-1] + b',"prompt":[' + prompt
    return Wire(grown + b'],"seed":' + msgspec.json.encode(request.seed) + b"}", len(grown))


def _chat(seat: Seat, request: Request) -> list[Piece]:
    """Every message between its role's control text, then the opening of the next own message."""
    frames = seat.settings["frames"]
    if frames is None:
        raise ConfigurationError(f"{seat.model}: {seat.settings['no_frames']}")
    pieces: list[Piece] = []
    if request.system is not None:
        pieces += _framed(_system_frame(seat, frames), request.system)
    for heard in request.messages:
        pieces += _framed(frames[_ROLES[heard.role]], heard.text)
    return [*pieces, ("c", frames["assistant"][0])]


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


def _script(request: Request) -> list[Piece]:
    """A running script that ends where the participant is to speak."""
    pieces: list[Piece] = []
    if request.system is not None:
        pieces += [("w", request.system), ("w", "\n\n")]
    for heard in request.messages:
        pieces += _line(heard)
    return [*pieces, ("w", f"{request.participant}:\n")]


def _line(heard: Heard) -> list[Piece]:
    """One speech of a script."""
    return [("w", f"{heard.author}:\n"), ("w", heard.text), ("w", "\n\n")]


def _one_line(sampling: Sampling) -> Sampling:
    """A speech ends with its line: what follows would be the model speaking for others."""
    if _NEWLINE in sampling.stop:
        return sampling
    return msgspec.structs.replace(sampling, stop=(*sampling.stop, _NEWLINE))
