"""An experiment while it is carried out: how far, how fast, for how much, and what is being said.

On a terminal a board is drawn again and again; elsewhere each conversation that ends is one line,
and now and then a line says how far it is.
It is told of every line of the log, and asks nobody else. It writes no record.
"""

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from duologue.cli import screen
from duologue.cli.words import one_line
from duologue.core.plan import Planned
from duologue.core.spec import TurnCap
from duologue.scale.experiment import Execution
from duologue.store.standing import Fact, Glance, Seen, Spend

_BAR = 30
_SHORTEST = 5
_LABEL = 15
_ROOM = 3  # columns left free: a terminal writes ^C after the last line, and must not break it
_SHOWN = 4
_BEHIND = 30.0
_MANY = 5
_REFRESH_S = 0.2
_SHARE = 10
"""The board may take a tenth of the time: all conversations are counted for it, however many."""
_WORD_S = 60.0
"""Where no board is drawn, so often a line says how far it is."""

_STOPPING = " stopping after the turns in flight; Ctrl-C again: at once"

Clock = Callable[[], float]


def cap(each: Planned) -> int:
    """At how many messages a conversation ends at the latest."""
    return min(rule.turns for rule in each.spec.ending if isinstance(rule, TurnCap))


def bar(part: float, width: int = _BAR) -> Text:
    """A bar that is filled to a part between 0 and 1."""
    filled = round(max(0.0, min(1.0, part)) * width)
    return Text("█" * filled, "green") + Text("░" * (width - filled), "dim")


def spending(spend: Spend) -> str:
    """What was spent, in words."""
    told = f"{spend.input:,} tokens read, {spend.output:,} said, ${spend.usd:,.4g}"
    if spend.unpriced:
        told += f" ({spend.unpriced:,} replies without a price)"
    return told


def _rate(rate: float) -> str:
    """So many a second; a minute, where a second is too short."""
    return f"{rate:,.1f}/s" if rate >= 1 else f"{60 * rate:,.1f}/min"


