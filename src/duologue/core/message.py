"""What was said, by whom, and who made the words.

A message has an author and an origin, never a role: ``user`` and ``assistant`` exist only in one
participant's perspective. This module does not know what comes before or after a message.
"""

import re
import unicodedata
from enum import StrEnum

import msgspec


class Origin(StrEnum):
    """Who made the words of a message."""

    MODEL = "model"
    OPENING = "opening"
    SCENARIO = "scenario"
    NUDGE = "nudge"
    HUMAN = "human"
    IMPORT = "import"


class Silence(StrEnum):
    """Why nothing can be seen of a message."""

    EMPTY = "empty"
    WHITESPACE = "whitespace"
    INVISIBLE = "invisible"


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One message, exactly as it was said.

    Attributes:
        author: the display name of who said it.
        text: the words, byte for byte; may be empty.
        origin: who made the words.
        seen_by: the names of the participants who see it; None means everyone. Its author always
            knows what it said.
    """

    author: str
    text: str
    origin: Origin = Origin.MODEL
    seen_by: tuple[str, ...] | None = None


# What is drawn as nothing although its category is that of letters, marks or nothing at all: the
# rest of Default_Ignorable_Code_Point (Unicode 16.0, DerivedCoreProperties.txt), blank Braille.
_BLANKS = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u2800\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8"
    "\U000e0000-\U000e0fff]"
)
# Of a format category, and yet drawn (Prepended_Concatenation_Mark, Unicode 16.0, PropList.txt).
_DRAWN = frozenset(
    "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
)
# Control, format and separators.
_UNSEEN_CATEGORIES = frozenset({"Cc", "Cf", "Zl", "Zp", "Zs"})


def is_visible(char: str) -> bool:
    """Whether a single character leaves a mark on the page."""
    if _BLANKS.match(char):
        return False
    return char in _DRAWN or unicodedata.category(char) not in _UNSEEN_CATEGORIES


def silence(text: str) -> Silence | None:
    """How ``text`` is silent, or None when anything of it can be seen.

    ``str.strip`` would miss U+200B and its kin, which real models do send as whole turns.
    """
    if not text:
        return Silence.EMPTY
    if "!" <= text[0] <= "~":  # what nearly every turn begins with
        return None
    if any(is_visible(char) for char in text):
        return None
    return Silence.WHITESPACE if text.isspace() else Silence.INVISIBLE
