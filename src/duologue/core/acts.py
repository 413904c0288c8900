"""What a participant does by the form of its words: a line that leaves or passes, a phrase.

Models discuss such words before they use them, so a word that is quoted, fenced in code or part
of a sentence is no act. ``docs/endings.md`` has the table of cases. This module knows neither
rules nor conversations.
"""

import re
import unicodedata

from duologue.core.message import is_visible

# What follows a fence of backticks may not hold another backtick: that would be code in a line.
_FENCE = re.compile(r" {0,3}(`{3,}(?=[^`]*$)|~{3,})")
_INDENT = 4
# Marks of emphasis may stand around a line that acts: models like to write *[End]*.
_EMPHASIS = "*_"
# And they like to end it as they end a sentence. A question mark would ask, a colon announce.
_STOPS = ".!…。！"  # noqa: RUF001 - the full stops of Chinese and Japanese
_ENDS = re.compile(r"\r\n|\n|\r")
_QUOTED = re.compile(
    '`[^`\n]*`|"[^"\n]*"|“[^”\n]*”|„[^“”\n]*[“”]|«[^»\n]*»|「[^」\n]*」|『[^』\n]*』'
)


def acts(text: str, line: str) -> bool:
    """Whether ``text`` holds ``line`` on a line of its own, as an act and not as a mention.

    White space and invisible characters around it, emphasis, a full stop or an exclamation mark
    at its end, and letter case do not matter. Anything else on the line makes it a mention.
    """
    wanted = _bare(line)
    return any(wanted in (_bare(each), _bare(_unstopped(each))) for each in _plain(text))


def says(text: str, phrase: str) -> bool:
    """Whether ``text`` says ``phrase`` itself: outside code, quotations and quotation marks.

    Letter case does not matter, nor how words are spaced; a phrase is not found within a word.
    """
    lines = " \n ".join(_plain(text))
    spoken = _spaced(_QUOTED.sub(" \0 ", lines))
    wanted = re.escape(_spaced(phrase))
    return re.search(rf"(?<!\w){wanted}(?!\w)", spoken) is not None


def _spaced(text: str) -> str:
    """Words in folded case, one blank between them."""
    return " ".join(text.casefold().split())


def _trimmed(line: str) -> str:
    """A line without what cannot be seen around it."""
    start, end = 0, len(line)
    while start < end and not is_visible(line[start]):
        start += 1
    while start < end and not is_visible(line[end - 1]):
        end -= 1
    return line[start:end]


def _bare(line: str) -> str:
    """A line without white space and emphasis around it, in folded case."""
    return unicodedata.normalize("NFC", _plainer(line) or _trimmed(line)).casefold()


def _unstopped(line: str) -> str:
    """A line without the full stop that ends it, within or after its emphasis."""
    return _plainer(line).rstrip(_STOPS)


def _plainer(line: str) -> str:
    """A line without white space and emphasis around it; the mark of a list is no emphasis."""
    trimmed = _trimmed(line)
    listed = trimmed.startswith("* ") and not trimmed.endswith("*")
    return trimmed if listed else _trimmed(trimmed.strip(_EMPHASIS))


def _plain(text: str) -> list[str]:
    """The lines of ``text`` outside code blocks and quotations (CommonMark's marks for them)."""
    lines: list[str] = []
    fence = ""
    for line in _ENDS.split(text):
        mark = _FENCE.match(line)
        if fence:
            if mark and mark[1].startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
        elif mark:
            fence = mark[1]
        elif not _indented(line) and not _trimmed(line).startswith(">"):
            lines.append(line)
    return lines


def _indented(line: str) -> bool:
    """Whether a line stands as far in as code does; a tab reaches to the next stop."""
    return line.expandtabs(_INDENT).startswith(" " * _INDENT)
