"""A prefix cache that really counts, so that a client's use of caching can be measured.

Tokens are bytes / 4. A partition is an API key with whatever routing key the request carries
(``prompt_cache_key``, ``session_id``); it remembers its last few prompts. Where caching is
automatic any common prefix counts; where it is asked for (Anthropic), only a prefix that an
earlier request marked, at most 20 blocks before a mark of this one, as the documents say.
"""

from collections import deque

import msgspec

from .parts import Ask, Prompt, Tokens, count

_OVERHEAD = 4  # tokens of the frame around a message


class CacheRule(msgspec.Struct, frozen=True):
    """How prompts are kept.

    Attributes:
        minimum: a shorter common prefix does not count, in tokens (real ones: 512 to 4096).
        block: the common prefix is rounded down to a multiple of this (OpenAI: 128).
        capacity: how many prompts a partition remembers.
        lookback: how many blocks before a mark are searched.
    """

    minimum: int = 0
    block: int = 1
    capacity: int = 64
    lookback: int = 20


class PrefixCache:
    """What each partition has read lately."""

    def __init__(self, rule: CacheRule) -> None:
        self._rule = rule
        self._seen: dict[str, deque[tuple[str, ...]]] = {}

    def read(self, ask: Ask, prompt: Prompt) -> Tokens:
        """Count ``prompt`` against what was read before, and remember it."""
        kept = self._seen.setdefault(partition(ask), deque(maxlen=self._rule.capacity))
        total = _size(prompt.parts)
        if prompt.marks is None:
            cached = self._rounded(max((_common(prompt.parts, old) for old in kept), default=0))
            kept.append(prompt.parts)
            return Tokens(input=total, cached=min(cached, total))
        return self._marked(kept, prompt.parts, prompt.marks)

    def _marked(
        self, kept: deque[tuple[str, ...]], parts: tuple[str, ...], marks: tuple[int, ...]
    ) -> Tokens:
        hits = [
            len(old)
            for old in kept
            if parts[: len(old)] == old
            and any(0 <= mark - len(old) <= self._rule.lookback for mark in marks)
        ]
        cached = self._rounded(_size(parts[: max(hits, default=0)]))
        kept.extend(parts[:mark] for mark in marks)
        asked = self._rounded(_size(parts[: max(marks, default=0)]))
        return Tokens(input=_size(parts), cached=cached, written=max(0, asked - cached))

    def _rounded(self, tokens: int) -> int:
        return 0 if tokens < self._rule.minimum else tokens - tokens % self._rule.block


def partition(ask: Ask) -> str:
    """What a prompt must share with another to share its cache."""
    routing = ask.body.get("prompt_cache_key") or ask.body.get("session_id") or ""
    return f"{ask.key}\0{ask.sent}\0{routing}"


def _size(parts: tuple[str, ...]) -> int:
    return sum(count(part) + _OVERHEAD for part in parts)


def _common(parts: tuple[str, ...], old: tuple[str, ...]) -> int:
    """Tokens that two prompts begin with alike."""
    same = 0
    while same < min(len(parts), len(old)) and parts[same] == old[same]:
        same += 1
    shared = _size(parts[:same])
    if same < min(len(parts), len(old)):
        shared += _alike(parts[same].encode(errors="replace"), old[same].encode(errors="replace"))
    return shared


def _alike(one: bytes, other: bytes) -> int:
    """Whole tokens that two messages begin with alike, found by halving."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[:middle] == other[:middle]:
            low = middle
        else:
            high = middle - 1
    return low // 4
