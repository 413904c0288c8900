"""TeX in Markdown: found, so that it stays as it was typed. Nothing is typeset.

Between its delimiters no underscore is emphasis, no plus sign a list, and no backslash is lost;
nor is one anywhere else, where it may be a path, a prompt or a picture made of letters. This module
draws nothing.
"""

import re
from bisect import bisect
from collections.abc import Callable

from markdown_it import MarkdownIt
from markdown_it.ruler import RuleOptionsType
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

_LONGEST = 2_000  # to look further from each of thousands of beginnings would take seconds
_CLOSES = {"\\(": "\\)", "\\[": "\\]", "$$": "$$"}
_DOLLARS = re.compile(r"\$((?:\\.|[^$\n\\])+)\$(?!\d)")
_CLEARLY = re.compile(r"\\[A-Za-z]|[\w)}\]][_^][\w{(\\]")
_HARDLY = re.compile(r"[A-Za-z]{3}|^\s|\s$")
_BEGINS = re.compile(r"\\\[|\$\$|\\begin(?P<name>\{\w+\*?\})")
_ENDS = re.compile(r".*(?P<last>\\\[|\$\$)[ \t]*$")


def keep_tex(made: MarkdownIt) -> None:
    """Let a parser make tokens ``tex`` and ``tex_block``, and leave every backslash where it is."""
    alt: RuleOptionsType = {"alt": ["paragraph", "blockquote", "list"]}
    made.block.ruler.before("fence", "tex_begins", _block(_BEGINS), alt)
    made.block.ruler.before("paragraph", "tex_ends", _block(_ENDS), alt)
    made.inline.ruler.before("escape", "tex", _inline)
    made.inline.ruler.at("escape", _backslash)


def _inline(state: StateInline, silent: bool) -> bool:  # noqa: FBT001 - markdown-it calls so
    """TeX in a paragraph."""
    end = _end(state.src, state.pos, state.posMax)
    if end is None:
        return False
    if not silent:
        state.push("tex", "", 0).content = state.src[state.pos : end]
    state.pos = end
    return True


def _end(text: str, start: int, stop: int) -> int | None:
    """Where the TeX ends that begins here; None where none does."""
    if closes := _CLOSES.get(text[start : start + 2]):
        close = text.find(closes, start + 3, min(stop, start + _LONGEST))
        return None if close < 0 else close + 2
    found = _DOLLARS.match(text, start, stop)
    return found.end() if found is not None and _is_tex(found[1]) else None


def _is_tex(between: str) -> bool:
    """Whether TeX stands between two dollars, and not words between two prices."""
    return bool(_CLEARLY.search(between)) or not _HARDLY.search(between)


def _backslash(state: StateInline, silent: bool) -> bool:  # noqa: FBT001
    """A backslash: what follows it is no mark of Markdown, and it is seen itself."""
    if state.src[state.pos] != "\\":
        return False
    following = state.src[state.pos + 1 : min(state.pos + 2, state.posMax)]
    taken = "\\" if following == "\n" else "\\" + following
    if not silent:
        state.pending += taken
    state.pos += len(taken)
    return True


def _block(opens: re.Pattern[str]) -> Callable[[StateBlock, int, int, bool], bool]:
    """A rule of markdown-it: TeX on several lines, the first of which is told by a pattern."""

    def rule(state: StateBlock, first: int, last: int, silent: bool) -> bool:  # noqa: FBT001
        after = _after(opens, state, first, last)
        if after is not None and not silent:
            state.line = after
            token = state.push("tex_block", "", 0)
            token.content = state.getLines(first, after, state.blkIndent, keepLastLF=False)
            token.map = [first, after]
        return after is not None

    return rule


def _after(opens: re.Pattern[str], state: StateBlock, first: int, last: int) -> int | None:
    """The line after the TeX that this line opens; None where it opens none."""
    end = state.eMarks[first]
    opened = opens.match(state.src, state.bMarks[first] + state.tShift[first], end)
    if opened is None:
        return None
    found = opened.groupdict()
    name = found.get("name")
    closes = rf"\end{name}" if name else _CLOSES[found.get("last") or opened[0]]
    close = state.src.find(closes, opened.end(), end + _LONGEST)
    line = bisect(state.bMarks, close) - 1
    if not first < line < last:
        return None
    inside = range(first + 1, line + 1)
    broken = any(state.isEmpty(at) or state.sCount[at] < state.blkIndent for at in inside)
    return None if broken else line + 1
