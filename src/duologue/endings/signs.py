"""Signs: what in the words of one turn speaks of an ending.

A sign is a small speech act (taking leave, thanking, wishing well, offering to stop, declining to
go on, ...) or a shape (a stage mark, nothing visible). Each comes with the place where it stands.
The vocabulary is data, ``lexicon.toml``. This module sees one text at a time: it does not know who
speaks, what was said before, or what a turn with these signs is to be called.
"""

import re
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any

import msgspec

from duologue.core.message import silence
from duologue.endings.codebook import Evidence

HEAD = 220  # characters of a long turn that are read from its beginning ...
TAIL = 560  # ... and to its end: where turns greet, answer and take leave
SHORT = 180  # a turn up to this length is looked at for stage marks
MARK_WORDS = 8  # the codebook: stage marks up to about eight words
BARE_WORDS = 4  # and four for words that stand without brackets

_TO_WORDS = bytes(
    code + 32 if 65 <= code <= 90 else code if 97 <= code <= 122 else 32  # noqa: PLR2004 - ASCII
    for code in range(256)
)
ONWARD = "onward"  # it only speaks against other signs, so it is looked for only beside them
_COMMON = frozenset(
    b"a an the i you we it to of in on at by is am are be been was do don not no can could will "
    b"would should have has like with what when if this that here more ll m s t re ve d let".split()
)
_THINKING = "</think>"
_NO_SHAPE = (False, False, False, 0)
_SCRIPTS = re.compile("[\u0900-\u097f\u3400-\u9fff]")  # Devanagari; CJK: no words to gate by
_STAGED = re.compile(r"[\[(<{⟨【（][^\[(<{⟨【（]*[\])>}⟩】）]|(?<!\*)\*[^*]+\*(?!\*)")  # noqa: RUF001
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")  # noqa: RUF001
_PERSON = frozenset(  # who speaks of somebody speaks in sentences
    [
        "i",
        "i'm",
        "i'll",
        "i've",
        "you",
        "you're",
        "your",
        "we",
        "we're",
        "us",
        "our",
        "me",
        "my",
        "yo",
        "tú",
        "te",
        "mi",
        "je",
        "tu",
        "vous",
        "nous",
        "moi",
        "ich",
        "du",
        "sie",
        "wir",
        "dich",
        "我",
        "你",
        "您",
        "我们",
        "मैं",
        "आप",
        "हम",
    ]
)


class Signs(msgspec.Struct, frozen=True):
    """What one text shows.

    Attributes:
        silent: nothing of it can be seen.
        mark: it is a stage mark, an emoji, a symbol: visible, and no sentence.
        bare: a few words without brackets that say something of an ending or of stillness.
        over: it is a mark that says that it is over, such as ``[End]``.
        words: how many it has, counted only in a short text; 0 in a long one.
        asks: it ends in a question.
        length: visible length, in characters, of what it says (a ``<think>`` block is not said).
        places: for every sign that was seen, its last place in the text.
        counts: for every sign, how often it was seen.
    """

    silent: bool = False
    mark: bool = False
    bare: bool = False
    over: bool = False
    words: int = 0
    asks: bool = False
    length: int = 0
    places: dict[str, Evidence] = {}
    counts: dict[str, int] = {}


class _Entry(msgspec.Struct, frozen=True):
    """One line of the lexicon: a head word as it is written, and what has to follow it."""

    sign: str
    head: str
    follows: re.Pattern[str]


class _Vocabulary(msgspec.Struct, frozen=True):
    """The lexicon, compiled.

    Attributes:
        heads: a word as bytes -> the entries of which it is the head.
        words: the keys of ``heads``.
        headless: (sign, pattern) of what is searched everywhere, in scripts without words.
        marks: words that stand in stage marks.
        over: those that say that it is over.
    """

    heads: dict[bytes, tuple[_Entry, ...]]
    words: frozenset[bytes]
    headless: tuple[tuple[str, re.Pattern[str]], ...]
    marks: frozenset[str]
    over: frozenset[str]


@cache
def vocabulary() -> _Vocabulary:
    """The lexicon of this version, read once."""
    text = resources.files("duologue.endings").joinpath("lexicon.toml").read_text("utf-8")
    data = tomllib.loads(text)
    heads: dict[bytes, list[_Entry]] = {}
    headless: list[tuple[str, re.Pattern[str]]] = []
    for sign, keys, follows in _lines(data):
        pattern = re.compile(follows)
        for head in keys.split("|"):
            if head:
                heads.setdefault(_gate(head), []).append(_Entry(sign, head, pattern))
            else:
                headless.append((sign, pattern))
    marks = data["mark"]
    return _Vocabulary(
        heads={word: tuple(entries) for word, entries in heads.items()},
        words=frozenset(heads),
        headless=tuple(headless),
        marks=frozenset(word for language in marks.values() for word in language),
        over=frozenset(marks["over"]),
    )


