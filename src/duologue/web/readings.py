"""Conversations read from the log, and kept as long as the log has not grown.

An id is looked up in the catalogue, which also knows where its lines stand: a conversation is read
without the others of its run. Nobody's address is ever part of a path here, but for a whole id,
which is letters and hyphens.
This module does not know how a conversation is shown.
"""

import re
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

import msgspec

from duologue.catalogue.asking import Where, answering, where
from duologue.catalogue.keeping import Catalogue
from duologue.core.event import Record
from duologue.core.transcript import Transcript, transcript
from duologue.endings.arc import arc
from duologue.endings.codebook import Annotation, Arc
from duologue.endings.described import describe
from duologue.errors import RecordError, UnknownIdError
from duologue.store.run import Run
from duologue.store.segment import read

_KEPT = 8
_SHOWN = 5
_WHOLE = re.compile(r"[a-z]{5}(-[a-z]{5}){2}")


class Reading(msgspec.Struct, frozen=True):
    """A conversation, read.

    Attributes:
        id: its id.
        run: the run that holds it.
        records: its records, in order.
        transcript: what people read.
        annotations: one for each message, what it does towards the end.
        arc: what they make together.
        doubt: what in its record is not as it was written; None where every byte is.
    """

    id: str
    run: Run
    records: tuple[Record, ...]
    transcript: Transcript
    annotations: tuple[Annotation, ...]
    arc: Arc
    doubt: str | None = None


_Stamp = tuple[tuple[str, int], ...]


class Readings:
    """The conversations that were read last."""

    def __init__(self, catalogue: Catalogue) -> None:
        """Ask ``catalogue``; nothing is read yet."""
        self.catalogue = catalogue
        self._kept: OrderedDict[tuple[Path, str], tuple[_Stamp, Reading]] = OrderedDict()
        self._runs: dict[str, Path] = {}
        self._lock = Lock()

    def find(self, name: str) -> tuple[Run, str]:
        """The run and the full id of the conversation that a name or a beginning of an id means.

        Raises:
            UnknownIdError: nothing, or more than one thing, answers to it.
        """
        known = self._runs.get(name)
        if known is not None and known.is_dir():
            return Run(known), name
        found = self._answering(name)
        if len(found) != 1:
            raise UnknownIdError(self._refusal(name, found))
        run, conv = self.catalogue.library.path / found[0][0], found[0][1]
        self._runs[conv] = run
        return Run(run), conv

    def _answering(self, name: str) -> list[tuple[str, str]]:
        """Runs and ids that a name means; what is not known yet is looked for once more."""
        if found := self.catalogue.sought(lambda db: answering(db, name)):
            return found
        # A run is called like its conversation unless it was given a name; a new one is not yet
        # known where a whole library is still being read.
        folder = self.catalogue.library.path / name if _WHOLE.fullmatch(name) else None
        return [(name, name)] if folder is not None and folder.is_dir() else []

    def _refusal(self, name: str, found: list[tuple[str, str]]) -> str:
        """Why a name is nobody's, or several's."""
        if found:
            shown = ", ".join(conv for _, conv in found[:_SHOWN])
            more = " or others" if len(found) > _SHOWN else ""
            return f"{name!r} could be {shown}{more}: type more of it"
        if self.catalogue.reading:
            return f"no conversation answers to {name!r} yet; logs are being read: ask again soon"
        return f"no conversation answers to {name!r}: the library shows what there is"

    def place(self, run: Run, conv: str) -> Where | None:
        """Where the lines of a conversation stand; None where that is not known yet."""
        return self.catalogue.ask(lambda db: where(db, run.name, conv))

    def read(self, name: str) -> Reading:
        """A conversation as its log has it now.

        Raises:
            UnknownIdError: nothing answers to the name.
            RecordError: the record is damaged.
        """
        run, conv = self.find(name)
        stamp = tuple((path.name, path.stat().st_size) for path in run.segments())
        with self._lock:
            kept = self._kept.get((run.path, conv))
        if kept is not None and kept[0] == stamp:
            return kept[1]
        made = self._made(run, conv)
        with self._lock:
            self._kept[run.path, conv] = (stamp, made)
            self._kept.move_to_end((run.path, conv))
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return made

    def _made(self, run: Run, conv: str) -> Reading:
        """A conversation, read from its own lines; the whole log is searched only if these fail."""
        known = self.place(run, conv)
        try:
            return reading(run, run.sound(conv, _all(run, known) if known else None))
        except RecordError as error:
            return reading(run, run.conversation(conv), str(error))


def _all(run: Run, known: Where) -> list[tuple[str, int, int]]:
    """The places of a conversation's lines, with those that were appended since."""
    places = list(known.places)
    for segment in run.segments():
        since = read(segment, known.ends.get(segment.name, 0))
        places += [
            (segment.name, line.offset, len(line.data)) for line in since if line.conv == known.id
        ]
    return places


def reading(run: Run, records: Sequence[Record], doubt: str | None = None) -> Reading:
    """A conversation of a run, from its records.

    Raises:
        RecordError: they cannot follow one another, or there are none.
    """
    told = transcript(record.event for record in records)
    annotations = tuple(describe(item.entry.message for item in told.spoken))
    return Reading(records[0].conv, run, tuple(records), told, annotations, arc(annotations), doubt)
