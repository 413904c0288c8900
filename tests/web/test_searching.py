"""Searches of a whole library: what is found, how it is shown, and how far a search has looked."""

import html
import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from duologue.catalogue import asking
from duologue.catalogue.asking import Wanted, part
from duologue.catalogue.keeping import Catalogue
from duologue.core.event import ConversationStarted, MessageInjected
from duologue.core.message import Message, Origin
from duologue.core.spec import ConversationSpec, Participant
from duologue.store.library import Library
from duologue.web.app import room
from duologue.web.shelf import began
from recording import write

NAMES = ("Ada", "Bo", "Cy")
LIMITS = (
    (250_000, 1_000, 5_000, 6_000, 1_000_000, 500),
    (7, 5, 100, 0, 0, 0),
    (7, 5, 3, 0, 0, 0),
    (7, 5, 100, 6_000, 1_000_000, 1),
    (7, 5, 100, 6_000, 100, 4),
    (7, 5, 100, 6_000, 10, 4),
)


def said(library: Library, conv: str, texts: list[str], name: str = "Ada") -> None:
    """Record a conversation in which somebody says this."""
    spec = ConversationSpec((Participant(name, "m"),))
    messages = [
        MessageInjected(turn, Message(name, text, origin=Origin.HUMAN))
        for turn, text in enumerate(texts, start=1)
    ]
    write(library.create(conv, {"name": conv}), conv, [ConversationStarted(spec), *messages])


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """Thirty conversations of up to five messages each; all speak of water, few of ice."""
    made = Library(tmp_path)
    for number in range(30):
        texts = [f"water number{number}"] * (number % 5 + 1)
        said(
            made,
            f"conv-{number}",
            [*texts, "ice"] if number % 11 == 3 else texts,
            NAMES[number % 3],
        )
    return made


def walked(library: Library, wanted: Wanted) -> list[str]:
    """All that a search finds, a part after the other."""
    catalogue = Catalogue(library)
    catalogue.settle()
    found, before = list[str](), None
    while True:
        some = catalogue.ask(lambda db, before=before: part(db, wanted, before))  # type: ignore[misc]
        found += [book.conversation.id for book in some.books]
        assert all(book.hit and "\ue000" in book.hit.snippet for book in some.books)
        if some.older is None:
            assert not some.looked
            return found
        assert before is None or some.older < before
        before = some.older


@pytest.fixture(params=LIMITS)
def _limits(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as are looked at in earnest, and so few that every search stops early."""
    for name, limit in zip(
        ("_MOST_ROWS", "_PROBES", "_FEW", "_READ_TURNS", "_READ_CHARACTERS", "_AT_ONCE"),
        request.param,
        strict=True,
    ):
        monkeypatch.setattr(asking, name, limit)
    monkeypatch.setattr(asking, "PART", 4)


@pytest.mark.usefixtures("_limits")
@pytest.mark.parametrize(
    ("wanted", "which"),
    [
        (Wanted(words="water"), range(30)),
        (Wanted(words="wat"), range(30)),
        (Wanted(words="water", who="bo"), range(1, 30, 3)),
        (Wanted(words="water", who="bo", least=5), (4, 19)),
        (Wanted(words="ice"), (3, 14, 25)),
        (Wanted(words="ice", who="cy"), (14,)),
        (Wanted(words="number1"), (1, *range(10, 20))),
        (Wanted(words='"number1"'), (1,)),
        (Wanted(words="water", run="conv-7"), (7,)),
        (Wanted(words="fire"), ()),
        (Wanted(words="water", who="nobody"), ()),
    ],
)
def test_a_search_that_stops_early_goes_on_until_all_is_found(
    library: Library, wanted: Wanted, which: tuple[int, ...]
) -> None:
    found = walked(library, wanted)
    assert len(found) == len(set(found))
    assert set(found) == {f"conv-{number}" for number in which}


@pytest.mark.parametrize(
    ("typed", "marked"),
    [
        ("天气", "今天<mark>天气</mark>很好。我用Python编程🙏"),
        ("很好", "今天天气<mark>很好</mark>。我用Python编程🙏"),
        ("pyth", "今天天气很好。我用<mark>Python</mark>编程🙏"),
        ("🙏", "今天天气很好。我用Python编程<mark>🙏</mark>"),
        ('"今天天气"', "<mark>今天天气</mark>很好。我用Python编程🙏"),
    ],
)
def test_a_page_marks_what_was_found_in_what_was_said(
    tmp_path: Path, typed: str, marked: str
) -> None:
    made = Library(tmp_path)
    said(made, "conv", ["今天天气很好。我用Python编程🙏"])
    app = room(made)
    app.state.catalogue.settle()
    page = TestClient(app, base_url="http://127.0.0.1").get("/", params={"words": typed}).text
    assert f'<span class="words" dir="auto">{marked}</span>' in page


def test_a_search_that_stopped_says_how_far_it_looked_and_leads_on(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "_PROBES", 2)
    monkeypatch.setattr(asking, "_FEW", 3)
    app = room(library)
    app.state.catalogue.settle()
    reader = TestClient(app, base_url="http://127.0.0.1")
    page = reader.get("/", params={"words": "water", "who": "bo"}).text
    assert "since 2026-01-02; what began before has not been searched yet" in page
    on = re.search(r'id="older" href="([^"]+)">search what began before 2026-01-02', page)
    assert on is not None
    assert reader.get(html.unescape(on[1])).status_code == 200


@pytest.mark.parametrize(
    ("key", "day"), [(0, "1970-01-01"), (1_767_225_600_000, "2026-01-01"), (1 << 62, "then")]
)
def test_a_key_says_when_a_conversation_began(key: int, day: str) -> None:
    assert began(key) == day
