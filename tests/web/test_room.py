import json
import re
from pathlib import Path

import pytest
from msgspec.structs import replace

from duologue.api import hold
from duologue.cli.screen import PLAIN_SEATS, SEATS
from duologue.core.event import ConversationStarted
from duologue.core.provider import Finish
from duologue.core.spec import (
    ConversationSpec,
    EndAtSilence,
    Keep,
    Nudge,
    Participant,
    RefusalPolicy,
    Resend,
    SilencePolicy,
    StopPhrase,
    TurnCap,
)
from duologue.core.specfile import Asked
from duologue.errors import OverloadError
from duologue.providers.scripted import Reply, Scripted
from duologue.store.library import Library
from duologue.web.answering import HERE
from duologue.web.guards import POLICY, own
from duologue.web.pages import PAGES
from duologue.web.readings import reading
from duologue.web.turns import COLOURS, Window, windows
from recording import CONV, PAIR, write
from sight import SIGHT, contrast, nearest
from web.rooms import FOUNDING, apart, asking, imported, said, spoken


def test_a_page_and_its_json_say_the_same(tmp_path: Path) -> None:
    library, conv = spoken(tmp_path, ["one", "two"])
    ask = asking(library)
    page, data = ask.get(f"/c/{conv}"), ask.get(f"/c/{conv}.json").json()
    same = ask.get(f"/c/{conv}", headers={"Accept": "application/json"}).json()
    assert same == data
    assert [turn["turn"] for turn in data["turns"]] == [1, 2, 3, 4, 5, 6]
    assert page.text.count("<article") == 6


def test_every_answer_has_the_strict_headers(tmp_path: Path) -> None:
    library, conv = spoken(tmp_path, ["one"])
    for path in ("/", f"/c/{conv}", "/nothing", "/static/room.css", f"/c/{conv}.json"):
        headers = asking(library).get(path).headers
        assert headers["Content-Security-Policy"] == POLICY
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
    assert "unsafe" not in POLICY


@pytest.mark.parametrize(
    ("host", "here", "anywhere"),
    [
        ("localhost", True, True),
        ("LOCALHOST:8642", True, True),
        ("127.0.0.1:1", True, True),
        ("[::1]:8642", True, True),
        ("192.168.0.7", False, True),
        ("evil.example", False, False),
        ("localhost.evil.example", False, False),
        ("127.0.0.1.evil.example", False, False),
        ("127.0.0.1@evil.example", False, False),
        ("", False, False),
        ("[::1", False, False),
        ("localhost:evil", False, False),
    ],
)
def test_only_names_that_cannot_be_rebound_are_answered(
    host: str, *, here: bool, anywhere: bool
) -> None:
    assert own(host, everywhere=False) is here
    assert own(host, everywhere=True) is anywhere


def test_a_foreign_host_is_refused(tmp_path: Path) -> None:
    assert asking(Library(tmp_path), host="evil.example").get("/").status_code == 421


def test_the_room_only_reads(tmp_path: Path) -> None:
    assert asking(Library(tmp_path)).post("/").status_code == 405


def test_a_token_becomes_a_cookie_and_leaves_the_address(tmp_path: Path) -> None:
    ask = asking(Library(tmp_path), token="secret", host="192.168.0.7")  # noqa: S106 - made up
    assert ask.get("/").status_code == 401
    assert ask.get("/?token=wrong").status_code == 401
    let_in = ask.get("/?a=1&token=secret")
    assert (let_in.status_code, let_in.headers["location"]) == (303, "/?a=1")
    assert "HttpOnly" in let_in.headers["set-cookie"]
    assert ask.get("/").status_code == 200
    ask.cookies.clear()
    assert ask.get("/", headers={"Authorization": "Bearer secret"}).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/c/../../etc/passwd",
        "/c/..%2f..%2fetc%2fpasswd",
        "/c/%2e%2e",
        "/c/%00",
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/app.py",
        "/c/" + "x" * 5000,
        "/c/%ff%fe/1/seen",
    ],
)
def test_no_address_leads_out_of_the_library(tmp_path: Path, path: str) -> None:
    library, _ = spoken(tmp_path, ["one"])
    answer = asking(library).get(path)
    assert answer.status_code == 404
    assert "root:" not in answer.text
    assert "Starlette" not in answer.text


@pytest.mark.parametrize("query", ["from=0", "from=x", "from=-1", "from=1e9", "from=99999999999"])
def test_a_wrong_number_is_a_page_and_no_crash(tmp_path: Path, query: str) -> None:
    library, conv = spoken(tmp_path, ["one"])
    answer = asking(library).get(f"/c/{conv}.json?{query}")
    assert answer.status_code == 400
    assert "whole number" in answer.json()["problem"]


