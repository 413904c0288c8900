"""Anthropic Messages.

Events and refusals: Anthropic's documents ``build-with-claude/streaming``, ``api/errors``,
``handle-streaming-refusals``, and the SDK types (``RefusalStopDetails``: type, category,
explanation). Error bodies, as seen in public threads: empty text, anthropics/claude-code#59812;
white space, #23440; trailing white space, tailcallhq/forgecode#1872; prefill,
agenticloops-ai/agentic-ai-engineering#43; a prompt too long, coder/aibridge#56; headers of a 429,
anthropics/anthropic-sdk-typescript#357. The words for a thinking block that was altered or moved
are those of ``reading/provider-rules.md``, E.1. This module knows no socket.
"""

import re
from base64 import b64decode, b64encode
from hashlib import blake2b
from typing import Any

import msgspec

from .answers import answer, identity
from .parts import (
    Ask,
    Finish,
    Frame,
    Objection,
    Problem,
    Prompt,
    Reply,
    Saying,
    Shape,
    Style,
    Truth,
    crumbs,
    json,
    pieces,
)

NAME = "anthropic"
COMMENT = b'event: ping\ndata: {"type": "ping"}\n\n'

_FINISH = {
    Finish.STOP: "end_turn",
    Finish.LENGTH: "max_tokens",
    Finish.REFUSAL: "refusal",
    Finish.CONTENT_FILTER: "refusal",
    Finish.CONTEXT_FULL: "model_context_window_exceeded",
    Finish.CALL: "tool_use",
}
_VERSION = re.compile(r"claude-[a-z]+-(\d+)(?:[-.](\d{1,2}))?(?!\d)")
_PREFILL_ENDS = (4, 6)
_SYSTEM_INSIDE = (4, 8)
_BINDING = (5, 0)


def version(model: str) -> tuple[int, int]:
    """``claude-opus-4-6`` is (4, 6); a name of the older form is (3, 0)."""
    found = _VERSION.match(model)
    return (int(found[1]), int(found[2] or 0)) if found else (3, 0)


def objection(ask: Ask) -> Objection | None:
    """What the API would not accept in this request."""
    messages = ask.body.get("messages")
    for name in ("model", "max_tokens", "messages"):
        if name not in ask.body:
            return Objection(f"{name}: Field required")
    if not isinstance(messages, list) or not messages:
        return Objection("messages: at least one message is required")
    found = (_message_objection(ask, messages, at) for at in range(len(messages)))
    return (
        next(filter(None, found), None)
        or _text_objection("system", _blocks(ask.body.get("system", [])))
        or _last_objection(ask, messages[-1])
    )


def _message_objection(ask: Ask, messages: list[dict[str, Any]], at: int) -> Objection | None:
    message, last = messages[at], at == len(messages) - 1
    role, content = message.get("role"), message.get("content")
    if role == "system" and version(ask.model) < _SYSTEM_INSIDE:
        return Objection(_NO_SYSTEM)
    if content in ("", [], None) and not (last and role == "assistant"):
        told = "all messages must have non-empty content except for the optional final assistant"
        return Objection(f"messages.{at}: {told} message")
    blocks = _blocks(content)
    return (
        _text_objection("messages", blocks)
        or _call_objection(messages, at)
        or (_thinking_objection(ask, at, blocks) if role == "assistant" else None)
    )


def _call_objection(messages: list[dict[str, Any]], at: int) -> Objection | None:
    """Each call is answered in the next message, before anything else, and has an id of its own."""
    ids = [block["id"] for block in _of(messages[at], "tool_use")]
    before = {block["id"] for message in messages[:at] for block in _of(message, "tool_use")}
    if len({*ids} - before) < len(ids):
        return Objection(f"messages.{at}: `tool_use` ids must be unique")
    after = messages[at + 1] if ids and at + 1 < len(messages) else {}
    results = [block.get("tool_use_id") for block in _blocks(after.get("content"))]
    if results[: len(ids)] != ids:
        told = "`tool_use` ids were found without `tool_result` blocks immediately after"
        return Objection(f"messages.{at}: {told}: {', '.join(ids)}.")
    return None


