"""From the engine's events to the words of one reply, with every token accounted for.

The engine writes control tokens out, the one that ended the turn included; it holds text back
while a stop string may be beginning, and forgets it when the reply is cut there; and it says
nothing of tokens that do not make a whole character yet. This module knows no process and no
request: it is given events, and a function that says which text tokens stand for.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

TextOf = Callable[[Sequence[int]], Awaitable[str]]
"""The text that tokens stand for, control tokens written out."""

_REPLACEMENT = "\ufffd"


class Hearing:
    """One reply as it comes, an event behind: only the last event tells what its token was.

    Attributes:
        pending: text that has come and was not passed on yet.
    """

    def __init__(self, text_of: TextOf) -> None:
        self.pending = ""
        self._text_of = text_of
        self._counted = 0
        self._last: list[int] = []
        # Tokens whose text is held back, each with its place in the reply, from 1.
        self._held: list[tuple[int, int]] = []

    def hear(self, event: dict[str, Any]) -> str:
        """Take an event that is not the last; returns the text that came before it."""
        certain, self.pending = self.pending, event["content"]
        place = event["tokens_predicted"]
        if self.pending:
            self._held, self._counted = [], place
        else:
            self._held += [(place, token) for token in event["tokens"]]
        self._last = event["tokens"]
        return certain

    async def end(self, event: dict[str, Any]) -> tuple[str, str | None]:
        """Take the last event.

        Returns:
            The rest of the text, and what there is to say about tokens that are not in it.
        """
        if event["stop_type"] == "eos":
            return await self._ended(event.get("stopping_word", "")), None
        if event["stop_type"] == "word":
            return self.pending, None
        kept = self._forgotten()
        rest = self.pending + (await self._text_of(kept) if kept else "")
        return rest, _residue(event["tokens_predicted"] - self._counted)

    async def _ended(self, word: str) -> str:
        """The pending text without the token that ended the turn.

        Args:
            word: a stop string that the engine found in that token's own text, if it did; then
                only what stood before it was sent.
        """
        end = await self._text_of(self._last)
        if word:
            end = end.partition(word)[0] if word in end else ""
        return self.pending.removesuffix(end)

    def _forgotten(self) -> list[int]:
        """The tokens held back when the reply was cut, up to the first that is not known."""
        tokens = []
        for place, token in self._held:
            if place != self._counted + 1:
                break
            tokens.append(token)
            self._counted = place
        return tokens


def replaced(text: str) -> str | None:
    """What there is to say about characters that the engine put for bytes that are no text."""
    if _REPLACEMENT not in text:
        return None
    times = text.count(_REPLACEMENT)
    return f"U+FFFD in the text ({times:,}) is what the engine writes for bytes that are no text"


def _residue(tokens: int) -> str | None:
    """What there is to say about the last tokens of a reply, which are in no event."""
    if not tokens:
        return None
    some = "1 token" if tokens == 1 else f"{tokens:,} tokens"
    return f"{some} of an unfinished character at the end: no text"