class Board:
    """Shows an execution; give it every line of the log."""

    def __init__(
        self,
        execution: Execution,
        *,
        quiet: bool = False,
        json: bool = False,
        console: Console | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        """Show ``execution``.

        Args:
            execution: what is carried out.
            quiet: show nothing.
            json: print the log's lines, as they are written, and nothing else.
            console: where; standard output by default.
            clock: seconds, for rates.
        """
        self._execution = execution
        self._quiet, self._json = quiet, json
        self._out = screen.console() if console is None else console
        self._clock = clock
        self._began = clock()
        self._planned = {each.id: each for each in execution.chosen}
        self._caps = {each.id: cap(each) for each in execution.chosen}
        self._retries = Counter[str]()
        self._pace: dict[str, int] = {}
        self._last: OrderedDict[str, Fact] = OrderedDict()
        self._times: list[tuple[float, int]] = [(self._began, 0)]
        self._turns = 0
        self._done = len(execution.sorted().done)
        self._drawn = 0.0
        self._cost = 0.0
        self._word = self._began
        self._stopping = False
        terminal = self._out.is_terminal and not self._out.is_dumb_terminal
        self._live = Live(self, console=self._out, auto_refresh=False, transient=True)
        self._draws = terminal and not quiet and not json
        self._plain = not (terminal or quiet or json)

    def __enter__(self) -> Self:
        if self._draws:
            self._live.start(refresh=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._draws:
            self._live.stop()

    def see(self, line: Seen) -> None:
        """Take in a line of the log."""
        if self._json:
            screen.write(self._out, line.raw)
        glance, fact = line.glance, line.glance.event
        if fact.kind == "attempt_failed":
            self._retries[fact.boundary] += 1
        if fact.kind == "turn_completed":
            self._turns += 1
            self._hear(glance)
        if fact.kind == "conversation_ended":
            self._last.pop(glance.conv, None)
            self._end(glance)

    def look(self) -> None:
        """Draw again, if it is time."""
        now = self._clock()
        self._times.append((now, self._turns))
        while self._times[1:] and now - self._times[0][0] > _BEHIND:
            self._times.pop(0)
        if self._draws and now - self._drawn >= max(_REFRESH_S, _SHARE * self._cost):
            self._drawn = now
            self._live.refresh()
            self._cost = self._clock() - now
        if self._plain and self._execution.interrupted and not self._stopping:
            self._stopping = True
            self._out.print(f"…{_STOPPING}", soft_wrap=True)
        if self._plain and now - self._word >= _WORD_S:
            self._word = now
            parts = ";".join(f" {label}{told}" for label, _, told in self._progress())
            self._out.print(one_line(f"…{parts}"), soft_wrap=True)

    def _hear(self, glance: Glance) -> None:
        """Keep what was said last in a few conversations, and the pace of whoever said it."""
        fact, planned = glance.event, self._planned.get(glance.conv)
        self._last[glance.conv] = fact
        if len(self._last) > _MANY * _SHOWN:
            self._last.popitem(last=False)
        if fact.pace is not None and planned is not None and fact.message is not None:
            self._pace[planned.spec.seat(fact.message.author).model] = fact.pace

    def _end(self, glance: Glance) -> None:
        """One line for a conversation that has ended, where no board is drawn."""
        planned = self._planned.get(glance.conv)
        standing = self._execution.standings.of[glance.conv]
        self._done += standing.over and planned is not None
        if not self._plain or planned is None:
            return
        number = f"{self._done:,} of {len(self._planned):,}"
        why = glance.event.reason if not standing.failed else f"failed ({standing.cause})"
        where = f"{planned.cell.key} #{planned.replicate}"
        told = f"{number}  {glance.conv}  {where}  {why} after {standing.messages} messages"
        self._out.print(one_line(told), soft_wrap=True)

    # The board.

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The lines of the board, each cut to the width of the screen."""
        width = options.max_width - _ROOM
        for line in self.lines(width):
            line.truncate(width, overflow="ellipsis")
            line.no_wrap = True
            yield line

    def lines(self, width: int = 80) -> Iterator[Text]:
        """The board as it is now; where ``width`` columns are few, the bars are shorter."""
        yield self._heading()
        for label, part, told in self._progress():
            free = width - _LABEL - len(told)
            yield self._row(label, bar(part, max(_SHORTEST, min(_BAR, free))) + Text(told))
        yield self._row("spent", Text(self._spent()))
        if self._retries:
            told = ", ".join(f"{name} {count}" for name, count in self._retries.most_common())
            yield self._row("failed tries", Text(told, "yellow"))
        if self._pace:
            told = ", ".join(f"{model} {pace}" for model, pace in sorted(self._pace.items()))
            each = " in each worker" if self._execution.how.workers > 1 else ""
            yield self._row("pace", Text(f"{told} · requests at once{each}"))
        yield Text()
        for conv, fact in list(self._last.items())[:_SHOWN]:
            yield self._said(conv, fact)

    def _heading(self) -> Text:
        """What is carried out, with how many, since when."""
        how = self._execution.how
        count = f"{how.workers} worker{'s' if how.workers > 1 else ''}"
        elapsed = screen.clock_time(self._clock() - self._began)
        name = one_line(self._execution.run.name, "bold")
        stopping = self._execution.interrupted
        told = f" · {count}, {how.most} conversations at once in each · {elapsed}"
        if stopping:
            told = f" · {elapsed} ·{_STOPPING}"
        return name + Text(told, "yellow" if stopping else "dim")

    def _progress(self) -> Iterator[tuple[str, float, str]]:
        """How many conversations and turns are done, how fast, and how long it will take.

        For each its label, which part is done, and the rest in words.
        """
        now, standings = self._execution.sorted(), self._execution.standings.of
        total, done = len(self._planned), len(now.done)
        failed = sum(map(len, now.failed.values()))
        told = f" {done:,} of {total:,} · {len(now.begun):,} running"
        told += f" · {failed:,} failed" if failed else ""
        yield "conversations", done / total if total else 1, told
        said = {conv: standings[conv].messages if conv in standings else 0 for conv in self._caps}
        share = self._share(now.done)
        ahead = {
            conv: max(0.0, share * self._caps[conv] - said[conv]) for conv in (*now.begun, *now.new)
        }
        left, sum_ = sum(ahead.values()), sum(said.values())
        soon = sum(ahead.get(conv, 0.0) for conv in self._execution.todo)
        told = f" {sum_:,} of {'' if share == 1 else 'about '}{round(sum_ + left):,}"
        rate = self._rate()
        told += f" · {_rate(rate)}" if rate else ""
        told += f" · {screen.clock_time(soon / rate)} left" if rate else ""
        yield "messages", sum_ / (sum_ + left) if sum_ + left else 1, told

    def _share(self, done: tuple[str, ...]) -> float:
        """How much of its cap a conversation takes, as far as those that are done can tell."""
        standings = self._execution.standings.of
        if len(done) < _MANY:
            return 1.0
        most = sum(self._caps[conv] for conv in done)
        return sum(standings[conv].messages for conv in done) / most

    def _rate(self) -> float:
        """Turns a second, of late."""
        (first, before), (last, now) = self._times[0], self._times[-1]
        return (now - before) / (last - first) if last > first else 0.0

    def _spent(self) -> str:
        """What was spent, and of what."""
        told = spending(self._execution.standings.spend)
        if (budget := self._execution.wanted.budget) is None:
            return told
        limits = [
            f"{limit:,.10g} {unit}"
            for unit in ("tokens", "usd", "minutes")
            if (limit := getattr(budget, unit)) is not None
        ]
        return f"{told} · budget {', '.join(limits)}"

    def _said(self, conv: str, fact: Fact) -> Text:
        """The last words of a conversation."""
        message = fact.message
        if message is None:
            return Text()
        name = one_line(f"{message.author} {fact.turn}", "bold")
        words = one_line(" ".join(message.text.split())) if message.text.strip() else Text("␠")
        return Text(f"{conv}  ", "dim") + name + Text("  ") + words

    def _row(self, label: str, told: Text) -> Text:
        """A row with its label."""
        return Text(f"{label:<{_LABEL}}", "dim") + told