def _of(message: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [block for block in _blocks(message.get("content")) if block.get("type") == kind]


_NO_SYSTEM = (
    'messages: Unexpected role "system". The Messages API accepts a top-level `system` parameter, '
    'not "system" as an input message role.'
)


def _blocks(content: object) -> list[dict[str, Any]]:
    """Content as blocks; a string is one block."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return list(content) if isinstance(content, list) else []


def _text_objection(where: str, blocks: list[dict[str, Any]]) -> Objection | None:
    texts = [block.get("text") or "" for block in blocks if block.get("type") == "text"]
    if "" in texts:
        return Objection(f"{where}: text content blocks must be non-empty")
    if not all(text.strip() for text in texts):
        return Objection(f"{where}: text content blocks must contain non-whitespace text")
    return None


def _thinking_objection(ask: Ask, at: int, blocks: list[dict[str, Any]]) -> Objection | None:
    """Thinking comes back as it was made, and, for newer models, where it was made."""
    for place, block in enumerate(blocks):
        if block.get("type") != "thinking":
            continue
        made, prefix = _signed(block.get("signature", ""))
        where = f"messages.{at}.content.{place}"
        if made != _digest(block.get("thinking", "")):
            return Objection(f"{where}: Invalid `signature` in `thinking` block")
        if version(ask.model) >= _BINDING and prefix != _digest(_before(ask, at)):
            return Objection(f"{where}: The block is bound to a different conversation")
    if blocks and blocks[-1].get("type") in {"thinking", "redacted_thinking"}:
        return Objection(
            f"messages.{at}: The final block in an assistant message cannot be "
            f"`{blocks[-1]['type']}`."
        )
    return None


def _last_objection(ask: Ask, last: dict[str, Any]) -> Objection | None:
    """A history that ends with the assistant is a prefill."""
    if last.get("role") != "assistant":
        return None
    if version(ask.model) >= _PREFILL_ENDS:
        told = "This model does not support assistant message prefill. The conversation must end "
        return Objection(f"{told}with a user message.")
    texts = [block.get("text", "") for block in _blocks(last.get("content"))]
    if texts and texts[-1] != texts[-1].rstrip():
        return Objection("messages: final assistant content cannot end with trailing whitespace")
    return None


def _digest(value: object) -> str:
    return blake2b(json(value), digest_size=16).hexdigest()


def _before(ask: Ask, at: int) -> object:
    """Everything before message ``at``, without cache marks, which may move."""
    system = [_bare(block) for block in _blocks(ask.body.get("system"))]
    messages = ask.body.get("messages", [])[:at]
    return [
        system,
        [[m.get("role"), [_bare(b) for b in _blocks(m.get("content"))]] for m in messages],
    ]


def _bare(block: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in sorted(block.items()) if name != "cache_control"}


def sign(ask: Ask, thinking: str) -> str:
    """A signature that says what was thought, and after what."""
    prefix = _digest(_before(ask, len(ask.body.get("messages", []))))
    return b64encode(f"{_digest(thinking)}.{prefix}".encode()).decode()


def _signed(signature: str) -> tuple[str, str]:
    try:
        made, _, prefix = b64decode(signature, validate=True).decode().partition(".")
    except ValueError:
        return "", ""
    return made, prefix


def prompt(ask: Ask) -> Prompt:
    """Parts are blocks, and a ``cache_control`` marks where what may be cached ends.

    One at the top of the request marks the last block (automatic caching).
    """
    parts: list[str] = []
    marks: list[int] = []
    said = [("system", ask.body.get("system", []))]
    said += [(m.get("role", ""), m.get("content")) for m in ask.body.get("messages", [])]
    for role, content in said:
        for block in _blocks(content):
            parts.append(f"{role}\0{json(_bare(block)).decode()}")
            if block.get("cache_control"):
                marks.append(len(parts))
    if ask.body.get("cache_control"):
        marks.append(len(parts))
    return Prompt(tuple(parts), tuple(marks))


def tools(ask: Ask) -> list[str]:
    """The names of the tools that are offered."""
    return [one["name"] for one in ask.body.get("tools", ())]


def own_turns(ask: Ask) -> int:
    """How many messages of the history are the model's own."""
    return sum(message.get("role") == "assistant" for message in ask.body.get("messages", ()))


def whole(ask: Ask, saying: Saying) -> bytes:
    """The body of a reply that is not streamed."""
    message = _message(ask, saying)
    message |= _stop(saying) | {"usage": _usage(saying)}
    if saying.shape is Shape.NOTHING:
        del message["content"]
        message["stop_reason"] = None
    else:
        message["content"] = _content(ask, saying)
    return json(message)


def _message(ask: Ask, saying: Saying) -> dict[str, Any]:
    return {
        "id": f"msg_{identity(ask)}",
        "type": "message",
        "role": "assistant",
        "model": saying.served,
        "content": [],
    }


def _stop(saying: Saying) -> dict[str, Any]:
    stop: dict[str, Any] = {"stop_reason": _FINISH[saying.finish], "stop_sequence": None}
    if saying.finish is Finish.REFUSAL:
        explanation = "This request was declined under the usage policy."
        stop["stop_details"] = {
            "type": "refusal",
            "category": saying.category,
            "explanation": explanation,
        }
    return stop


def _content(ask: Ask, saying: Saying) -> list[dict[str, Any]]:
    """Thinking first. A model that says nothing says no block at all (issue 461 of the SDK)."""
    blocks: list[dict[str, Any]] = [_thinking(ask, saying)] if saying.reasoning else []
    if saying.shape is Shape.NULL:  # not seen from Anthropic; copies of its API have bugs
        return [*blocks, {"type": "text", "text": None}]
    if saying.text:
        blocks.append({"type": "text", "text": saying.text})
    return [*blocks, *_calls(ask, saying)]


def _calls(ask: Ask, saying: Saying) -> list[dict[str, Any]]:
    """One block a call, after all words."""
    return [
        {
            "type": "tool_use",
            "id": f"toolu_{identity(ask)[:12]}{at}",
            "name": call.name,
            "input": msgspec.Raw(call.arguments.encode()),
        }
        for at, call in enumerate(saying.calls)
    ]


def _thinking(ask: Ask, saying: Saying) -> dict[str, Any]:
    if saying.style is Style.FIRST:
        made = sign(ask, saying.reasoning)
        return {"type": "thinking", "thinking": saying.reasoning, "signature": made}
    return {"type": "redacted_thinking", "data": redacted(saying)}


def redacted(saying: Saying) -> str:
    """Thinking that nobody may read: it must come back as it is."""
    return b64encode(f"sealed:{saying.reasoning}".encode()).decode()


def _usage(saying: Saying) -> dict[str, int]:
    tokens = saying.tokens
    return {
        "input_tokens": tokens.input - tokens.cached - tokens.written,
        "cache_creation_input_tokens": tokens.written,
        "cache_read_input_tokens": tokens.cached,
        "output_tokens": tokens.output,
    }


def stream(ask: Ask, saying: Saying) -> list[Frame]:
    """The events of a streamed reply."""
    start = _message(ask, saying) | {"stop_reason": None, "stop_sequence": None}
    start["usage"] = _usage(saying) | {"output_tokens": 1}
    sent = [Frame(_event("message_start", message=start))]
    if saying.shape is Shape.NOTHING:
        return [*sent, Frame(_event("message_stop"))]
    for at, block in enumerate(_content(ask, saying)):
        sent += _block(at, block)
        if at == 0:
            sent.insert(2, Frame(COMMENT))
    usage = {"output_tokens": saying.tokens.output}
    sent.append(Frame(_event("message_delta", delta=_stop(saying), usage=usage)))
    return [*sent, Frame(_event("message_stop"))]


def _event(kind: str, **fields: object) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), json({"type": kind, **fields}))


