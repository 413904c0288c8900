"""The port through which a declared detector may stop a conversation.

The core knows a sign by its name and for how many messages it must hold; what it means is for
whoever implements the port.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from duologue.core.message import Message
from duologue.core.spec import Detector, Ending, leaves
from duologue.errors import ConfigurationError


class Detectors(Protocol):
    """Sees signs in what is said; pure, and causal: later messages change nothing earlier."""

    @property
    def signs(self) -> frozenset[str]:
        """The names of everything that can be seen."""
        ...

    def __call__(self, said: Sequence[Message]) -> Sequence[frozenset[str]]:
        """The signs that hold at each message, given it and those before it."""
        ...


def require(rules: Iterable[Ending], detectors: Detectors | None) -> None:
    """Refuse rules that name a sign which nobody can see.

    Raises:
        ConfigurationError: naming the sign, and what could be seen.
    """
    for rule in leaves(rules):
        if not isinstance(rule, Detector):
            continue
        if detectors is None:
            raise ConfigurationError(
                f"the ending declares a detector of {rule.sign!r}, and no detectors were given: "
                "hold the conversation with duologue.hold or duologue.run, or give "
                "'detectors' to converse"
            )
        if rule.sign not in detectors.signs:
            raise ConfigurationError(
                f"the ending declares a detector of {rule.sign!r}, which nobody knows; known "
                f"signs: {', '.join(sorted(detectors.signs))}"
            )
