"""Signs: what in the words of one turn speaks of an ending.

A sign is a small speech act (taking leave, thanking, wishing well, offering to stop, declining to
go on, ...) or a shape (a stage mark, nothing visible). Each comes with the place where it stands.
The vocabulary is data, ``lexicon.toml``. This module sees one text at a time: it does not know who
speaks, what was said before, or what a turn with these signs is to be called.
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib import resources
from itertools import chain
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
# What ends, declines or complains takes no leave by itself: before an ending has begun these are
# looked for only beside others.
BESIDE = frozenset({"ending", "decline", "prolong"})
_COMMON = frozenset(
    "a an the i you we it to of in on at by is am are be been was do don not no can could will "  # noqa: SIM905 - read more easily
    "would should have has like with what when if this that here more ll m s t re ve d let".split()
)
# What begins a character of the scripts that are searched without heads, in UTF-8; and the rest.
_OTHER_BYTES = bytes(set(range(256)) - {0xE0, *range(0xE3, 0xEA)})
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


# One line of the lexicon: the sign, a head as it is written, the same as words with a space on
# both sides (empty where the gate says as much), and what has to follow it.
_Entry = tuple[str, str, str, Callable[[str, int], re.Match[str] | None]]
_Entries = tuple[_Entry, ...]
Span = tuple[int, int, str]  # start, end, sign


class _Vocabulary(msgspec.Struct, frozen=True):
    """The lexicon, compiled.

    Attributes:
        heads: a word -> the entries of whose heads it is one: those that are always looked
            for, those of ``BESIDE``, and of ``ONWARD``.
        words: the keys of ``heads``.
        headless: (sign, pattern) of what is searched everywhere, in scripts without words.
        marks: words that stand in stage marks.
        over: those that say that it is over.
    """

    heads: dict[str, tuple[_Entries, _Entries, _Entries]]
    words: frozenset[str]
    headless: tuple[tuple[str, re.Pattern[str]], ...]
    marks: frozenset[str]
    over: frozenset[str]


@cache
def vocabulary() -> _Vocabulary:
    """The lexicon of this version, read once."""
    text = resources.files("duologue.endings").joinpath("lexicon.toml").read_text("utf-8")
    data = tomllib.loads(text)
    heads: dict[str, tuple[list[_Entry], list[_Entry], list[_Entry]]] = {}
    headless: list[tuple[str, re.Pattern[str]]] = []
    for sign, keys, follows in _lines(data):
        pattern = re.compile(follows)
        for head in keys.split("|"):
            if head:
                stage = (sign in BESIDE) + 2 * (sign == ONWARD)
                gate = _gate(head)
                key = "" if head == gate else f" {_as_words(head.encode())} "
                entry = (sign, head, key, pattern.match)
                heads.setdefault(gate, ([], [], []))[stage].append(entry)
            else:
                headless.append((sign, pattern))
    marks = data["mark"]
    return _Vocabulary(
        heads={
            word: (tuple(first), tuple(then), tuple(last))
            for word, (first, then, last) in heads.items()
        },
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


def _as_words(raw: bytes) -> str:
    return raw.translate(_TO_WORDS).decode("ascii")


def _gate(head: str) -> str:
    """The rarest run of ASCII letters in a head: the words of a text are cut the same way."""
    runs = _as_words(head.encode()).split()
    return max(reversed(runs), key=lambda run: (run not in _COMMON, len(run)))


def spoken_from(text: str) -> int:
    """Where what is said begins: after a closed block of reasoning that a model left in."""
    at = text.find(_THINKING)
    return 0 if at < 0 else at + len(_THINKING)


def signs(text: str, *, beside: bool = True) -> Signs:
    """The signs of a text. Never raises; every place lies within the text.

    Without ``beside`` the signs that mean something only beside others, or once an ending has
    begun, are looked for only if another one was seen.
    """
    if silence(text) is not None:
        return Signs(silent=True)
    start = spoken_from(text)
    if start and silence(text[start:]) is not None:
        start = 0
    end = len(text.rstrip())
    short = end - start <= SHORT
    places, counts = _found(text, start, end, beside=beside or short)
    mark, bare, over, words = _shape(text[start:end]) if short else _NO_SHAPE
    last = text[max(start, end - 40) : end]
    asks = "?" in last or "？" in last  # noqa: RUF001
    return Signs(silent=False, mark=mark, bare=bare, over=over, words=words, asks=asks,
                 length=end - start, places=places, counts=counts)  # fmt: skip


def _found(
    text: str, start: int, end: int, *, beside: bool
) -> tuple[dict[str, Evidence], dict[str, int]]:
    """The signs of speech in the beginning and the end of what is said."""
    skipped = end - start - HEAD - TAIL
    if skipped > TAIL:
        region = text[start : start + HEAD] + "\n" + text[end - TAIL : end]
        skipped -= 1
    else:
        region, skipped = text[start:end], 0
    places: dict[str, Evidence] = {}
    counts: dict[str, int] = {}
    for first, last, sign in _matches(_ordinary(region), beside=beside):
        shift = start + (skipped if first >= HEAD else 0)
        counts[sign] = counts.get(sign, 0) + 1
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


def _matches(region: str, *, beside: bool) -> list[Span]:
    """Every entry of the lexicon that stands in the region, in order."""
    known = vocabulary()
    raw = region.encode("utf-8", "surrogatepass")
    words = _as_words(raw)
    gates = [known.heads[word] for word in known.words.intersection(words.split())]
    spaced = f" {words} "
    found: list[Span] = []
    others: list[Span] = []
    if len(raw) != len(region) and raw.translate(None, _OTHER_BYTES):
        for sign, pattern in known.headless:
            others += [(*match.span(), sign) for match in pattern.finditer(region)]
    _at_heads(region, spaced, chain.from_iterable([first for first, _, _ in gates]), found)
    if beside or found or others:
        _at_heads(region, spaced, chain.from_iterable([then for _, then, _ in gates]), found)
    if found:
        _at_heads(region, spaced, chain.from_iterable([last for _, _, last in gates]), found)
    return sorted(found + others)


def _at_heads(region: str, spaced: str, entries: Iterable[_Entry], found: list[Span]) -> None:
    for sign, head, key, follows in entries:
        if key not in spaced:
            continue
        at = region.find(head)
        while at >= 0:
            after = at + len(head)
            if (match := follows(region, after)) and not (
                (at and region[at - 1].isalnum()) or region[after : after + 1].isalnum()
            ):
                found.append((at, match.end(), sign))
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
