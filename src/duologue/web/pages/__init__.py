"""Every page of the room, a line each. More particular addresses come first."""

from duologue.web.answering import Page
from duologue.web.pages import branches, compare, conversation, files, library, live, run, seen

PAGES: tuple[Page, ...] = (
    library.PAGE,
    *run.PAGES,
    compare.PAGE,
    branches.PAGE,
    *live.PAGES,
    *files.PAGES,
    *seen.PAGES,
    *conversation.PAGES,
)
"""In the order in which an address is tried."""
