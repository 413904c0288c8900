"""inspect-ai: a solver that lets two models speak in turn; a sample is a conversation."""

import tempfile

from inspect_ai import Task
from inspect_ai import eval as evaluate
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import (
    ChatMessageAssistant,
    ChatMessageUser,
    GenerateConfig,
    get_model,
)
from inspect_ai.solver import Generate, Solver, TaskState, solver
from told import KEY, OPENER, Asked, measured


@solver
def talk(base: str, messages: int, width: int, *, stream: bool) -> Solver:
    """Two seats, each with its own list."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        del generate
        config = GenerateConfig(max_connections=width)
        model = get_model(
            "openai-api/fake/fake", base_url=base, api_key=KEY, config=config, stream=stream
        )
        lists: list[list[object]] = [
            [ChatMessageUser(content=OPENER)],
            [ChatMessageAssistant(content=OPENER)],
        ]
        lists.reverse()
        count = 1
        for turn in range(1, messages):
            own, other = lists[turn % 2], lists[1 - turn % 2]
            said = (await model.generate(own)).completion
            own.append(ChatMessageAssistant(content=said))
            other.append(ChatMessageUser(content=said))
            count += bool(said)
        state.metadata["messages"] = count
        return state

    return solve


def hold(asked: Asked, conversations: int, messages: int) -> int:
    """One evaluation, its log in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        logs = evaluate(
            Task(
                dataset=MemoryDataset([Sample(input=OPENER) for _ in range(conversations)]),
                solver=talk(asked.base, messages, conversations, stream=asked.stream),
            ),
            model=None,
            display="none",
            max_samples=conversations,
            max_connections=conversations,
            log_dir=folder,
        )
        return sum(sample.metadata["messages"] for sample in logs[0].samples or [])


if __name__ == "__main__":
    measured(hold)
