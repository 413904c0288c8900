"""The facts of a conversation: a closed union of immutable events, version 1.

Events have no time, no sequence and no identity of their own; the store stamps them. So two
executions can be compared with ``==``. This module does not know how events are stored.
"""

from enum import StrEnum
from typing import Any

import msgspec

from duologue.core.message import Message
from duologue.core.provider import Finish, Seat, ToolCall, Usage
from duologue.core.spec import ConversationSpec

SCHEMA_VERSION = 1


class EndReason(StrEnum):
    """Why a conversation ended."""

    EXIT = "exit"
    MUTUAL_EXIT = "mutual_exit"
    SILENCE = "silence"
    MAX_TURNS = "max_turns"
    BUDGET = "budget"
    REFUSAL = "refusal"
    CONTENT_FILTER = "content_filter"
    STOP_PHRASE = "stop_phrase"
    PASS = "pass"  # noqa: S105 - a turn that was declined
    DETECTOR = "detector"
    CONTEXT_FULL = "context_full"
    ERROR = "error"
    IMPORT = "import"


class _Fact(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="kind"
):
    """The manners of every event: frozen, tagged by ``kind``, unknown fields refused."""


class Edit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A change that a dialect's rules forced on a view; every reader shows it.

    Attributes:
        what: the kind of change, one word.
        detail: what was changed and why, for a person.
        message: which message of the view it concerns, counted from 0; None for the whole view.
    """

    what: str
    detail: str
    message: int | None = None


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where an imported conversation comes from.

    Attributes:
        format: the foreign format's name.
        digest: BLAKE2b-256 of the file, in hexadecimal.
        file: the file's name, without its folder.
        fields: whatever else the file held that its export needs.
        notes: where the file could be read in more than one way, and how it was read.
    """

    format: str
    digest: str
    file: str
    fields: dict[str, str] = {}
    notes: tuple[str, ...] = ()


class ConversationStarted(_Fact, frozen=True, tag="conversation_started"):
    """A conversation begins.

    Attributes:
        spec: everything that was declared.
        seats: what each participant's model resolved to, by name; empty for an import.
        fork: where it branched from, if it did. The events up to that turn follow as inherited.
        source: where it was imported from, if it was.
        key: the conversation's name towards providers, from which caches are routed.
    """

    spec: ConversationSpec
    seats: dict[str, Seat] = {}
    fork: "Fork | None" = None
    source: Source | None = None
    key: str = ""


