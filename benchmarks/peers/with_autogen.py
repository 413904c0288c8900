"""autogen-agentchat: a round robin of two, ended by a number of messages."""

import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient
from told import KEY, OPENER, SEATS, Asked, measured

KNOWN = {
    "vision": False,
    "function_calling": False,
    "json_output": False,
    "structured_output": False,
    "family": "unknown",
}


async def hold(asked: Asked, conversations: int, messages: int) -> int:
    """Conversations at once, one client for all, as its documentation has it."""
    client = OpenAIChatCompletionClient(
        model="fake", base_url=asked.base, api_key=KEY, model_info=KNOWN
    )
    # The team names who speaks in the user messages; both see all that was said.
    held = await asyncio.gather(
        *(_one(client, messages, stream=asked.stream) for _ in range(conversations))
    )
    await client.close()
    return sum(held)


async def _one(client: OpenAIChatCompletionClient, messages: int, *, stream: bool) -> int:
    """One conversation; the opener is the task."""
    seats = [
        AssistantAgent(name, model_client=client, system_message=None, model_client_stream=stream)
        for name in SEATS
    ]
    team = RoundRobinGroupChat(seats, termination_condition=MaxMessageTermination(messages))
    ended = await team.run(task=OPENER)
    return sum(bool(message.content) for message in ended.messages)


if __name__ == "__main__":
    measured(hold)
