from datetime import UTC, datetime

import pytest

from duologue.providers.waits import told_wait

NOW = datetime(2026, 11, 23, 20, 0, 0, tzinfo=UTC).timestamp()
DATE = "Mon, 23 Nov 2026 19:00:00 GMT"

TOLD: list[tuple[dict[str, str], float | None]] = [
    ({}, None),
    ({"retry-after": "7"}, 7),
    ({"retry-after": " 0.5 "}, 0.5),
    ({"retry-after": "20", "retry-after-ms": "1500"}, 1.5),
    ({"retry-after": "20", "retry-after-ms": "soon"}, 20),
    ({"retry-after": "soon"}, None),
    ({"retry-after": "-3"}, None),
    ({"retry-after": "nan"}, None),
    ({"retry-after": "Mon, 23 Nov 2026 20:01:30 GMT"}, 90),
    ({"retry-after": "Mon, 23 Nov 2026 19:59:00 GMT"}, 0),
    ({"retry-after": "Mon, 23 Nov 2026 19:00:10 GMT", "date": DATE}, 10),
    ({"retry-after": "7", "x-ratelimit-reset-requests": "1s"}, 7),
    ({"x-ratelimit-reset-requests": "1s"}, 1),
    ({"x-ratelimit-reset-requests": "6m0s"}, 360),
    ({"x-ratelimit-reset-tokens": "1h2m3.5s"}, 3723.5),
    ({"x-ratelimit-reset-tokens": "120ms"}, 0.12),
    ({"x-ratelimit-reset-tokens": "2 minutes"}, None),
    ({"x-ratelimit-reset-tokens": "1s", "x-ratelimit-reset-requests": "3s"}, 3),
    ({"x-ratelimit-remaining-tokens": "9", "x-ratelimit-reset-tokens": "1s"}, None),
    ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1s"}, 1),
    ({"x-ratelimit-reset": "1795464005"}, 5),
    ({"x-ratelimit-reset": "1795464005000", "x-ratelimit-remaining": "0"}, 5),
    ({"x-ratelimit-reset": "12", "x-ratelimit-remaining": "4"}, None),
    ({"anthropic-ratelimit-tokens-reset": "2026-11-23T20:00:45Z"}, 45),
    (
        {
            "anthropic-ratelimit-requests-remaining": "49",
            "anthropic-ratelimit-requests-reset": "2026-11-23T20:09:00Z",
            "anthropic-ratelimit-input-tokens-remaining": "0",
            "anthropic-ratelimit-input-tokens-reset": "2026-11-23T20:00:02Z",
        },
        2,
    ),
    ({"anthropic-ratelimit-tokens-reset": "2026-11-23T20:00:45"}, 45),
    ({"x-ratelimit-limit-requests": "3", "date": "Mon"}, None),
]


@pytest.mark.parametrize(("headers", "wait"), TOLD)
def test_the_wait_is_what_the_headers_tell(headers: dict[str, str], wait: float | None) -> None:
    told = told_wait(headers, NOW)
    assert told == (wait if wait is None else pytest.approx(wait))
