"""What outlasts a power cut: bytes that were synced, and names whose folder was.

This module does not know what is written.
"""

import errno
import os
from pathlib import Path

_UNSYNCABLE = frozenset({errno.EINVAL, errno.ENOTSUP})


def sync(path: Path) -> None:
    """Wait until a file's bytes, or the names in a folder, outlast a power cut.

    A file system that cannot sync a folder is left to its own ways.

    Raises:
        OSError: the disk is in trouble.
    """
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno not in _UNSYNCABLE:
            raise
    finally:
        os.close(file)


def make(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for good.

    Raises:
        FileExistsError: it is there already.
        OSError: it cannot be made, and is not there.
    """
    new = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True)
    try:
        for each in new:
            sync(each.parent)
    except OSError:
        folder.rmdir()
        raise


def move(folder: Path, place: Path) -> None:
    """Give a folder its place beside others, for good.

    Raises:
        OSError: it is not there.
    """
    folder.rename(place)
    try:
        sync(place.parent)
    except OSError:
        place.rename(folder)
        raise
