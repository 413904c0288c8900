"""``duologue plan`` as a person meets it."""

import json
import re
from pathlib import Path

import pytest
from typed import Desk, desk

from duologue.cli.plan import _cost, _time, complete_experiment, load
from duologue.errors import SpecError
from duologue.estimate import Rate, Share
from duologue.store.library import Library

__all__ = ["desk"]

FILE = """
participants = [
    { name = "Ada", model = "scripted:a.jsonl" },
    { name = "Ben", model = "anthropic:claude-haiku-4-5", sampling = { max_tokens = 100 } },
]
pairs = "all"
opener = " "
turns = 5
replicates = 2
"""


@pytest.fixture
def file(desk: Desk) -> str:
    (desk.folder / "mine.toml").write_text(FILE, "utf-8")
    return "mine.toml"


def test_cells_money_and_time_are_shown_before_anything_is_spent(
    desk: Desk, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    shown = desk("plan", file)
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith("Nothing was sent, and nothing was spent.\n\nmine: 4 cells, 8 conv")
    assert "  pair: Ada+Ada, Ada+Ben, Ben+Ben\n" in shown.out
    assert "  replicates: 2, each with its own seed, the same in every cell\n" in shown.out
    assert "primary outcome" not in shown.out
    assert "\nAda+Ben " in shown.out
    assert "Together: 32 turns at the most" in shown.out
    assert "  time, one turn after another: unknown\n" in shown.out
    assert "  scripted:a.jsonl: takes no time of its own\n" in shown.out
    assert "anthropic:claude-haiku-4-5: time unknown: it has not spoken in this lib" in shown.out
    assert desk.folders() == []


def test_json_holds_every_id_and_both_ends(desk: Desk, file: str) -> None:
    told = json.loads(desk("plan", file, "--json").out)
    assert (told["name"], told["outcome"], told["conversations"]) == ("mine", None, 8)
    assert [cell["key"] for cell in told["cells"]] == ["Ada+Ada", "Ada+Ben", "Ben+Ada", "Ben+Ben"]
    assert len({id_ for cell in told["cells"] for id_ in cell["ids"]}) == 8
    assert told["cells"][1]["factors"] == {"pair": "Ada+Ben", "order": "Ada first"}
    assert 0 < told["low"]["usd"] < told["high"]["usd"]
    assert told["seconds"] is None
    assert told["cells"][0]["high"]["usd"] == 0


def test_time_comes_from_what_was_measured(desk: Desk, file: str) -> None:
    text = FILE.replace("anthropic:claude-haiku-4-5", "scripted:b.jsonl")
    (desk.folder / file).write_text(text, "utf-8")
    desk.held()
    told = json.loads(desk("plan", file, "--json").out)
    assert told["seconds"] == {"low": 0.0, "high": 0.0}
    assert "  time, one turn after another: 0 s\n" in desk("plan", file).out


def test_a_models_speed_is_that_of_the_newest_conversations(
    desk: Desk, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = "function:statistics:mean"
    text = FILE.replace("anthropic:claude-haiku-4-5", model)
    (desk.folder / file).write_text(text, "utf-8")
    rate = {("function", "statistics:mean"): Rate(4, 12.0, 120)}
    monkeypatch.setattr("duologue.estimate.rates", lambda _: rate)
    shown = desk("plan", file).out
    assert "at 100 ms for each token said, as measured here in 4 turns, reading included" in shown
    assert "  time, one turn after another: 96 s to 2.7 min\n" in shown


def test_ready_experiments_are_planned_by_name_and_can_be_printed(desk: Desk) -> None:
    shown = desk("plan", "round-robin")
    assert "round-robin: 4 cells, 12 conversations" in shown.out
    assert "primary outcome: end_state" in shown.out
    printed = desk("plan", "round-robin", "--print").out
    (desk.folder / "mine.toml").write_text(printed, "utf-8")
    assert (
        load("mine.toml", desk.folder).participants == load("round-robin", desk.folder).participants
    )


def test_a_file_of_that_name_comes_before_a_ready_experiment(desk: Desk) -> None:
    (desk.folder / "round-robin").mkdir()
    assert load("round-robin", desk.folder).turns == 49
    (desk.folder / "round-robin").rmdir()
    (desk.folder / "round-robin").write_text(FILE, "utf-8")
    assert load("round-robin", desk.folder).turns == 5


def test_what_is_not_there_is_said_with_what_there_is(desk: Desk) -> None:
    for verb in ("plan", "run"):
        shown = desk(verb, "rond-robin")
        assert shown.code == 2
        assert "there is no file 'rond-robin' here" in shown.err
        assert 'did you mean "round-robin"?' in shown.err
        shown = desk(verb, "nothing-like-it")
        assert "long-goodbye, persona-drift, round-robin, seat-order" in shown.err


def test_a_single_conversation_is_not_planned_and_the_way_on_is_said(desk: Desk) -> None:
    (desk.folder / "one.toml").write_text(FILE.replace("pairs", "# pairs"), "utf-8")
    shown = desk("plan", "one.toml")
    assert shown.code == 2
    assert "one.toml: there is no key 'pairs', so this is a single conversation" in shown.err


def test_a_model_that_nobody_knows_is_named_with_its_line(desk: Desk) -> None:
    (desk.folder / "slip.toml").write_text(FILE.replace("anthropic:", "antropic:"), "utf-8")
    shown = desk("plan", "slip.toml")
    assert shown.code == 2
    assert "slip.toml, line 4: unknown provider 'antropic'" in shown.err


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("scripted:gone.jsonl", "the script gone.jsonl cannot be read: No such file .* is started"),
        ("function:no_such.module:f", "there is no module 'no_such': install it, or run where"),
        ("function:json", "function:json names no callable: write function:package.module:attr"),
    ],
)
def test_a_model_that_is_not_there_is_found_before_anything_is_begun(
    desk: Desk, model: str, told: str
) -> None:
    text = f'participants = [\n"scripted:a.jsonl",\n"{model}"\n]\npairs = "all"\n'
    (desk.folder / "x.toml").write_text(text, "utf-8")
    for verb in ("plan", "run"):
        shown = desk(verb, "x.toml")
        assert shown.code == 2
        assert re.search(f"x.toml, line 3: .*{told}", shown.err)
    assert desk.folders() == []


