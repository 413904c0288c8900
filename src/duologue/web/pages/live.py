"""A running conversation over server-sent events.

Each record's event carries its number in the log, so a browser that comes back says how far it
had read and misses nothing, repeats nothing, whoever serves it. Text that is only being typed
carries none.
"""

import asyncio
import time
from collections.abc import AsyncIterator

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import State
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from duologue.errors import ConfigurationError, DuologueError
from duologue.web.answering import DIGITS, TEMPLATES, Page, Parameter
from duologue.web.pages.conversation import drawing
from duologue.web.tailing import News, Tail

LOOK_S = 0.08
_BEAT_S = 15.0
_AGAIN_MS = 800


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a browser is told.

    Attributes:
        turn: the number of the turn.
        html: the message, drawn.
        cell: its cell in the strip, drawn.
        who: who speaks.
        colour: the number of the speaker's colour.
        words: words of the event.
        thought: reasoning that was typed.
        anew: whether what is typed begins from its beginning.
    """

    turn: int = 0
    html: str = ""
    cell: str = ""
    who: str = ""
    colour: int = 0
    words: str = ""
    thought: str = ""
    anew: bool = False


def live(request: Request) -> Response:
    """The stream of a conversation from a record on."""
    readings = request.app.state.readings
    run, conv = readings.find(request.path_params["conv"])
    tail = Tail(run, conv, _after(request), readings.place(run, conv))
    raw = "raw" in request.query_params
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(
        _stream(tail, conv, request.app.state, raw=raw), 200, headers, "text/event-stream"
    )


def _after(request: Request) -> int:
    """The last record that the browser has seen; -1 for none.

    Raises:
        ConfigurationError: it is no number.
    """
    given = request.headers.get("last-event-id") or request.query_params.get("after") or "-1"
    if not given.removeprefix("-").isdecimal() or not given.isascii() or len(given) > DIGITS:
        raise ConfigurationError(f"the last record seen is {given!r}: give its number")
    return int(given)


async def _stream(tail: Tail, conv: str, room: State, *, raw: bool) -> AsyncIterator[bytes]:
    """Everything new, as it comes."""
    yield f"retry: {_AGAIN_MS}\n\n".encode()
    beat = time.monotonic()
    while not room.closing:
        try:
            drawn, over = await run_in_threadpool(_look, tail, conv, raw=raw)
        except DuologueError as error:
            yield event("problem", Line(words=str(error)))
            return
        if drawn:
            yield b"".join(drawn)
            beat = time.monotonic()
        if over:
            yield event("over", Line())
            return
        if time.monotonic() - beat > _BEAT_S:
            yield b": still here\n\n"
            beat = time.monotonic()
        await asyncio.sleep(LOOK_S)


def _look(tail: Tail, conv: str, *, raw: bool) -> tuple[list[bytes], bool]:
    """What is new, drawn, and whether that is all."""
    news, over = tail.more()
    return [_drawn(each, conv, raw=raw) for each in news], over


def _drawn(news: News, conv: str, *, raw: bool) -> bytes:
    """News as an event."""
    if news.turn is None or news.cell is None:
        line = Line(
            news.number,
            who=news.who,
            colour=news.colour,
            words=news.words,
            thought=news.thought,
            anew=news.anew,
        )
        return event(news.kind, line, news.seq)
    parts = TEMPLATES.get_template("_turn.html").make_module({**drawing(conv), "raw": raw})
    html = str(parts.article(news.turn))  # type: ignore[attr-defined] # a macro of the template
    cell = str(parts.strip_cell(news.cell))  # type: ignore[attr-defined] # likewise
    return event(news.kind, Line(news.turn.turn, html=html, cell=cell), news.seq)


def event(kind: str, line: Line, seq: int | None = None) -> bytes:
    """One server-sent event; JSON has no line feeds of its own, so it is one line."""
    number = "" if seq is None else f"id: {seq}\n"
    body = msgspec.json.encode(line).decode()
    return f"{number}event: {kind}\ndata: {body}\n\n".encode()


_AFTER = Parameter("after", "the last record seen; its ``Last-Event-ID`` counts before it")

PAGES = (
    Page(
        "/c/{conv}/live",
        live,
        None,
        "A running conversation, as it grows",
        (_AFTER,),
        media="text/event-stream",
    ),
)