def _block(at: int, block: dict[str, Any]) -> list[Frame]:
    """One content block: its start, its deltas, its stop."""
    empty: dict[str, dict[str, Any]] = {
        "text": {"text": ""},
        "thinking": {"thinking": "", "signature": ""},
    }
    empty["tool_use"] = {"input": {}}
    opened = block | empty.get(block["type"], {})
    start = Frame(_event("content_block_start", index=at, content_block=opened))
    return [start, *_deltas(at, block), Frame(_event("content_block_stop", index=at))]


def _deltas(at: int, block: dict[str, Any]) -> list[Frame]:
    if block["type"] == "text" and block["text"] is None:
        return [Frame(_delta(at, "text_delta", text=None))]
    if block["type"] == "text":
        return [Frame(_delta(at, "text_delta", text=p), text=p) for p in pieces(block["text"])]
    if block["type"] == "tool_use":
        given = ("", *crumbs(bytes(block["input"]).decode()))
        return [Frame(_delta(at, "input_json_delta", partial_json=crumb)) for crumb in given]
    if block["type"] == "thinking":
        thought = pieces(block["thinking"])
        made = Frame(_delta(at, "signature_delta", signature=block["signature"]))
        thinking = [Frame(_delta(at, "thinking_delta", thinking=p), reasoning=p) for p in thought]
        return [*thinking, made]
    return []


