"""An experiment of scripted conversations, for the tests of what carries it out."""

import json
from pathlib import Path

from duologue.core.experiment import Experiment
from duologue.core.experimentfile import read


def scripted(folder: Path, *, replicates: int = 3, turns: int = 4, replies: int = 8) -> Experiment:
    """Two scripts, both orders."""
    for name in "ab":
        said = "".join(f"{json.dumps(f'{name} {place}')}\n" for place in range(replies))
        (folder / f"{name}.jsonl").write_text(said, "utf-8")
    text = (
        f'name = "tried"\npairs = "cross"\nopener = " "\nturns = {turns}\nseed = 5\n'
        f"replicates = {replicates}\n"
        f'participants = ["scripted:{folder}/a.jsonl", "scripted:{folder}/b.jsonl"]\n'
    )
    return read(text, "tried.toml")