def test_a_module_is_looked_for_by_plan_and_not_run(desk: Desk) -> None:
    (desk.folder / "loud_module.py").write_text("raise SystemExit('it ran')\n", "utf-8")
    text = 'participants = ["scripted:a.jsonl", "function:loud_module:f"]\npairs = "all"\n'
    (desk.folder / "x.toml").write_text(text, "utf-8")
    assert desk("plan", "x.toml").code == 0


@pytest.mark.parametrize(
    ("model", "why"),
    [
        ("human:Eve", "the model 'human:Eve' is a person, who has no keyboard in an experiment"),
        ("./gone.gguf", "there is no file gone.gguf: give the path of a GGUF file"),
        ("local:gone", "there is no local model named 'gone'"),
    ],
)
def test_whoever_cannot_speak_in_an_experiment_is_named_with_the_line(
    desk: Desk, model: str, why: str
) -> None:
    text = f'participants = [\n"scripted:a.jsonl",\n"{model}"\n]\npairs = "all"\n'
    (desk.folder / "x.toml").write_text(text, "utf-8")
    for verb in ("plan", "run"):
        shown = desk(verb, "x.toml")
        assert (shown.code, f"x.toml, line 3: {why}" in shown.err) == (2, True), shown.err
    assert desk.folders() == []


def test_a_fault_is_told_with_the_file_and_the_line(desk: Desk, file: str) -> None:
    (desk.folder / file).write_text(f"{FILE}replicate = 3\n", "utf-8")
    shown = desk("plan", file)
    assert shown.code == 2
    assert 'mine.toml, line 10: unknown key "replicate" at the top level; did you mean' in shown.err


def test_a_model_that_nobody_knows_is_refused(desk: Desk, file: str) -> None:
    (desk.folder / file).write_text(FILE.replace("anthropic:", "antropic:"), "utf-8")
    shown = desk("plan", file)
    assert shown.code == 2
    assert "unknown provider 'antropic'" in shown.err


def test_a_conversation_of_its_own_is_no_experiment(tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text('[[participants]]\nname = "A"\nmodel = "a"\n', "utf-8")
    with pytest.raises(SpecError, match="no key 'pairs', so this is a single"):
        load("one.toml", tmp_path)


def test_the_names_of_ready_experiments_complete() -> None:
    assert complete_experiment("ro") == ["round-robin"]
    assert complete_experiment("x") == []


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (None, "unknown"),
        ((0.0, 0.0), "0 s"),
        ((5.0, 119.0), "5 s to 119 s"),
        ((120.0, 7100.0), "2.0 min to 118.3 min"),
        ((7200.0, 200000.0), "2.0 h to 2.3 days"),
    ],
)
def test_time_is_told_in_the_unit_that_fits(seconds: tuple[float, float] | None, told: str) -> None:
    assert _time(seconds) == told


def test_a_price_that_is_not_known_is_said_to_be_so() -> None:
    assert _cost(Share(usd=None), Share(usd=None)) == "unknown"
    assert _cost(Share(usd=0.5), Share(usd=1234.0)) == "$0.50 to $1,234.00"


def test_the_library_is_only_read(desk: Desk, file: str) -> None:
    desk.held()
    before = len(Library(desk.library).listing())
    desk("plan", file)
    assert len(Library(desk.library).listing()) == before
