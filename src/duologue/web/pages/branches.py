"""A conversation, what it branched from, and everything that branched from it: a tree."""

import msgspec
from starlette.requests import Request

from duologue.catalogue.asking import family
from duologue.catalogue.shape import Shelved
from duologue.errors import UnknownIdError
from duologue.web.answering import Answer, Page
from duologue.web.shelf import DRAWING
from duologue.web.turns import STATES


class Node(msgspec.Struct, frozen=True):
    """A conversation in its tree.

    Attributes:
        id: its id.
        depth: 0 for the root.
        fork: the last message that it inherited; None for the root.
        missing: whether it is not in this library, only named by a branch.
        conversation: what the list shows of it; None where it is missing.
    """

    id: str
    depth: int
    fork: int | None
    missing: bool
    conversation: Shelved | None


class Tree(msgspec.Struct, frozen=True):
    """A tree of branches.

    Attributes:
        id: the conversation that was asked about.
        nodes: parents before their branches; branches by the turn at which they leave.
    """

    id: str
    nodes: tuple[Node, ...]


def branches(request: Request) -> Answer:
    """The tree that a conversation belongs to.

    Raises:
        UnknownIdError: nothing answers to the name.
    """
    _, conv = request.app.state.readings.find(request.path_params["conv"])
    root, kin = request.app.state.catalogue.ask(lambda db: family(db, conv))
    known = {one.id: one for one in kin}
    if conv not in known:
        raise UnknownIdError(f"{conv} is still being taken in: ask again in a moment")
    nodes = tuple(_walk(root, known))
    return Answer(
        "branches.html",
        Tree(conv, nodes),
        f"Branches of {conv}",
        more={**DRAWING, "state_words": STATES},
    )


def _walk(root: str, known: dict[str, Shelved]) -> list[Node]:
    """The tree from its root, without recursion: a chain of branches can be long."""
    children: dict[str, list[Shelved]] = {}
    for one in known.values():
        if one.parent is not None and one.id != root:
            children.setdefault(one.parent, []).append(one)
    found, waiting = list[Node](), [(root, 0)]
    while waiting:
        name, depth = waiting.pop()
        own = known.get(name)
        fork = own.parent_turn if own is not None and depth else None
        found.append(Node(name, depth, fork, own is None, own))
        below = sorted(children.pop(name, []), key=lambda one: (one.parent_turn or 0, one.key))
        waiting += [(one.id, depth + 1) for one in reversed(below)]
    return found


PAGE = Page("/c/{conv}/branches", branches, Tree, "The tree of a conversation and its branches")
