"""OpenAI chat completions and those who copy them: DeepSeek, Moonshot, OpenRouter, vLLM, ...

Shapes: the public type definitions of the API (role chunk first, usage chunk with no choices when
``stream_options.include_usage``, then ``[DONE]``). Error bodies, as seen in public threads:
context_length_exceeded, himanushi/chat-code#17; a null content, pydantic/pydantic-ai#3105; an
empty assistant at Moonshot, lobehub/lobehub#8419 and AstrBotDevs/AstrBot#7200; rate limits,
continuedev/continue#10502. OpenRouter's comment lines and errors inside a 200: its documents
``api-reference/streaming`` and ``errors``. This module knows no socket.
"""

import re
from typing import Any

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

NAME = "openai"
COMMENT = b": OPENROUTER PROCESSING\n\n"

_CREATED = 1_790_000_000  # a server without a clock is easier to compare with
_FINISH = {
    Finish.STOP: "stop",
    Finish.LENGTH: "length",
    Finish.REFUSAL: "stop",
    Finish.CONTENT_FILTER: "content_filter",
    Finish.CONTEXT_FULL: "length",
    Finish.CALL: "tool_calls",
}
# Providers that refuse an assistant's silence in the history, by path or by model.
_STRICT = re.compile(r"moonshot|kimi")
_REASONING_MODEL = re.compile(r"(o\d|gpt-5)")


def objection(ask: Ask) -> Objection | None:
    """What the API would not accept in this request."""
    messages = ask.body.get("messages")
    if not ask.sent:
        return Objection("you must provide a model parameter")
    if not isinstance(messages, list):
        return Objection("Missing required parameter: 'messages'.", "messages", _MISSING)
    if not messages:
        return Objection(_EMPTY_ARRAY, "messages", "empty_array")
    found = (_message_objection(ask, at, message) for at, message in enumerate(messages))
    return next(filter(None, found), None) or _call_objection(ask) or _parameter_objection(ask)


def _call_objection(ask: Ask) -> Objection | None:
    """Each call is answered at once, by its id; Mistral then wants the assistant to speak."""
    messages = ask.body["messages"]
    for at, message in enumerate(messages):
        wanted = [call["id"] for call in message.get("tool_calls", ())]
        after = messages[at + 1 : at + 1 + len(wanted)]
        if [answer.get("tool_call_id") for answer in after] != wanted:
            told = "An assistant message with 'tool_calls' must be followed by tool messages "
            return Objection(f"{told}responding to each 'tool_call_id'.", f"messages.[{at}].role")
        called = message.get("tool_calls") or message.get("role") == "tool"
        if called and ask.provider == "mistral" and "user" in map(_role, messages[at + 1 : at + 2]):
            return Objection("Unexpected role 'user' after role 'tool'", code="3230")
    return None


def _role(message: dict[str, Any]) -> object:
    return message.get("role")


_MISSING = "missing_required_parameter"
_EMPTY_ARRAY = (
    "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty "
    "array instead."
)


def _message_objection(ask: Ask, at: int, message: dict[str, Any]) -> Objection | None:
    content = message.get("content")
    if content is None and not message.get("tool_calls"):
        told = "Invalid value for 'content': expected a string, got null."
        return Objection(told, f"messages.[{at}].content")
    strict = _STRICT.search(ask.provider) or _STRICT.search(ask.model)
    if strict and message.get("role") == "assistant" and content == "":
        told = f"Invalid request: the message at position {at} with role 'assistant' must not be"
        return Objection(f"{told} empty")
    return None


def _parameter_objection(ask: Ask) -> Objection | None:
    """OpenAI's own reasoning models refuse some of the usual parameters."""
    if ask.provider != NAME or not _REASONING_MODEL.match(ask.model):
        return None
    if "max_tokens" in ask.body:
        told = "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
        return Objection(f"{told}'max_completion_tokens' instead.", "max_tokens", _UNSUPPORTED)
    if ask.body.get("temperature", 1) != 1:
        told = f"Unsupported value: 'temperature' does not support {ask.body['temperature']} with "
        told += "this model. Only the default (1) value is supported."
        return Objection(told, "temperature", "unsupported_value")
    return None


_UNSUPPORTED = "unsupported_parameter"


def prompt(ask: Ask) -> Prompt:
    """Caching is automatic: a prefix is a prefix."""
    return Prompt(tuple(_part(message) for message in ask.body.get("messages", ())))


def _part(message: dict[str, Any]) -> str:
    content = message.get("content")
    return f"{message.get('role')}\0{content if isinstance(content, str) else json(content)!r}"


def tools(ask: Ask) -> list[str]:
    """The names of the tools that are offered."""
    return [one["function"]["name"] for one in ask.body.get("tools", ())]


def own_turns(ask: Ask) -> int:
    """How many messages of the history are the model's own."""
    return sum(message.get("role") == "assistant" for message in ask.body.get("messages", ()))


