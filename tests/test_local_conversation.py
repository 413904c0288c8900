"""Whole conversations on the real local models. These tests fail, and do not skip, without them."""

from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import pytest

from duologue.api import hold
from duologue.core.event import TurnCompleted
from duologue.core.provider import Usage
from duologue.core.spec import ConversationSpec, Line, Participant, Sampling, TurnCap
from duologue.core.specfile import Asked
from duologue.store.library import Library
from duologue.store.run import Run
from duologue.verify import verify

pytestmark = pytest.mark.local

SMALL = "smollm2-135m"
QWEN = "qwen2.5-coder-0.5b"


@pytest.mark.parametrize("models", [(SMALL, QWEN, SMALL), (SMALL,) * 3], ids=["two", "three"])
async def test_seats_that_share_a_model_each_read_only_what_was_said_since_their_last_turn(
    models: tuple[str, ...], tmp_path: Path
) -> None:
    sampling = Sampling(temperature=0.8, max_tokens=12)
    seats = (
        Participant(name, model, sampling=sampling, system=f"You are {name}.")
        for name, model in zip(("Ada", "Ben", "Cy"), models, strict=True)
    )
    opening = (Line("Ada", "Good evening. What have you been reading?"),)
    spec = ConversationSpec(tuple(seats), opening=opening, ending=(TurnCap(10),), seed=7)
    made = await hold(Asked("tea", spec), Library(tmp_path))
    turns: dict[str, list[Usage]] = defaultdict(list)
    for event in Run(made.folder).events(made.id):
        if isinstance(event, TurnCompleted):
            turns[event.message.author].append(event.usage)
    assert [len(mine) for mine in turns.values()] == [3, 3, 3]
    for mine in turns.values():
        for before, after in pairwise(mine):
            assert (after.cached or 0) >= (before.input or 0) > 0
    assert verify(Run(made.folder)).faults == ()
