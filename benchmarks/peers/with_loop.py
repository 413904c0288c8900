"""The bare loop on aiohttp: nothing recorded, nothing checked."""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "harness"))

from bare import plain, session
from told import Asked, measured


async def hold(asked: Asked, conversations: int, messages: int) -> int:
    """Conversations at once, one client for all."""
    count = conversations

    def seen() -> None:
        nonlocal count
        count += 1

    async with session(conversations) as http:
        each = (
            plain(http, asked.base, messages, stream=asked.stream, seen=seen)
            for _ in range(conversations)
        )
        await asyncio.gather(*each)
    return count


if __name__ == "__main__":
    measured(hold)