def _delta(at: int, kind: str, **fields: object) -> bytes:
    return _event("content_block_delta", index=at, delta={"type": kind, **fields})


_ERRORS = {
    Problem.INVALID: (400, "invalid_request_error", ""),
    Problem.CONTEXT_FULL: (400, "invalid_request_error", ""),
    Problem.FILTERED: (400, "invalid_request_error", "Output blocked by content filtering policy"),
    Problem.UNAUTHORIZED: (401, "authentication_error", "invalid x-api-key"),
    Problem.NO_MODEL: (404, "not_found_error", ""),
    Problem.TOO_LARGE: (413, "request_too_large", "Request exceeds the maximum size"),
    Problem.RATE_LIMITED: (
        429,
        "rate_limit_error",
        "This request would exceed the rate limit for your organization of 50 requests per minute.",
    ),
    Problem.SERVER_ERROR: (500, "api_error", "Internal server error"),
    Problem.UNAVAILABLE: (503, "api_error", "Service Unavailable"),
    Problem.OVERLOADED: (529, "overloaded_error", "Overloaded"),
}


def fault(problem: Problem, ask: Ask, *, wait_s: float | None, why: Objection) -> Reply:
    """An error as this API reports it. ``why`` holds the particulars of a refused request."""
    known = Problem.UNAUTHORIZED if problem is Problem.ECHOED_KEY else problem
    status, kind, message = _ERRORS[known]
    told = message or why.message
    if problem is Problem.NO_MODEL:
        told = f"model: {ask.sent}"
    if problem is Problem.ECHOED_KEY:
        told = f"invalid x-api-key: {ask.key}"
    limited = problem is Problem.RATE_LIMITED
    headers = _wait_headers(wait_s) if limited else ()
    headers += (("request-id", f"req_{identity(ask)}"),)
    body = json(_error(kind, told) | {"request_id": f"req_{identity(ask)}"})
    return answer(problem, status, body, headers=headers, wait_s=wait_s if limited else None)


def _error(kind: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}}


def context_full(tokens: int, window: int) -> Objection:
    """The message of a view that is too long."""
    return Objection(f"prompt is too long: {tokens} tokens > {window} maximum")


def _wait_headers(wait_s: float | None) -> tuple[tuple[str, str], ...]:
    if wait_s is None:
        return ()
    return (
        ("retry-after", f"{wait_s:g}"),
        ("anthropic-ratelimit-requests-limit", "50"),
        ("anthropic-ratelimit-requests-remaining", "0"),
        ("anthropic-ratelimit-requests-reset", "2026-11-23T20:00:00Z"),
        ("anthropic-ratelimit-tokens-limit", "25000"),
        ("anthropic-ratelimit-tokens-remaining", "16000"),
        ("anthropic-ratelimit-tokens-reset", "2026-11-23T20:00:00Z"),
        ("x-should-retry", "true"),
    )


def error_body(ask: Ask) -> bytes:
    """An error inside a 200."""
    return json(_error("overloaded_error", "Overloaded") | {"request_id": f"req_{identity(ask)}"})


def error_events(_ask: Ask, _saying: Saying) -> list[Frame]:
    """An error in the middle of a stream."""
    return [Frame(error_event("overloaded_error", "Overloaded"))]


def error_event(kind: str, message: str) -> bytes:
    """``event: error``."""
    return b"event: error\ndata: %s\n\n" % json(_error(kind, message))


def models(names: tuple[str, ...]) -> bytes:
    """``GET /v1/models``."""
    listed = [
        {"type": "model", "id": name, "display_name": name, "created_at": "2026-01-01T00:00:00Z"}
        for name in names
    ]
    return json({"data": listed, "has_more": False, "first_id": None, "last_id": None})


def truth(saying: Saying) -> Truth:
    """What a client should make of it. Sealed thinking cannot be read."""
    return Truth(
        text=saying.text,
        reasoning=saying.reasoning if saying.style is Style.FIRST else "",
        finish=saying.finish,
        served=saying.served,
        calls=saying.calls,
        category=saying.category if saying.finish is Finish.REFUSAL else None,
    )
