"""How long the library's catalogue takes: made anew, brought up to date, asked.

    python benchmarks/catalogue.py [CONVERSATIONS] [RUNS] [FOLDER]

Writes a library of synthetic conversations (bulk-sealed, so that making it is not what is
measured), then prints milliseconds: the median and the worst of several.
"""

import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import mkdtemp

from duologue.catalogue.asking import Wanted, choices, facts, part
from duologue.catalogue.keeping import Catalogue
from duologue.core.event import (
    ConversationEnded,
    ConversationStarted,
    EndReason,
    Event,
    TurnCompleted,
    TurnStarted,
)
from duologue.core.ids import speakable
from duologue.core.message import Message
from duologue.core.provider import Usage
from duologue.core.spec import ConversationSpec, Participant, TurnCap
from duologue.endings.codebook import EndState
from duologue.store.chain import Head, seal
from duologue.store.library import Library
from duologue.store.run import Run

MODELS = tuple(f"local:model-{letter}" for letter in "abcdefghij")
NAMES = ("Ada", "Bo", "Cy", "Dot", "Eve", "Fay")
COMMON = (
    "the",
    "sea",
    "and",
    "a",
    "light",
    "that",
    "goes",
    "on",
    "over",
    "water",
    "while",
    "we",
    "talk",
)
RARE = tuple(f"word{number}" for number in range(20_000))
HAN = (
    "的一是不了在人有我他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可"
)
RARE_HAN = tuple(chr(0x4E00 + number) for number in range(3_000))
HAN_SHARE = 0.125
NEVER = '"light light light sea"'
NEVER_HAN = HAN[:12]
CLOSINGS = ("Goodbye, and thank you.", "[End]", "", "Farewell, my friend. Take care.", "🙏")
TURNS = 10


def english(draw: random.Random) -> str:
    """A message of words with spaces between."""
    return " ".join((*(draw.choice(COMMON) for _ in range(30)), draw.choice(RARE)))


def han(draw: random.Random) -> str:
    """A message without a space; of these characters, most pairs are said somewhere."""
    said = (*draw.choices(HAN, k=40), "今天天气很好", *draw.choices(RARE_HAN, k=10))
    return "".join((*draw.sample(said, k=len(said)), "。"))


