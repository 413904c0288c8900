"""Signs: what in the words of one turn speaks of an ending.

A sign is a small speech act (taking leave, thanking, wishing well, offering to stop, declining to
go on, ...) or a shape (a stage mark, nothing visible). Each comes with the place where it stands.
The vocabulary is data, ``lexicon.toml``. This module sees one text at a time: it does not know who
speaks, what was said before, or what a turn with these signs is to be called.
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from functools import cache, lru_cache
from importlib import resources
from typing import Any

import msgspec
from ahocorasick import Automaton  # type: ignore[import-not-found] # no types in the wheel

from duologue.core.message import silence
from duologue.endings.codebook import Evidence

HEAD = 220  # characters of a long turn that are read from its beginning ...
TAIL = 560  # ... and to its end: where turns greet, answer and take leave
SHORT = 180  # a turn up to this length is looked at for stage marks
MARK_WORDS = 8  # the codebook: stage marks up to about eight words
_STRAY_WORDS = 2  # "Yes. [walked]": so many words of any kind may stand beside a mark
BARE_WORDS = 4  # and four for words that stand without brackets

# Latin-1 in lower case; every other character, and what Latin-1 has not, as a space.
_TO_WORDS = "".join(
    char.lower() if char.isalnum() and len(char.lower().encode("latin-1", "ignore")) == 1 else " "
    for char in map(chr, range(256))
).encode("latin-1")
FAREWELL = "farewell"
PARTING = frozenset({FAREWELL, "leaving", "wish", "standby"})
ONWARD = "onward"  # it only speaks against other signs, so it is looked for only beside them
# What ends, declines or complains takes no leave by itself: before an ending has begun these are
# looked for only beside others.
BESIDE = frozenset({"ending", "decline", "prolong"})
# What begins a character of the scripts that are searched without heads, in UTF-8; and the rest.
_OTHER_BYTES = bytes(set(range(256)) - {0xE0, *range(0xE3, 0xEA)})
_GAP = " " * 24  # stands in the words of what is mostly symbols, and is found sooner than counted
_RECENT = 16  # texts whose signs are kept: those of a loop are the same ones again
_THINKING, _THOUGHT = "<think>", "</think>"
_NO_SHAPE = (False, False, False, 0)
_SCRIPTS = re.compile("[\u0900-\u097f\u3400-\u9fff]")  # Devanagari; CJK: no words to gate by
# Words after which a formula of farewell takes leave and is not spoken of ("people say goodbye").
_SAYS = (
    f" {who} {how}" for who in ("i", "we", "i'll", "let me", "let us") for how in ("say", "bid")
)
_LEADS = (
    " and",
    " so",
    " now",
    " then",
    " well",
    " but",
    " or",
    " is",
    " you",
    " y",
    " et",
    " und",
    *_SAYS,
)
_LEAD = 16  # characters before a formula that are looked at for that
_GERMAN = ("„", "“")
_QUOTES = (("“", "”"), ("«", "»"), ("「", "」"), ("『", "』"))
_QUOTATION = re.compile('"[^"\n]*"|„[^“\n]*“|“[^”\n]*”|«[^»\n]*»|「[^」\n]*」|『[^』\n]*』')
_STAGED = re.compile(r"[\[(<{⟨【（][^\[(<{⟨【（]*[\])>}⟩】）]|(?<!\*)\*[^*\n]+\*(?!\*)")  # noqa: RUF001
_LETTERS = re.compile("[^\\W_]+|[\u0900-\u0e7f]+")  # vowel signs of South Asia are no letters there
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
        formula: a farewell stands in it as a clause of its own, near the end of a longer text.
        asks: it ends in a question.
        start: where what it says begins (a ``<think>`` block is not said).
        length: of what it says, in characters; of what is mostly symbols, of the words in it.
        places: for every sign that was seen, its last place in the text.
        counts: for every sign, how often it was seen.
    """

    silent: bool = False
    mark: bool = False
    bare: bool = False
    over: bool = False
    words: int = 0
    formula: bool = False
    asks: bool = False
    start: int = 0
    length: int = 0
    places: dict[str, Evidence] = {}
    counts: dict[str, int] = {}


# What a head of the lexicon stands for: its length, its sign, and what has to follow it; and the
# entries of a head by when they are looked for: always, beside others, once others were found.
_Entry = tuple[int, str, Callable[[str, int], re.Match[str] | None]]
_Entries = tuple[list[_Entry], list[_Entry], list[_Entry]]
_ALWAYS, _BESIDE, _ONWARD = range(3)
Span = tuple[int, int, str]  # start, end, sign


class _Vocabulary(msgspec.Struct, frozen=True):
    """The lexicon, compiled.

    Attributes:
        heads: finds every head in a text of words; a find is (place of its last character, the
            entries of the head).
        words: the heads.
        headless: (sign, pattern) of what is searched everywhere, in scripts without words.
        marks: words that stand in stage marks.
        over: those that say that it is over.
    """

    heads: Callable[[str], Iterable[tuple[int, _Entries]]]
    words: frozenset[str]
    headless: tuple[tuple[str, re.Pattern[str]], ...]
    marks: frozenset[str]
    over: frozenset[str]


