"""Views to be encoded by the dialects of hosted models, and a strict reader of what they make."""

import json
from typing import Any

from hypothesis import strategies as st

from duologue.core.message import silence
from duologue.core.provider import Seat
from duologue.core.request import Heard, Request, Role
from duologue.core.spec import Framing, Sampling
from strategies import texts

TALK = (Heard(Role.OTHER, "Ben", "hi"), Heard(Role.OWN, "Ada", "ho"), Heard(Role.OTHER, "Ben", "?"))


def seat(dialect: str, *, stream: bool = True, **quirks: Any) -> Seat:
    return Seat("acme", "m-1", dialect, {"stream": stream, "quirks": quirks})


def request(
    *messages: Heard,
    system: str | None = "Be brief.",
    sampling: Sampling | None = None,
    seed: int | None = None,
    stand_in: str | None = None,
) -> Request:
    """A view of Ada's; ``TALK`` where no messages are given."""
    drawn = sampling or Sampling()
    said = messages or TALK
    return Request("Ada", system, Framing.CHAT, said, drawn, seed, stand_in, key="c/Ada")


def read(body: bytes) -> Any:
    """JSON, in which no key may stand twice in one object."""
    return json.loads(body, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    assert len(found) == len(pairs), f"a key stands twice among {[key for key, _ in pairs]}"
    return found


def heard(*, blocks: st.SearchStrategy[Any] | None = None) -> st.SearchStrategy[Heard]:
    """A message; the participant's own may carry blocks."""
    bound = st.lists(blocks, max_size=2).map(tuple) if blocks is not None else st.just(())
    own = st.builds(Heard, st.just(Role.OWN), st.just("Ada"), texts(), bound)
    return own | st.builds(Heard, st.just(Role.OTHER), st.sampled_from(["Ben", "C"]), texts())


def requests(*, blocks: st.SearchStrategy[Any] | None = None) -> st.SearchStrategy[Request]:
    """Any view with something in it, and something to stand in for silence."""
    return st.builds(
        Request,
        st.just("Ada"),
        st.none() | texts(),
        st.just(Framing.CHAT),
        st.lists(heard(blocks=blocks), min_size=1, max_size=6).map(tuple),
        st.builds(
            Sampling,
            temperature=st.none() | st.floats(0, 2),
            top_p=st.none() | st.floats(0, 1),
            max_tokens=st.none() | st.integers(1, 2048),
            stop=st.lists(texts(), max_size=2).map(tuple),
            extra=st.dictionaries(texts().map("x".__add__), st.none() | st.integers(), max_size=2),
        ),
        st.none() | st.integers(0, 2**31 - 1),
        st.text(min_size=1, max_size=5),
        st.just("c/Ada"),
    )


def spoken(view: Request, *, refused: bool) -> list[tuple[Role, str]]:
    """What the body must say: each message, silence replaced where it is refused."""
    stand_in = view.stand_in if refused else None
    return [
        (one.role, stand_in if stand_in is not None and silence(one.text) else one.text)
        for one in view.messages
    ]
