"""What goes wrong: each a clear message and exit code, nothing lost, never a traceback."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pexpect  # type: ignore[import-untyped] # it brings no types
import pytest
from typed import PROGRAM, SEATS, Desk, Shown, desk

from duologue.store.run import Run

__all__ = ["desk"]

ID = r"\w{5}-\w{5}-\w{5}"


def _refused(shown: Shown, code: int, match: str) -> None:
    """One message, on standard error, and the exit code."""
    assert shown.code == code, shown
    assert re.search(match, " ".join(shown.err.replace("│", " ").split())), shown.err
    assert "Traceback" not in shown.err
    assert shown.out == ""


def _told(process: subprocess.Popen[bytes]) -> Shown:
    """What came of a process."""
    out, err = process.communicate(timeout=600)
    assert b"Traceback" not in err, err.decode()
    return Shown(process.returncode, (out or b"").decode(errors="replace"), err.decode())


# Models and scripts.

_REFUSED_RUNS: list[tuple[list[str], str]] = [
    (["-a", "nope", "-b", "scripted:b.jsonl"], "no model named 'nope': local models are smollm2"),
    (
        ["-a", "nope:x", "-b", "scripted:b.jsonl"],
        "unknown provider 'nope' in the model 'nope:x'.*catalog.toml",
    ),
    (["-a", "scripted:gone", "-b", "scripted:b.jsonl"], "script gone cannot be read: No such file"),
    (["-a", "scripted:", "-b", "scripted:b.jsonl"], "names no model: type scripted:MODEL"),
    (
        ["-a", "scripted:bad", "-b", "scripted:b.jsonl"],
        r"bad, line 2: .*`txt`; each line is a JSON",
    ),
    (["-a", "scripted:empty", "-b", "scripted:b.jsonl"], "'empty' holds no reply: write at least"),
    (["-a", "scripted:latin", "-b", "scripted:b.jsonl"], "latin, line 1: 'utf-8' codec.*each line"),
    (["-a", "scripted:a.jsonl"], "needs two: -a is scripted:a.jsonl, give -b a model"),
    (["-a", "scripted:a.jsonl", "-c", "scripted:b.jsonl"], "there is no -b, but -c; give -b"),
    (["-b", "scripted:a.jsonl"], "needs two: -b is scripted:a.jsonl, give -a a model"),
    (["-a", "", "-b", ""], "name|model"),
    ([*SEATS, "--name-c", "Cy"], "there is no seat c: the conversation has 2 seats"),
    ([*SEATS, "--name-b", "Ada"], "two participants are named 'Ada'.*'Ada 2'"),
    ([*SEATS, "--name-b", ""], "name"),
    ([*SEATS, "--first", "Zed"], "order names 'Zed', but the participants are Ada, Ben"),
    ([*SEATS, "--order", "Ada,Zed"], "order names 'Zed', but the participants are Ada, Ben"),
    ([*SEATS, "--order", ""], "order names ''"),
    ([*SEATS, "--order", "shuffled", "--first", "Ada"], "--first goes with the round-robin order"),
    ([*SEATS, "--opener-by", "nobody"], "--opener-by needs an --opener"),
    ([*SEATS, "--turns", "0"], "'--turns'.*greater than or equal to 1"),
    ([*SEATS, "--turns", "many"], "'--turns'.*valid integer"),
    ([*SEATS, "--temperature", "-1"], "'--temperature'.*greater than or equal to 0"),
    ([*SEATS, "--temperature", "nan"], "'--temperature'"),
    ([*SEATS, "--max-tokens", "0"], "'--max-tokens'.*greater than or equal to 1"),
    (
        [*SEATS, "--system", "latin"],
        "latin is not UTF-8: byte 1, on line 1, cannot be read; save it as UTF-8",
    ),
    ([*SEATS, "--opener", "latin"], "latin is not UTF-8"),
    (
        [*SEATS, "--opener", "half \udce9"],
        "cannot be encoded|spec is not valid|not UTF-8|surrogate",
    ),
    ([*SEATS, "--frist", "Ada"], "No such option: --frist .*--first"),
    (["nobody.toml"], "no file 'nobody.toml' here, and none of .*conversations: founding"),
    (["."], r"cannot be read: Is a directory"),
    (
        ["latin.toml"],
        "latin.toml is not UTF-8: byte 13, on line 1, cannot be read; save it as UTF-8",
    ),
    (["a.jsonl"], "a.jsonl, line 1"),
    (["broken.toml"], r"broken\.toml, line 2, column \d+"),
    (["typo.toml"], r'typo\.toml, line 3: unknown key "modl".*did you mean "model"'),
    (["typo.toml"], r'line 1: unknown key "trns" at the top level; did you mean "turns"'),
]


@pytest.mark.parametrize(("typed", "match"), _REFUSED_RUNS)
def test_a_run_that_cannot_be_is_refused_and_leaves_nothing(
    desk: Desk, typed: list[str], match: str
) -> None:
    desk.script("bad", '"fine"', '{"txt": 1}')
    desk.script("empty")
    (desk.folder / "latin").write_bytes(b'"\xff"\n')
    (desk.folder / "latin.toml").write_bytes(b"turns = 4  # \xff\xfe\n")
    (desk.folder / "broken.toml").write_text('name = "x"\nturns =\n', "utf-8")
    (desk.folder / "typo.toml").write_text('trns = 4\n[[participants]]\nmodl = "x"\n', "utf-8")
    _refused(desk("run", *typed), 2, match)
    assert desk.folders() == []


# Ids, branches, formats.

_REFUSED: list[tuple[list[str], int, str]] = [
    (["show", "nobody"], 2, "no conversation answers to 'nobody' in .*'duologue list' shows"),
    (["show", ""], 2, "no conversation answers to ''"),
    (["resume", "nobody"], 2, "no conversation answers to 'nobody'"),
    (["verify", "nobody"], 2, "no conversation answers to 'nobody'"),
    (["replay", "nobody"], 2, "no conversation answers to 'nobody'"),
    (["export", "nobody"], 2, "no conversation answers to 'nobody'"),
    (["tail", "nobody"], 2, "no conversation answers to 'nobody'"),
    (["branch", "nobody", "--at", "1"], 2, "no conversation answers to 'nobody'"),
    (["resume", "talk"], 2, r"over \(max_turns\): 'duologue branch .* --at 5 --turns 15' goes on"),
    (["resume", "old"], 2, r"is over \(import\): .*--at 1 --turns 11 --model NAME=MODEL"),
    (["replay", "old"], 3, "nothing to replay: no model was asked"),
    (["branch", "old", "--at", "1"], 2, "seat of 'A' is not known.*--turns 11 --model A=MODEL"),
    (["branch", "talk"], 2, "Missing option '--at'"),
    (["branch", "talk", "--at", "99"], 2, "has 5 messages: it cannot be left at 99.* 0 to 5"),
    (["branch", "talk", "--at", "-1"], 2, "'--at'.*greater than or equal to 0"),
    (["branch", "talk", "--at", "5"], 2, "nobody would speak: give --turns"),
    (["branch", "talk", "--at", "2", "--say", "x"], 2, "--say and --as go together"),
    (["branch", "talk", "--at", "2", "--as", "Ada"], 2, "--say and --as go together"),
    (["branch", "talk", "--at", "2", "--say", "x", "--as", ""], 2, "--as wants a name"),
    (["branch", "talk", "--at", "2", "--model", "Ada"], 2, "--model wants NAME=MODEL, not 'Ada'"),
    (["branch", "talk", "--at", "2", "--model", "Zed=x"], 2, "names 'Zed', but the .* Ada, Ben"),
    (["branch", "talk", "--at", "2", "--model", "Ada=nope"], 2, "no model named 'nope'"),
    (["branch", "talk", "--at", "2", "--name", "talk"], 2, "a run named 'talk' already"),
    (["run", *SEATS, "--turns", "3", "--name", "talk"], 2, "a run named 'talk' already.*--name"),
    (["export", "talk", "--to", "word"], 2, "unknown format 'word'; known: founding, jsonl"),
    (["export", "talk", "--out", "a.jsonl"], 2, "a.jsonl is there already: --force writes over it"),
    (["export", "talk", "--out", "no/such"], 4, "no/such cannot be written: No such file"),
    (["import", "gone.md"], 2, "gone.md cannot be read: No such file"),
    (["import", "."], 2, "cannot be read: Is a directory"),
    (["import", "a.jsonl"], 2, "a.jsonl: line 1: this looks like none of the known .*--from"),
    (["import", "a.jsonl", "--from", "word"], 2, "unknown format 'word'; known: founding, jsonl"),
    (["import", "a.jsonl", "--from", "founding"], 2, "a.jsonl: line 1: "),
    (["import", "latin"], 2, r"latin: line 1: byte \d+ of the line \(0xff\) is not UTF-8; save"),
    (["import", "a.jsonl", "b.jsonl", "--name", "x"], 2, "--name names one run"),
    (["import", "old.jsonl", "--name", "talk"], 2, "a run named 'talk' already"),
    (["models", "--fetch", "nope"], 2, "no local model named 'nope'"),
    (["show", "talk", "--turn", "77"], 2, "no message 77: the conversation holds 5"),
    (["show", "talk", "--seen-by", "Zed"], 2, "no participant is named 'Zed': they are Ada, Ben"),
    (["lst"], 2, "No such command 'lst'. Did you mean 'list'"),
    (["--library", "a.jsonl", "list"], 2, "'--library'.*is a file"),
    (["--library", "/proc/none", "run", *SEATS], 4, "/proc/none.* cannot be made"),
]  # fmt: skip


@pytest.mark.parametrize(("typed", "code", "match"), _REFUSED, ids=lambda each: str(each)[:40])
def test_what_cannot_be_done_is_refused_and_nothing_changes(
    desk: Desk, typed: list[str], code: int, match: str
) -> None:
    desk.held()
    (desk.folder / "old.jsonl").write_text('{"author": "A", "text": "x"}\n', "utf-8")
    (desk.folder / "latin").write_bytes(b'{"author": "A", "text": "\xff"}\n')
    assert desk("import", "old.jsonl", "--name", "old").code == 0
    before = {path: path.read_bytes() for path in desk.library.glob("*/log-*")}
    _refused(desk(*typed), code, match)
    assert {path: path.read_bytes() for path in desk.library.glob("*/log-*")} == before
    assert desk.folders() == ["old", "talk"]


def test_an_id_that_could_be_two_names_both(desk: Desk) -> None:
    run = Run(desk.library / "talk")
    conv = desk.held()
    log = run.path / "log-1.jsonl"
    other = f"{conv[:11]}-{'zuzuz' if conv[12:] != 'zuzuz' else 'babab'}"
    log.write_bytes(log.read_bytes() + log.read_bytes().replace(conv.encode(), other.encode()))
    _refused(desk("show", conv[:5]), 2, rf"'{conv[:5]}' could be {ID}, {ID}: type more of it")


# The record.


def _edit(desk: Desk, change: Callable[[bytes], bytes]) -> None:
    log = desk.library / "talk" / "log-1.jsonl"
    log.write_bytes(change(log.read_bytes()))


def test_a_log_of_a_newer_version_is_left_alone(desk: Desk) -> None:
    desk.held()
    _edit(desk, lambda data: data.replace(b'{"v":1,', b'{"v":7,'))
    conv = json.loads((desk.library / "talk" / "log-1.jsonl").read_text().splitlines()[0])["conv"]
    for typed in (["show", conv], ["resume", conv], ["replay", conv], ["export", conv]):
        _refused(desk(*typed), 3, "version 7, this duologue reads version 1: install a newer")
    assert desk("verify", "talk").code == 3
    listed = desk("list")
    assert (listed.code, listed.err) == (0, "")


def test_a_damaged_log_is_named_with_its_line_by_every_reader(desk: Desk) -> None:
    conv = desk.held()
    _edit(desk, lambda data: data.replace(b'"turn":3', b'"turn":', 1))
    for typed in (["show", conv], ["resume", conv], ["replay", conv], ["export", conv]):
        _refused(desk(*typed), 3, r"log-1\.jsonl, line \d+: not a record|line \d+")
    assert "damaged" in desk("list").out


def test_a_run_that_another_process_is_writing_is_left_alone(desk: Desk) -> None:
    desk.held()
    _edit(desk, lambda data: b"".join(data.splitlines(keepends=True)[:4]))
    with Run(desk.library / "talk").writing():
        _refused(desk("resume", "talk"), 5, r"is being written by process \d+, since .*wait for it")
        assert "running" in desk("list").out
    assert desk("resume", "talk", "--quiet").code == 0


# The disk.


def _small_files() -> None:
    """Let no file grow beyond 8 KiB, and tell us with an error instead of a signal."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))


