"""How long a provider asks us to wait, as its response headers tell it in half a dozen ways.

Times of day are compared with the response's own ``Date``, so that two clocks that disagree do no
harm. This module waits for nothing.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_NUMBER = re.compile(r"\d+(\.\d+)?")
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|h|m|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_RESET = re.compile(
    r"(?P<family>x|anthropic)-ratelimit-(?:(?P<one>.+)-reset|reset(?:-(?P<two>.+))?)"
)

_EPOCH = 1e9
"""Numbers from here on are seconds since 1970, not seconds from now."""
_EPOCH_MS = 1e11
"""And from here on milliseconds."""


def told_wait(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait before the next request, as told; None where nothing tells.

    ``Retry-After`` (in milliseconds, in seconds or as a date) comes first. Otherwise the latest
    reset among those limits that have nothing left, or do not say what they have left.

    Args:
        headers: names in lower case.
        now: seconds since 1970, for a response without a ``Date``.
    """
    now = _date(headers.get("date", ""), now) or now
    if (milliseconds := headers.get("retry-after-ms", "")) and _NUMBER.fullmatch(milliseconds):
        return float(milliseconds) / 1000
    told = _wait(headers.get("retry-after", ""), now)
    return told if told is not None else max(_resets(headers, now), default=None)


def _resets(headers: Mapping[str, str], now: float) -> Iterator[float]:
    """How long until each limit that stands in the way is lifted."""
    for name, value in headers.items():
        found = _RESET.fullmatch(name)
        wait = _wait(value, now) if found else None
        if found is not None and wait is not None and not _left(headers, found):
            yield wait


def _left(headers: Mapping[str, str], found: re.Match[str]) -> bool:
    """Whether a limit says that it has something left."""
    family, one, two = found["family"], found["one"], found["two"]
    name = f"{family}-ratelimit-{one}-remaining" if one else f"{family}-ratelimit-remaining"
    left = headers.get(f"{name}-{two}" if two else name, "0")
    return left.strip("0.") != ""


def _wait(value: str, now: float) -> float | None:
    """Seconds from now: a number, a span like ``6m0s``, or a time of day."""
    value = value.strip()
    if _NUMBER.fullmatch(value):
        number = float(value)
        if number >= _EPOCH:
            return max(0.0, (number / 1000 if number >= _EPOCH_MS else number) - now)
        return number
    spans = _SPAN.findall(value)
    if spans and "".join(amount + unit for amount, unit in spans) == value:
        return sum(float(amount) * _SECONDS[unit] for amount, unit in spans)
    date = _date(value, None)
    return None if date is None else max(0.0, date - now)


def _date(value: str, otherwise: float | None) -> float | None:
    """Seconds since 1970 of an HTTP date (RFC 9110, 5.6.7) or one of RFC 3339."""
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            found = read(value)
        except ValueError:
            continue
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    return otherwise