@cache
def vocabulary() -> _Vocabulary:
    """The lexicon of this version, read once."""
    text = resources.files("duologue.endings").joinpath("lexicon.toml").read_text("utf-8")
    data = tomllib.loads(text)
    heads: dict[str, _Entries] = {}
    words: set[str] = set()
    headless: list[tuple[str, re.Pattern[str]]] = []
    for sign, keys, follows in _lines(data):
        pattern = re.compile(follows)
        stage = _ONWARD if sign == ONWARD else _BESIDE if sign in BESIDE else _ALWAYS
        for head in keys.split("|"):
            if head:
                entries = heads.setdefault(_as_words(head), ([], [], []))
                entries[stage].append((len(head), sign, pattern.match))
                words.add(head)
            else:
                headless.append((sign, pattern))
    marks = data["mark"]
    return _Vocabulary(
        heads=_finder(heads),
        words=frozenset(words),
        headless=tuple(headless),
        marks=frozenset(word for language in marks.values() for word in language),
        over=frozenset(marks["over"]),
    )


def _finder(heads: dict[str, _Entries]) -> Callable[[str], Iterable[tuple[int, _Entries]]]:
    """All heads at once (Aho and Corasick 1975), each between two ends of words."""
    automaton = Automaton()
    for words, entries in heads.items():
        automaton.add_word(words, entries)
    automaton.make_automaton()
    find: Callable[[str], Iterable[tuple[int, _Entries]]] = automaton.iter
    return find