def _lines(data: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(sign, heads, what follows) of every line, with the word lists filled in."""
    for sign, languages in data.items():
        if sign not in {"version", "words", "mark"}:
            for lines in languages.values():
                for heads, follows in lines.items():
                    yield sign, heads, _filled(follows, data["words"])


def _filled(pattern: str, lists: dict[str, dict[str, str]]) -> str:
    for name, languages in lists.items():
        for language, words in languages.items():
            pattern = pattern.replace(f"{{{name}.{language}}}", words)
    return pattern


def _gate(head: str) -> bytes:
    """The rarest run of ASCII letters in a head: the words of a text are cut the same way."""
    runs = head.encode().translate(_TO_WORDS).split()
    return max(reversed(runs), key=lambda run: (run not in _COMMON, len(run)))


def spoken_from(text: str) -> int:
    """Where what is said begins: after a closed block of reasoning that a model left in."""
    at = text.find(_THINKING)
    return 0 if at < 0 else at + len(_THINKING)


def signs(text: str) -> Signs:
    """The signs of a text. Never raises; every place lies within the text."""
    if silence(text) is not None:
        return Signs(silent=True)
    start = spoken_from(text)
    if start and silence(text[start:]) is not None:
        start = 0
    end = len(text.rstrip())
    places, counts = _found(text, start, end)
    shape = _shape(text[start:end]) if end - start <= SHORT else _NO_SHAPE
    return Signs(
        mark=shape[0],
        bare=shape[1],
        over=shape[2],
        words=shape[3],
        asks="?" in text[max(start, end - 40) : end] or "？" in text[max(start, end - 40) : end],  # noqa: RUF001
        length=end - start,
        places=places,
        counts=counts,
    )


def _found(text: str, start: int, end: int) -> tuple[dict[str, Evidence], dict[str, int]]:
    """The signs of speech in the beginning and the end of what is said."""
    skipped = max(0, end - start - HEAD - TAIL)
    region = text[start:end]
    if skipped > TAIL:
        region = region[:HEAD] + "\n" + region[-TAIL:]
        skipped -= 1
    else:
        skipped = 0
    region = _ordinary(region)
    places: dict[str, Evidence] = {}
    counts: dict[str, int] = {}
    for sign, first, last in _matches(region):
        shift = start + (skipped if first >= HEAD else 0)
        counts[sign] = counts.get(sign, 0) + 1
        if sign not in places or places[sign].start < first + shift:
            places[sign] = Evidence(first + shift, last + shift, sign)
    return places, counts


def _ordinary(region: str) -> str:
    """Lower case, plain apostrophes, dashes as spaces; of the same length."""
    lower = region.lower()
    if len(lower) != len(region):  # a few letters grow when they are lowered
        lower = "".join(low if len(low := char.lower()) == 1 else char for char in region)
    if lower.isascii():
        return lower
    return lower.replace("—", " ").replace("’", "'").replace("–", " ")  # noqa: RUF001


def _matches(region: str) -> Iterator[tuple[str, int, int]]:  # noqa: C901 - one loop, and it is the hot one
    """(sign, start, end) of every entry of the lexicon that stands in the region."""
    known = vocabulary()
    words = region.encode("utf-8", "surrogatepass").translate(_TO_WORDS).split()
    going_on, any_sign = [], False
    for word in known.words.intersection(words):
        for entry in known.heads[word]:
            if (first := region.find(entry.head)) < 0:
                continue
            if entry.sign == ONWARD:
                going_on.append((entry, first))
                continue
            for found in _at_heads(region, entry, first):
                any_sign = True
                yield found
    if any_sign:
        for entry, first in going_on:
            yield from _at_heads(region, entry, first)
    if not region.isascii() and _SCRIPTS.search(region):
        for sign, pattern in known.headless:
            for match in pattern.finditer(region):
                yield sign, match.start(), match.end()


def _at_heads(region: str, entry: _Entry, at: int) -> Iterator[tuple[str, int, int]]:
    head, follows = entry.head, entry.follows.match
    while at >= 0:
        after = at + len(head)
        whole = not (at and region[at - 1].isalnum()) and not region[after : after + 1].isalnum()
        if whole and (match := follows(region, after)):
            yield entry.sign, at, match.end()
        at = region.find(head, after)


def _shape(said: str) -> tuple[bool, bool, bool, int]:
    """Whether a short text is a mark, or a bare word or two; whether it is over; its words."""
    words = _words(said)
    known = vocabulary()
    few = _few(words)
    impersonal = not _PERSON.intersection(words)
    staged = _STAGED.search(said) is not None and _few(_words(_STAGED.sub(" ", said))) <= BARE_WORDS
    about = any(_among(word, known.marks) for word in words)
    mark = not words or (staged and impersonal and (few <= MARK_WORDS or about))
    bare = few <= BARE_WORDS and about
    over = (mark or bare) and any(_among(word, known.over) for word in words)
    return mark, bare, over, few


def _words(said: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(said)]


def _few(words: list[str]) -> int:
    """How many words; in scripts without spaces two characters count as one."""
    return sum(max(1, len(word) // 2) if _SCRIPTS.match(word) else 1 for word in words)


def _among(word: str, known: frozenset[str]) -> bool:
    return word in known or (not word.isascii() and any(char in known for char in word))
