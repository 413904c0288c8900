"""Google generateContent.

The model stands in the address, not in the body. Neighbours of one role are refused by the API,
so they become parts of one content, as an edit: no word is changed. What differs from turn to turn
(the seed) stands after the contents.
"""

from itertools import groupby

from duologue.core.event import Edit
from duologue.core.provider import Seat
from duologue.core.request import Heard, Request, Role, Wire
from duologue.core.wire.pieces import body, chosen, members, quoted, voiced

_ROLES = {Role.OWN: b'"model"', Role.OTHER: b'"user"'}
_NAMES = {
    "temperature": "temperature",
    "top_p": "topP",
    "max_tokens": "maxOutputTokens",
    "stop": "stopSequences",
}


def encode(seat: Seat, request: Request) -> Wire:
    """``{"systemInstruction", "contents": [...], "generationConfig": {...}}``, compact.

    ``sampling.extra`` is merged into ``generationConfig``, but for ``safetySettings``, ``tools``
    and the like, which stand beside it: whatever is an object or a list.

    Raises:
        RequestRefusedError: the provider would refuse the view.
    """
    heard, edits = voiced(seat, request)
    runs = [list(run) for _, run in groupby(heard, key=lambda item: item.role)]
    if len(runs) < len(heard):
        detail = f"{seat.provider} refuses neighbours of one role: they are parts of one content"
        edits = (*edits, Edit("joined", detail))
    system = None if request.system is None else {"parts": [{"text": request.system}]}
    head = members({"systemInstruction": system})
    contents = b'"contents":[' + b",".join(_content(run) for run in runs)
    open_end = len(contents) - len(b"]}")
    extra = request.sampling.extra
    beside = {key: value for key, value in extra.items() if isinstance(value, dict | list)}
    within = {key: value for key, value in extra.items() if key not in beside}
    config = {**chosen(request.sampling, _NAMES), **within, "seed": request.seed}
    made = {key: value for key, value in config.items() if value is not None}
    tail = members({**beside, "generationConfig": made or None})
    before = len(b"{") + (len(head) + len(b",") if head else 0)
    return Wire(body(head, contents + b"]", tail), before + open_end, edits)


def _content(run: list[Heard]) -> bytes:
    """One content: what one side said before the other answered."""
    parts = b",".join(part for heard in run for part in _parts(heard))
    return b'{"role":' + _ROLES[run[0].role] + b',"parts":[' + parts + b"]}"


def _parts(heard: Heard) -> list[bytes]:
    """A message's parts: the participant's own bound reasoning, unmodified, then its words."""
    bound = [body(members(block)) for block in heard.blocks]
    return [*bound, b'{"text":' + quoted(heard.text) + b"}"]
