"""Server-sent events out of bytes, as they come: any cut, any line end, any size.

The form is that of the HTML standard, section 9.2.6, with one exception: an event that is not
followed by an empty line counts at the end of the stream, for some servers forget that line. Cost
is linear in the bytes, however they are cut. This module knows no dialect and no connection.
"""

from collections.abc import Iterator

from duologue.providers.dialect import ServerEvent

_MARK = b"\xef\xbb\xbf"
_SHOWN = 500


class Decoder:
    """Takes bytes and gives events.

    Attributes:
        foreign: the beginning of the first line that is no event's; empty as long as there was
            none. The standard ignores such lines; some servers hide their errors there.
    """

    def __init__(self) -> None:
        self.foreign = b""
        self._line: list[bytes] = []
        self._after_cr = False
        self._begun = False
        self._name = ""
        self._data: list[bytes] = []

    def feed(self, part: bytes) -> Iterator[ServerEvent]:
        """The events that are whole with these bytes."""
        if self._after_cr and part.startswith(b"\n"):
            part = part[1:]
            self._after_cr = False
        if part:
            self._after_cr = part.endswith(b"\r")
        for piece in part.splitlines(keepends=True):  # for bytes: at \n, \r\n and \r only
            self._line.append(piece)
            if piece.endswith((b"\n", b"\r")):
                yield from self._end_line()

    def close(self) -> Iterator[ServerEvent]:
        """The event that the end of the stream left open, if it has data."""
        yield from self._end_line()
        yield from self._end_event()

    def _end_line(self) -> Iterator[ServerEvent]:
        """Take the line that has just become whole."""
        line = b"".join(self._line).rstrip(b"\r\n")
        self._line.clear()
        if not self._begun:
            line = line.removeprefix(_MARK)
            self._begun = True
        if line:
            self._take(line)
        else:
            yield from self._end_event()

    def _take(self, line: bytes) -> None:
        """One field, or a comment."""
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
        elif field == b"event":
            self._name = value.decode("utf-8", "replace")
        elif field not in {b"", b"id", b"retry"} and not self.foreign:
            self.foreign = line[:_SHOWN]

    def _end_event(self) -> Iterator[ServerEvent]:
        """The event, unless it has no data."""
        if self._data:
            yield ServerEvent(self._name, b"\n".join(self._data))
            self._data.clear()
        self._name = ""
