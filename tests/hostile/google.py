"""Google ``generateContent`` and ``streamGenerateContent?alt=sse``.

Shapes: the public reference of ``GenerateContentResponse`` (candidates, usageMetadata,
promptFeedback sent when no candidate was made) and docs.apiyi.com ``gemini/response-handling``
(``thoughtSignature``, the last chunk often without text, no ``[DONE]``). Error bodies, as seen in
public threads: an empty part, boldsoftware/sketch#68; a prompt too long,
google-gemini/gemini-cli#4231; quota, gke-labs/gemini-for-kubernetes-development#1215. A refused
key is a 400 here, told apart only by ``API_KEY_INVALID`` in its details, and the time to wait
stands in the body and not in a header. This module knows no socket.
"""

from base64 import b64encode
from itertools import pairwise
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
    json,
    pieces,
)

NAME = "google"
COMMENT = b": keep-alive\r\n\r\n"

_FINISH = {
    Finish.STOP: "STOP",
    Finish.LENGTH: "MAX_TOKENS",
    Finish.REFUSAL: "PROHIBITED_CONTENT",
    Finish.CONTENT_FILTER: "SAFETY",
    Finish.CONTEXT_FULL: "MAX_TOKENS",
    Finish.CALL: "STOP",
}
# What cannot be told from something else here.
_TOLD = {Finish.REFUSAL: Finish.CONTENT_FILTER, Finish.CONTEXT_FULL: Finish.LENGTH}
_RATING = {"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "probability": "HIGH", "blocked": True}
_RPC = "type.googleapis.com/google.rpc"


def objection(ask: Ask) -> Objection | None:
    """What the API would not accept in this request."""
    contents = ask.body.get("contents")
    if not isinstance(contents, list) or not contents:
        return Objection("* GenerateContentRequest.contents: contents is not specified\n")
    for content in contents:
        if content.get("role", "user") not in {"user", "model"}:
            return Objection("Please use a valid role: user, model.")
    named = [(f"contents[{at}]", content) for at, content in enumerate(contents)]
    named += [
        ("system_instruction", ask.body[name])
        for name in ("systemInstruction", "system_instruction")
        if name in ask.body
    ]
    told = "".join(_part_objections(name, content) for name, content in named)
    return Objection(told) if told else _call_objection(ask.body)


def _call_objection(body: dict[str, Any]) -> Objection | None:
    """A turn of calls is followed by as many responses; parameters are never an empty object."""
    for at, tool in enumerate(body.get("tools", ())):
        for n, declared in enumerate(tool["functionDeclarations"]):
            if declared.get("parameters", {"properties": 1}).get("properties") in (None, {}):
                where = f"* GenerateContentRequest.tools[{at}].function_declarations[{n}]"
                told = "parameters.properties: should be non-empty for OBJECT type"
                return Objection(f"{where}.{told}\n")
    contents = [*body["contents"], {}]
    for content, after in pairwise(contents):
        answered = [one["functionResponse"]["name"] for one in _having(after, "functionResponse")]
        if [one["functionCall"]["name"] for one in _having(content, "functionCall")] != answered:
            told = "Please ensure that the number of function response parts is equal to the "
            return Objection(f"{told}number of function call parts of the function call turn.")
    return None


def _having(content: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [part for part in content.get("parts", ()) if name in part]


def _part_objections(name: str, content: dict[str, Any]) -> str:
    """One line for each part without anything in it."""
    at = f"* GenerateContentRequest.{name}.parts"
    parts = content.get("parts")
    if not parts:
        return f"{at}: contents.parts must not be empty.\n"
    said = "required oneof field 'data' must have one initialized field"
    return "".join(f"{at}[{n}].data: {said}\n" for n, part in enumerate(parts) if _empty(part))


def _empty(part: dict[str, Any]) -> bool:
    """A mark is no datum; a signature on no words is what the API itself sends, and wants back.

    "The model may return the thought signature in a part with an empty text content part", say
    its documents, as quoted in google-gemini/gemini-cli#25808.
    """
    if part.get("thoughtSignature") and "text" in part:
        return False
    data = {"text", "inlineData", "fileData", "functionCall", "functionResponse"} & part.keys()
    return not any(part[name] for name in data)


def prompt(ask: Ask) -> Prompt:
    """Caching is implicit: a prefix is a prefix."""
    system = ask.body.get("systemInstruction") or ask.body.get("system_instruction")
    parts = [f"system\0{json(system).decode()}"] if system else []
    parts += [json(content).decode() for content in ask.body.get("contents", ())]
    return Prompt(tuple(parts))


def tools(ask: Ask) -> list[str]:
    """The names of the tools that are offered."""
    tools = ask.body.get("tools", ())
    return [one["name"] for tool in tools for one in tool["functionDeclarations"]]


def own_turns(ask: Ask) -> int:
    """How many messages of the history are the model's own."""
    return sum(content.get("role") == "model" for content in ask.body.get("contents", ()))


def whole(ask: Ask, saying: Saying) -> bytes:
    """The body of a reply that is not streamed."""
    return json(_blocked(ask, saying) if _is_blocked(saying) else _reply(ask, saying))


def _reply(ask: Ask, saying: Saying) -> dict[str, Any]:
    if saying.shape is Shape.NOTHING:
        return _tail(ask, saying)
    thoughts = [{"text": saying.reasoning, "thought": True}] if saying.reasoning else []
    said = [] if saying.shape is Shape.NULL or not _speaks(saying) else [{"text": saying.text}]
    parts: list[dict[str, Any]] = [*thoughts, *said, *_calls(ask, saying)]
    if saying.reasoning and saying.style is Style.SECOND:
        parts.append({"text": "", "thoughtSignature": signature(saying)})
    elif saying.reasoning:
        parts[-1]["thoughtSignature"] = signature(saying)
    return _chunk(ask, saying, parts, _FINISH[saying.finish])


def _speaks(saying: Saying) -> bool:
    """Whether there is a part for the words; a model that only thought or called has none."""
    return bool(saying.text) or not (saying.reasoning or saying.calls)


def _calls(ask: Ask, saying: Saying) -> list[dict[str, Any]]:
    """One part a call; a call without arguments may leave them out. Some have ids."""
    parts = []
    for at, call in enumerate(saying.calls):
        given: dict[str, Any] = {"name": call.name}
        if call.arguments != "{}":
            given["args"] = msgspec.Raw(call.arguments.encode())
        if saying.style is Style.SECOND:
            given["id"] = f"{identity(ask)[:8]}{at}"
        parts.append({"functionCall": given})
    return parts


def signature(saying: Saying) -> str:
    """What must come back as it is."""
    return b64encode(f"sealed:{saying.reasoning}".encode()).decode()


def _is_blocked(saying: Saying) -> bool:
    """A prompt that was blocked has no candidate; a reply that was stopped has one."""
    return saying.finish is Finish.REFUSAL and not saying.text


def _blocked(ask: Ask, saying: Saying) -> dict[str, Any]:
    feedback = {"blockReason": saying.category or "PROHIBITED_CONTENT"}
    return {"promptFeedback": feedback, **_tail(ask, saying)}


def _chunk(
    ask: Ask, saying: Saying, parts: list[dict[str, Any]], finish: str | None = None
) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}}
    if not parts:
        candidate["content"] = {"role": "model"}
    if finish is not None:
        candidate["finishReason"] = finish
    if finish == _FINISH[Finish.CONTENT_FILTER]:
        candidate["safetyRatings"] = [_RATING]
    return {"candidates": [{**candidate, "index": 0}], **_tail(ask, saying)}


