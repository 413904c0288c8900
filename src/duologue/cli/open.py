"""``duologue open``: the reading room in a browser.

A server for this machine's own browser. It only reads: it can be stopped and started while a
conversation runs, which is another process.
"""

import os
import secrets
import signal
import subprocess
import sys
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Self

import typer

from duologue.cli.completing import complete_id
from duologue.errors import ConfigurationError
from duologue.store.library import Library

if TYPE_CHECKING:
    import socket
    from types import FrameType

LOOPBACK = "127.0.0.1"


def open_(
    ctx: typer.Context,
    id_: Annotated[
        str | None,
        typer.Argument(
            metavar="[ID]",
            help="The conversation or the run to open; the library by default.",
            autocompletion=complete_id,
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any that is free.")] = 8642,
    host: Annotated[
        str, typer.Option(help="Another address than loopback needs a token, printed once.")
    ] = LOOPBACK,
    browser: Annotated[bool, typer.Option(help="Open the browser.")] = True,
) -> None:
    """Read in the browser: the library, a run, or a conversation, live if it is being held."""
    missing()
    import asyncio

    import uvicorn

    from duologue.web.app import path_of, room, warm

    token = None if _loopback(host) else secrets.token_urlsafe(24)
    app = room(ctx.obj, token)
    path = "" if id_ is None else path_of(app, id_)
    listening = _listen(host, port)
    address = _address(listening, host, path, token)
    asyncio.run(warm(app))
    typer.echo(f"The reading room is open at {address}\nCtrl-C closes it; runs go on.")
    sys.stdout.flush()  # whoever opened it beside a run reads this
    if browser:
        import webbrowser

        webbrowser.open(address)

    class Closing(uvicorn.Server):
        """Tells the pages that follow a conversation to end before the server waits for them."""

        def handle_exit(self, sig: int, frame: "FrameType | None") -> None:
            """Ctrl-C, or a request to end."""
            app.state.closing = True
            super().handle_exit(sig, frame)

    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        # A page that follows a conversation would keep the room open for ever.
        timeout_graceful_shutdown=1,
    )
    Closing(config).run(sockets=[listening])


class Beside:
    """A reading room in a process of its own, for what is being held.

    Whatever becomes of it changes nothing for that.
    """

    def __init__(self, library: Library) -> None:
        """Read in ``library``; nothing is started yet.

        Raises:
            ConfigurationError: the extra is not installed.
        """
        missing()
        self._library = library
        self._room: subprocess.Popen[str] | None = None

    def open(self, what: str) -> None:
        """Open the room on a conversation or a run; once it is open, nothing happens."""
        if self._room is None:
            typed = ("--library", str(self._library.path), "open", what, "--port", "0")
            self._room = subprocess.Popen(  # noqa: S603 - our own program
                (sys.executable, "-m", "duologue", *typed),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                encoding="utf-8",
                # Ctrl-C is for what is held first; the room is closed from here.
                process_group=0,
            )

    def stay(self) -> None:
        """Say where the room is, and keep it open until Ctrl-C."""
        if self._room is None or self._room.stdout is None:
            return
        with suppress(KeyboardInterrupt):
            for line in self._room.stdout:
                typer.echo(line, nl=False, err=True)

    def __enter__(self) -> Self:
        """Nothing is opened before there is something to read."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the room."""
        if self._room is not None:
            with suppress(ProcessLookupError):
                os.kill(self._room.pid, signal.SIGINT)
            self._room.wait()


def missing() -> None:
    """Say what to install where the extra is not there."""
    from importlib.util import find_spec

    needed = ("starlette", "uvicorn", "jinja2", "markdown_it", "nh3")
    if absent := [name for name in needed if find_spec(name) is None]:
        raise ConfigurationError(
            f"the reading room needs {', '.join(absent)}: install duologue with its extra 'web' "
            "(pip install 'duologue[web]')"
        )


def _loopback(host: str) -> bool:
    """Whether only this machine can come in."""
    import ipaddress

    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int) -> "socket.socket":
    """A socket that listens there.

    Raises:
        ConfigurationError: the port is taken, or the address is not this machine's.
    """
    import socket

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # By name: asyncio sends small answers at once only where it knows that this is TCP.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen()  # whoever is faster than the room waits
    except OSError as error:
        listening.close()
        raise ConfigurationError(
            f"{host} port {port} cannot be opened: {error.strerror or error}; "
            "--port 0 takes one that is free"
        ) from error
    return listening


def _address(listening: "socket.socket", host: str, path: str, token: str | None) -> str:
    """What to type into a browser."""
    port = listening.getsockname()[1]
    name = f"[{host}]" if ":" in host else host
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - shown, not bound: a token guards it
        name = "127.0.0.1"
        sys.stderr.write("duologue: on other machines, put this machine's address in its place\n")
    return f"http://{name}:{port}/{path}" + (f"?token={token}" if token else "")
