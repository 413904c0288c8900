"""Server-sent events out of bytes, as they come: any cut, any line end, any size.

The form is that of the HTML standard, section 9.2.6, with one exception: an event that is not
followed by an empty line counts at the end of the stream, for some servers forget that line. Cost
is linear in the bytes, however they are cut. This module knows no dialect and no connection.
"""

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
        self._open: list[bytes] = []  # pieces of a line that has not ended
        self._after_cr = False
        self._begun = False
        self._name = ""
        self._data: list[bytes] = []

    def feed(self, part: bytes) -> list[ServerEvent]:
        """The events that are whole with these bytes."""
        if self._after_cr and part.startswith(b"\n"):
            part = part[1:]
            self._after_cr = False
        if not part:
            return []
        self._after_cr = part.endswith(b"\r")
        lines = part.splitlines()  # for bytes: at \n, \r\n and \r only
        rest = b"" if part.endswith((b"\n", b"\r")) else lines.pop()
        if self._open and lines:
            lines[0] = b"".join((*self._open, lines[0]))
            self._open.clear()
        if rest:
            self._open.append(rest)
        return self._events(lines)

    def close(self) -> list[ServerEvent]:
        """The event that the end of the stream left open, if it has data."""
        return self._events([b"".join(self._open), b""])

    def _events(self, lines: list[bytes]) -> list[ServerEvent]:
        """The events that end with these lines, which are whole."""
        events = []
        if lines and not self._begun:
            lines[0] = lines[0].removeprefix(_MARK)
            self._begun = True
        for line in lines:
            if line:
                self._take(line)
                continue
            if self._data:
                events.append(ServerEvent(self._name, b"\n".join(self._data)))
                self._data.clear()
            self._name = ""
        return events

    def _take(self, line: bytes) -> None:
        """One field, or a comment."""
        if line.startswith(b"data: "):  # nearly every line of nearly every stream
            self._data.append(line[6:])
            return
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
        elif field == b"event":
            self._name = value.decode("utf-8", "replace")
        elif field not in {b"", b"id", b"retry"} and not self.foreign:
            self.foreign = line[:_SHOWN]
