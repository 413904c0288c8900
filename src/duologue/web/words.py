"""Words that may be hostile, made fit for a page: Markdown drawn, nothing executed, nothing lost.

HTML in a message is text. What the eye cannot see becomes a symbol. Pictures are named, not
loaded. Lines stay lines, so verse stays verse; TeX stays as it was typed. Where Markdown would
swallow something (definitions, quotations too deep, cells too many), the words are shown as they
were written. This module does not know what a message is.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from html import escape
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from markupsafe import Markup

from duologue.core.glyphs import pieces, symbol
from duologue.core.message import silence
from duologue.core.transcript import characters
from duologue.web.tex import keep_tex

MARKDOWN_CHARACTERS = 40_000
"""Longer messages are shown as they were written: no Markdown is worth a second's wait."""

_NESTING = 40
_SPELLED = 240
_KEPT = 4096
_HEADING_BELOW = 2  # a speaker's name is a heading of the second level
_LEAST_HEADING = 6
_BLANK = re.compile(r"^[ \t]+")
# A browser shapes a word again for each line that it fills: some ways of writing a thousand
# lines of one word would take it minutes.
_UNBROKEN = re.compile(r"\S{500}(?=\S)")
_TAGS = {
    *("p", "br", "em", "strong", "s", "code", "pre", "blockquote", "ol", "ul", "li", "hr", "a"),
    *("h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td", "span", "div"),
    "wbr",
}
_ATTRIBUTES = {
    "a": {"href", "title", "class", "rel", "target"},
    "span": {"class", "title"},
    "div": {"class", "tabindex", "role", "aria-label"},
    "pre": {"class", "tabindex"},
    "ol": {"start"},
    "li": {"value"},
    "th": {"class"},
    "td": {"class"},
}


# Few fonts have the symbols for control characters; every font has their abbreviations.
_ASCII = """
NUL SOH STX ETX EOT ENQ ACK BEL BS TAB LF VT FF CR SO SI
DLE DC1 DC2 DC3 DC4 NAK SYN ETB CAN EM SUB ESC FS GS RS US SPACE
"""
_ABBREVIATED = {**dict(enumerate(_ASCII.split())), 0x7F: "DEL"}


def sign(char: str) -> str:
    """One character that cannot be seen, as a symbol that says which it is; HTML."""
    name = unicodedata.name(char, "")
    title = escape(f"U+{ord(char):04X} {name}".rstrip())
    shown = escape(_ABBREVIATED.get(ord(char)) or symbol(char))
    return f'<span class="sign" title="{title}">{shown}</span>'


def safe(text: str) -> str:
    """Text as HTML; whatever cannot be seen is a symbol. Line feeds and tabs stay."""
    return "".join(sign(piece) if unseen else _breakable(piece) for piece, unseen in pieces(text))


def _breakable(text: str) -> str:
    """Seen characters as HTML; a word that fills lines may break here and there."""
    return escape(_UNBROKEN.sub("\\g<0>\0", text)).replace("\0", "<wbr>")


def one_line(text: str) -> Markup:
    """Text on one line, for names, titles and details; its direction stays its own."""
    parts = (
        sign(part) if part in {"\n", "\t"} else safe(part) for part in re.split(r"([\n\t])", text)
    )
    return Markup(f"<bdi>{''.join(parts)}</bdi>")  # noqa: S704 - every part is escaped


def label(text: str) -> str:
    """Text for an attribute or a title, where no markup can stand; not yet escaped."""
    shown = (symbol(piece) if unseen else piece for piece, unseen in pieces(text))
    return " ".join("".join(shown).split())


def plain(text: str) -> Markup:
    """Words as they were written, to stand in ``white-space: pre-wrap``."""
    return Markup(safe(text))  # noqa: S704 - escaped above