class Fork(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a branch left its parent.

    Attributes:
        conversation: the parent's id.
        turn: the last message that is inherited.
        started: how the parent started, so that inherited requests can be rebuilt from the
            branch's own log.
    """

    conversation: str
    turn: int
    started: ConversationStarted


class TurnStarted(_Fact, frozen=True, tag="turn_started"):
    """A request is about to be sent. Written before the call.

    Attributes:
        turn: the number of the message that this turn will make, counted from 1.
        participant: who speaks.
        request: BLAKE2b-256 of the exact request body, in hexadecimal; empty where none could be
            made, which the failed attempt that follows explains.
        edits: what the dialect's rules changed in the view.
        running: how the seat is run from here on, where that is not as recorded before: after a
            resume on another machine, say.
    """

    turn: int
    participant: str
    request: str
    edits: tuple[Edit, ...] = ()
    running: dict[str, Any] | None = None


class AttemptFailed(_Fact, frozen=True, tag="attempt_failed"):
    """A request did not become a message.

    Attributes:
        turn: the turn it was for.
        participant: who was to speak.
        boundary: what was crossed, as named in ``duologue.errors``.
        detail: what happened, without secrets.
        partial: text that had arrived; never folded into a message.
        wait_s: how long the provider asked us to wait, in seconds.
        again: whether another attempt follows.
        usage: tokens, where the provider counts them for what failed.
        cost: United States dollars, if known.
        seconds: from the call to the end, where the reply came whole.
        pace: how many requests could be under way at once when this one was sent, if it was paced.
    """

    turn: int
    participant: str
    boundary: str
    detail: str
    partial: str = ""
    wait_s: float | None = None
    again: bool = False
    usage: Usage = Usage()
    cost: float | None = None
    seconds: float | None = None
    pace: int | None = None


class TurnCompleted(_Fact, frozen=True, tag="turn_completed"):
    """A participant has spoken.

    Attributes:
        turn: the number of the message.
        message: what was said.
        finish: why it stopped, normalised.
        finish_raw: the provider's own word for it.
        usage: tokens.
        first_token_s: seconds from the call to the first token.
        seconds: seconds from the call to the end.
        served: the model that really served the turn, as the reply says.
        reasoning: what the model thought before it spoke; not part of the message.
        detail: the provider's own words about a refusal, a filter or a cut.
        blocks: reasoning as the provider sent it, given back to this participant alone.
        cost: United States dollars, at the price of the day; None where it is not known.
        pace: how many requests could be under way at once when this one was sent, if it was paced.
        calls: the tools that it called, in order, whether or not they were offered.
    """

    turn: int
    message: Message
    finish: Finish = Finish.STOP
    finish_raw: str | None = None
    usage: Usage = Usage()
    first_token_s: float | None = None
    seconds: float | None = None
    served: str | None = None
    reasoning: str | None = None
    detail: str | None = None
    blocks: tuple[dict[str, Any], ...] = ()
    cost: float | None = None
    pace: int | None = None
    calls: tuple[ToolCall, ...] = ()


class ContextReset(_Fact, frozen=True, tag="context_reset"):
    """A participant's view begins later from here on; the messages stay in the conversation.

    Attributes:
        turn: the turn that is about to be taken.
        participant: whose view.
        first: the number of the first message that it still holds.
    """

    turn: int
    participant: str
    first: int


class MessageInjected(_Fact, frozen=True, tag="message_injected"):
    """Words that no participant's model made enter the conversation.

    Attributes:
        turn: the number of the message.
        message: what was said, with its author, origin and who sees it.
    """

    turn: int
    message: Message


class ParticipantLeft(_Fact, frozen=True, tag="participant_left"):
    """A participant left by a declared way, in the message just completed.

    Exactly one of ``sentinel``, ``phrase`` and ``tool`` says how.

    Attributes:
        turn: the number of that message.
        participant: who left.
        sentinel: the declared line that was found.
        phrase: the declared words that were found.
        tool: the declared tool that was called.
    """

    turn: int
    participant: str
    sentinel: str | None = None
    phrase: str | None = None
    tool: str | None = None

    @property
    def way(self) -> str:
        """With what it left, in words: ``[END]``, ``'so long'``, ``a call of finish``."""
        if self.tool is not None:
            return f"a call of {self.tool}"
        return repr(self.phrase) if self.sentinel is None else self.sentinel

    @property
    def did(self) -> str:
        """What it did, in words: ``wrote [END]``, ``said 'so long'``, ``called finish``."""
        if self.tool is not None:
            return f"called {self.tool}"
        return f"said {self.phrase!r}" if self.sentinel is None else f"wrote {self.sentinel}"


class TurnPassed(_Fact, frozen=True, tag="turn_passed"):
    """A participant declined its turn by a declared way, in the message just completed.

    Attributes:
        turn: the number of that message.
        participant: who passed.
        token: the declared line that was found; None where its silence passes.
    """

    turn: int
    participant: str
    token: str | None = None


class ConversationEnded(_Fact, frozen=True, tag="conversation_ended"):
    """The conversation is over.

    Attributes:
        reason: why.
        by: whose turn decided it, if anybody's.
        detail: one line for a person.
        sign: what a declared detector had seen, where that ended it.
    """

    reason: EndReason
    by: str | None = None
    detail: str | None = None
    sign: str | None = None

    @property
    def stands(self) -> bool:
        """Whether nothing can follow; what failed can be tried again."""
        return self.reason is not EndReason.ERROR


Event = (
    ConversationStarted
    | TurnStarted
    | AttemptFailed
    | TurnCompleted
    | MessageInjected
    | ParticipantLeft
    | TurnPassed
    | ContextReset
    | ConversationEnded
)


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An event as the store stamped it.

    Attributes:
        v: the version of the event schema.
        conv: the conversation's id.
        seq: the event's place in its conversation, from 0.
        at: when it was written, UTC, ISO 8601 with microseconds.
        event: the fact.
        p: the hash of the line before it in its segment; empty for the first.
        h: its own hash, chained to the record before it in its conversation
            (see ``docs/log-format.md``).
    """

    v: int
    conv: str
    seq: int
    at: str
    event: Event
    p: str
    h: str
