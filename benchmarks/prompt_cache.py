"""How much of what is sent again a provider's prefix cache could use, for each participant.

    python benchmarks/prompt_cache.py [--turns 40]

A conversation is held with the hostile server, which counts prefixes and reports them as cached
tokens; figures are read from the log. Sent again is whatever stood in the participant's request
before, words of its own and of others alike. Both participants share one key and one model. Prints
a Markdown table, and exits with 1 if a share is below 90 %.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from duologue.api import hold  # noqa: E402 - the hostile server is not installed
from duologue.core.event import TurnCompleted  # noqa: E402
from duologue.core.spec import ConversationSpec, Line, Participant, TurnCap  # noqa: E402
from duologue.core.specfile import Asked  # noqa: E402
from duologue.providers.registry import Opening, open_model  # noqa: E402
from duologue.providers.secret import Secret  # noqa: E402
from duologue.store.library import Library  # noqa: E402
from duologue.store.run import Run  # noqa: E402
from hostile import HostileServer, Script  # noqa: E402
from hostile.cache import CacheRule  # noqa: E402

MODELS = (
    "openai:gpt-5.2",
    "openrouter:moonshotai/kimi-k2.6",
    "anthropic:claude-opus-5",
    "google:gemini-2.5-pro",
)
KEY = "sk-of-both-participants"
SYSTEM = "You are two people on a night train who have just met. " * 6
WORDS = tuple(
    f"Thought {n}: " + "the train goes on through the dark and nobody gets off. " * 6
    for n in range(40)
)
WANTED = 0.9
ANY = CacheRule()
STRICT = CacheRule(minimum=1024, block=128)


def main() -> int:
    """Read the command line; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=40)
    turns = parser.parse_args().turns
    print(f"{turns} turns, one key; a minimum of 1,024 tokens and blocks of 128 are OpenAI's.\n")
    print("| model | reply | participant | read | sent again | cacheable of that | with minimum |")
    print("|---|---|---|---:|---:|---:|---:|")
    worst = 1.0
    for model in MODELS:
        for stream in (True, False):
            free = asyncio.run(counted(model, turns, ANY, stream=stream))
            held = asyncio.run(counted(model, turns, STRICT, stream=stream))
            for name, (read, again, cached) in free.items():
                share, least = cached / again, held[name][2] / again
                worst = min(worst, share)
                print(
                    f"| `{model}` | {'streamed' if stream else 'whole'} | {name} | {read:,} "
                    f"| {again:,} | {share:.1%} | {least:.1%} |"
                )
    return 0 if worst >= WANTED else 1


async def counted(
    model: str, turns: int, rule: CacheRule, *, stream: bool
) -> dict[str, tuple[int, int, int]]:
    """By participant: tokens read, tokens of them that had been sent before, tokens cached."""
    provider, _, _ = model.partition(":")
    seats = tuple(Participant(name, model, system=SYSTEM) for name in ("Ada", "Bo"))
    opening = (Line("Ada", "Is this seat free?"),)
    spec = ConversationSpec(seats, opening=opening, ending=(TurnCap(turns + 1),), seed=7)
    script = Script(words={KEY: WORDS}, cache=rule)
    with TemporaryDirectory() as folder:
        async with HostileServer(script) as server:
            opened = Opening(server.url(provider), stream, Secret(KEY))
            answers = [await open_model(model, options=opened, environ={}) for _ in seats]
            cast = dict(zip(("Ada", "Bo"), answers, strict=True))
            made = await hold(Asked(None, spec), Library(Path(folder)), providers=cast)
            for each in answers:
                await each.aclose()
        events = Run(made.folder).events(made.id)
    said = [event for event in events if isinstance(event, TurnCompleted)]
    return {name: _sums([one for one in said if one.message.author == name]) for name in cast}


def _sums(said: Sequence[TurnCompleted]) -> tuple[int, int, int]:
    """Of one participant: read, sent again, cached."""
    read = [one.usage.input or 0 for one in said]
    return sum(read), sum(read[:-1]), sum(one.usage.cached or 0 for one in said[1:])


if __name__ == "__main__":
    sys.exit(main())
