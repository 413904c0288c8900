"""A conversation as a foreign file holds it, before it means anything to duologue.

These values know names, words and whatever else a file needs to be written again byte for byte.
They do not know events, specs, participants or the log: turning one into the other is done
elsewhere.
"""

import msgspec

from duologue.core.message import Origin

BYTE_ORDER_MARK = "\ufeff"


class ForeignMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message of a foreign file.

    Attributes:
        author: the name as the file writes it.
        text: the words, with the file's own blanks and line ends.
        origin: who made the words, where the format can say it.
        turn: the message's number in its first home, where the format can say it.
    """

    author: str
    text: str
    origin: Origin | None = None
    turn: int | None = None


class Foreign(msgspec.Struct, frozen=True):
    """A conversation as a foreign format holds it.

    Attributes:
        format: ``founding`` or ``jsonl``.
        names: the speakers, in the order in which the format gives them.
        messages: what was said, in order.
        fields: everything else that writing the same bytes again needs; each format documents its
            keys. Their order carries no meaning.
    """

    format: str
    names: tuple[str, ...]
    messages: tuple[ForeignMessage, ...]
    fields: dict[str, str]


class Ambiguity(msgspec.Struct, frozen=True):
    """A place where a file can be read in more than one way, and how it was read.

    Attributes:
        line: the line of the file, counted from 1.
        detail: what was read, and what else it could have been.
        settled: whether the rules of the format left one reading. False means that another
            reading is just as good, and a person should look.
    """

    line: int
    detail: str
    settled: bool


def unencodable(text: str) -> bool:
    """Whether ``text`` holds a lone surrogate, which no UTF-8 file can."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
