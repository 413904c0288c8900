"""The Markdown transcript of the founding conversation, read and written byte for byte.

    # A ↔ B

    **Started:** 2025-10-26 17:12:18
    **Ended:** 2025-10-26 17:14:42
    **Messages:** 2

    ---

    ### A

    the first words

    ---

    ### B

    the answer

    ---

Every message is ``### NAME``, a blank line, its words, a blank line, ``---`` and a blank line; so
the file ends with a separator. Nothing inside the words is escaped: they may be empty, be blanks,
or look like a heading. What decides then is the header: its names, and its count.

*How a file is read.* A candidate is a ``### NAME`` line with a name of the header, after a
separator and before a blank line. As many candidates as messages: they are the headings. Fewer:
the file is refused. More: ``readings.best_reading`` prefers the reading that keeps the round robin
of the header's names, then the one that cuts no code fence; each line that was taken as words, and
each heading that could be elsewhere, is an ``Ambiguity``.

*What ``Foreign.fields`` holds.* ``started`` and ``ended``, as written. And, only where a file is
not written as above: ``header``, all between the title and the first separator, word for word;
``newline``, the two characters of a file with Windows line ends; ``bom``, a byte order mark;
``end``, what follows the last words. Thus ``render`` gives back every byte that ``parse`` takes.

This module does not know files, the log, or what a turn is.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator

import msgspec

from duologue.errors import FormatError
from duologue.formats.foreign import (
    BYTE_ORDER_MARK,
    Ambiguity,
    Foreign,
    ForeignMessage,
    unencodable,
)
from duologue.formats.readings import Candidate, Reading, best_reading, work

FORMAT = "founding"
BETWEEN_NAMES = " ↔ "

_FIELDS = frozenset({"started", "ended", "header", "newline", "bom", "end"})
_LINE_ENDS = ("\n", "\r\n")
_KEYS = ("Started", "Ended", "Messages")
_HEADER_LINE = re.compile(r"\*\*[^*]+:\*\*.*", re.DOTALL)
_FENCE = re.compile(r"^ {0,3}(?:```|~~~)", re.MULTILINE)
_COUNT_DIGITS = 9
_MOST_WORK = 2_000_000  # about three seconds and 100 MB: 49 messages may have 40,000 candidates
_NAMED = 5  # lines named in one message, at most

_LineOf = Callable[[int], int]


class _Header(msgspec.Struct, frozen=True):
    """What the header says."""

    started: str
    ended: str
    count: int
    notes: tuple[Ambiguity, ...]


class _Page(msgspec.Struct, frozen=True):
    """A file taken apart as far as its header goes; ``body`` is where the messages begin."""

    text: str
    newline: str
    names: tuple[str, ...]
    header: _Header
    fields: dict[str, str]
    body: int

    @property
    def separator(self) -> str:
        return _separator(self.newline)


class _Heading(msgspec.Struct, frozen=True):
    """A candidate in the text: ``start`` is its ``#``, ``words`` the first character after it."""

    name: str
    start: int
    words: int


def parse(data: bytes) -> tuple[Foreign, tuple[Ambiguity, ...]]:
    """The conversation in ``data``, and every place that could be read in another way.

    ``render`` of the result is ``data``, byte for byte.

    Raises:
        FormatError: the bytes are not UTF-8, not of this format, or hold fewer messages than the
            header counts.
    """
    page = _open(_decode(data))
    if page.header.count == 0:
        return _without_messages(page)
    headings, notes = _headings(page)
    ends = [each.start - len(page.separator) for each in headings[1:]]
    last, end, closing = _closing(page, headings[-1].words)
    messages = tuple(
        ForeignMessage(each.name, page.text[each.words : stop])
        for each, stop in zip(headings, [*ends, last], strict=True)
    )
    fields = page.fields if end == page.separator else {**page.fields, "end": end}
    return Foreign(FORMAT, page.names, messages, fields), (*page.header.notes, *notes, *closing)


def render(foreign: Foreign) -> bytes:
    """The file that holds ``foreign``.

    What the file would lose or leave in doubt is not an error here: ask ``cannot_hold`` first.

    Raises:
        FormatError: no file of this format can hold these names, authors or characters at all.
    """
    for fault in _faults(foreign):
        raise FormatError(fault)
    fields, count = foreign.fields, len(foreign.messages)
    newline = fields.get("newline", "\n")
    separator = _separator(newline)
    plain = _plain_header(fields["started"], fields["ended"], count, newline)
    said = separator.join(f"### {each.author}{newline * 2}{each.text}" for each in foreign.messages)
    end = fields.get("end", separator) if count else ""
    title = f"# {BETWEEN_NAMES.join(foreign.names)}{newline}"
    top = f"{fields.get('bom', '')}{title}{fields.get('header', plain)}{newline}---{newline * 2}"
    return f"{top}{said}{end}".encode()


