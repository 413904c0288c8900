"""The room in a real browser: nothing executes, nobody else is asked, nothing is lost."""

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from duologue.catalogue.keeping import Catalogue
from duologue.core.branch import branch
from duologue.core.event import AttemptFailed, Event, MessageInjected, TurnCompleted
from duologue.core.message import Message
from duologue.core.provider import Delta
from duologue.core.state import fold
from duologue.providers.scripted import Reply
from duologue.store.library import Library
from duologue.store.run import Log
from recording import CONV, OTHER, PAIR, write
from web.payloads import BOMBS, DISTURBS, EXECUTES
from web.rooms import apart, said, served, slow_live, spoken, tried

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WITHOUT = (
    "NO BROWSER, so nothing was tested in one: install Debian's chromium (as root: "
    "apt-get install chromium), or put a chromium on the PATH"
)
AXE = Path(__file__).with_name("axe.min.js")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.enable_socket,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        # Where CI says that there is to be a browser, a skip would hide that there is none.
        (pytest.fail if os.environ.get("DUOLOGUE_BROWSER") == "required" else pytest.skip)(WITHOUT)
    expect.set_options(timeout=60_000)
    with sync_playwright() as play:
        made = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    made = browser.new_page()
    made.foreign = []  # type: ignore[attr-defined] # collected for the end of the test
    made.broken = []  # type: ignore[attr-defined] # likewise
    made.on("request", lambda asked: _note(made, asked.url))
    made.on("pageerror", lambda error: _break(made, str(error)))
    made.on("dialog", lambda dialog: _break(made, dialog.message))
    yield made
    made.close()
    assert made.foreign == []  # type: ignore[attr-defined]
    assert made.broken == []  # type: ignore[attr-defined]


def _note(page: Page, url: str) -> None:
    if not url.startswith(("http://127.0.0.1:", "file://", "data:")):
        page.foreign.append(url)  # type: ignore[attr-defined]


def _break(page: Page, what: str) -> None:
    page.broken.append(what)  # type: ignore[attr-defined] # as above


def _serious(page: Page) -> list[str]:
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run()")["violations"]
    return [
        f"{each['id']}: {each['nodes'][0]['html'][:200]}"
        for each in found
        if each["impact"] in {"serious", "critical"}
    ]


def test_hostile_words_execute_nothing_and_keep_to_the_layout(tmp_path: Path, page: Page) -> None:
    payloads = [*EXECUTES, *DISTURBS, *BOMBS]
    replies: list[str | Reply] = [
        each for text in payloads for each in (text, Reply("said", reasoning=text))
    ]
    library, conv = spoken(tmp_path, payloads, turns=2 * len(payloads) + 2)
    other = said(library, replies, 12, "thoughts").id
    with served(library) as room:
        for width in (360, 1440):
            page.set_viewport_size({"width": width, "height": 800})
            for path in (f"/c/{conv}", f"/c/{conv}?raw=1", f"/c/{other}", f"/c/{conv}/8/seen"):
                page.goto(room + path)
                page.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
                assert page.evaluate("window.pwned") is None
                assert page.evaluate("document.documentElement.scrollWidth") <= width, path
                assert page.locator("img, iframe, svg, object, embed, base").count() == 0


