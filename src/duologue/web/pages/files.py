"""A conversation to take along: the founding Markdown, plain text, one HTML file; exact words."""

import hashlib
import re
from base64 import b64encode
from collections.abc import Iterator

from starlette.requests import Request
from starlette.responses import Response

from duologue.formats.crossing import left_out, send_out
from duologue.web.answering import HERE, TEMPLATES, Page
from duologue.web.pages.conversation import drawing, part, title, turn_of
from duologue.web.readings import Reading
from duologue.web.turns import Window, head, strip, turns
from duologue.web.words import label

_FONTS = re.compile(r"@font-face \{[^}]*\}\n")
# A file is opened by a browser that knows nothing of this room: let it load and run nothing.
_SEALED = "default-src 'none'; sandbox allow-popups"


def sent_as_file(data: bytes, name: str, media: str, *, keep: bool = False) -> Response:
    """A file, shown or kept; whatever is in it, a browser runs none of it."""
    headers = {
        "Content-Disposition": f'{"attachment" if keep else "inline"}; filename="{name}"',
        "Content-Security-Policy": _SEALED,
        "Cache-Control": "no-store",
    }
    return Response(data, 200, headers, media)


def _reading(request: Request) -> Reading:
    """The conversation that is asked for."""
    found: Reading = request.app.state.readings.read(request.path_params["conv"])
    return found


def words(request: Request) -> Response:
    """One message, byte for byte."""
    reading = _reading(request)
    turn = turn_of(request, reading)
    text = reading.transcript.spoken[turn - 1].entry.message.text
    data = text.encode(errors="surrogatepass")
    return sent_as_file(data, f"{reading.id}-{turn}.txt", "text/plain; charset=utf-8")


def founding(request: Request) -> Response:
    """The founding format, which other programs read; what it cannot hold it says in a header."""
    reading = _reading(request)
    began, last = reading.records[0].at, reading.records[-1].at
    data = send_out(reading.transcript, "founding", began, last)
    made = sent_as_file(data, f"{reading.id}.md", "text/markdown; charset=utf-8", keep=True)
    lost = len(left_out(reading.transcript, "founding", began, last))
    made.headers["X-Duologue-Left-Out"] = str(lost)
    return made


def plain(request: Request) -> Response:
    """The conversation as plain text, marks included."""
    reading = _reading(request)
    data = "\n".join(_lines(reading)).encode(errors="surrogatepass")
    return sent_as_file(data, f"{reading.id}.txt", "text/plain; charset=utf-8", keep=True)


def _lines(reading: Reading) -> Iterator[str]:
    """Its lines: a head, then each message under its number, author and marks."""
    above = head(reading)
    yield label(title(above))
    yield label(above.summary)
    for fact in above.facts:
        for place, value in enumerate(fact.values):
            yield f"{'' if place else fact.label:<14}{label(value)}"
    for turn in turns(reading, Window(1, above.turns)):
        marks = "".join(f"  [{label(mark.text)}]" for mark in turn.marks)
        made = f" ({turn.made_of})" if turn.made_of else ""
        yield f"\n[{turn.turn}] {label(turn.author)}{marks}{made}"
        if turn.reasoning:
            # Set in, so that no thought can be taken for what was said.
            yield "    thought first:\n" + "\n".join(
                f"    | {line}" for line in turn.reasoning.split("\n")
            )
        yield "\n".join(f"    {line}" for line in turn.text.split("\n"))
    yield f"\n{label(f'Ended by {above.ended}.' if above.ended else 'It has no ending.')}\n"


def page(request: Request) -> Response:
    """The whole conversation as one file that asks nobody for anything."""
    reading = _reading(request)
    return sent_as_file(
        alone(reading).encode(errors="replace"),
        f"{reading.id}.html",
        "text/html; charset=utf-8",
        keep=True,
    )


def alone(reading: Reading) -> str:
    """The HTML of it: the style inside, no script, no address that a browser would ask."""
    style = _FONTS.sub("", (HERE / "static" / "room.css").read_text())
    data = part(reading, 1)
    hashed = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return TEMPLATES.get_template("alone.html").render(
        {
            **drawing(reading.id),
            "data": data,
            "title": title(data.head),
            "style": style,
            "hash": hashed,
            "turns": turns(reading, Window(1, data.head.turns)),
            "strip": strip(reading),
            "files": True,
            "raw": False,
        }
    )


PAGES = (
    Page("/c/{conv}/{turn}/words.txt", words, None, "A message, byte for byte", media="text/plain"),
    Page("/c/{conv}/founding.md", founding, None, "The founding format", media="text/markdown"),
    Page("/c/{conv}/plain.txt", plain, None, "Plain text", media="text/plain"),
    Page("/c/{conv}/page.html", page, None, "One self-contained HTML file"),
)
