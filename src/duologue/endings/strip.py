"""A conversation as one line: one cell a turn, a letter for what the turn does.

The letters can be told apart without colour; colours are for whoever shows them.
"""

from collections.abc import Iterable

from duologue.endings.codebook import Annotation, Label

CELLS = {
    Label.TALK: "·",
    Label.PRE_CLOSING: "p",
    Label.CLOSING: "C",
    Label.REFUSAL: "X",
    Label.TOKEN: "t",
    Label.SILENCE: "_",
    Label.LOOP: "=",
    Label.REOPENING: "R",
}
"""One character, one cell wide, for each label."""


def strip(annotations: Iterable[Annotation]) -> str:
    """The cells of a conversation, a character a turn."""
    return "".join(CELLS[one.label] for one in annotations)
