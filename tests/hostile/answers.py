"""What the three dialects do alike: name a reply, and answer with an error.

This module knows no dialect.
"""

from hashlib import blake2b

from .parts import BOUNDARY, Ask, Frame, Problem, Reply, Truth, json


def identity(ask: Ask) -> str:
    """Twenty-four hexadecimal digits that follow from the request alone."""
    return blake2b(json(ask.body), digest_size=12).hexdigest()


def answer(
    problem: Problem,
    status: int,
    body: bytes,
    *,
    content_type: str = "application/json",
    headers: tuple[tuple[str, str], ...] = (),
    wait_s: float | None = None,
) -> Reply:
    """A whole reply that reports an error."""
    return Reply(
        Truth(boundary=BOUNDARY[problem], wait_s=wait_s),
        (Frame(body),),
        status=status,
        headers=headers,
        content_type=content_type,
    )