def test_a_phrase_that_looks_like_two_rules_is_one(tmp_path: Path) -> None:
    library = Library(tmp_path)
    spec = replace(PAIR.spec, ending=(StopPhrase("so · long"), TurnCap(3)))
    write(library.create("r", {"name": "r"}), CONV, [ConversationStarted(spec, {})])
    facts = asking(library).get(f"/c/{CONV}.json").json()["head"]["facts"]
    values = next(fact["values"] for fact in facts if fact["label"] == "may end")
    assert len(values) == 2
    assert "so · long" in values[0]


@pytest.mark.parametrize(
    ("silence", "ends", "follows"),
    [
        (Keep(), [], ["it is kept, a message like any other"]),
        (Resend(2), [], ["the turn is asked for again, 2 times at the most"]),
        (Nudge("Go on."), [], ["everybody hears: “Go on.”"]),
        (EndAtSilence(), ["at the first silence"], []),
    ],
)
def test_the_head_says_what_may_end_it_and_what_follows_a_silence(
    tmp_path: Path, silence: SilencePolicy, ends: list[str], follows: list[str]
) -> None:
    library = Library(tmp_path)
    spec = replace(PAIR.spec, ending=(TurnCap(3),), silence=silence, refusal=RefusalPolicy.END)
    write(library.create("r", {"name": "r"}), CONV, [ConversationStarted(spec, {})])
    facts = asking(library).get(f"/c/{CONV}.json").json()["head"]["facts"]
    told = {fact["label"]: fact["values"] for fact in facts}
    assert told["may end"] == ["at 3 messages", *ends, "at the first refusal"]
    assert told.get("after silence", []) == follows


def test_everything_that_must_not_be_missed_is_marked(tmp_path: Path) -> None:
    replies: list[str | Reply] = [
        Reply("cut", finish=Finish.LENGTH, reasoning="a thought"),
        Reply("no", finish=Finish.REFUSAL),
        "",
        "\u200b",
    ]
    library, conv = spoken(tmp_path, replies, turns=12)
    page = asking(library).get(f"/c/{conv}").text
    for words in (
        "cut: the token limit",
        ">refusal<",
        "silence: an empty message",
        "silence: invisible characters only",
        "ZERO WIDTH SPACE",
        "silence: white space only",
        "nudge: added by the system",
        "opening: given, not generated",
        "thought first · 9 characters",
        "the cap of 12 messages",
        "Be brief.",
    ):
        assert words in page
    assert page.count("badge b-refusal grave") >= 1


def test_a_failed_conversation_says_so(tmp_path: Path) -> None:
    library = Library(tmp_path)
    conv = said(library, [OverloadError("busy")], 4).id  # type: ignore[list-item]
    page = asking(library).get(f"/c/{conv}").text
    assert "failed attempt by Ben: overload: busy" in page
    assert "Failed: <bdi>an error, by Ben" in page
    assert f"duologue resume {conv}</code> tries again" in page
    assert "Ended by" not in page


def test_a_silence_is_shown_as_what_it_was_wherever_it_stands(tmp_path: Path) -> None:
    library, conv = spoken(tmp_path, ["\u200b", "words"], turns=8)
    other = said(library, ["", "words"], 8, "other").id
    ask = asking(library)
    both = ask.get("/compare", params={"left": conv, "right": other, "from": 1}).text
    for page in (ask.get(f"/c/{conv}").text, both, ask.get(f"/c/{conv}/6/seen").text):
        for made in ("U+0020 SPACE", "U+200B ZERO WIDTH SPACE"):
            assert f'<p class="made">{made}</p>' in page
    assert '<p class="made">nothing at all</p>' in both


def test_only_who_has_a_seat_stands_in_the_title(tmp_path: Path) -> None:
    library, conv = spoken(tmp_path, ["", "words"], turns=6)
    page = asking(library).get(f"/c/{conv}").text
    assert "nudge: added by the system" in page
    assert "<title>Ada ↔ Ben · duologue</title>" in page
    assert "<bdi>duologue</bdi>" not in page.partition("<h1>")[2].partition("</h1>")[0]


def test_a_permalink_leads_to_the_part_that_holds_the_turn(tmp_path: Path) -> None:
    library, conv = spoken(tmp_path, ["one"], turns=450)
    ask = asking(library)
    assert ask.get(f"/c/{conv}/3").headers["location"] == f"/c/{conv}#t3"
    assert ask.get(f"/c/{conv}/444").headers["location"] == f"/c/{conv}?from=401#t444"
    assert ask.get(f"/c/{conv}/451").status_code == 404
    page = ask.get(f"/c/{conv}?from=444").text
    assert 'id="t401"' in page
    assert 'id="t400"' not in page


def test_parts_hold_every_turn_once(tmp_path: Path) -> None:
    library, conv = spoken(tmp_path, ["x" * 30_000, "y"], turns=60)
    run, _ = library.find(conv)
    parts = windows(reading(run, run.conversation(conv)).transcript.spoken)
    assert len(parts) > 1
    covered = [turn for part in parts for turn in range(part.first, part.last + 1)]
    assert covered == list(range(1, 61))
    assert windows(()) == [Window(1, 0)]


