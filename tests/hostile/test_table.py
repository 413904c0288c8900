"""Every misbehaviour, in every dialect, streamed and whole: the record says what happened."""

import pytest

from hostile.holding import DIALECTS, ROWS, cell

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("scenario", ROWS)
def test_the_record_says_what_happened(scenario: str, dialect: str, *, stream: bool) -> None:
    found = cell(scenario, dialect, stream=stream)
    assert found.faults == ()
    assert found.said