def spelled(text: str) -> Markup:
    """A silent message, every character as a symbol; a long one is cut, and says so."""
    more = len(text) - _SPELLED
    rest = f" … and {more:,} more" if more > 0 else ""
    return Markup("".join(map(sign, text[:_SPELLED])) + rest)  # noqa: S704 - escaped by ``sign``


@lru_cache(maxsize=_KEPT)
def words(text: str) -> Markup:
    """A message's words: as Markdown where that keeps them all, else as they were written."""
    drawn = markdown(text) if len(text) <= MARKDOWN_CHARACTERS else None
    return Markup(f'<div class="as-written">{safe(text)}</div>') if drawn is None else drawn  # noqa: S704


def markdown(text: str) -> Markup | None:
    """Words as Markdown; None where something of them would not be seen."""
    tokens = _PARSER.parse(text)
    contents = list(_contents(tokens))
    if _letters(text) > sum(map(_letters, contents)) or not any(map(str.strip, contents)):
        return None
    drawn = _PARSER.renderer.render(tokens, _PARSER.options, {})
    # A second pair of eyes: nothing but these elements and attributes gets through.
    clean = nh3.clean(
        drawn,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        url_schemes={"http", "https", "mailto"},
        link_rel=None,
    )
    return Markup(clean)  # noqa: S704 - sanitised in the line above


def _letters(text: str) -> int:
    """How many letters, digits and backslashes there are: no mark of Markdown is one of these."""
    return sum(map(str.isalnum, text)) + text.count("\\")


def _contents(tokens: Sequence[Token]) -> Iterator[str]:
    """Everything of a message that will be seen."""
    for token in tokens:
        if token.children:
            yield from _contents(token.children)
        else:
            yield token.content
        yield token.info
        if token.type != "list_item_open":
            yield from (str(value) for key, value in token.attrs.items() if key in _SEEN)


_SEEN = frozenset({"href", "src", "title"})