def test_a_long_message_is_whole_on_its_page(tmp_path: Path) -> None:
    library, conv = spoken(tmp_path, ["x" * 1_000_000], turns=2)
    page = asking(library).get(f"/c/{conv}?from=2")
    assert page.text.replace("<wbr>", "").count("x" * 40_000) == 25
    assert "960,000 characters more of this message" in page.text


def test_what_a_participant_saw_is_rebuilt_and_proved(tmp_path: Path) -> None:
    library, conv = spoken(tmp_path, ["one", "two", "three"], turns=6)
    ask = asking(library)
    data = ask.get(f"/c/{conv}/6/seen.json").json()
    assert (data["participant"], data["agrees"], data["before"], data["known"]) == (
        "Ben",
        True,
        4,
        3,
    )
    assert [part["new"] for part in data["parts"]] == [False, False, False, True, True]
    assert ask.get(f"/c/{conv}/6/request.txt").text == data["body"]
    assert json.loads(data["body"])["messages"]
    assert "the digest matches" in ask.get(f"/c/{conv}/6/seen").text
    given = ask.get(f"/c/{conv}/1/seen")
    assert given.status_code == 404
    assert "nobody was asked" in given.text


def test_exact_words_are_the_bytes_that_were_said(tmp_path: Path) -> None:
    library, conv = spoken(tmp_path, ["<b>\u200b\r\n\x1b"], turns=2)
    answer = asking(library).get(f"/c/{conv}/2/words.txt")
    assert answer.content == "<b>\u200b\r\n\x1b".encode()
    assert answer.headers["content-type"].startswith("text/plain")
    assert "sandbox" in answer.headers["Content-Security-Policy"]


def test_the_founding_file_comes_out_as_it_went_in(tmp_path: Path) -> None:
    library, conv = imported(tmp_path)
    assert asking(library).get(f"/c/{conv}/founding.md").text == FOUNDING


def test_plain_text_holds_every_message(tmp_path: Path) -> None:
    library, conv = spoken(tmp_path, ["one\ntwo", ""], turns=5)
    text = asking(library).get(f"/c/{conv}/plain.txt").text
    assert "    one\n    two" in text
    assert "[silence: an empty message]" in text


def test_the_file_asks_nobody_for_anything(tmp_path: Path) -> None:
    library, conv = spoken(tmp_path, ["<script>x</script>", "![a](http://evil.example/a.png)"])
    file = asking(library).get(f"/c/{conv}/page.html").text
    for asking_for in ("<script", "<link", "src=", "@import", "url(", 'href="/'):
        assert asking_for not in file
    assert "default-src 'none'" in file


def test_the_description_names_every_page_with_data(tmp_path: Path) -> None:
    described = asking(Library(tmp_path)).get("/openapi.json").json()
    assert described["openapi"].startswith("3.1")
    assert len(described["paths"]) == len({page.path for page in PAGES if page.data is not None})


STYLE = (HERE / "static" / "room.css").read_text()
LIGHT, DARK = (
    dict(re.findall(r"--([\w-]+): (#\w{6})\b", part))
    for part in STYLE.split("@media screen and (prefers-color-scheme: dark)", 1)
)


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
def test_seats_can_be_read_and_told_apart(scheme: dict[str, str]) -> None:
    seats = [scheme[f"seat-{place}"] for place in range(COLOURS)]
    assert len(seats) == len(SEATS)
    for seat in seats:
        assert min(contrast(seat, scheme["paper"]), contrast(seat, scheme["raised"])) >= 4.5
    assert nearest(seats, "normal") >= 16
    for sight in SIGHT:
        assert nearest(seats[PLAIN_SEATS:], sight) >= 15


def test_every_colour_has_its_rule_and_the_second_six_another_mark() -> None:
    assert STYLE.count("--seat-11:") == 3
    for place in range(COLOURS):
        assert f".seat-{place} {{ --seat: var(--seat-{place}); }}" in STYLE
    marked = re.search(r"\n(.*) \{ --under:", STYLE)
    assert marked is not None
    assert marked[1] == ", ".join(f".seat-{place}" for place in range(PLAIN_SEATS, COLOURS))
    assert "http" not in STYLE


def test_twelve_speakers_have_twelve_colours_everywhere(tmp_path: Path) -> None:
    library = Library(tmp_path)
    names = [f"Speaker {place}" for place in range(13)]
    spec = ConversationSpec(tuple(Participant(name, "scripted:a") for name in names))
    cast = {name: Scripted([f"I am {name}."], "a") for name in names}
    asked = Asked("crowd", replace(spec, ending=(TurnCap(13),)))
    conv = apart(hold(asked, library, providers=cast)).id
    reader = asking(library)
    for path in ("/", f"/c/{conv}", f"/c/{conv}/page.html"):
        page = reader.get(path).text
        assert set(re.findall(r"seat-(\d+)[ \"]", page)) == {str(place) for place in range(12)}, (
            path
        )