def test_a_disk_that_fills_up_stops_the_run_and_it_goes_on_when_there_is_room(desk: Desk) -> None:
    desk.script("a.jsonl", json.dumps("word " * 100))
    typed = [*PROGRAM, "run", *SEATS, "--name", "talk", "--turns", "40", "--json"]
    process = subprocess.Popen(  # noqa: S603 - our own program
        typed,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=_small_files,  # noqa: PLW1509
    )
    full = _told(process)
    assert full.code == 4
    assert re.search(r"log-1\.jsonl cannot be written: File too large\. Everything recorded before "
                     "is safe; make room", full.err)  # fmt: skip
    log = (desk.library / "talk" / "log-1.jsonl").read_bytes()
    assert log.endswith(b"\n")
    assert full.out == log.decode()
    assert desk("verify", "talk").code == 0
    assert desk("resume", "talk", "--quiet").code == 0
    assert (desk.library / "talk" / "log-1.jsonl").read_bytes().startswith(log)
    assert desk("verify", "talk").code == 0


def test_an_output_that_cannot_be_written_is_one_message(desk: Desk) -> None:
    conv = desk.held()
    with Path("/dev/full").open("wb") as full:
        for typed in (["list"], ["show", conv, "--raw"], ["export", conv], ["verify", conv],
                      ["run", *SEATS, "--turns", "4", "--json"], ["--help"]):  # fmt: skip
            shown = _told(desk.start(*typed, stdout=full.fileno()))
            assert (shown.code, shown.out) == (4, "")
            assert re.search("cannot be written: No space left on device", shown.err)


