"""duologue: a laboratory for conversations between language models.

    import duologue

    spec = duologue.ConversationSpec(
        participants=(
            duologue.Participant("Ada", "smollm2-135m"),
            duologue.Participant("Ben", "qwen2.5-coder-0.5b"),
        ),
        ending=(duologue.TurnCap(12),),
    )
    print(duologue.run(spec).id)

Layers, each importing only what stands below it: ``cli``, ``api``, ``formats`` and ``verify``,
``scheduler`` and ``replaying``, ``endings``, ``conversation`` and ``providers`` and ``store``,
``core``, ``errors``. The names below are the public surface; they are imported when they are first
used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duologue.api import Change, Recorded, branch, converse, go_on, hold, replay, run
    from duologue.core.event import Event
    from duologue.core.message import Message, Origin
    from duologue.core.provider import Completion, Delta, Provider
    from duologue.core.spec import (
        After,
        AllOf,
        AnyOf,
        Budget,
        ConversationSpec,
        Detector,
        Exit,
        ExitRule,
        Framing,
        Line,
        Participant,
        Pass,
        RoundRobin,
        Sampling,
        Sequence,
        Shuffled,
        SilenceCap,
        StopPhrase,
        TurnCap,
    )
    from duologue.core.transcript import Transcript, transcript
    from duologue.endings.annotate import Memory, annotate
    from duologue.endings.arc import arc
    from duologue.endings.codebook import Annotation, Arc
    from duologue.endings.described import describe
    from duologue.errors import DuologueError
    from duologue.providers.scripted import Scripted
    from duologue.store.library import Library

__all__ = [
    "After",
    "AllOf",
    "Annotation",
    "AnyOf",
    "Arc",
    "Budget",
    "Change",
    "Completion",
    "ConversationSpec",
    "Delta",
    "Detector",
    "DuologueError",
    "Event",
    "Exit",
    "ExitRule",
    "Framing",
    "Library",
    "Line",
    "Memory",
    "Message",
    "Origin",
    "Participant",
    "Pass",
    "Provider",
    "Recorded",
    "RoundRobin",
    "Sampling",
    "Scripted",
    "Sequence",
    "Shuffled",
    "SilenceCap",
    "StopPhrase",
    "Transcript",
    "TurnCap",
    "annotate",
    "arc",
    "branch",
    "converse",
    "describe",
    "go_on",
    "hold",
    "replay",
    "run",
    "transcript",
]

_HOMES = {
    "duologue.api": (
        *("Change", "Recorded", "branch", "converse", "go_on", "hold", "replay", "run"),
    ),
    "duologue.core.event": ("Event",),
    "duologue.core.message": ("Message", "Origin"),
    "duologue.core.provider": ("Completion", "Delta", "Provider"),
    "duologue.core.spec": (
        *("After", "AllOf", "AnyOf", "Budget", "ConversationSpec", "Detector", "Exit", "ExitRule"),
        *("Framing", "Line", "Participant", "Pass", "RoundRobin", "Sampling"),
        *("Sequence", "Shuffled", "SilenceCap", "StopPhrase", "TurnCap"),
    ),
    "duologue.core.transcript": ("Transcript", "transcript"),
    "duologue.endings.annotate": ("Memory", "annotate"),
    "duologue.endings.arc": ("arc",),
    "duologue.endings.codebook": ("Annotation", "Arc"),
    "duologue.endings.described": ("describe",),
    "duologue.errors": ("DuologueError",),
    "duologue.providers.scripted": ("Scripted",),
    "duologue.store.library": ("Library",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    """Import a public name from its home, when it is first used: ``--help`` must stay quick."""
    if name not in _HOME:
        raise AttributeError(f"module 'duologue' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    """The public names."""
    return __all__