def _lines(data: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(sign, heads, what follows) of every line, with the word lists filled in."""
    for sign, languages in data.items():
        if sign not in {"words", "mark"}:
            for lines in languages.values():
                for heads, follows in lines.items():
                    yield sign, heads, _filled(follows, data["words"])


def _filled(pattern: str, lists: dict[str, dict[str, str]]) -> str:
    for name, languages in lists.items():
        for language, words in languages.items():
            pattern = pattern.replace(f"{{{name}.{language}}}", words)
    return pattern


def _as_words(text: str) -> str:
    """Words in Latin letters, one character for each of the text, and a space at both ends."""
    return f" {text.encode('latin-1', 'replace').translate(_TO_WORDS).decode('latin-1')} "


def _start(text: str) -> int:
    """Where what is said begins: after the reasoning that a model left in.

    That is a block that the turn begins with, also one that was cut off if its mark has a line of
    its own, as models write it; or all up to a ``</think>`` that words follow. A turn that only
    speaks of these marks is said, all of it.
    """
    if "<" not in text:  # one character is found far sooner than eight
        return 0
    opened, at = text.lstrip().startswith(_THINKING), text.find(_THOUGHT)
    if at >= 0:
        after = at + len(_THOUGHT)
        return after if opened or _WORD.search(text, after) else 0
    return len(text) if text.lstrip().startswith(f"{_THINKING}\n") else 0


@lru_cache(maxsize=_RECENT)
def signs(text: str, *, beside: bool = True) -> Signs:
    """The signs of a text. Never raises; every place lies within the text.

    Without ``beside`` the signs that mean something only beside others, or once an ending has
    begun, are looked for only if another one was seen.
    """
    start = _start(text)
    if not "!" <= text[start : start + 1] <= "~" and silence(text[start:]) is not None:
        return Signs(silent=True, start=start)
    end = len(text.rstrip())
    region, skipped = _region(text, start, end)
    ordinary = _ordinary(region)
    words = _as_words(ordinary)
    length = end - start
    if _GAP in words and words.count(" ") * 2 > len(words):
        length = _substance(text[start:end])
    short = length <= SHORT
    places, counts = _found(ordinary, words, start, skipped, beside=beside or short)
    mark, bare, over, few = _shape(text[start:end]) if short else _NO_SHAPE
    formula = FAREWELL in places and _stands(
        text[start:end], places[FAREWELL].start - start, short=short
    )
    last = text[max(start, end - 40) : end]
    asks = "?" in last or "？" in last  # noqa: RUF001
    return Signs(silent=False, mark=mark, bare=bare, over=over, words=few, formula=formula,
                 asks=asks, start=start, length=length, places=places, counts=counts)  # fmt: skip


def _region(text: str, start: int, end: int) -> tuple[str, int]:
    """The beginning and the end of what is said, and how many characters between are left out."""
    if end - start <= HEAD + 2 * TAIL:
        return text[start:end], 0
    return text[start : start + HEAD] + "\n" + text[end - TAIL : end], end - start - HEAD - TAIL - 1


def _substance(said: str) -> int:
    """The length of what is said; of what consists mostly of symbols, only of the words in it."""
    words = sum(map(len, _LETTERS.findall(said)))
    return words if words * 2 < sum(map(len, said.split())) else len(said)


def _found(
    region: str, words: str, start: int, skipped: int, *, beside: bool
) -> tuple[dict[str, Evidence], dict[str, int]]:
    """The signs of speech in the beginning and the end of what is said."""
    places: dict[str, Evidence] = {}
    counts: dict[str, int] = {}
    for first, last, sign in _matches(region, words, beside=beside):
        if sign in PARTING and _quoted(region, first, last):
            continue
        shift = start + (skipped if first >= HEAD else 0)
        counts[sign] = counts.get(sign, 0) + 1
        places[sign] = Evidence(first + shift, last + shift, sign)
    return places, counts


def _quoted(region: str, first: int, last: int) -> bool:
    """Whether this stands in a quotation that has other words on its line.

    Such words are spoken of, or a figure in a story says them. Where the line holds quotations and
    stage directions alone, it is the speaker's own part.
    """
    start = region.rfind("\n", 0, first) + 1
    closing = _closing(region[start:first])
    if not closing:
        return False
    end = region.find("\n", last) if "\n" in region[last:] else len(region)
    if closing not in region[last:end]:
        return False
    return _WORD.search(_STAGED.sub(" ", _QUOTATION.sub(" ", region[start:end]))) is not None


def _closing(before: str) -> str:
    """The mark that closes the quotation which is open after these words; "" where none is."""
    if before.count('"') % 2:
        return '"'
    if before.isascii():
        return ""
    pairs = (_GERMAN,) if "„" in before else _QUOTES
    return next((shut for opened, shut in pairs if before.rfind(opened) > before.rfind(shut)), "")


def _stands(said: str, first: int, *, short: bool) -> bool:
    """Whether the farewell here is a clause of its own, in the end of a text and in no mark."""
    if short and any(mark.start() <= first < mark.end() for mark in _STAGED.finditer(said)):
        return False
    if not short and first * 2 < len(said):
        return False
    lead = said[max(0, first - _LEAD) : first]
    words = lead.rstrip()
    named = words[-1:].isalnum() or words.endswith("'")
    begins = not named or "\n" in lead[len(words) :]
    return begins or said[first] >= "\u0900" or f" {words}".lower().endswith(_LEADS)


def _ordinary(region: str) -> str:
    """Lower case, plain apostrophes, dashes as spaces; of the same length."""
    if not region.isascii():
        region = region.replace("—", " ").replace("’", "'").replace("–", " ")  # noqa: RUF001
    lower = region.lower()
    if len(lower) != len(region):  # a few letters grow when they are lowered
        lower = "".join(low if len(low := char.lower()) == 1 else char for char in region)
    return lower


def _matches(region: str, words: str, *, beside: bool) -> list[Span]:
    """Every entry of the lexicon that stands in the region, in order."""
    known = vocabulary()
    others: list[Span] = []
    if not region.isascii() and region.encode("utf-8", "surrogatepass").translate(
        None, _OTHER_BYTES
    ):
        for sign, pattern in known.headless:
            others += [(*match.span(), sign) for match in pattern.finditer(region)]
    heads = [(last - 1, entries) for last, entries in known.heads(words)]
    found = _followed(region, heads, _ALWAYS)
    if beside or found or others:
        found += _followed(region, heads, _BESIDE)
    if found:
        found += _followed(region, heads, _ONWARD)
    return sorted(found + others)


def _followed(region: str, heads: Iterable[tuple[int, _Entries]], stage: int) -> list[Span]:
    """What these heads stand for, where it is followed as it has to be."""
    return [
        (after - size, match.end(), sign)
        for after, entries in heads
        for size, sign, follows in entries[stage]
        if (match := follows(region, after))
    ]


def _shape(said: str) -> tuple[bool, bool, bool, int]:
    """Whether a short text is a mark, or a bare word or two; whether it is over; its words."""
    words = _words(said)
    known = vocabulary()
    few = _few(words)
    impersonal = not _PERSON.intersection(words)
    about = any(_among(word, known.marks) for word in words)
    staged = _STAGED.search(said) is not None and _beside(_STAGED.sub(" ", said), known.marks)
    mark = not words or (staged and impersonal and (few <= MARK_WORDS or about))
    bare = few <= BARE_WORDS and about
    over = (mark or bare) and any(_among(word, known.over) for word in words)
    return mark, bare, over, few


def _beside(said: str, known: frozenset[str]) -> bool:
    """Whether these words beside a stage mark leave it one: hardly any, or a few of its kind."""
    words = _words(said)
    limit = BARE_WORDS if any(_among(word, known) for word in words) else _STRAY_WORDS
    return _few(words) <= limit and not (words and "?" in said)


def _words(said: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(said)]


def _few(words: list[str]) -> int:
    """How many words; in scripts without spaces two characters count as one."""
    return sum(max(1, len(word) // 2) if _SCRIPTS.match(word) else 1 for word in words)


def _among(word: str, known: frozenset[str]) -> bool:
    return word in known or (not word.isascii() and any(char in known for char in word))
