"""``duologue models``: which models can take a seat here, and how to get those that cannot."""

from typing import Annotated

import typer

from duologue.cli.completing import complete_model


def models(
    fetch: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Install a local model; 'default' means the default pair.",
            autocompletion=complete_model,
        ),
    ] = None,
) -> None:
    """List the models that can take a seat here; install more."""
    from duologue.providers.local.fetch import installed, megabytes
    from duologue.providers.local.models import DEFAULT_PAIR, KNOWN, find

    if fetch:
        from rich.console import Console

        from duologue.cli.fetching import fetch_with_bar

        names = [
            name for typed in fetch for name in (DEFAULT_PAIR if typed == "default" else [typed])
        ]
        fetch_with_bar([find(name) for name in names], Console(stderr=True))
        return
    there = {model.name for model in installed()}
    for model in KNOWN:
        state = "installed" if model.name in there else f"duologue models --fetch {model.name}"
        typer.echo(f"{model.name:22} {megabytes(model.size):>9}  {model.licence:10}  {state}")
    typer.echo("any GGUF file: local:/path/to/file.gguf   replies from a file: scripted:FILE.jsonl")
