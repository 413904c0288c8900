from pathlib import Path

from duologue.core.event import ConversationEnded, EndReason, Event, Record
from duologue.core.provider import Delta
from duologue.store.library import Library
from duologue.store.live import Live, Ration, Typed, live_path, typed
from duologue.web.tailing import News, Tail
from recording import CONV, OTHER, PAIR, folder, write
from web.rooms import asking, slow_live, spoken


def _turns(news: list[News]) -> list[int]:
    return [each.turn.turn for each in news if each.turn is not None]


def _after(tail: Tail) -> list[News]:
    return tail.more()[0]


async def test_every_cut_of_a_log_and_its_rest_are_the_whole(tmp_path: Path) -> None:
    run, events = folder(tmp_path / "r"), await PAIR.events()
    with run.writing() as log:
        for cut, event in enumerate(events):
            tail = Tail(run, CONV, -1)
            first = _after(tail)
            log.append(CONV, event)
            rest = _after(tail)
            whole = [each for each in _after(Tail(run, CONV, -1)) if each.seq is not None]
            both = [each for each in (*first, *rest) if each.seq is not None]
            assert both == whole, cut
    assert _turns(_after(Tail(run, CONV, -1))) == [1, 2, 3, 4]


async def test_whoever_comes_back_gets_every_later_record_once(tmp_path: Path) -> None:
    run, events = folder(tmp_path / "r"), await PAIR.events()
    with run.writing() as log:
        for event in events:
            log.append(CONV, event)
    whole = _after(Tail(run, CONV, -1))
    for seen in range(-1, len(events)):
        again = _after(Tail(run, CONV, seen))
        assert again == [each for each in whole if (each.seq or 0) > seen]


def _record(seq: int, event: Event) -> Record:
    return Record(1, CONV, seq, "2026-01-01T00:00:00.000000Z", event, "", "")


async def test_what_is_typed_is_offered_until_its_turn_is_logged(tmp_path: Path) -> None:
    run, events = folder(tmp_path / "r"), await PAIR.events()
    path = live_path(run.path, CONV)
    with run.writing() as log:
        live, tail = slow_live(run), Tail(run, CONV, -1)
        for event in events[:2]:
            live.hear(log.append(CONV, event))
        live.hear(Delta("hm", reasoning=True))
        live.hear(Delta("two "))
        assert typed(path) == Typed(1, 2, "Bo", "two ", "hm")
        assert [(n.words, n.thought, n.anew) for n in _after(tail) if n.kind == "typing"] == [
            ("two ", "hm", True)
        ]
        live.hear(Delta("lines"))
        assert [(n.words, n.anew) for n in _after(tail)] == [("lines", False)]
        assert [n.words for n in _after(Tail(run, CONV, 1))] == ["two lines"]
        live.hear(log.append(CONV, events[2]))
        assert typed(path) is None
        assert _turns(_after(tail)) == [2]
        live.close()
    assert not path.exists()


def test_a_disk_that_refuses_live_text_stops_nothing(tmp_path: Path) -> None:
    live = Live(tmp_path / "missing" / "live", Ration())
    live.hear(Delta("a"))
    live.close()


def test_the_stream_of_an_ended_conversation_says_it_is_over(tmp_path: Path) -> None:
    library, conv = spoken(tmp_path, ["one"], turns=3)
    ask = asking(library)
    everything = ask.get(f"/c/{conv}/live").text
    assert everything.count("event: turn\n") == 3
    assert "event: ended" in everything
    assert everything.rstrip().endswith("event: over\ndata: {}")
    rest = ask.get(f"/c/{conv}/live", headers={"Last-Event-ID": "3"}).text
    assert "id: 3\n" not in rest
    assert "id: 4\n" in rest
    assert ask.get(f"/c/{conv}/live?after=x").status_code == 400


async def test_a_failed_conversation_is_over_only_when_nobody_can_try_it_again(
    tmp_path: Path,
) -> None:
    library, events = Library(tmp_path), await PAIR.events()
    run, ask = library.create("r", {"name": "r"}), asking(library)

    def growing() -> tuple[bool, bool]:
        head = ask.get(f"/c/{CONV}", headers={"accept": "application/json"}).json()["head"]
        return head["running"], head["growing"]

    with run.writing() as log:
        for event in (*events[:3], ConversationEnded(EndReason.ERROR, detail="no route")):
            log.append(CONV, event)
        tail = Tail(run, CONV, -1)
        news, over = tail.more()
        assert ([each.kind for each in news][-1], over, growing()) == (
            "ended",
            False,
            (False, True),
        )
        for event in events[3:-1]:
            log.append(CONV, event)
        news, over = tail.more()
        assert (_turns(news)[0], over, growing()) == (3, False, (True, True))
        log.append(CONV, events[-1])
        assert (tail.more()[1], growing()) == (True, (False, False))
    failed = library.create("s", {"name": "s"})
    write(failed, OTHER, [*events[:3], ConversationEnded(EndReason.ERROR)])
    assert Tail(failed, OTHER, -1).more()[1]


def test_nothing_of_the_live_text_is_left_when_a_conversation_ends(tmp_path: Path) -> None:
    library, conv = spoken(tmp_path, ["one"], turns=3)
    run, _ = library.find(conv)
    assert not list(run.path.glob("live-*"))