def _without_privileges(desk: Desk, *typed: str) -> Shown:
    """Type it as somebody whom permissions bind; root they do not."""
    bound = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    command = [*(bound if os.geteuid() == 0 else ()), *PROGRAM, *typed]
    return _told(
        subprocess.Popen(  # noqa: S603 - our own program
            command, cwd=desk.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    )


def test_a_library_that_is_read_only_can_be_read(desk: Desk) -> None:
    conv = desk.held()
    half = desk.library / "half"
    assert desk.run("--turns", "4", "--name", "half", "--quiet").code == 0
    (half / "log-1.jsonl").write_bytes(
        b"".join((half / "log-1.jsonl").read_bytes().splitlines(keepends=True)[:2])
    )
    everything = [*desk.library.rglob("*"), desk.library]
    for path in everything:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        made = _without_privileges(desk, "run", *SEATS, "--turns", "3")
        _refused(made, 4, "cannot be made: Permission denied; give another --library")
        _refused(
            _without_privileges(desk, "resume", "half"), 4, "cannot be written: Permission den"
        )
        for typed in (["list"], ["show", conv], ["verify", conv], ["export", conv]):
            assert _without_privileges(desk, *typed).code == 0
    finally:
        for path in everything:
            path.chmod(0o755)
    assert desk("resume", "half", "--quiet").code == 0


def test_a_library_that_cannot_be_made_is_named(desk: Desk) -> None:
    (desk.folder / "file").touch()
    for library in ("/proc/nowhere", str(desk.folder / "file" / "runs")):
        _refused(desk("--library", library, *("run", *SEATS)), 4, rf"{library}.* cannot be made: ")


# Streams and terminals.


@pytest.mark.parametrize("how", [[], ["--json"]])
def test_a_reader_that_goes_away_stops_the_run_and_is_told_how_to_go_on(
    desk: Desk, how: list[str]
) -> None:
    desk.script("a.jsonl", json.dumps("word " * 2000))
    process = desk.start("run", *SEATS, "--turns", "90", "--name", "talk", *how)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait(600) == 1
    assert re.fullmatch(rf"duologue: stopped; 'duologue resume {ID}' goes on\n", err)
    assert desk("verify", "talk").code == 0
    assert desk("resume", "talk", "--quiet").code == 0


@pytest.mark.parametrize("typed", [["list"], ["show", "talk", "--json"], ["export", "talk"]])
def test_readers_stop_quietly_when_nobody_reads(desk: Desk, typed: list[str]) -> None:
    desk.script("a.jsonl", json.dumps("word " * 20000))
    desk.held()
    process = desk.start(*typed)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait(600) in (0, 1)
    assert "Traceback" not in err


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_do_no_harm_and_nothing_strays_into_the_record(
    desk: Desk, closed: str
) -> None:
    typed = " ".join((*PROGRAM, "run", *SEATS, "--turns", "4", "--name", "talk", closed))
    assert subprocess.run(typed, shell=True, check=False, stdin=subprocess.DEVNULL,  # noqa: S602
                          capture_output=">" not in closed).returncode == 0  # fmt: skip
    assert desk("verify", "talk").code == 0


def test_words_piped_in_are_not_waited_for(desk: Desk) -> None:
    process = desk.start("run", *SEATS, "--turns", "3", "--quiet", stdin=subprocess.PIPE)
    assert _told(process).code == 0


def test_an_argument_that_is_not_utf8_is_refused_in_words(desk: Desk) -> None:
    bad = os.fsdecode(b"\xe9")
    for typed in (["show", bad], ["run", *SEATS, "--opener", bad], ["import", f"{bad}.md"]):
        process = subprocess.Popen(  # noqa: S603 - our own program
            [*PROGRAM, *typed], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        shown = _told(process)
        assert shown.code == 2
        assert shown.err.startswith("duologue: ")
    assert desk.folders() == []


@pytest.mark.parametrize(
    "env",
    [
        {"NO_COLOR": "1"},
        {"TERM": "dumb"},
        {"COLUMNS": "20"},
        {"COLUMNS": "1"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=str,
)
@pytest.mark.usefixtures("desk")
def test_a_poor_terminal_shows_every_word(env: dict[str, str]) -> None:
    for typed in (["run", *SEATS, "--turns", "4", "--name", "talk"], ["show", "talk"], ["list"]):
        terminal = pexpect.spawn(
            PROGRAM[0], ["-m", "duologue", *typed], env={**os.environ, "PAGER": "cat", **env},
            encoding="utf-8", codec_errors="replace", dimensions=(24, int(env.get("COLUMNS", 80))),
        )  # fmt: skip
        shown = terminal.read()
        terminal.close()
        assert terminal.exitstatus == 0, shown
        assert "Traceback" not in shown
        if "NO_COLOR" in env or "dumb" in env.values():
            assert not re.search(r"\x1b\[[0-9;]*3\d", shown)
        if typed != ["list"] and env.get("COLUMNS") != "1":
            assert "eins" in shown


# Ctrl-C.


_ENDLESS = """
from pathlib import Path

GOES_ON = Path(__file__).with_name("goes-on")

def reply(view):
    yield "word"
    while GOES_ON.exists():  # it never waits, and never ends before it was stopped
        yield " word"
"""


def test_ctrl_c_in_mid_turn_leaves_the_turn_started_and_says_how_to_go_on(desk: Desk) -> None:
    (desk.folder / "endless.py").write_text(_ENDLESS, "utf-8")
    (desk.folder / "goes-on").touch()
    seats = ("-a", "function:endless:reply", *SEATS[2:])
    process = desk.start("run", *seats, "--turns", "4", "--name", "talk", "--json", "--opener", " ")
    assert process.stdout is not None
    for line in process.stdout:
        if b'"turn_started","turn":3' in line:
            process.send_signal(signal.SIGINT)
            break
    shown = _told(process)
    assert shown.code == 130
    assert re.fullmatch(rf"duologue: stopped; 'duologue resume {ID}' goes on\n", shown.err)
    last = (desk.library / "talk" / "log-1.jsonl").read_bytes().splitlines()[-1]
    assert json.loads(last)["event"]["kind"] == "turn_started"
    assert "started and did not finish" in desk("show", "talk").out
    assert desk("verify", "talk").code == 0
    (desk.folder / "goes-on").unlink()
    assert _told(desk.start("resume", "talk", "--quiet")).code == 0
    assert "interrupted: this turn was started 2 times" in desk("show", "talk").out


def test_ctrl_c_on_a_terminal_says_where_the_record_is(desk: Desk) -> None:
    desk.script("a.jsonl", json.dumps("word " * 150_000))
    terminal = pexpect.spawn(
        sys.executable, ["-m", "duologue", "run", *SEATS, "--turns", "4", "--name", "talk"],
        encoding="utf-8", dimensions=(24, 90), timeout=600,
    )  # fmt: skip
    terminal.expect("turn 2 of 4|turn 3 of 4|word word")
    terminal.sendintr()
    shown = terminal.read()
    terminal.close()
    assert terminal.exitstatus == 130
    assert "Traceback" not in shown
    assert re.search(rf"duologue .*resume {ID}", shown)
    assert desk("resume", "talk", "--quiet").code == 0