def test_a_word_without_an_end_does_not_hold_the_browser_up(tmp_path: Path, page: Page) -> None:
    library, conv = spoken(tmp_path, ["\u0639" * 300_000, "short"], turns=4)
    clock = page.context.new_cdp_session(page)
    clock.send("Performance.enable", {"timeDomain": "threadTicks"})  # whoever else is at work
    with served(library) as room:
        page.goto(f"{room}/c/{conv}/3/seen", timeout=120_000)
        expect(page.locator("main")).to_contain_text("\u0639" * 300_000)
        told = clock.send("Performance.getMetrics")["metrics"]
        assert next(each["value"] for each in told if each["name"] == "TaskDuration") < 10
        assert page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_the_file_opens_from_disk_and_asks_nobody(tmp_path: Path, page: Page) -> None:
    library, conv = spoken(tmp_path, list(EXECUTES), turns=30)
    with served(library) as room:
        data = page.request.get(f"{room}/c/{conv}/page.html").body()
    file = tmp_path / "alone.html"
    file.write_bytes(data)
    page.goto(file.as_uri())
    assert page.locator("article").count() == 30
    assert page.evaluate("window.pwned") is None
    color = "getComputedStyle(document.querySelector('.name')).color"
    assert page.evaluate(color) == "rgb(28, 108, 177)"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_every_page_fits_its_window_and_has_no_serious_fault_of_access(
    tmp_path: Path, browser: Browser, scheme: str, width: int
) -> None:
    replies: list[str | Reply] = [
        "Goodbye, farewell, take care.",
        "",
        Reply("cut", reasoning="a thought"),
        "# H\n\n- a",
    ]
    library, conv = spoken(tmp_path, replies, turns=12)
    other = said(library, ["Goodbye.", "I was wrong."], 8, "other").id
    made = browser.new_page(
        color_scheme="dark" if scheme == "dark" else "light",
        viewport={"width": width, "height": 800},
    )
    both = f"/compare?left={conv}&right={other}"
    about = (f"/c/{conv}", f"/c/{conv}?raw=1", f"/c/{conv}/5/seen", f"/c/{conv}/branches", both)
    with served(library) as room:
        for path in ("/", "/?words=goodbye", "/runs", "/r/play", *about, "/nothing"):
            made.goto(room + path)
            assert _serious(made) == [], path
            assert made.evaluate("document.documentElement.scrollWidth") <= width, path
    made.close()


def test_on_a_narrow_screen_long_names_break_and_nothing_lies_on_the_words(
    tmp_path: Path, page: Page
) -> None:
    library = Library(tmp_path)
    conv = said(library, ["one " * 40], 4, names=("A" * 60, "B" * 60)).id
    page.set_viewport_size({"width": 390, "height": 800})
    with served(library) as room:
        for path in (
            "/",
            f"/c/{conv}",
            f"/c/{conv}/branches",
            f"/compare?left={conv}&right={conv}",
        ):
            page.goto(room + path)
            page.evaluate(
                "document.querySelectorAll('details').forEach((each) => each.open = true)"
            )
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
        page.goto(f"{room}/c/{conv}/3/seen")
        label = page.locator(".system .margin span").bounding_box()
        words = page.locator(".system .words").bounding_box()
        assert label is not None
        assert words is not None
        assert label["y"] + label["height"] <= words["y"]


def test_what_was_said_is_found_and_two_are_compared_by_keys(tmp_path: Path, page: Page) -> None:
    library, conv = spoken(tmp_path, ["a lighthouse"], turns=4)
    other = said(library, ["a harbour"], 4, "other").id
    with served(library) as room:
        page.goto(f"{room}/c/{conv}")
        page.keyboard.press("/")
        expect(page.locator("#words")).to_be_focused()
        page.keyboard.type("lighthouse")
        page.keyboard.press("Enter")
        page.wait_for_url("**words=lighthouse**")
        expect(page.locator("tr.book")).to_have_count(1)
        expect(page.locator("mark").first).to_have_text("lighthouse")
        page.keyboard.press("h")
        expect(page.locator("tr.book")).to_have_count(2)
        for key in ("j", "c", "j", "c"):
            page.keyboard.press(key)
        page.wait_for_url("**/compare?left=**")
        assert {conv, other} <= set(page.url.replace("&", "=").split("="))
        expect(page.locator(".row").first).to_be_visible()


def test_what_is_typed_is_searched_for_at_once(tmp_path: Path, page: Page) -> None:
    library, conv = spoken(tmp_path, ["a lighthouse"], turns=4)
    said(library, ["a harbour"], 4, "other")
    with served(library) as room:
        page.goto(room)
        page.keyboard.press("/")
        page.keyboard.type("lighthouse")
        expect(page.locator("tr.book")).to_have_count(1)
        expect(page.locator("mark").first).to_have_text("lighthouse")
        assert page.url.endswith("/?words=lighthouse")
        expect(page.locator("#words")).to_be_focused()
        page.keyboard.press("Escape")
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/c/{conv}#t4")
        page.go_back()
        expect(page.locator("#words")).to_have_value("lighthouse")


