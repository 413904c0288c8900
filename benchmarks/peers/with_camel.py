"""camel-ai: two chat participants that answer each other, in turn.

Its token counter would fetch a vocabulary from the network; a counter that costs nothing stands in
for it, in its favour.
"""

import asyncio

from camel.agents import ChatAgent
from camel.models import ModelFactory
from camel.types import ModelPlatformType
from camel.utils import BaseTokenCounter
from told import KEY, OPENER, SEATS, Asked, measured


class _Free(BaseTokenCounter):
    """Counts nothing."""

    def count_tokens_from_messages(self, messages: object) -> int:
        del messages
        return 0

    def encode(self, text: str) -> list[int]:
        del text
        return []

    def decode(self, token_ids: list[int]) -> str:
        del token_ids
        return ""


async def hold(asked: Asked, conversations: int, messages: int) -> int:
    """Conversations at once, one model for all."""
    model = ModelFactory.create(
        model_platform=ModelPlatformType.OPENAI_COMPATIBLE_MODEL,
        model_type="fake",
        url=asked.base,
        api_key=KEY,
        token_counter=_Free(),
        model_config_dict={"stream": asked.stream},
    )
    return sum(
        await asyncio.gather(
            *(_one(model, messages, stream=asked.stream) for _ in range(conversations))
        )
    )


async def _one(model: object, messages: int, *, stream: bool) -> int:
    """One conversation; the first seat's opener is on record as said."""
    seats = [ChatAgent(f"You are {name}.", model=model, stream_accumulate=False) for name in SEATS]
    said, count = OPENER, 1
    for turn in range(1, messages):
        answer = await seats[turn % 2].astep(said)
        if stream:
            said = "".join([part.msgs[0].content async for part in answer if part.msgs])
        else:
            said = answer.msgs[0].content
        count += bool(said)
    return count


if __name__ == "__main__":
    measured(hold)