def whole(ask: Ask, saying: Saying) -> bytes:
    """The body of a reply that is not streamed."""
    choice = {
        "index": 0,
        "message": {
            "role": "assistant",
            **_content(saying),
            **_reasoning(saying),
            **_calls(ask, saying),
        },
        "logprobs": None,
        "finish_reason": _FINISH[saying.finish],
    }
    choices = [] if saying.shape is Shape.NOTHING else [choice]
    head = _head(ask, saying, "chat.completion")
    return json({**head, "choices": choices, "usage": _usage(saying)})


def _calls(ask: Ask, saying: Saying) -> dict[str, Any]:
    """The calls of a whole reply."""
    if not saying.calls:
        return {}
    calls = [
        {"id": _call_id(ask, at), "type": "function", "function": {
            "name": call.name, "arguments": call.arguments}}
        for at, call in enumerate(saying.calls)
    ]  # fmt: skip
    return {"tool_calls": calls}


def _call_id(ask: Ask, at: int) -> str:
    return f"call_{identity(ask)[:12]}{at}"


def _call_deltas(ask: Ask, saying: Saying) -> list[dict[str, Any]]:
    """Calls in crumbs; in the second style each crumb says again whose it is."""
    deltas: list[dict[str, Any]] = []
    for at, call in enumerate(saying.calls):
        named = {"id": _call_id(ask, at), "type": "function"}
        first = {**named, "function": {"name": call.name, "arguments": ""}}
        again: dict[str, Any] = {}
        if saying.style is Style.SECOND:
            again = {**named, "function": {"name": call.name}}
        deltas.append({"index": at, **first})
        deltas += [
            {"index": at, **again, "function": {**again.get("function", {}), "arguments": crumb}}
            for crumb in crumbs(call.arguments)
        ]
    return deltas


def _content(saying: Saying) -> dict[str, Any]:
    """A refusal stands in its own place, and then there is no content."""
    if saying.finish is Finish.REFUSAL:
        return {"content": None, "refusal": saying.text}
    null = saying.shape is Shape.NULL or (saying.calls and not saying.text)
    return {"content": None if null else saying.text, "refusal": None}


def _reasoning(saying: Saying) -> dict[str, Any]:
    """DeepSeek, Moonshot and vLLM say ``reasoning_content``; OpenRouter ``reasoning``."""
    if not saying.reasoning:
        return {}
    if saying.style is Style.FIRST:
        return {"reasoning_content": saying.reasoning}
    detail = {"type": "reasoning.text", "text": saying.reasoning, "format": "unknown", "index": 0}
    return {"reasoning": saying.reasoning, "reasoning_details": [detail]}


def stream(ask: Ask, saying: Saying) -> list[Frame]:
    """The events of a streamed reply."""
    opening = {"role": "assistant", "content": "", "refusal": None}
    if saying.shape is Shape.NULL:
        opening["content"] = None
    sent = [Frame(_chunk(ask, saying, opening))] + [
        Frame(_chunk(ask, saying, _reasoning_delta(saying, piece)), reasoning=piece)
        for piece in pieces(saying.reasoning)
    ]
    place = "refusal" if saying.finish is Finish.REFUSAL else "content"
    sent += [
        Frame(_chunk(ask, saying, {place: piece}), text=piece) for piece in pieces(saying.text)
    ]
    sent += [
        Frame(_chunk(ask, saying, {"tool_calls": [delta]})) for delta in _call_deltas(ask, saying)
    ]
    if saying.shape is Shape.NOTHING:
        sent = []
    else:
        sent.append(Frame(_chunk(ask, saying, {}, _FINISH[saying.finish])))
    if _wants_usage(ask):
        head = _head(ask, saying, _CHUNK)
        sent.append(Frame(_event({**head, "choices": [], "usage": _usage(saying)})))
    return [*sent, Frame(b"data: [DONE]\n\n")]


def _reasoning_delta(saying: Saying, piece: str) -> dict[str, Any]:
    if saying.style is Style.FIRST:
        return {"reasoning_content": piece}
    detail = {"type": "reasoning.text", "text": piece, "format": "unknown", "index": 0}
    return {"reasoning": piece, "reasoning_details": [detail]}


def _wants_usage(ask: Ask) -> bool:
    options = ask.body.get("stream_options") or {}
    return bool(options.get("include_usage"))


_CHUNK = "chat.completion.chunk"