def _tail(ask: Ask, saying: Saying) -> dict[str, Any]:
    tokens = saying.tokens
    usage = {
        "promptTokenCount": tokens.input,
        "candidatesTokenCount": tokens.output - tokens.reasoning,
        "totalTokenCount": tokens.input + tokens.output,
    }
    if tokens.cached:
        usage["cachedContentTokenCount"] = tokens.cached
    if tokens.reasoning:
        usage["thoughtsTokenCount"] = tokens.reasoning
    return {"usageMetadata": usage, "modelVersion": saying.served, "responseId": identity(ask)}


def stream(ask: Ask, saying: Saying) -> list[Frame]:
    """The events of a streamed reply; the last carries the reason, and often no text."""
    if _is_blocked(saying):
        return [Frame(_event(_blocked(ask, saying)))]
    if saying.shape is Shape.NOTHING:
        return [Frame(_event(_tail(ask, saying)))]
    sent = [
        Frame(_event(_chunk(ask, saying, [{"text": piece, "thought": True}])), reasoning=piece)
        for piece in pieces(saying.reasoning)
    ]
    sent += [
        Frame(_event(_chunk(ask, saying, [{"text": piece}])), text=piece)
        for piece in pieces(saying.text)
    ]
    calls = _calls(ask, saying)
    closing = calls or ([] if saying.shape is Shape.NULL else [{"text": ""}])
    if saying.reasoning:
        last = {**(calls or [{"text": ""}])[-1], "thoughtSignature": signature(saying)}
        closing = [*calls[:-1], last]
    return [*sent, Frame(_event(_chunk(ask, saying, closing, _FINISH[saying.finish])))]


