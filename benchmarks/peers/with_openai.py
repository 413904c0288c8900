"""The openai SDK in a bare loop: what the contestants that stand on it cannot go below."""

import asyncio

from openai import AsyncOpenAI
from told import KEY, OPENER, Asked, measured


async def hold(asked: Asked, conversations: int, messages: int) -> int:
    """Conversations at once, one client for all."""
    async with AsyncOpenAI(base_url=asked.base, api_key=KEY) as client:
        each = (_one(client, messages, stream=asked.stream) for _ in range(conversations))
        return sum(await asyncio.gather(*each))


async def _one(client: AsyncOpenAI, messages: int, *, stream: bool) -> int:
    lists: list[list[dict[str, str]]] = [
        [{"role": "user", "content": OPENER}],
        [{"role": "assistant", "content": OPENER}],
    ]
    lists.reverse()
    count = 1
    for turn in range(1, messages):
        own, other = lists[turn % 2], lists[1 - turn % 2]
        answer = await client.chat.completions.create(model="fake", messages=own, stream=stream)
        if stream:
            parts = [part.choices[0].delta.content or "" async for part in answer if part.choices]
            said = "".join(parts)
        else:
            said = answer.choices[0].message.content
        own.append({"role": "assistant", "content": said})
        other.append({"role": "user", "content": said})
        count += bool(said)
    return count


if __name__ == "__main__":
    measured(hold)