def conversation(draw: random.Random) -> Iterator[Event]:
    """The facts of one conversation."""
    names, models = draw.sample(NAMES, 2), draw.choices(MODELS, k=2)
    seats = tuple(Participant(name, model) for name, model in zip(names, models, strict=True))
    cap = draw.choice((20, 50))
    yield ConversationStarted(ConversationSpec(seats, ending=(TurnCap(cap),)))
    turns, chinese = draw.randint(TURNS // 2, TURNS * 3 // 2), draw.random() < HAN_SHARE
    for turn in range(1, turns + 1):
        name = names[turn % 2]
        closing = turn > turns - 4 and draw.random() < 0.5  # noqa: PLR2004 - half of them end so
        text = draw.choice(CLOSINGS) if closing else han(draw) if chinese else english(draw)
        yield TurnStarted(turn, name, "0" * 64)
        usage = Usage(100, len(text) // 4)
        yield TurnCompleted(turn, Message(name, text), usage=usage, cost=0.0001 * turn)
    yield ConversationEnded(EndReason.MAX_TURNS)


def write(run: Run, count: int, draw: random.Random, day: int) -> None:
    """A run's log, in bulk."""
    before, lines = "", list[bytes]()
    for number in range(count):
        conv, head = speakable(draw.randbytes(6)), Head()
        clock = f"{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}"
        at = f"2026-{1 + day // 28 % 12:02}-{1 + day % 28:02}T{clock}.000000Z"
        for event in conversation(draw):
            line, record = seal(conv, event, at, head, before=before)
            before, head = record.h, Head(record.seq + 1, record.h)
            lines.append(line)
    (run.path / "log-1.jsonl").write_bytes(b"".join(lines))


def timed(what: str, act: Callable[[], object], times: int = 7) -> None:
    """Print how long something takes."""
    spent = []
    for _ in range(times):
        began = time.perf_counter()
        act()
        spent.append((time.perf_counter() - began) * 1000)
    print(f"{what:58} {statistics.median(spent):8.1f} {max(spent):8.1f}", flush=True)


def main(count: int = 100_000, runs: int = 1_000, folder: str = "") -> None:
    """Make a library, or take one that is there, and measure."""
    path = Path(folder or mkdtemp(prefix="catalogue-"))
    library, draw = Library(path), random.Random(1)  # noqa: S311 - not a secret
    if not library.runs():
        began = time.perf_counter()
        for number in range(runs):
            write(library.create(f"run-{number}", {"name": "x"}), count // runs, draw, number % 336)
        print(f"{path} written in {time.perf_counter() - began:.0f} s", flush=True)
    catalogue = Catalogue(library)
    began = time.perf_counter()
    catalogue.settle()
    took = time.perf_counter() - began
    size = catalogue.path.stat().st_size / 1e6
    print(f"catalogue brought up to date in {took:.1f} s, {size:.0f} MB; median and worst in ms")
    questions(catalogue)
    growth(catalogue, library, draw)


def questions(catalogue: Catalogue) -> None:
    """Every kind of question."""
    pair = f"{MODELS[0]} \u00d7 {MODELS[1]}"
    asked = {
        "first page": Wanted(),
        "participant": Wanted(who="ada"),
        "model": Wanted(who=MODELS[3]),
        "pair": Wanted(pair=pair),
        "end state, frequent": Wanted(state=EndState.OPEN),
        "end state, rare": Wanted(state=EndState.SILENCE),
        "date": Wanted(since="2026-03-01", until="2026-03-02"),
        "length, 14 and more": Wanted(least=14),
        "length, none": Wanted(least=1_000),
        "policy": Wanted(policy="max_turns 20 · silence: keep"),
        "participant, pair, state, date, length": Wanted(
            who="ada", pair=pair, state=EndState.CLOSED, since="2026-03", least=5
        ),
        "search, a word of every message": Wanted(words="the"),
        "search, a rare word": Wanted(words=RARE[7]),
        "search, a word that nobody said": Wanted(words="zzzz"),
        "search, two common words": Wanted(words="sea light"),
        "search, common and rare": Wanted(words=f"the {RARE[8]}"),
        "search, common, in one pair": Wanted(words="the", pair=pair),
        "search, common, in a rare state": Wanted(words="the", state=EndState.SILENCE),
        "search, rare, in a frequent state": Wanted(words=RARE[7], state=EndState.OPEN),
        "search, the beginning of every message's word": Wanted(words="th"),
        "search, the beginning of 20,000 words": Wanted(words="word"),
        "search, the beginning of 1,000 words": Wanted(words="word12"),
        "search, the beginning of 11,000 words": Wanted(words="word1"),
        "search, a letter": Wanted(words="a"),
        "search, a phrase": Wanted(words='"sea and light"'),
        "search, a phrase that nobody said": Wanted(words='"sea zzzz"'),
        "search, a phrase of common words, nearly never said": Wanted(words=NEVER),
        "search, a Chinese character": Wanted(words="的"),
        "search, a Chinese word": Wanted(words="天气"),
        "search, three frequent characters, rarely in a row": Wanted(words="的我人"),
        "search, a Chinese sentence that nobody said": Wanted(words=NEVER_HAN),
        "search, in one run": Wanted(words="goodbye", run="run-5"),
        "search, all filters": Wanted(
            words="goodbye", who="ada", state=EndState.CLOSED, since="2026-02", least=12
        ),
    }
    for what, wanted in asked.items():
        timed(what, lambda wanted=wanted: catalogue.ask(lambda db: part(db, wanted)))  # type: ignore[misc]
    deep = catalogue.ask(
        lambda db: db.execute("SELECT key FROM conversation LIMIT 1 OFFSET 60").fetchone()
    )
    timed("the last page", lambda: catalogue.ask(lambda db: part(db, Wanted(), deep[0])))
    timed("what there is to filter by", lambda: catalogue.ask(choices))
    timed("a run's grid", lambda: catalogue.ask(lambda db: facts(db, "run-5")))


def growth(catalogue: Catalogue, library: Library, draw: random.Random) -> None:
    """Bringing it up to date when nothing, and when one conversation, was added."""
    timed("update, nothing changed", catalogue.settle)

    def one() -> None:
        run = library.runs()[draw.randrange(10)]
        conv = speakable(draw.randbytes(6))
        with run.writing() as log:
            for event in conversation(draw):
                log.append(conv, event)

    spent = []
    for _ in range(7):
        one()
        began = time.perf_counter()
        catalogue.settle()
        spent.append((time.perf_counter() - began) * 1000)
    what = "update, one conversation of ten turns added"
    print(f"{what:58} {statistics.median(spent):8.1f} {max(spent):8.1f}")


if __name__ == "__main__":
    count, runs, folder, *_ = (*sys.argv[1:], *("100000", "1000", "")[len(sys.argv) - 1 :])
    main(int(count), int(runs), folder)
