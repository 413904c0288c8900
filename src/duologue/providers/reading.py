"""One reply as its bytes come: a stream of events, or a body that is whole.

The first byte decides, not the declared content type: gateways mislabel good replies, and an error
may come as JSON where events were asked for. It decodes, times and counts; what the events mean is
the dialect's business. This module knows no connection.
"""

from collections.abc import Callable, Iterable, Iterator
from enum import Enum, auto

from msgspec.structs import replace

from duologue.core.provider import Completion, Delta, Seat
from duologue.errors import MalformedReplyError, ProviderError
from duologue.providers.dialect import Dialect, ServerEvent
from duologue.providers.sse import Decoder

Clock = Callable[[], float]

_BLANK = b" \t\r\n\xef\xbb\xbf"
_EVENTS = "text/event-stream"
_JSON = "json"


class Form(Enum):
    """How a reply comes."""

    WHOLE = auto()
    EVENTS = auto()


class Reading:
    """Takes the bytes of one reply and gives deltas, then its completion.

    Attributes:
        said: the words so far, reasoning left out.
    """

    def __init__(self, seat: Seat, dialect: Dialect, content_type: str, clock: Clock) -> None:
        """Begin.

        Args:
            seat: who was asked; ``settings["stream"]`` says whether events were asked for.
            dialect: what the bytes mean.
            content_type: what the reply declares itself to be.
            clock: seconds since the call.
        """
        self.said: list[str] = []
        self._seat = seat
        self._dialect = dialect
        self._type = content_type
        self._clock = clock
        self._form: Form | None = None
        self._parts: list[bytes] = []
        self._decoder = Decoder()
        self._reader = dialect.reader(seat)
        self._events = 0
        self._first: float | None = None
        self._last = 0.0

    @property
    def done(self) -> bool:
        """Whether the reply is known to be whole, so that a cut would change nothing."""
        return self._reader.done

    def feed(self, part: bytes) -> Iterator[Delta]:
        """Take bytes; what they add.

        Raises:
            ProviderError: an event is an error, or cannot be understood.
        """
        if not self.done:
            self._last = self._clock()
        self._parts.append(part)
        if self._form is None and (start := part.lstrip(_BLANK)):
            self._form = self._told(start)
        if self._form is Form.EVENTS:
            data = b"".join(self._parts)
            self._parts.clear()
            yield from self._heard(self._decoder.feed(data))

    def end(self) -> Iterator[Delta | Completion]:
        """There are no more bytes: what is left, and the whole reply.

        Raises:
            ProviderError: the reply is an error, is not whole, or cannot be understood.
        """
        form = self._form or self._told(b"")
        try:
            yield from self._end_whole() if form is Form.WHOLE else self._end_events()
        except MalformedReplyError as error:
            if _JSON in self._type or _EVENTS in self._type:
                raise
            detail = f"{error.detail} (its content type is {self._type or 'not given'})"
            raise MalformedReplyError(detail, partial=error.partial) from error

    def _told(self, start: bytes) -> Form:
        """The form, from the first bytes that are not blank."""
        asked = bool(self._seat.settings.get("stream", True)) or _EVENTS in self._type
        return Form.WHOLE if start.startswith((b"{", b"[")) or not asked else Form.EVENTS

    def _heard(self, events: Iterable[ServerEvent]) -> Iterator[Delta]:
        """What some events add."""
        for event in events:
            self._events += 1
            for delta in self._reader.feed(event):
                if self._first is None:
                    self._first = self._clock()
                if not delta.reasoning:
                    self.said.append(delta.text)
                yield delta

    def _end_whole(self) -> Iterator[Delta | Completion]:
        """The deltas of a body that came at once, and the completion."""
        reply = self._dialect.whole(self._seat, b"".join(self._parts).lstrip(_BLANK))
        if reply.reasoning:
            yield Delta(reply.reasoning, reasoning=True)
        if reply.text:
            yield Delta(reply.text)
        yield replace(reply, seconds=self._last)

    def _end_events(self) -> Iterator[Delta | Completion]:
        """What the last line leaves, and the completion."""
        yield from self._heard(self._decoder.close())
        foreign = self._decoder.foreign.decode("utf-8", "replace")
        if foreign and not self._events:
            raise MalformedReplyError(f"no event came, but {foreign!r}")
        try:
            reply = self._reader.completion()
        except ProviderError as error:
            if not foreign:
                raise
            detail = f"{error.detail}; among the events stood {foreign!r}"
            raise type(error)(detail, partial=error.partial, wait_s=error.wait_s) from error
        yield replace(reply, first_token_s=self._first, seconds=self._last)
