"""What the participants of one conversation are sent, from turn to turn.

Views only grow; so each participant's body is kept, and a turn costs what it adds to it. The same
bytes come from nothing by ``wire.encode(seat, perspective.view(state, name))``: readers make them
so, and a law in the tests holds the two together. This module sends nothing.
"""

from duologue.core.perspective import heard, seed, unheard
from duologue.core.request import Wire
from duologue.core.state import State
from duologue.core.wire import Body


class Views:
    """The bodies of one conversation, by participant."""

    def __init__(self) -> None:
        """Hold nothing yet."""
        self._grown: dict[str, _Grown] = {}

    def wire(self, state: State, name: str) -> Wire:
        """The exact bytes that ``name`` is to be sent for its next turn.

        Args:
            state: the conversation now; it follows from the states given before.
            name: who speaks.

        Raises:
            ConfigurationError: the seat cannot be offered what the spec declares.
            RequestRefusedError: the provider would refuse the view.
        """
        grown = self._grown.pop(name, None)  # a body that is refused is not kept
        if grown is None or not grown.goes_on(state):
            grown = _Grown(state, name)
        wire = grown.wire(state)
        self._grown[name] = grown
        return wire


class _Grown:
    """One participant's body, and how much of the conversation it holds."""

    def __init__(self, state: State, name: str) -> None:
        self._name = name
        self._begun = state.begun()
        self._first = state.views.get(name, 1)
        self._held = self._first - 1
        self._body = Body(self._begun.seats[name], unheard(state, name))

    def goes_on(self, state: State) -> bool:
        """Whether the body grows on: the same conversation, and the view was not reset."""
        return state.started is self._begun and state.views.get(self._name, 1) == self._first

    def wire(self, state: State) -> Wire:
        """The bytes, after what was said meanwhile."""
        for message in heard(state, self._name, self._held):
            self._body.add(message)
        self._held = len(state.entries)
        return self._body.wire(seed(state, self._name))