def _event(value: object) -> bytes:
    return b"data: " + json(value) + b"\r\n\r\n"


_ERRORS = {
    Problem.INVALID: (400, "INVALID_ARGUMENT", ""),
    Problem.FILTERED: (400, "INVALID_ARGUMENT", ""),
    Problem.CONTEXT_FULL: (400, "INVALID_ARGUMENT", ""),
    Problem.UNAUTHORIZED: (
        400,
        "INVALID_ARGUMENT",
        "API key not valid. Please pass a valid API key.",
    ),
    Problem.RATE_LIMITED: (
        429,
        "RESOURCE_EXHAUSTED",
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    Problem.SERVER_ERROR: (500, "INTERNAL", "An internal error has occurred. Please retry."),
    Problem.UNAVAILABLE: (
        503,
        "UNAVAILABLE",
        "The model is overloaded. Please try again later.",
    ),
    # Google has no 529; what stands between may.
    Problem.OVERLOADED: (529, "UNAVAILABLE", "The model is overloaded. Please try again later."),
}


def fault(problem: Problem, ask: Ask, *, wait_s: float | None, why: Objection) -> Reply:
    """An error as this API reports it. ``why`` holds the particulars of a refused request."""
    if problem is Problem.TOO_LARGE:
        return answer(problem, 413, _HTML_413, content_type="text/html; charset=UTF-8")
    status, name, message, details = _fault(problem, ask, why, wait_s)
    limited = problem is Problem.RATE_LIMITED
    body = json(_error(status, name, message, details))
    return answer(problem, status, body, wait_s=wait_s if limited else None)


_HTML_413 = (
    b"<!DOCTYPE html><html lang=en><title>Error 413 (Request Entity Too Large)!!1</title>"
    b"<p><b>413.</b> <ins>That's an error.</ins><p>Your client issued a request that was too "
    b"large. <ins>That's all we know.</ins>"
)


def _fault(
    problem: Problem, ask: Ask, why: Objection, wait_s: float | None
) -> tuple[int, str, str, list[dict[str, Any]]]:
    """Status, its name, message and details."""
    if problem is Problem.NO_MODEL:
        told = f"models/{ask.sent} is not found for API version v1beta, or is not supported for "
        return 404, "NOT_FOUND", f"{told}generateContent.", []
    echoed = problem is Problem.ECHOED_KEY
    status, name, message = _ERRORS[Problem.UNAUTHORIZED if echoed else problem]
    details: list[dict[str, Any]] = []
    if problem in {Problem.UNAUTHORIZED, Problem.ECHOED_KEY}:
        details = [{"@type": f"{_RPC}.ErrorInfo", "reason": "API_KEY_INVALID"}]
    if echoed:
        details[0]["metadata"] = {"consumer": f"api_key:{ask.key}"}
    if problem is Problem.RATE_LIMITED and wait_s is not None:
        details = [{"@type": f"{_RPC}.RetryInfo", "retryDelay": f"{wait_s:g}s"}]
    return status, name, message or why.message, details


def _error(
    status: int, name: str, message: str, details: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    error: dict[str, Any] = {"code": status, "message": message, "status": name}
    return {"error": error | ({"details": details} if details else {})}


def context_full(tokens: int, window: int) -> Objection:
    """The message of a view that is too long."""
    told = f"The input token count ({tokens}) exceeds the maximum number of tokens allowed "
    return Objection(f"{told}({window}).")


def error_body(_ask: Ask) -> bytes:
    """An error inside a 200."""
    return json(_error(503, "UNAVAILABLE", _ERRORS[Problem.UNAVAILABLE][2]))


def error_events(ask: Ask, _saying: Saying) -> list[Frame]:
    """An error in the middle of a stream."""
    return [Frame(b"data: " + error_body(ask) + b"\r\n\r\n")]


def models(names: tuple[str, ...]) -> bytes:
    """``GET /v1beta/models``."""
    listed = [
        {"name": f"models/{name}", "displayName": name, "supportedGenerationMethods": _METHODS}
        for name in names
    ]
    return json({"models": listed})


_METHODS = ["generateContent", "streamGenerateContent"]


def truth(saying: Saying) -> Truth:
    """What a client should make of it: only a blocked prompt is a refusal."""
    blocked = _is_blocked(saying)
    finish = _TOLD.get(saying.finish, saying.finish)
    return Truth(
        text=saying.text,
        reasoning=saying.reasoning,
        finish=Finish.REFUSAL if blocked else finish,
        served=saying.served,
        calls=saying.calls,
        category=(saying.category or "PROHIBITED_CONTENT") if blocked else None,
    )