def cannot_hold(foreign: Foreign) -> tuple[str, ...]:
    """What a file of this format would lose of ``foreign``, or leave in doubt; empty if nothing.

    Empty means that ``parse(render(foreign))`` gives ``foreign`` back without an ambiguity.
    """
    faults = tuple(_faults(foreign))
    return (*faults, *_losses(foreign), *(() if faults else _misread(foreign)))


# Reading.


def _decode(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise FormatError(
            f"byte {error.start} (0x{data[error.start]:02x}) is not UTF-8; save the file as UTF-8 "
            "and import it again",
            line=line,
        ) from error


def _open(text: str) -> _Page:
    bom = text[:1] if text.startswith(BYTE_ORDER_MARK) else ""
    stop = text.find("\n")
    title = text[len(bom) : stop if stop >= 0 else len(text)]
    newline = "\r\n" if title.endswith("\r") else "\n"
    names = _names(title.removesuffix("\r") if stop >= 0 else title)
    mark = f"{newline}---{newline * 2}"
    close = text.find(mark, stop + 1) if stop >= 0 else -1
    if close < 0:
        raise FormatError(
            "the header has no end: expected a `---` line followed by a blank line, and found "
            "none; the file may be cut short",
            line=text.count("\n") + 1,
        )
    block = text[stop + 1 : close]
    header = _header(block, newline)
    fields = {"started": header.started, "ended": header.ended}
    if block != _plain_header(header.started, header.ended, header.count, newline):
        fields["header"] = block
    fields |= {"newline": newline} if newline != "\n" else {}
    fields |= {"bom": bom} if bom else {}
    return _Page(text, newline, names, header, fields, close + len(mark))


def _names(title: str) -> tuple[str, ...]:
    names = tuple(title.removeprefix("# ").split(BETWEEN_NAMES))
    if not title.startswith("# ") or len(names) < 2 or not all(names):  # noqa: PLR2004 (A ↔ B)
        raise FormatError(
            f"expected a title like `# A ↔ B`, found {_shown(title)}; "
            "this is not a transcript in the founding format",
            line=1,
        )
    return names


def _header(block: str, newline: str) -> _Header:
    found: dict[str, tuple[str, int]] = {}
    notes = []
    for line, words in enumerate(block.split(newline), start=2):
        key = next((key for key in _KEYS if words.startswith(f"**{key}:**")), None)
        if key is not None and key not in found:
            found[key] = words.removeprefix(f"**{key}:**").removeprefix(" "), line
        elif key is not None:
            notes.append(_note(line, f"a second `**{key}:**` line; the first one was used"))
        elif words and not _HEADER_LINE.fullmatch(words):
            detail = f"{_shown(words)} is not a `**Key:** value` line; kept as part of the header"
            notes.append(_note(line, detail))
    for key in _KEYS:
        if key not in found:
            raise FormatError(
                f"the header ends here without a `**{key}:** …` line; add it before the `---`",
                line=block.count("\n") + 2,
            )
    (started, _), (ended, _), (count, line) = (found[key] for key in _KEYS)
    return _Header(started, ended, _count(count, line), tuple(notes))


def _count(written: str, line: int) -> int:
    if not (written.isascii() and written.isdigit() and len(written) <= _COUNT_DIGITS):
        raise FormatError(
            f"`**Messages:**` needs the number of messages in digits, found {_shown(written)}",
            line=line,
        )
    return int(written)


def _without_messages(page: _Page) -> tuple[Foreign, tuple[Ambiguity, ...]]:
    if page.body != len(page.text):
        raise FormatError(
            "the header counts 0 messages, but text follows it; correct the `**Messages:**` line",
            line=_line_numbers(page.text)(page.body),
        )
    return Foreign(FORMAT, page.names, (), page.fields), page.header.notes


def _headings(page: _Page) -> tuple[list[_Heading], list[Ambiguity]]:
    """The headings of the messages, and what is in doubt about them."""
    found, count = list(_candidates(page)), page.header.count
    line_of = _line_numbers(page.text)
    if not found or found[0].start != page.body:
        raise FormatError(
            "expected the first message here: a line `### NAME` with a name of the title "
            f"({_shown(', '.join(page.names))}) and a blank line, found "
            f"{_shown(page.text[page.body :].partition(page.newline)[0])}",
            line=line_of(page.body),
        )
    if len(found) < count:
        raise FormatError(_shortage(page, found, line_of), line=line_of(found[-1].start))
    if len(found) == count and not any(_clashes(page, found)):
        return found, []
    return _decided(page, found, line_of)


def _candidates(page: _Page) -> Iterator[_Heading]:
    names = "|".join(re.escape(name) for name in sorted(set(page.names)))
    blank = re.escape(page.newline * 2)
    for match in re.finditer(f"### ({names}){blank}", page.text[page.body :]):
        start = match.start() + page.body
        if start == page.body or page.text.endswith(page.separator, page.body, start):
            yield _Heading(match[1], start, match.end() + page.body)


def _clashes(page: _Page, found: list[_Heading]) -> list[bool]:
    """Whether each candidate's separator begins before the words of the one before it."""
    previous = [page.body - len(page.separator), *(each.words for each in found)]
    starts = [each.start - len(page.separator) for each in found]
    return [start < words for start, words in zip(starts, previous, strict=False)]


def _decided(
    page: _Page, found: list[_Heading], line_of: _LineOf
) -> tuple[list[_Heading], list[Ambiguity]]:
    """The headings among more candidates than messages."""
    count, where = page.header.count, line_of(found[0].start)
    if work(len(found), count, len(page.names)) > _MOST_WORK:
        raise FormatError(
            f"the header counts {count} messages, but from here on {len(found)} places look like "
            "headings: too many to decide between; check the `**Messages:**` line",
            line=where,
        )
    fences = [match.start() for match in _FENCE.finditer(page.text, page.body)]
    candidates = [
        Candidate(each.name, bisect_right(fences, each.start) % 2 == 1, clash)
        for each, clash in zip(found, _clashes(page, found), strict=True)
    ]
    reading = best_reading(candidates, page.names, count)
    if reading is None:
        raise FormatError(
            f"the header counts {count} messages, but of the {len(found)} places that look like "
            "headings some overlap, so that no reading has that many messages; check the "
            "`**Messages:**` line",
            line=where,
        )
    lines = [line_of(each.start) for each in found]
    notes = _doubts(reading, found, lines)
    return [found[at] for at in reading.chosen], notes


def _doubts(reading: Reading, found: list[_Heading], lines: list[int]) -> list[Ambiguity]:
    """One note for each line taken as words, and for each heading that could be elsewhere."""
    open_to = {at for choices in reading.possible for at in choices}
    message_at = {at: number for number, at in enumerate(reading.chosen, start=1)}
    notes, message = [], 0
    for at, (each, line) in enumerate(zip(found, lines, strict=True)):
        if at not in message_at:
            notes.append(_as_words(each, line, message, settled=at not in open_to))
            continue
        message = message_at[at]
        others = [lines[other] for other in reading.possible[message - 1] if other != at]
        if others:
            detail = (
                f"read as the heading of message {message}, by {_shown(each.name)}; "
                f"that message could as well begin at {_listed(others)}"
            )
            notes.append(Ambiguity(line, detail, settled=False))
    return notes


def _as_words(heading: _Heading, line: int, message: int, *, settled: bool) -> Ambiguity:
    reason = (
        "every reading that takes it as a heading is worse in the order of speakers, cuts a code "
        "fence in two, or has another number of messages"
        if settled
        else "it could as well be a heading; the earliest lines were taken as headings"
    )
    detail = f"{_shown(f'### {heading.name}')} was read as words of message {message}: {reason}"
    return Ambiguity(line, detail, settled)


def _shortage(page: _Page, found: list[_Heading], line_of: _LineOf) -> str:
    """Why there are too few headings, naming the lines that are almost one."""
    names = "|".join(re.escape(name.strip()) for name in sorted(set(page.names)))
    starts = {each.start for each in found}
    almost = [
        line_of(match.start())
        for match in re.finditer(rf"^#+[ \t]*(?:{names})[ \t\r:]*$", page.text, re.MULTILINE)
        if match.start() >= page.body and match.start() not in starts
    ]
    hint = f"; almost a heading, but without its blank lines and `---`: {_listed(almost)}"
    return (
        f"the header counts {page.header.count} messages, but only {len(found)} are found, the "
        f"last of them here{hint if almost else ''}; the file may be cut short, or its "
        "`**Messages:**` line be wrong"
    )


def _closing(page: _Page, words: int) -> tuple[int, str, tuple[Ambiguity, ...]]:
    """Where the last words end, what follows them, and what is odd about it."""
    end = re.escape(page.newline)
    match = re.compile(rf"{end}{end}---(?:{end})*\Z").search(page.text, words)
    stop = match.start() if match else len(page.text)
    after = page.text[stop:]
    if after == page.separator:
        return stop, after, ()
    detail = (
        f"the file ends with {after!r} instead of {page.separator!r}; read as its last separator"
        if match
        else "the file does not end with a separator: the last message may be cut short; all that "
        "is left was read as its words"
    )
    line = _line_numbers(page.text)(len(page.text))
    return stop, after, (Ambiguity(line, detail, settled=match is not None),)


# Writing.


def _separator(newline: str) -> str:
    return f"{newline * 2}---{newline * 2}"


def _plain_header(started: str, ended: str, count: int, newline: str) -> str:
    lines = ("", f"**Started:** {started}", f"**Ended:** {ended}", f"**Messages:** {count}", "")
    return newline.join(lines)


def _faults(foreign: Foreign) -> Iterator[str]:
    """Why no file of this format can be written at all."""
    for key in ("started", "ended"):
        if key not in foreign.fields:
            yield f"the field `{key}` is missing; the header of this format needs it"
    if foreign.fields.get("newline", "\n") not in _LINE_ENDS:
        yield r"the field `newline` is neither '\n' nor '\r\n'"
    if foreign.fields.get("bom", BYTE_ORDER_MARK) != BYTE_ORDER_MARK:
        yield "the field `bom` is not a byte order mark"
    yield from _name_faults(foreign.names)
    yield from _header_faults(foreign)
    for number, message in enumerate(foreign.messages, start=1):
        if message.author not in foreign.names:
            yield f"message {number} is by {_shown(message.author)}, a name not in the title"
        if unencodable(message.text):
            yield f"message {number} holds half of a surrogate pair, which UTF-8 cannot"
    for key, value in foreign.fields.items():
        if key in _FIELDS and unencodable(value):
            yield f"the field `{key}` holds half of a surrogate pair, which UTF-8 cannot"


def _name_faults(names: tuple[str, ...]) -> Iterator[str]:
    title = f"# {BETWEEN_NAMES.join(names)}"
    try:
        same = _names(title) == names
    except FormatError:
        same = False
    if not same or "\n" in title or title.endswith("\r") or unencodable(title):
        yield (
            f"the names {_shown(', '.join(names))} do not come back from the title: two or more "
            "are needed, none empty, without line breaks and without `↔` between blanks"
        )


def _header_faults(foreign: Foreign) -> Iterator[str]:
    """Whether the header that was held says something else by now, as after a branch."""
    fields = foreign.fields
    if "header" not in fields:
        return
    try:
        held = _header(fields["header"], fields.get("newline", "\n"))
    except FormatError as error:
        yield f"the field `header` is not a header: {error}"
        return
    says = (held.started, held.ended, held.count)
    if says != (fields.get("started"), fields.get("ended"), len(foreign.messages)):
        yield "the field `header` says other times or another number of messages; leave it out"


def _losses(foreign: Foreign) -> Iterator[str]:
    """What has no place in this format."""
    if foreign.format != FORMAT:
        yield f"that it came from the format `{foreign.format}`"
    for key in sorted(foreign.fields.keys() - _FIELDS):
        yield f"the field `{key}` has no place in this format"
    for what in ("origin", "turn"):
        those = [n for n, each in enumerate(foreign.messages, 1) if getattr(each, what) is not None]
        if those:
            yield f"the {what} of {len(those)} messages, beginning with message {those[0]}"


def _misread(foreign: Foreign) -> Iterator[str]:
    """What reading the written file again would find otherwise."""
    try:
        again, notes = parse(render(foreign))
    except FormatError as error:
        yield f"the file would be refused when read: {error}"
        return
    for key in sorted(_FIELDS & (again.fields.keys() | foreign.fields.keys())):
        if again.fields.get(key) != foreign.fields.get(key):
            yield f"the field `{key}` would be read otherwise"
    pairs = zip(again.messages, foreign.messages, strict=False)
    for number, (read, said) in enumerate(pairs, start=1):
        if (read.author, read.text) != (said.author, said.text):
            yield f"from message {number} on, the file would be read otherwise"
            break
    if len(again.messages) != len(foreign.messages):
        yield f"{len(foreign.messages)} messages would be read as {len(again.messages)}"
    for note in notes:
        yield f"line {note.line} of the file would be in doubt: {note.detail}"


# Words and lines.


def _note(line: int, detail: str) -> Ambiguity:
    return Ambiguity(line, detail, settled=True)


def _line_numbers(text: str) -> _LineOf:
    """The line, counted from 1, of an offset; only a line feed ends a line."""
    ends = [match.start() for match in re.finditer("\n", text)]
    return lambda offset: bisect_right(ends, offset - 1) + 1


def _listed(lines: list[int]) -> str:
    shown = ", ".join(str(line) for line in lines[:_NAMED])
    more = f" and {len(lines) - _NAMED} more" if len(lines) > _NAMED else ""
    return f"{'line' if len(lines) == 1 else 'lines'} {shown}{more}"


def _shown(words: str) -> str:
    limit = 60
    return repr(words if len(words) <= limit else f"{words[:limit]}…")