class _Drawing(RendererHTML):
    """How each part of Markdown is drawn; the method's name is the part's."""

    def text(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        """Words."""
        del options, env
        return safe(tokens[idx].content)

    def indent(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        """White space at a line's beginning, as poems have it."""
        del options, env
        return f'<span class="indent">{tokens[idx].content}</span>'

    def code_inline(
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType
    ) -> str:
        """Code in a line."""
        del options, env
        return f"<code>{safe(tokens[idx].content)}</code>"

    def tex(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        """TeX in a line, as it was typed."""
        del options, env
        return f'<span class="tex">{safe(tokens[idx].content)}</span>'

    def tex_block(
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType
    ) -> str:
        """TeX on lines of its own."""
        del options, env
        return f'<div class="tex">{safe(tokens[idx].content)}</div>'

    def fence(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        """A block of code, and what its fence says of it."""
        del options, env
        info = tokens[idx].info.strip()
        told = f'<span class="fence">{safe(info)}</span>' if info else ""
        return (
            f'<pre class="code" tabindex="0">{told}<code>{safe(tokens[idx].content)}</code></pre>'
        )

    def image(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        """A picture's name and address: a page of ours loads nothing of a stranger's."""
        del options, env
        token = tokens[idx]
        source = safe(str(token.attrs.get("src", "")))
        title = f" “{safe(str(token.attrs['title']))}”" if "title" in token.attrs else ""
        alt = safe(token.content)
        return f'<span class="picture">picture, not loaded: {alt} ({source}{title})</span>'

    def link_open(
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType
    ) -> str:
        """A link out of the room."""
        del options, env
        href = escape(str(tokens[idx].attrs.get("href", "")))
        rel = "noopener noreferrer nofollow"
        return f'<a class="out" href="{href}" title="{href}" rel="{rel}" target="_blank">'

    def link_close(
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType
    ) -> str:
        """After a link, where it leads, unless its words say so."""
        del options, env
        opened = next(token for token in reversed(tokens[:idx]) if token.type == "link_open")
        href, title = str(opened.attrs.get("href", "")), str(opened.attrs.get("title", ""))
        said = "".join(token.content for token in tokens[tokens.index(opened) + 1 : idx])
        told = " ".join(part for part in (href if said != href else "", title) if part)
        return f'</a><span class="leads"> ⟨{safe(told)}⟩</span>' if told else "</a>"

    def table_open(
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType
    ) -> str:
        """A table, in a box that can be scrolled."""
        del tokens, idx, options, env
        return '<div class="wide" tabindex="0" role="group" aria-label="table"><table>'

    def table_close(
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType
    ) -> str:
        """The end of both."""
        del tokens, idx, options, env
        return "</table></div>"


def _line_end(state: StateInline, silent: bool) -> bool:  # noqa: FBT001 - markdown-it calls so
    """A line's end within a paragraph: a new line, with the white space that it begins with."""
    if state.src[state.pos] != "\n":
        return False
    blank = _BLANK.match(state.src[state.pos + 1 : state.posMax])
    if not silent:
        state.pending = state.pending.rstrip(" ")
        state.push("hardbreak", "br", 0)
        if blank:
            state.push("indent", "", 0).content = blank[0]
    state.pos += 1 + (len(blank[0]) if blank else 0)
    return True


def _settle(state: StateCore) -> None:
    """Headings below the speaker's name, numbers of lists as written, first lines' white space."""
    lines = state.src.split("\n")
    for before, token in zip([None, *state.tokens], state.tokens, strict=False):
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(_LEAST_HEADING, int(token.tag[1]) + _HEADING_BELOW)}"
        elif token.type == "list_item_open" and token.info.isdigit():
            token.attrs["value"] = token.info
        elif token.type in {"th_open", "td_open"} and "style" in token.attrs:
            token.attrs = {"class": str(token.attrs["style"]).rpartition(":")[2]}
        elif before is not None and before.type == "paragraph_open" and not before.level:
            _set_in(token, lines[before.map[0]] if before.map else "")


def _set_in(token: Token, line: str) -> None:
    """Put a first line's white space before its words."""
    if (blank := _BLANK.match(line)) and token.children is not None:
        token.children.insert(0, Token("indent", "", 0, content=blank[0]))


def _parser() -> MarkdownIt:
    """CommonMark with tables, less whatever would load, hide or swallow something."""
    made = MarkdownIt(
        "commonmark",
        {"html": False, "linkify": False, "maxNesting": _NESTING},
        renderer_cls=_Drawing,
    )
    made.enable(["table", "strikethrough"])
    # A verse that is set in is no code; a definition or an entity shall be seen as written.
    made.disable(["code", "reference", "entity", "html_block", "html_inline"])
    keep_tex(made)
    made.inline.ruler.at("newline", _line_end)
    made.core.ruler.push("settle", _settle)
    return made


_PARSER = _parser()


def count(number: int, what: str) -> str:
    """``1 message``, ``1,234 messages``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def moment(at: str) -> str:
    """A record's time, to the second."""
    return f"{at[:19].replace('T', ' ')} UTC" if at else ""


_SECONDS_A_MINUTE, _MINUTES_AN_HOUR = 60, 60


def duration(seconds: float) -> str:
    """A length of time."""
    if seconds < _SECONDS_A_MINUTE:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), _SECONDS_A_MINUTE)
    if minutes < _MINUTES_AN_HOUR:
        return f"{minutes} min {rest} s"
    return f"{minutes // _MINUTES_AN_HOUR} h {minutes % _MINUTES_AN_HOUR} min"


def between(first: str, last: str) -> float:
    """Seconds from one record's time to another's."""
    return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()


FILTERS: dict[str, Any] = {
    "one_line": one_line,
    "label": label,
    "plain": plain,
    "words": words,
    "spelled": spelled,
    "silent": silence,
    "characters": characters,
    "count": count,
    "moment": moment,
    "duration": duration,
}
"""What templates may call."""
