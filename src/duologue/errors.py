"""Every error that duologue raises on purpose, named by the boundary that was crossed.

    DuologueError
    ├── ConfigurationError      what was asked for cannot be: unknown model, bad spec, missing key
    │   └── SpecError           a file of ours is malformed; knows the key and the line
    ├── StoreError              the disk said no: full, read-only, gone
    │   ├── BusyError           another process holds the run
    │   │   └── LeavingError    whoever held it has gone; its workers finish their turns
    │   ├── FullError           the disk, or a quota, is full
    │   ├── RecordError         the record itself is wrong: edited, reordered, cut, too new
    │   ├── UnknownIdError      nothing, or more than one thing, answers to that id
    │   └── UnrecordedError     a message was finished and could not be written; holds its words
    ├── FormatError             a foreign file is not what it says it is; knows the line
    ├── ReplayError             a request differs from the recorded one, so no answer is given
    └── ProviderError           a model did not complete a turn
        ├── AuthenticationError     the key is missing or refused
        ├── RateLimitError          too many requests; may say how long to wait
        ├── OverloadError           the provider is busy or down
        ├── ProviderTimeoutError    nothing came for too long
        ├── BrokenStreamError       the reply began and was cut
        ├── MalformedReplyError     the reply cannot be understood
        ├── RequestRefusedError     the request itself is not acceptable to the provider
        ├── ContentFilterError      a filter held back the reply, or would not take the request
        ├── ContextFullError        the view no longer fits the model
        └── ProviderBugError        our own code, or a plug-in's, raised in the provider

A message says what happened, where, and what to do next. ``exit_code`` is what the command line
returns. This module knows nothing about where an error is shown, and carries no secrets: whoever
raises one keeps keys out of it.
"""

from typing import ClassVar


class DuologueError(Exception):
    """The root of the tree: catch this to catch every error that duologue raises on purpose."""

    exit_code: ClassVar[int] = 1


class ConfigurationError(DuologueError):
    """What was asked for cannot be done as asked; nothing was started."""

    exit_code = 2


class SpecError(ConfigurationError):
    """A file that a person wrote is malformed; the message names the key and the line."""


class StoreError(DuologueError):
    """The record could not be read or written. What was already recorded is untouched."""

    exit_code = 4


class BusyError(StoreError):
    """Another process is writing to the run."""

    exit_code = 5


class LeavingError(BusyError):
    """Whoever held the run has gone; its workers still finish their turns, and will go, too."""


class FullError(StoreError):
    """The disk, or a quota, is full: with more room the same record can be written."""


class RecordError(StoreError):
    """The record is not what was written: edited, reordered, cut, or of a newer version."""

    exit_code = 3


class UnknownIdError(StoreError):
    """No conversation answers to an id, or more than one does."""

    exit_code = 2


class UnrecordedError(StoreError):
    """A message was finished and the disk refused it: its words stand in this error alone."""


class FormatError(DuologueError):
    """A foreign file cannot be read as the format it claims to be.

    Attributes:
        line: the line, counted from 1, where reading failed, if one can be named.
    """

    exit_code = 2

    def __init__(self, detail: str, *, line: int | None = None) -> None:
        super().__init__(detail if line is None else f"line {line}: {detail}")
        self.line = line


class ReplayError(DuologueError):
    """The request differs from every recorded one, so the log gives no answer to it."""

    exit_code = 3


class ProviderError(DuologueError):
    """A model did not complete a turn.

    Attributes:
        boundary: the name, in the log, of what was crossed.
        detail: what happened, in one line, without secrets.
        partial: the text that had arrived; kept on the attempt, never made into a message.
        wait_s: how long the provider asked us to wait, in seconds, if it said so.
        pace: how many requests could be under way at once when this one was sent, if it was paced.
    """

    boundary: str = "provider"

    def __init__(self, detail: str, *, partial: str = "", wait_s: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.partial = partial
        self.wait_s = wait_s
        self.pace: int | None = None


class AuthenticationError(ProviderError):
    """The key is missing, or the provider refused it."""

    boundary = "authentication"


class RateLimitError(ProviderError):
    """Too many requests; ``wait_s`` is what the provider told us."""

    boundary = "rate_limit"


class OverloadError(ProviderError):
    """The provider is busy, failing or down."""

    boundary = "overload"


class ProviderTimeoutError(ProviderError):
    """Nothing came for longer than the idle limit."""

    boundary = "timeout"


class BrokenStreamError(ProviderError):
    """The reply began and was cut; ``partial`` holds what had arrived."""

    boundary = "broken_stream"


class MalformedReplyError(ProviderError):
    """The reply came whole and cannot be understood."""

    boundary = "malformed_reply"


class RequestRefusedError(ProviderError):
    """The provider does not accept the request as it is; sending it again will not help."""

    boundary = "request_refused"


class ContentFilterError(ProviderError):
    """A filter of the provider's held back the reply, or would not take the request."""

    boundary = "content_filter"


class ContextFullError(ProviderError):
    """The view is longer than the model can take. Nothing was truncated."""

    boundary = "context_full"


class ProviderBugError(ProviderError):
    """Code of ours, or of a plug-in, raised something it should not have."""

    boundary = "bug"


def boundary_error(boundary: str) -> type[ProviderError]:
    """The class whose boundary has that name in the log; the root class if none has."""
    for kind in ProviderError.__subclasses__():
        if kind.boundary == boundary:
            return kind
    return ProviderError
