"""The port of declared detectors, filled with what this package sees.

A sign is a state that the annotations of the messages so far make, so a conversation that a
detector stopped is described by ``duologue endings`` in the same words. It stops nothing itself.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from duologue.core.message import Message
from duologue.endings.codebook import EndState, Label

if TYPE_CHECKING:
    from duologue.endings.annotate import Memory
    from duologue.endings.arc import Parting

SIGNS = frozenset(
    {"first_closing", "mutual_closing"}
    | {state.value for state in EndState if state not in {EndState.OPEN, EndState.OTHER}}
)
"""What can be seen: that leave was taken, and every end state, by the last six messages."""


class Lookout:
    """Sees the signs in one conversation; it remembers what it has read, and reads on from there.

    Use one for each conversation: with several it begins anew each time, and is right, but slow.
    """

    def __init__(self) -> None:
        """Nothing has been read."""
        self._forget()

    def _forget(self) -> None:
        """Begin anew."""
        self._said: list[Message] = []
        self._memory: Memory | None = None
        self._parting: Parting | None = None
        self._labels: list[Label] = []
        self._signs: list[frozenset[str]] = []

    @property
    def signs(self) -> frozenset[str]:
        """The names of everything that can be seen."""
        return SIGNS

    def __call__(self, said: Sequence[Message]) -> Sequence[frozenset[str]]:
        """The signs that hold at each message, given it and those before it."""
        if list(said[: len(self._said)]) != self._said:
            self._forget()
        for message in said[len(self._said) :]:
            self._read(message)
        return self._signs

    def _read(self, message: Message) -> None:
        """Take in one more message."""
        # Its words are compiled when it is imported, and most conversations declare no detector.
        from duologue.endings.annotate import Memory, annotate  # noqa: PLC0415
        from duologue.endings.arc import TAIL, Parting, end_state  # noqa: PLC0415
        from duologue.endings.described import GIVEN  # noqa: PLC0415

        memory, parting = self._memory or Memory(), self._parting or Parting()
        given = message.origin in GIVEN
        self._memory, one = annotate(memory, message.author, message.text, given=given)
        self._parting = parting
        self._said.append(message)
        if not given:
            parting.hear(one)
            self._labels = [*self._labels, one.label][-TAIL:]
        closings = {"first_closing": parting.first, "mutual_closing": parting.mutual}
        held = {name for name, turn in closings.items() if turn is not None}
        self._signs.append(frozenset(held | {end_state(self._labels).value}))
