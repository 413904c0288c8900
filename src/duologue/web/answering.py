"""From a page's data to what is sent: HTML from a template, or the same data as JSON.

A page is a plain function, run in a thread: it reads files. What it raises becomes a page, too.
This module knows no conversation.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from duologue.errors import ConfigurationError, DuologueError, UnknownIdError
from duologue.web.words import FILTERS

HERE = Path(__file__).parent
DIGITS = 9
_NOT_FOUND, _BAD, _BROKEN = 404, 400, 500


class Answer(msgspec.Struct, frozen=True):
    """What a page says.

    Attributes:
        template: the file in ``templates``; it sees ``data``, and ``request``.
        data: everything that the page shows; it is the JSON at the same address.
        title: the document's title.
        status: of HTTP.
        more: what the template needs besides, and JSON does not hold.
    """

    template: str
    data: msgspec.Struct
    title: str
    status: int = 200
    more: dict[str, Any] = {}


class Parameter(msgspec.Struct, frozen=True):
    """A query parameter, for the OpenAPI description.

    Attributes:
        name: as in the address.
        about: what it does.
        schema: of its value.
    """

    name: str
    about: str
    schema: dict[str, Any] = msgspec.field(default_factory=lambda: {"type": "string"})


class Page(msgspec.Struct, frozen=True):
    """A page of the room.

    Attributes:
        path: its address, with Starlette's parameters in braces.
        answer: from a request to what it says; it may raise any error of ours.
        data: the type of its data; None for a page that is no JSON (a file, a stream).
        about: what it shows, for the OpenAPI description.
        query: the query parameters that it takes.
        media: the media type of a page without data.
    """

    path: str
    answer: Callable[[Request], Answer | Response]
    data: type[msgspec.Struct] | None
    about: str
    query: tuple[Parameter, ...] = ()
    media: str = "text/html"


class Problem(msgspec.Struct, frozen=True):
    """Why there is no page.

    Attributes:
        status: of HTTP.
        problem: what happened and what to do next.
    """

    status: int
    problem: str


def _environment() -> Environment:
    """Templates: everything is escaped, a misspelt name is an error."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(FILTERS)
    return made


TEMPLATES = _environment()


def routes(page: Page) -> list[Route]:
    """The page's routes: under ``.json`` the data first, then either of them."""
    if page.data is None:
        return [Route(page.path, _endpoint(page, json=False))]
    return [
        Route(json_path(page.path), _endpoint(page, json=True)),
        Route(page.path, _endpoint(page, json=False)),
    ]


def json_path(path: str) -> str:
    """Where a page's data is under a name of its own."""
    return "/index.json" if path == "/" else f"{path}.json"


def _endpoint(page: Page, *, json: bool) -> Callable[[Request], Any]:
    """What Starlette calls."""

    async def endpoint(request: Request) -> Response:
        try:
            found = await run_in_threadpool(page.answer, request)
        except DuologueError as error:
            found = problem(status_of(error), str(error))
        if isinstance(found, Response):
            return found
        return await run_in_threadpool(send, request, found, json=json)

    return endpoint


def send(request: Request, answer: Answer, *, json: bool = False) -> Response:
    """An answer in the form that was asked for."""
    headers = {"Vary": "Accept", "Cache-Control": "no-store"}
    if json or wants_json(request):
        body = msgspec.json.encode(answer.data)
        return Response(body, answer.status, headers, "application/json")
    page = TEMPLATES.get_template(answer.template).render(
        data=answer.data, request=request, title=answer.title, **answer.more
    )
    # Half a surrogate pair has no bytes; the words' filters have made a symbol of it before.
    body = page.encode(errors="replace")
    return HTMLResponse(body, answer.status, headers)


def wants_json(request: Request) -> bool:
    """Whether JSON is asked for: by the address, or by name in ``Accept``, and not HTML."""
    if request.url.path.endswith(".json"):
        return True
    accepted = request.headers.get("accept", "")
    return "application/json" in accepted and "text/html" not in accepted


def problem(status: int, text: str) -> Answer:
    """A page about what went wrong."""
    return Answer("problem.html", Problem(status, text), f"{status}", status)


def status_of(error: DuologueError) -> int:
    """The HTTP status of an error of ours: not there, asked wrongly, or the record is at fault."""
    if isinstance(error, UnknownIdError):
        return _NOT_FOUND
    return _BAD if isinstance(error, ConfigurationError) else _BROKEN


async def refused(request: Request, error: Exception) -> Response:
    """A page for what Starlette refuses: an address that is none, a method that is none."""
    if not isinstance(error, HTTPException):
        raise error
    text = "There is nothing at this address." if error.status_code == _NOT_FOUND else error.detail
    return send(request, problem(error.status_code, text))


def number(request: Request, name: str, *, least: int = 1) -> int | None:
    """A whole number from the query, or None where it is not given.

    Raises:
        ConfigurationError: it is no number, or too small.
    """
    given = request.query_params.get(name)
    return None if given is None else whole(given, name, least=least)


def whole(given: str, name: str, *, least: int = 1) -> int:
    """A whole number in an address; see ``number``."""
    if not (given.isascii() and given.isdigit() and len(given) <= DIGITS and int(given) >= least):
        raise ConfigurationError(f"{name} is {given!r}: give a whole number from {least}")
    return int(given)
