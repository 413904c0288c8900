"""Words that a person types as a query of SQLite's full-text search, and what its index is given.

The index knows tokens: letters in a row. Chinese, Japanese, Thai and others write no spaces, so a
whole sentence would be one token, and no word of it would be found. Their characters are tokens of
their own here, as pictures such as 🙏 are, and several in a row are a phrase. The other ways:
SQLite's trigrams find nothing shorter than three characters, and most Chinese words have two; a
dictionary would have to be right about every word that a model makes up.

What an index holds is therefore not quite what was said: ``shown`` takes out again what ``given``
put in. This module opens no database.
"""

import re
from unicodedata import category

_TOKENS = ("L", "M", "N", "Co", "So")
TOKENIZE = "tokenize = \"unicode61 categories '{}'\"".format(
    " ".join(kind.ljust(2, "*") for kind in _TOKENS)
)
"""The option of a table of what was said.

By itself SQLite takes vowel signs for the ends of words, so that हिन्दी would be three, and pictures
for nothing.
"""

LEAST = 3
"""A word is found by its beginning from so many letters on: too many words begin with fewer."""

_MOST = 32
_BETWEEN = "\x1f"
# What is written without spaces, or with few: Thai, Lao, Tibetan and Burmese; Hangul; Khmer; their
# neighbours; Chinese, Japanese and Yi. The last line: signs and pictures, which stand beside words.
_ALONE = (
    "\u0e00-\u109f\u1100-\u11ff\u1780-\u17ff\u1950-\u1aaf\u1b00-\u1b7f\u2e80-\ua4cf\ua960-\ua9ff"
    "\uaa60-\uaadf\uac00-\ud7ff\uf900-\ufaff\uff66-\uffdf\U00016fe0-\U00018dff"
    "\U0001b000-\U0001b16f\U00020000-\U0003ffff"
    "\xa6\xa9\xae\xb0\u20e3\u2100-\u214f\u2190-\u2bff\ufe00-\ufe0f\U0001f000-\U0001faff"
)
_ANY_ALONE = re.compile(f"[{_ALONE}]")
_BESIDE_ONE = re.compile(f"(?<=[{_ALONE}])(?=\\S)|(?<=\\S)(?=[{_ALONE}])")
_PUT_IN = re.compile(f"{_BETWEEN}({_BETWEEN}?)")
_PIECE = re.compile(r'"(?P<phrase>[^"]*)(?P<end>"?)|(?P<word>[^"\s]+)')
_QUOTES = str.maketrans("“”„", '"""')


def given(text: str) -> str:
    """What was said, as an index is given it.

    A sign stands between characters that are tokens of their own; where it was said, it is doubled.
    What SQLite cannot hold is replaced: half a character, and NUL, at which a snippet would end.
    """
    held = text.encode(errors="replace").decode().replace("\0", "\ufffd")
    held = held.replace(_BETWEEN, _BETWEEN * 2)
    return _BESIDE_ONE.sub(_BETWEEN, held) if _ANY_ALONE.search(held) else held


def shown(snippet: str) -> str:
    """A part of what an index was given, as it was said."""
    return _PUT_IN.sub(r"\1", snippet)


def query(words: str) -> str:
    """What a person typed, as a query that has words and phrases only; empty for none.

    All of them are wanted, the first 32 at least. A phrase stands between quotation marks. The last
    word may go on unless a mark closes it: whatever begins with it will do. Only the last: the rest
    was typed to its end, and a beginning costs as much as everything that begins with it, so that a
    sentence that is pasted would cost too much.
    """
    typed = words.encode(errors="ignore").decode().replace("\0", " ").translate(_QUOTES)
    found = list(_PIECE.finditer(typed))[:_MOST]
    pieces = [given(each["phrase"] or each["word"] or "") for each in found]
    asked = " ".join(f'"{piece}"' for piece in pieces if piece)
    return f"{asked} *" if asked and not found[-1]["end"] and _may_go_on(pieces[-1]) else asked


def _may_go_on(piece: str) -> bool:
    """Whether the last word is long enough to be taken for the beginning of another."""
    words = "".join(char if category(char).startswith(_TOKENS) else " " for char in piece).split()
    return bool(words) and len(words[-1]) >= LEAST


def tokens(asked: str) -> int:
    """How many tokens of a snippet are about as long as a word."""
    return 3 if _ANY_ALONE.search(asked) else 1