def test_in_print_the_words_remain_and_the_tools_go(tmp_path: Path, page: Page) -> None:
    library, conv = spoken(tmp_path, ["some words"], turns=4)
    with served(library) as room:
        page.goto(f"{room}/c/{conv}")
        page.emulate_media(media="print")
        expect(page.locator("#t2 .words")).to_be_visible()
        for tool in (".bar", "#strip", "#t2 .more"):
            expect(page.locator(tool)).to_be_hidden()


@pytest.mark.parametrize("more", [0, 11])
def test_on_paper_a_grid_has_all_its_columns(tmp_path: Path, page: Page, more: int) -> None:
    library = tried(tmp_path, [f"an_ending_with_a_long_name_{place}" for place in range(more)])
    page.set_viewport_size({"width": 718, "height": 1000})  # as wide as a sheet of A4
    page.emulate_media(media="print")
    with served(library) as room:
        page.goto(f"{room}/r/tried")
        cells = page.locator(".grid .heat")
        expect(cells).to_have_count(2 * (2 + more))
        for cell in cells.all():
            box = cell.bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 718
        shown = cells.last.evaluate("(cell) => getComputedStyle(cell, '::before').content")
        assert ("an_ending_with_a_long_name_10" in shown) == bool(more)


def test_on_paper_a_table_has_all_its_columns(tmp_path: Path, page: Page) -> None:
    row = "|".join(f"column {place}" for place in range(20))
    library, conv = spoken(tmp_path, [f"|{row}|\n{'|-' * 20}|\n|{row}|"], turns=3)
    page.set_viewport_size({"width": 718, "height": 1000})
    page.emulate_media(media="print")
    with served(library) as room:
        page.goto(f"{room}/c/{conv}")
        box = page.locator("#t2 td").last.bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= 718


def test_nothing_that_was_said_is_left_out_of_print_in_silence(tmp_path: Path, page: Page) -> None:
    replies: list[str | Reply] = [Reply("word " * 9_000, reasoning="a thought"), "short"]
    library, conv = spoken(tmp_path, replies, turns=16)
    with served(library) as room:
        page.emulate_media(media="print")
        page.goto(f"{room}/c/{conv}")
        expect(page.locator("#t2 .rest .words")).to_be_visible()
        expect(page.locator("#t2 .reasoning summary")).to_be_visible()
        expect(page.locator("#later")).to_be_visible()
        page.goto(f"{room}/c/{conv}/8/seen")
        expect(page.locator(".known .words").last).to_be_visible()


def test_it_can_be_read_without_a_script(tmp_path: Path, browser: Browser) -> None:
    library, conv = spoken(tmp_path, ["**one**"], turns=450)
    context = browser.new_context(java_script_enabled=False)
    made = context.new_page()
    with served(library) as room:
        made.goto(f"{room}/c/{conv}")
        made.click("#later a")
        expect(made.locator("#t201")).to_be_visible()
        made.click("#raw")
        expect(made.locator("#t201 .words")).to_have_text("**one**")
    context.close()


def test_keys_walk_the_conversation(tmp_path: Path, page: Page) -> None:
    library, conv = spoken(tmp_path, ["word " * 200, "other " * 300], turns=8)
    with served(library) as room:
        page.goto(f"{room}/c/{conv}#t2")
        page.keyboard.press("j")
        expect(page.locator(".turn.here")).to_have_id("t3")
        page.keyboard.press("k")
        expect(page.locator(".turn.here")).to_have_id("t2")
        page.keyboard.press("G")
        expect(page.locator(".turn.here")).to_have_id("t8")
        page.keyboard.press("g")
        expect(page.locator(".turn.here")).to_have_id("t1")
        page.keyboard.press("G")
        page.keyboard.press("s")
        page.wait_for_url("**/8/seen")
        page.go_back()
        page.keyboard.press("r")
        page.wait_for_url("**raw=1**")
        page.keyboard.press("?")
        expect(page.locator("#keys")).to_be_visible()


def test_a_key_or_a_link_says_which_turn_is_read_however_late_a_frame_comes(
    tmp_path: Path, page: Page
) -> None:
    library, conv = spoken(tmp_path, ["a few words"], turns=60)
    page.add_init_script("let now = 0; performance.now = () => now += 1000;")
    drawn = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    with served(library) as room:
        page.goto(f"{room}/c/{conv}#t30")
        page.evaluate(drawn)
        expect(page.locator(".turn.here")).to_have_id("t30")
        page.keyboard.press("G")
        page.evaluate(drawn)
        expect(page.locator(".turn.here")).to_have_id("t60")
        page.evaluate("scrollBy(0, -20)")
        page.evaluate(drawn)
        expect(page.locator(".turn.here")).not_to_have_id("t60")


