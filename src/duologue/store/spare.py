"""Room that is kept free for the message in hand, so that a full disk does not take it.

While a run is written, a file beside its log holds blocks of the disk that nothing else needs. When
the disk is full they are let go, and what could not be written is written into their place. This
module does not know what is written. Against a limit on the size of one file, or a disk that is
gone, it is no help.
"""

import errno
import os
from contextlib import suppress
from pathlib import Path

SPARE_BYTES = 1 << 20
"""Longer than any one reply that a model of today sends, as a line of the log."""

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What a disk, or a quota, says when it is full."""


class Spare:
    """A file that is there only for the room that it takes."""

    def __init__(self, path: Path) -> None:
        """Keep room at ``path``, when told to."""
        self.path = path
        self._held = False

    def hold(self) -> None:
        """Take the room, unless it is taken.

        A disk that cannot give it for another reason than being full (a limit on the size of a
        file, a file system without the means) is written to without it.

        Raises:
            OSError: the disk is full.
        """
        if self._held:
            return
        try:
            _take(self.path)
            self._held = True
        except OSError as error:
            self.release()
            if error.errno in FULL:
                raise

    def release(self) -> bool:
        """Let go of the room; whether there was any."""
        held, self._held = self._held, False
        with suppress(OSError):  # whoever wanted the room will be told by the disk
            self.path.unlink(missing_ok=True)
        return held


def _fill(file: int, offset: int, size: int) -> None:
    """Take room by writing to it, where the system has no call for it."""
    while offset < size:
        offset += os.pwrite(file, bytes(size - offset), offset)


_allocate = getattr(os, "posix_fallocate", _fill)


def _take(path: Path) -> None:
    """Give a file its blocks; one that a kill left is used again."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _allocate(file, 0, SPARE_BYTES)
    finally:
        os.close(file)
