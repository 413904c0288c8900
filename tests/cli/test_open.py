"""The reading room as a person opens it: by itself, or beside a conversation that is held."""

import http.client
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from typed import SEATS, Desk, desk

from duologue.cli.open import Beside, missing
from duologue.errors import ConfigurationError
from duologue.store.library import Library

__all__ = ["desk"]  # a fixture
pytestmark = pytest.mark.enable_socket
_ADDRESS = re.compile(r"http://\S+")


def _asked(address: str, path: str = "") -> tuple[int, str]:
    """The status and text at an address."""
    there = urlsplit(address)
    asking = http.client.HTTPConnection(str(there.hostname), there.port, timeout=120)
    query = f"?{there.query}" if there.query else ""
    asking.request("GET", (path or there.path) + query)
    answer = asking.getresponse()
    text = answer.read().decode()
    asking.close()
    return answer.status, text


@contextmanager
def _opened(desk: Desk, *typed: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A room in a process of its own, and its address."""
    room = desk.start("open", "--no-browser", "--port", "0", *typed)
    assert room.stdout is not None
    assert room.stderr is not None
    try:
        found = _ADDRESS.search(room.stdout.readline().decode())
        assert found is not None, room.stderr.read().decode()
        yield room, found[0]
    finally:
        room.send_signal(signal.SIGINT)
        room.communicate(timeout=120)


def test_the_room_opens_on_a_conversation_and_closes_with_ctrl_c(desk: Desk) -> None:
    conv = desk.held()
    with _opened(desk, conv[:7]) as (room, address):
        assert urlsplit(address).path == f"/c/{conv}"
        status, page = _asked(address)
        assert (status, "two words" in page) == (200, True)
        assert _asked(address, "/nothing")[0] == 404
    assert room.returncode in {0, 130, -signal.SIGINT}


def test_another_address_than_loopback_asks_for_the_token_that_was_printed(desk: Desk) -> None:
    desk.held()
    with _opened(desk, "--host", "0.0.0.0") as (_, address):  # noqa: S104 - what is tested
        assert "token=" in address
        assert _asked(address)[0] == 303
        assert _asked(address.partition("?")[0])[0] == 401


def test_a_port_that_is_taken_is_said_in_a_sentence(desk: Desk) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        shown = desk("open", "--no-browser", "--port", str(taken.getsockname()[1]))
    assert shown.code == 2
    assert "--port 0 takes one that is free" in shown.err


def test_a_conversation_that_is_not_there_opens_nothing(desk: Desk) -> None:
    desk.held()
    shown = desk("open", "zzzzz", "--no-browser")
    assert shown.code != 0
    assert "zzzzz" in shown.err


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "nh3" else name)
    with pytest.raises(ConfigurationError, match=r"needs nh3: install .*duologue\[web\]"):
        missing()


def test_a_run_can_be_watched_in_a_room_beside_it(desk: Desk) -> None:
    typed = ("run", *SEATS, "--turns", "5", "--opener", " ", "--quiet", "--open")
    held = desk.start(*typed, env={"BROWSER": "true"})  # a browser that shows nothing
    assert held.stdout is not None
    assert held.stderr is not None
    conv = held.stdout.readline().decode().strip()
    found = _ADDRESS.search(held.stderr.readline().decode())
    assert found is not None
    status, page = _asked(found[0])
    assert (status, "two words" in page) == (200, True)
    held.send_signal(signal.SIGINT)
    held.communicate(timeout=120)
    assert held.returncode == 0
    assert found[0].endswith(f"/c/{conv}")
    with pytest.raises(OSError, match="refused"):
        _asked(found[0])


def test_a_room_that_was_never_opened_has_nothing_to_close(desk: Desk) -> None:
    with Beside(Library(desk.library)) as room:
        room.stay()


def test_going_on_and_branching_can_be_watched_too(desk: Desk) -> None:
    parent = desk.held()
    typed = ("branch", parent, "--at", "1", "--turns", "3", "--quiet", "--open")
    held = desk.start(*typed, env={"BROWSER": "true"})
    assert held.stdout is not None
    assert held.stderr is not None
    conv = held.stdout.readline().decode().strip()
    found = _ADDRESS.search(held.stderr.readline().decode())
    assert found is not None
    assert found[0].endswith(f"/c/{conv}")
    held.send_signal(signal.SIGINT)
    held.communicate(timeout=120)
    assert held.returncode == 0


def test_an_experiment_is_watched_on_the_page_of_its_run(desk: Desk) -> None:
    toml = 'participants = ["scripted:a.jsonl"]\npairs = "self"\nturns = 2\n'
    (desk.folder / "tried.toml").write_text(toml, "utf-8")
    (desk.folder / "a.jsonl").write_text('{"text": "two words"}\n', "utf-8")
    held = desk.start("run", "tried.toml", "--quiet", "--open", env={"BROWSER": "true"})
    assert held.stderr is not None
    found = _ADDRESS.search(held.stderr.readline().decode())
    assert found is not None
    assert urlsplit(found[0]).path == "/r/tried"
    status, page = _asked(found[0])
    assert (status, "conversations" in page) == (200, True)
    held.send_signal(signal.SIGINT)
    held.communicate(timeout=120)
    assert held.returncode == 0
    with _opened(desk, "tried") as (_, address):
        assert urlsplit(address).path == "/r/tried"
