"""Characters that cannot be seen, told apart from those that can, and symbols for them.

Escapes, control and format characters become ``\u241b`` or ``<U+202E>``: words that are shown so
cannot move a cursor, turn the direction of reading, or hide something. Joiners and variation
selectors stay where scripts and emoji need them. This module does not know where words are shown.
"""

import re
import unicodedata
from collections.abc import Iterator

from duologue.core.message import is_visible

_JOINERS = "\u200c\u200d"
JOINER = "\u200d"
# C0, DEL, C1, the default-ignorable code points (Unicode 16.0), both line separators, surrogates.
_SUSPECT = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0"
    "\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_FIRST_JOINING_SCRIPT, _LAST_JOINING_SCRIPT = "\u0600", "\u109f"
_DELETE = 0x7F
_PICTURES = 0x2400


def symbol(char: str) -> str:
    """A character that cannot be shown, as one that can: ``␛``, else ``<U+202E>``."""
    code = ord(char)
    if code < ord(" ") or char == " ":
        return chr(_PICTURES + code)
    return "\u2421" if code == _DELETE else f"<U+{code:04X}>"


def pieces(text: str) -> Iterator[tuple[str, bool]]:
    """``text`` cut where a symbol is needed: words to be shown as they are, and lone characters.

    Yields:
        A piece, and whether it is one character that cannot be seen. Line feeds and tabs can.
    """
    done = 0
    for match in _SUSPECT.finditer(text):
        at = match.start()
        if not _belongs(text, at):
            if done < at:
                yield text[done:at], False
            yield text[at], True
            done = at + 1
    if done < len(text):
        yield text[done:], False


def _belongs(text: str, at: int) -> bool:
    """Whether a character that is drawn as nothing does its proper work where it stands."""
    if "\ufe00" <= text[at] <= "\ufe0f":
        return at > 0 and is_visible(text[at - 1])
    if text[at] not in _JOINERS or not 0 < at < len(text) - 1:
        return False
    before, after = text[at - 1], text[at + 1]
    if text[at] == JOINER and _pictures(after):
        return _pictures(before) or before == "\ufe0f"
    return _joins(before) and _joins(after)


def _pictures(char: str) -> bool:
    """Whether a character is a picture, or the skin tone of one."""
    return unicodedata.category(char) in {"So", "Sk"} and ord(char) > _PICTURES


def _joins(char: str) -> bool:
    """Whether a character is of a script whose spelling needs joiners (Arabic to Myanmar)."""
    return _FIRST_JOINING_SCRIPT <= char <= _LAST_JOINING_SCRIPT and is_visible(char)