def test_a_key_opens_what_was_thought_though_an_attempt_had_failed_before(
    tmp_path: Path, page: Page
) -> None:
    library = Library(tmp_path)
    begun, started, done = apart(PAIR.events())[:3]
    assert isinstance(done, TurnCompleted)
    failed = AttemptFailed(2, "Bo", "stream", "it broke off", partial="two", again=True)
    thought = msgspec.structs.replace(done, reasoning="let me think")
    write(library.create("r", {}), CONV, [begun, started, failed, started, thought])
    with served(library) as room:
        page.goto(f"{room}/c/{CONV}#t2")
        page.keyboard.press("o")
        expect(page.locator("#t2 .reasoning .words")).to_be_visible()
        expect(page.locator("#t2 .partial .as-written")).to_be_hidden()


def test_a_step_up_from_the_first_message_of_a_part_leads_to_the_last_of_the_part_before(
    tmp_path: Path, page: Page
) -> None:
    library, conv = spoken(tmp_path, ["one", "two"], turns=250)
    with served(library) as room:
        page.goto(f"{room}/c/{conv}/201")
        expect(page.locator(".turn.here")).to_have_id("t201")
        page.keyboard.press("k")
        page.wait_for_url("**?from=1#t200")
        expect(page.locator(".turn.here")).to_have_id("t200")
        expect(page.locator("#t200")).to_be_in_viewport()


def test_words_that_run_from_right_to_left_have_their_own_side(tmp_path: Path, page: Page) -> None:
    text = "In English first.\n\nثم بالعربية\n\n> اقتباس"
    library, conv = spoken(tmp_path, [text, "مرحبا\n\n> اقتباس\n\n```\nprint(1)\n```"], turns=4)
    with served(library) as room:
        page.goto(f"{room}/c/{conv}")
        start = "(at) => getComputedStyle(document.querySelector(at))"
        assert page.evaluate(f"{start}.direction", "#t4 pre") == "ltr"
        assert page.evaluate(f"{start}.borderRightWidth", "#t4 blockquote") == "2px"
        side = """(at) => { const range = document.createRange();
            range.selectNodeContents(document.querySelector(at));
            return range.getBoundingClientRect().left; }"""
        left = page.evaluate(side, "#t2 .words > p:nth-child(1)")
        assert page.evaluate(side, "#t2 .words > p:nth-child(2)") > left + 200


def test_a_grid_and_a_tree_keep_their_shape_on_a_narrow_screen(tmp_path: Path, page: Page) -> None:
    library, conv = spoken(tmp_path, ["one", "two"], turns=6)
    facts = library.find(conv)[0].events(conv)
    start = fold(facts).begun()
    write(
        library.create("b", {}), OTHER, branch(facts, conv, 3, spec=start.spec, seats=start.seats)
    )
    page.set_viewport_size({"width": 390, "height": 800})
    with served(library) as room:
        page.goto(f"{room}/r/play")
        page.keyboard.press("?")
        keys = page.locator("#keys").bounding_box()
        assert keys is not None
        assert keys["x"] >= 8
        page.keyboard.press("Escape")
        named = page.locator(".grid tbody th").bounding_box()
        assert named is not None
        assert named["height"] < 100
        page.goto(f"{room}/c/{OTHER}/branches")
        first, second = (page.locator(".tree li").nth(at).bounding_box() for at in (0, 1))
        assert first is not None
        assert second is not None
        assert second["x"] > first["x"]


def test_whoever_opens_a_cell_by_keys_goes_on_among_its_conversations(
    tmp_path: Path, page: Page
) -> None:
    with served(tried(tmp_path)) as room:
        page.goto(f"{room}/r/tried")
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        page.wait_for_url("**#cell")
        page.keyboard.press("j")
        expect(page.locator("#cell .book.here .open")).to_be_focused()


