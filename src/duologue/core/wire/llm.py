"""What is handed to the ``llm`` package for one turn: the plain dialect, without silence.

``llm`` and its plug-ins drop empty text or send what an API refuses, as they please; so silence is
refused here, or replaced as declared, as an edit. What ``llm`` makes of it is not known here.
"""

from typing import Any

from duologue.core.wire.plain import Plain


def _ours(block: dict[str, Any]) -> bool:
    """Whether bound reasoning is a part as ``llm`` writes it."""
    return block.get("type") == "reasoning"


class Llm(Plain):
    """As ``Plain``; silence is refused, and emptiness, too."""

    voiced = True
    ours = staticmethod(_ours)