def _chunk(ask: Ask, saying: Saying, delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    usage = {"usage": None} if _wants_usage(ask) else {}
    return _event({**_head(ask, saying, _CHUNK), "choices": [choice], **usage})


def _event(value: object) -> bytes:
    return b"data: " + json(value) + b"\n\n"


def _head(ask: Ask, saying: Saying, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{identity(ask)}",
        "object": kind,
        "created": _CREATED,
        "model": saying.served,
        "system_fingerprint": "fp_hostile",
    }


def _usage(saying: Saying) -> dict[str, Any]:
    tokens = saying.tokens
    return {
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.input + tokens.output,
        "prompt_tokens_details": {"cached_tokens": tokens.cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": tokens.reasoning, "audio_tokens": 0},
    }


def fault(problem: Problem, ask: Ask, *, wait_s: float | None, why: Objection) -> Reply:
    """An error as this API reports it. ``why`` holds the particulars of a refused request."""
    if problem is Problem.TOO_LARGE:
        # It never reaches the API: what stands before it answers, in HTML.
        return answer(problem, 413, _NGINX_413, content_type="text/html")
    status, kind, code, message = _fault(problem, ask, why)
    error = {"message": message, "type": kind, "param": why.param, "code": code}
    headers = _wait_headers(wait_s) if problem is Problem.RATE_LIMITED else ()
    waits = wait_s if problem is Problem.RATE_LIMITED else None
    headers += (("x-request-id", f"req_{identity(ask)}"),)
    return answer(problem, status, json({"error": error}), headers=headers, wait_s=waits)


_NGINX_413 = (
    b"<html>\r\n<head><title>413 Request Entity Too Large</title></head>\r\n<body>\r\n"
    b"<center><h1>413 Request Entity Too Large</h1></center>\r\n<hr><center>nginx</center>\r\n"
    b"</body>\r\n</html>\r\n"
)


_LIMITS = (
    "in organization org-hostile on requests per min (RPM): Limit 3, Used 3, Requested 1. Please "
    "try again later."
)


def _fault(problem: Problem, ask: Ask, why: Objection) -> tuple[int, str, str | None, str]:
    """Status, type, code and message."""
    request, server = "invalid_request_error", "server_error"
    help_at = "You can find your API key at your account page."
    masked = f"{ask.key[:8]}***{ask.key[-4:]}"
    return {
        Problem.INVALID: (400, request, why.code, why.message),
        Problem.FILTERED: (400, request, "content_filter", why.message),
        Problem.UNAUTHORIZED: (
            401,
            request,
            "invalid_api_key",
            f"Incorrect API key provided: {masked}. {help_at}",
        ),
        Problem.ECHOED_KEY: (
            401,
            request,
            "invalid_api_key",
            f"Incorrect API key provided: {ask.key}. {help_at}",
        ),
        Problem.NO_MODEL: (
            404,
            request,
            "model_not_found",
            f"The model `{ask.sent}` does not exist or you do not have access to it.",
        ),
        Problem.CONTEXT_FULL: (400, request, "context_length_exceeded", why.message),
        Problem.RATE_LIMITED: (
            429,
            "requests",
            "rate_limit_exceeded",
            f"Rate limit reached for {ask.sent} {_LIMITS}",
        ),
        Problem.SERVER_ERROR: (
            500,
            server,
            None,
            "The server had an error while processing your request. Sorry about that!",
        ),
        Problem.UNAVAILABLE: (
            503,
            server,
            None,
            "The engine is currently overloaded, please try again later",
        ),
        # OpenAI itself has no 529; those who pass Anthropic's errors on do.
        Problem.OVERLOADED: (529, "overloaded_error", None, "Overloaded"),
    }[problem]


def context_full(tokens: int, window: int) -> Objection:
    """The message of a view that is too long."""
    told = f"This model's maximum context length is {window} tokens. However, your messages "
    told += f"resulted in {tokens} tokens. Please reduce the length of the messages."
    return Objection(told, "messages")


def _wait_headers(wait_s: float | None) -> tuple[tuple[str, str], ...]:
    if wait_s is None:
        return ()
    return (
        ("retry-after", f"{wait_s:g}"),
        ("retry-after-ms", f"{wait_s * 1000:.0f}"),
        ("x-ratelimit-limit-requests", "3"),
        ("x-ratelimit-remaining-requests", "0"),
        ("x-ratelimit-reset-requests", f"{wait_s:g}s"),
    )


def error_body(ask: Ask) -> bytes:
    """OpenRouter's error inside a 200: the upstream gave up."""
    return json({"error": _UPSTREAM, "user_id": f"user_{identity(ask)}"})


_UPSTREAM = {
    "code": 502,
    "message": "Provider returned error",
    "metadata": {"error_type": "provider_overloaded", "provider_name": "Hostile"},
}


def error_events(ask: Ask, saying: Saying) -> list[Frame]:
    """OpenRouter's error in the middle of a stream."""
    choice = {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}
    head = _head(ask, saying, _CHUNK)
    broken = {**head, "provider": "Hostile", "error": _UPSTREAM, "choices": [choice]}
    return [Frame(_event(broken)), Frame(b"data: [DONE]\n\n")]


def models(names: tuple[str, ...]) -> bytes:
    """``GET /v1/models``."""
    listed = [
        {"id": name, "object": "model", "created": _CREATED, "owned_by": "hostile"}
        for name in names
    ]
    return json({"object": "list", "data": listed})


def truth(saying: Saying) -> Truth:
    """What a client should make of it. A refusal's words are the model's own words."""
    full = saying.finish is Finish.CONTEXT_FULL  # which this dialect calls "length"
    return Truth(
        text=saying.text,
        reasoning=saying.reasoning,
        finish=Finish.LENGTH if full else saying.finish,
        served=saying.served,
        calls=saying.calls,
    )
