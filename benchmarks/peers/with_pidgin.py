"""pidgin-ai: its experiment runner, as its command line calls it; a turn is two messages.

It always streams. Its models are a fixed list, so one of these names stands for the fake; where it
sends to is the environment's ``OPENAI_BASE_URL``.
"""

import json
import os
import tempfile
import uuid
from pathlib import Path

from told import KEY, OPENER, Asked, measured

MODEL = "gpt-4o-mini"


async def hold(asked: Asked, conversations: int, messages: int) -> int:
    """One experiment; its messages are counted in its own logs."""
    os.environ["OPENAI_BASE_URL"], os.environ["OPENAI_API_KEY"] = asked.base, KEY
    with tempfile.TemporaryDirectory() as folder:
        # It leaves a folder of its own where it believes to have been started.
        os.environ["PWD"] = os.environ["PIDGIN_ORIGINAL_CWD"] = folder
        os.chdir(folder)
        return await _held(Path(folder), conversations, messages)


async def _held(folder: Path, conversations: int, messages: int) -> int:
    """The experiment, kept in a folder."""
    from pidgin.experiments.config import ExperimentConfig  # noqa: PLC0415 - reads the environment
    from pidgin.experiments.runner import ExperimentRunner  # noqa: PLC0415 - reads the environment

    wanted = ExperimentConfig(
        name="measured",
        agent_a_model=MODEL,
        agent_b_model=MODEL,
        custom_prompt=OPENER,
        max_turns=messages // 2,
        repetitions=conversations,
        max_parallel=conversations,
        convergence_action="continue",
    )
    await ExperimentRunner(folder).run_experiment_with_id(uuid.uuid4().hex, "measured", wanted)
    return _messages(folder)


def _messages(folder: Path) -> int:
    """How many messages its logs hold."""
    lines = [line for log in folder.rglob("*.jsonl") for line in log.read_text().splitlines()]
    return sum(json.loads(line).get("event_type") == "MessageCompleteEvent" for line in lines)


if __name__ == "__main__":
    measured(hold)
