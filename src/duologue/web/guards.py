"""Who may ask, and what a browser may do with an answer.

Loopback by default. A name in the ``Host`` header that is not this machine's own is refused (DNS
rebinding: a stranger's page whose name suddenly means 127.0.0.1). Any other bind needs a token,
compared in constant time. This module does not know what is asked for.
"""

import hmac
import ipaddress
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "duologue_token"
_READING = frozenset({"GET", "HEAD"})

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""What a page may load and do: only what is packaged here, nothing inline, nothing framed."""

SECURITY = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Links in transcripts are strangers': not even their names are looked up before a click.
    "X-DNS-Prefetch-Control": "off",
}


class Guard:
    """Stands before every page: method, host, token; then adds the headers to every answer."""

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        """Guard ``app``; without a token only this machine's own names for itself are answered."""
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refused = self._refusal(scope)

        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY.items():
                    headers.setdefault(name, value)
            await send(message)

        await (self._app if refused is None else refused)(scope, receive, secured)

    def _refusal(self, scope: Scope) -> Response | None:
        """What to answer instead of a page; None where it may be read."""
        if scope["method"] not in _READING:
            return PlainTextResponse(
                "This room only reads: GET and HEAD.\n", 405, headers={"Allow": "GET, HEAD"}
            )
        host = Headers(scope=scope).get("host", "")
        if not own(host, everywhere=self._token is not None):
            return PlainTextResponse(
                "This address is not answered under that name: open it as localhost, or by its "
                "IP address.\n",
                421,
            )
        return None if self._token is None else _unknown(scope, self._token)


def own(host: str, *, everywhere: bool) -> bool:
    """Whether a ``Host`` header names this machine and could not be a stranger's name for it.

    Only names can be rebound: an IP address is what was connected to.

    Args:
        host: the header, with or without a port.
        everywhere: whether addresses other than loopback are answered, too.
    """
    name, port = _split(host)
    if port and not (port.isascii() and port.isdigit()):
        return False
    if name.casefold() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return everywhere or address.is_loopback


def _split(host: str) -> tuple[str, str]:
    """A host and its port; the brackets of an IPv6 address are taken off."""
    if host.startswith("["):
        name, closed, port = host[1:].partition("]")
        return (name, port.removeprefix(":")) if closed else (host, "")
    name, _, port = host.partition(":")
    return name, port


def _unknown(scope: Scope, token: str) -> Response | None:
    """What to answer to somebody without the token; a token in the address becomes a cookie."""
    query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    given = [value for name, value in query if name == "token"]
    if any(same(each, token) for each in given):
        rest = urlencode([(name, value) for name, value in query if name != "token"])
        # ``//`` at the beginning would be another host.
        path = "/" + scope["path"].lstrip("/\\")
        answer = RedirectResponse(f"{path}?{rest}" if rest else path, 303)
        answer.set_cookie(COOKIE, token, httponly=True, samesite="strict")
        return answer
    headers = Headers(scope=scope)
    shown = (headers.get("authorization", "").removeprefix("Bearer "), _cookie(headers))
    if any(same(each, token) for each in shown):
        return None
    return PlainTextResponse(
        "This room asks for the token that 'duologue open' printed: add ?token=… to the address.\n",
        401,
    )


def _cookie(headers: Headers) -> str:
    """The token that a browser was given before."""
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel else ""


def same(given: str, token: str) -> bool:
    """Whether a token is the right one, in a time that does not tell how nearly."""
    return hmac.compare_digest(given.encode(), token.encode())
