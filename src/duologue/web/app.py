"""The room itself: every page, the packaged files, and the guards before them.

It is handed a library and a token, and knows neither the network nor who started it.
"""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from duologue.catalogue.keeping import Catalogue
from duologue.store.library import Library
from duologue.web.answering import HERE, refused, routes
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
