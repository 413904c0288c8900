"""The room itself: every page, the packaged files, and the guards before them.

It is handed a library and a token, and knows neither the network nor who started it.
"""

from urllib.parse import quote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Scope

from duologue.catalogue.keeping import Catalogue
from duologue.errors import UnknownIdError
from duologue.store.library import Library
from duologue.web.answering import HERE, TEMPLATES, refused, routes
from duologue.web.cells import experiment
from duologue.web.guards import Guard
from duologue.web.openapi import description
from duologue.web.pages import PAGES
from duologue.web.readings import Readings


def room(library: Library, token: str | None = None) -> Starlette:
    """The reading room of a library.

    Args:
        library: what is read; nothing in it is changed but the runs' caches.
        token: what a reader must show; None where only this machine can ask.
    """
    app = Starlette(
        routes=[
            *(route for page in PAGES for route in routes(page)),
            Route("/openapi.json", description),
            Mount("/static", StaticFiles(directory=HERE / "static"), name="static"),
        ],
        middleware=[Middleware(Guard, token=token)],
        exception_handlers={HTTPException: refused},
    )
    app.state.library = library
    app.state.closing = False
    app.state.catalogue = Catalogue(library)
    app.state.readings = Readings(app.state.catalogue)
    return app


def path_of(app: Starlette, name: str) -> str:
    """Where a conversation or a run is, as a path without its first slash.

    Raises:
        UnknownIdError: nothing, or more than one thing, answers to the name.
    """
    run = experiment(app.state.library, name)
    if run is not None:
        return f"r/{quote(run)}"
    try:
        return f"c/{app.state.readings.find(name)[1]}"
    except UnknownIdError:
        if not app.state.catalogue.reading:
            raise
        # A library that is being read for the first time: its logs are asked themselves.
        return f"c/{app.state.library.find(name)[1]}"


async def warm(app: Starlette) -> None:
    """Ask for the first pages before anybody else does, and make every template ready.

    What a first answer costs besides (imports, compiling, the file's pages in memory, a look at
    every log) is paid before the room says that it is open.
    """
    app.state.catalogue.prefetch()
    for name in TEMPLATES.list_templates():
        TEMPLATES.get_template(name)
    for path in ("/", "/runs"):
        await app.router(_request(app, path), _nothing, _forgotten)


def _request(app: Starlette, path: str) -> Scope:
    """A question that comes from within; no guard stands before it."""
    return {
        "app": app,
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": b"",
        "headers": [],
    }


async def _nothing() -> Message:
    """The body of a question that has none."""
    return {"type": "http.request"}


async def _forgotten(_: Message) -> None:
    """An answer that nobody waits for."""