def test_who_goes_up_by_a_key_is_not_carried_back_to_the_newest_words(
    tmp_path: Path, page: Page
) -> None:
    library = Library(tmp_path)
    run = library.create("live", {})
    with run.writing() as log, served(library) as room:
        _begin(log)
        for number in range(2, 60):
            log.append(CONV, MessageInjected(number, Message("Ada", f"number {number}")))
        page.goto(f"{room}/c/{CONV}")
        expect(page.locator("#following-words")).to_have_text("following")
        expect(page.locator("#t59")).to_be_in_viewport()
        for _ in range(12):
            page.keyboard.press("k")
        expect(page.locator("#following-words")).to_have_text("staying here")
        log.append(CONV, MessageInjected(60, Message("Ada", "more")))
        expect(page.locator("#following-words")).to_have_text("1 new below")
        expect(page.locator("#t59")).not_to_be_in_viewport()


def test_what_is_still_being_taken_in_comes_into_the_list_by_itself(
    tmp_path: Path, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    library, first = spoken(tmp_path, ["one", "two"], turns=4)
    refresh = Catalogue.refresh
    with served(library) as room:
        page.goto(room)
        expect(page.locator(".book")).to_have_count(1)
        monkeypatch.setattr(Catalogue, "refresh", lambda *_, **__: False)
        said(library, ["three"], 3, "late")
        page.goto(room)
        expect(page.locator("#found .told")).to_contain_text("logs are being read")
        page.keyboard.press("j")
        expect(page.locator(f".book .open[href='/c/{first}']")).to_be_focused()
        monkeypatch.setattr(Catalogue, "refresh", refresh)
        expect(page.locator(".book")).to_have_count(2)
        expect(page.locator("#found .told")).not_to_contain_text("logs are being read")
        expect(page.locator(f".book.here .open[href='/c/{first}']")).to_be_focused()
        expect(page.locator(".sheet")).to_have_attribute("data-again", "0")


def test_who_stands_in_a_cell_stays_there_while_the_run_counts_on(
    tmp_path: Path, page: Page
) -> None:
    library = Library(tmp_path)
    run = library.create("live", {})
    facts = apart(PAIR.events())
    with run.writing() as log, served(library) as room:
        for event in facts:
            log.append(CONV, event)
        page.goto(f"{room}/r/live")
        page.keyboard.press("j")
        expect(page.locator(".heat .open")).to_be_focused()
        page.evaluate("document.querySelector('.grid').id = 'before'")
        for event in facts:
            log.append(OTHER, event)
        expect(page.locator("#before")).to_have_count(0)
        expect(page.locator(".heat.here .n")).to_contain_text("n = 2")
        expect(page.locator(".heat.here .open")).to_be_focused()


def test_a_permanent_link_leads_to_its_turn_however_short_it_is(tmp_path: Path, page: Page) -> None:
    library, conv = spoken(tmp_path, ["—", "[End]"], turns=60)
    with served(library) as room:
        page.goto(f"{room}/c/{conv}/20")
        expect(page.locator(".turn.here")).to_have_id("t20")
        page.keyboard.press("j")
        expect(page.locator(".turn.here")).to_have_id("t21")


def test_views_and_branches_are_walked_by_keys(tmp_path: Path, page: Page) -> None:
    library, conv = spoken(tmp_path, ["one", "two"], turns=8)
    with served(library) as room:
        page.goto(f"{room}/c/{conv}/4/seen")
        page.keyboard.press("j")
        page.wait_for_url("**/6/seen")
        page.keyboard.press("k")
        page.wait_for_url("**/4/seen")
        page.keyboard.press("u")
        page.wait_for_url(f"**/c/{conv}#t4")
        page.keyboard.press("b")
        page.wait_for_url("**/branches")
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/c/{conv}")


@pytest.mark.parametrize("chosen", ["", "dark"])
def test_it_is_printed_dark_on_white_whatever_the_screen_is(
    tmp_path: Path, browser: Browser, chosen: str
) -> None:
    library, conv = spoken(tmp_path, ["some words"], turns=4)
    made = browser.new_page(color_scheme="dark")
    with served(library) as room:
        made.goto(f"{room}/c/{conv}")
        made.evaluate("(chosen) => { document.documentElement.dataset.theme = chosen; }", chosen)
        made.emulate_media(media="print", color_scheme="light")
        soft = "getComputedStyle(document.querySelector('.summary')).color"
        assert made.evaluate(soft) == "rgb(102, 98, 90)"
        assert made.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    made.close()


def test_when_a_conversation_ends_its_page_says_so_though_its_run_goes_on(
    tmp_path: Path, page: Page, browser: Browser
) -> None:
    library = Library(tmp_path)
    run, other = library.create("live", {}), browser.new_page()
    facts = apart(PAIR.events())
    with run.writing() as log, served(library) as room:
        for event in facts[:3]:
            log.append(CONV, event)
        for each in (page, other):
            each.goto(f"{room}/c/{CONV}")
            expect(each.locator("#following-words")).to_have_text("following")
            expect(each.locator(".head .now")).to_be_visible()
        for event in facts[3:]:
            log.append(CONV, event)
        for each in (page, other):
            expect(each.locator("#following")).to_be_hidden()
            expect(each.locator(".head .end")).to_contain_text("Ended by")
            expect(each.locator("#close")).to_contain_text("Ended by")
            expect(each.locator(".head .now")).to_have_count(0)
    other.close()


def test_who_scrolls_to_the_end_of_a_long_running_conversation_follows_it_from_there(
    tmp_path: Path, page: Page
) -> None:
    library = Library(tmp_path)
    run = library.create("live", {})
    with run.writing() as log, served(library) as room:
        _begin(log)
        for number in range(2, 251):
            log.append(CONV, MessageInjected(number, Message("Ada", f"number {number}")))
        page.goto(f"{room}/c/{CONV}")
        expect(page.locator("#following")).to_be_hidden()
        page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        expect(page.locator("#t250")).to_be_attached()
        expect(page.locator("#following-words")).to_have_text("staying here")
        log.append(CONV, MessageInjected(251, Message("Ada", "more")))
        expect(page.locator("#t251")).to_be_attached()
        expect(page.locator("#following-words")).to_have_text("1 new below")
        page.keyboard.press("f")
        expect(page.locator("#following-words")).to_have_text("following")
        expect(page.locator("#t251")).to_be_in_viewport()


def test_a_running_conversation_types_itself_and_outlives_the_server(
    tmp_path: Path, page: Page
) -> None:
    library = Library(tmp_path)
    run = library.create("live", {})
    with run.writing() as log, _reserved() as port:
        turn = _begin(log)
        live = slow_live(run)
        with served(library, port) as room:
            page.goto(f"{room}/c/{CONV}")
            expect(page.locator("#following-words")).to_have_text("following")
            for event in turn[:1]:
                live.hear(log.append(CONV, event))
            live.hear(Delta("typed "))
            live.hear(Delta("words"))
            expect(page.locator("#typing .words").last).to_have_text("typed words")
            live.hear(log.append(CONV, turn[1]))
            expect(page.locator("#t2")).to_be_visible()
            expect(page.locator("#typing")).to_be_hidden()
        for number in range(3, 30):
            message = Message("Ada", f"while it was away, {number}")
            log.append(CONV, MessageInjected(number, message))
        with served(library, port):
            expect(page.locator("#t29")).to_be_attached()
            numbers = page.evaluate(
                "[...document.querySelectorAll('#turns > .turn')].map(t => t.id)"
            )
            assert numbers == [f"t{number}" for number in range(1, 30)]
            live.close()


def _begin(log: Log) -> list[Event]:
    """A conversation's first fact is written; the facts of its next turn come back."""
    facts = apart(PAIR.events())
    log.append(CONV, facts[0])
    return facts[1:3]


@contextmanager
def _reserved() -> Iterator[int]:
    """A port that nobody else is given while no room listens at it."""
    with socket.socket() as kept:
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind(("127.0.0.1", 0))
        yield int(kept.getsockname()[1])


def test_a_long_conversation_comes_in_parts_as_it_is_scrolled(tmp_path: Path, page: Page) -> None:
    library, conv = spoken(tmp_path, ["word " * 60, "*other* words\nin lines " * 12], turns=700)
    with served(library) as room:
        page.goto(f"{room}/c/{conv}")
        expect(page.locator("#turns > .turn")).to_have_count(200)
        for last in (400, 600, 700):
            page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
            expect(page.locator(f"#t{last}")).to_be_attached()
        numbers = page.evaluate("[...document.querySelectorAll('#turns > .turn')].map(t => t.id)")
        assert numbers == [f"t{number}" for number in range(1, 701)]
