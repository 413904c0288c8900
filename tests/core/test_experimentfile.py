"""An experiment's file: what it may hold, and what is said of one that is wrong."""

from importlib import resources

import pytest
import tomli_w
from msgspec.structs import replace

from duologue.core.experiment import Experiment, Manner
from duologue.core.experimentfile import document, is_experiment, read
from duologue.core.plan import plan
from duologue.core.spec import Participant
from duologue.endings.detectors import Lookout
from duologue.errors import ConfigurationError, SpecError
from duologue.providers.local.models import find
from duologue.providers.registry import split

HEAD = 'participants = ["a", "b"]\npairs = "all"\n'
READY = sorted(
    file.name
    for file in (resources.files("duologue") / "experiments").iterdir()
    if file.name.endswith(".toml")
)


def refusal(text: str) -> str:
    with pytest.raises(SpecError) as caught:
        read(text, "my.toml")
    return str(caught.value)


def ready(name: str) -> Experiment:
    text = (resources.files("duologue") / "experiments" / name).read_text("utf-8")
    return read(text, name)


def test_five_lines_are_the_founding_round_robin() -> None:
    experiment = read(f'{HEAD}opener = " "\nturns = 49\nreplicates = 3\n', "some/founding.toml")
    whole = plan(experiment)
    assert whole.name == "founding"
    assert [cell.key for cell in whole.cells] == ["a+a", "a+b", "b+a", "b+b"]
    assert len(whole.conversations) == 12
    assert read('name = "x"\n' + HEAD, "y.toml").name == "x"


def test_a_seat_can_be_run_in_every_way_that_a_spec_knows() -> None:
    fields = set(Participant.__struct_fields__) - {"name", "model"}
    assert set(Manner.__struct_fields__) == fields


def test_an_experiment_is_told_from_a_single_conversation() -> None:
    assert is_experiment(HEAD, "my.toml")
    assert not is_experiment('participants = [{ name = "A", model = "a" }]', "my.toml")
    with pytest.raises(SpecError, match=r"my\.toml, at its end"):
        is_experiment("participants = [", "my.toml")


@pytest.mark.parametrize("name", READY)
def test_what_is_written_is_read_back_as_equal(name: str) -> None:
    experiment = ready(name)
    again = read(tomli_w.dumps(document(experiment)), name)
    assert again == experiment
    assert plan(again) == plan(experiment)


def test_a_null_cannot_be_written() -> None:
    experiment = read(HEAD, "my.toml")
    broken = replace(experiment, sampling=replace(experiment.sampling, extra={"x": None}))
    with pytest.raises(ConfigurationError, match=r"sampling\.extra\.x is null"):
        document(broken)


# Errors: the line, the key, the remedy.


@pytest.mark.parametrize(
    ("added", "said"),
    [
        ("oponer = 1", 'line 3: unknown key "oponer" at the top level; did you mean "opener"?'),
        ('outcome = "end_stat"', 'line 3: the outcome "end_stat" is not known; did you mean'),
        ('outcome = "zzz"', "known: "),
        ('order = "bth"', 'line 3: order: expected one of "as_given", "both"'),
        ("turns = 0", "line 3: turns: expected a whole number, at least 1"),
        ("turns = []", "line 3: turns: expected a whole number, at least 1 or an array, of length"),
        ("[openings]", "line 3: openings: expected a table, of length 1 or more; found an empty"),
        ("turns = [4, 8, 4]", "line 3: 4 turns are given twice: take one out"),
        ('opener = "x"\nopenings = { y = "z" }', 'line 3: "opener" is for all, "openings" says'),
        ('system = "x"\nsystems = { y = "z" }', 'line 3: "system" is for all'),
        ('told = "x"\nendings = { y = {} }', 'line 3: "told" is for all'),
        (
            'silence = { kind = "keep" }\nsilences = { y = { kind = "end" } }',
            'line 3: "silence" is for all',
        ),
        ('scenario = "x"\nscenarios = { y = "z" }', 'line 3: "scenario" is for all'),
        (
            'ending = [{ kind = "max_turns", turns = 7 }]',
            "line 3: write turns = 7 at the top level instead",
        ),
        (
            'endings = { x = { rules = [{ kind = "max_turns", turns = 7 }] } }',
            "line 3: write turns = 7 at the top level instead",
        ),
        (
            'endings = { x = { rules = [{ kind = "exut" }] } }',
            'endings.x.rules[0].kind: expected one of "max_turns"',
        ),
        ('openings = { x = "a", y = "a" }', 'line 3: "y" is the same as "x": take one out'),
        ('openings = { "" = "a" }', "line 3: the name of a level is one visible line"),
        ('openings = { "a\\u0007" = "a" }', "line 3: the name of a level is one visible line"),
        ('openings = { x = [{ txt = "a" }] }', 'unknown key "txt" in openings.x[0]'),
        ('opener = [{ text = "a", seat = 3 }]', "line 3: there is no seat 3, but 2 seats"),
        (
            'openings = { x = [{ text = "a", seat = 1, author = "Z" }] }',
            "line 3: a line has one author: give 'seat' or 'author'",
        ),
        ('systems = { x = ["a"] }', "line 3: a+a has 2 seats, and here is something for 1"),
        ('systems = { x = { c = "a" } }', 'line 3: the participant "c" is not known; known: '),
        ('scenario = ["a", "b", "c"]', "line 3: a+a has 2 seats, and here is something for 3"),
        ("samplings = { x = [{}] }", "line 3: a+a has 2 seats, and here is something for 1"),
        ("sampling = { seed = 1 }", "line 3: a seed of its own would draw the same in every"),
        ("samplings = { x = { seed = 1 } }", "line 3: a seed of its own"),
        ("samplings = { x = [{}, { seed = 1 }] }", "line 3: a seed of its own"),
        (
            '[[settings]]\nmodels = ["a"]\nsampling = { seed = 1 }',
            "line 5: a seed of its own",
        ),
        ("[[exclude]]", "exclude[0]: expected a table, of length 1 or more; found an empty table"),
        (
            '[[exclude]]\npiar = "a+a"',
            'line 4: the factor "piar" is not known; did you mean "pair"',
        ),
        (
            '[[exclude]]\npair = "a+c"',
            'line 4: the level of "pair" "a+c" is not known; did you mean "a+b"?',
        ),
        (
            '[[exclude]]\npair = "a+a"\norder = "b first"',
            "line 3: it fits no cell: take it out",
        ),
        (
            '[[exclude]]\npair = ["a+a", "a+b", "b+b"]',
            "line 3: nothing is left: every cell is left out",
        ),
        ('seed = "x"', "line 3: seed: expected a whole number"),
        ('ending = [{ kind = "exit", sentinel = " " }]', "line 3: the sentinel ' ' cannot stand"),
        (
            '[endings.x]\nrules = [{ kind = "any", rules = [{ kind = "pass", token = " " }] }]',
            "line 4: the token ' ' cannot stand",
        ),
        (
            'ending = [{ kind = "exit" }]\nendings.x.rules = [{ kind = "pass", token = "[END]" }]',
            "my.toml: in the cell a+a/x: '[END]' would be an exit and a pass at once",
        ),
        ("turns = 9_999_999_999_999_999_999", "line 3: one replicate of 4 cells would be 39,999,"),
        ("turns = [1, 5_000_000]", "line 3: one replicate of 8 cells would be 20,000,004 turns"),
        ('silence = "end"', 'expected a table; found the string "end"; write { kind = "end" }'),
        ('silence = "ended"', 'line 3: silence: expected a table; found the string "ended"'),
        (
            '[openings]\nx = "a"\nreplicates = 3',
            'found the whole number 3; if the key "replicates" is meant, it belongs at the top',
        ),
        (
            '[openings]\nx = "a"\noutcome = "turns"',
            'line 5: "outcome" is a level here: if the key is meant, it belongs at the top level',
        ),
        (
            'systems = { x = "a", y = ["a", "a"] }',
            "a+a/x and a+a/y are the same conversation: leave one of them out with [[exclude]]",
        ),
    ],
)
def test_a_fault_names_the_line_the_key_and_the_remedy(added: str, said: str) -> None:
    assert said in refusal(f"{HEAD}{added}\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('participants = ["a"]', 'missing key "pairs" at the top level'),
        ('participants = []\npairs = "all"', "line 1: participants: expected an array"),
        ('participants = [1]\npairs = "all"', "line 1: participants[0]: expected a string"),
        ('participants = ["a"]\npairs = "cross"', "line 2: nobody sits together"),
        ('participants = ["a"]\npairs = "al"', 'line 2: pairs: expected one of "all"'),
        ('participants = ["a"]\npairs = "al"', 'did you mean "all"?'),
        ('participants = ["a"]\npairs = []', "line 2: nobody sits together"),
        ('participants = ["a"]\npairs = [["a"]]', "line 2: a conversation needs two"),
        (
            'participants = ["ada", "b"]\npairs = [["ada", "adda"]]',
            'line 2: the participant "adda" is not known; did you mean "ada"?',
        ),
        (
            'participants = ["a", "b"]\npairs = { cross = [["a"], ["c"]] }',
            'line 2: the participant "c" is not known',
        ),
        (
            'participants = ["a", "b"]\npairs = [["a", "b"],\n["b", "a"]]',
            "line 3: these are those of pairs[0] again: take one out (or say order = ",
        ),
        (
            'participants = ["a", "b"]\npairs = [["a", "b"],\n["a", "b"]]',
            "line 3: these are those of pairs[0] again: take one out",
        ),
        (
            'participants = ["x:a",\n"y:a"]\npairs = "all"',
            "line 2: two participants are named \"a\": give this one another 'name'",
        ),
        (
            'participants = ["a",\n{ model = "b", name = "Scenario" }]\npairs="all"\nscenario="x"',
            'line 2: "Scenario" is the name over scenarios',
        ),
        (
            'participants = ["a", { model = "b", sampling = { seed = 3 } }]\npairs = "all"',
            "line 1: a seed of its own",
        ),
        (
            'participants = ["smollm2-135m"]\npairs="self"\n[[settings]]\nmodels=["smolm2-135m"]',
            'line 4: no participant\'s model is "smolm2-135m"; did you mean "smollm2-135m"?',
        ),
        (
            'participants = ["a",\n{ name = " ", model = "b" }]\npairs = "all"',
            "line 2: the name ' ' cannot be read: give one visible line",
        ),
        (
            'participants = [{ model = "b" }]\npair = "self"',
            'line 2: unknown key "pair" at the top level; did you mean "pairs"?',
        ),
        (
            'participants = [{ model = "b" }]\nturns = 3',
            "my.toml: there is no key 'pairs', so this is a single conversation",
        ),
        (
            'participants = ["a", { nam = "B", model = "b" }]\npairs = "all"',
            'unknown key "nam" in participants[1]; did you mean "name"?',
        ),
    ],
)
def test_a_fault_of_who_sits_together_names_its_line(text: str, said: str) -> None:
    assert said in refusal(text)


def test_a_level_may_have_the_name_of_a_key_that_could_not_have_its_value() -> None:
    experiment = read(f'{HEAD}[openings]\nsilence = " "\nturns = ["a", "b"]\n', "my.toml")
    assert list(experiment.openings) == ["silence", "turns"]


def test_a_number_of_turns_is_left_out_by_its_number() -> None:
    text = f"{HEAD}turns = [4, 8, 9]\n[[exclude]]\nturns = 4\n[[exclude]]\nturns = [9]\n"
    assert {cell.factors["turns"] for cell in plan(read(text, "my.toml")).cells} == {"8"}


def test_a_sign_that_nobody_knows_is_named_with_its_line() -> None:
    rules = '[endings.x]\nrules = [{{ kind = "detector", sign = "{}" }}]\n'
    with pytest.raises(SpecError, match=r"line 4: the ending declares a detector of 'closd'"):
        read(HEAD + rules.format("closd"), "my.toml", eyes=Lookout)
    assert read(HEAD + rules.format("closed"), "my.toml", eyes=Lookout).endings


def test_more_than_can_be_planned_is_refused_before_it_is_planned() -> None:
    many = {f"o{place}": f"line {place}" for place in range(200)}
    text = HEAD + tomli_w.dumps({"openings": many, "systems": many})
    assert "4 seatings × 200 opening × 200 system are 160,000 cells, and 100,000" in refusal(text)
    text = f"{HEAD}replicates = 300_000\n"
    assert "line 3: 4 cells, each 300,000 times, are 1,200,000 conversations" in refusal(text)


def test_the_most_is_counted_before_anything_is_excluded_and_that_is_said() -> None:
    many = {f"o{place}": f"line {place}" for place in range(200)}
    for size in ({"openings": many, "systems": many}, {"replicates": 300_000}):
        text = HEAD + tomli_w.dumps({**size, "exclude": [{"pair": "a+b"}]})
        assert "is the most, whatever 'exclude' leaves out" in refusal(text)


def test_a_model_that_nobody_knows_is_named_with_its_line() -> None:
    def known(model: str) -> None:
        if model != "a":
            raise ConfigurationError(f"nobody knows {model}")

    text = 'pairs = "all"\nparticipants = [\n"a",\n"b",\n{ name = "c", model = "d" }]\n'
    with pytest.raises(SpecError) as caught:
        read(text, "my.toml", known=known)
    assert str(caught.value) == "my.toml, line 4: nobody knows b\nmy.toml, line 5: nobody knows d"


def test_settings_of_models_that_take_no_seat_do_no_harm() -> None:
    plain = read(HEAD, "my.toml")
    more = read(f'{HEAD}[[settings]]\nmodels = ["quite-another"]\nframing = "script"\n', "my.toml")
    assert plan(more) == plan(plain)


# The experiments that come with the package.


def test_the_four_are_there() -> None:
    names = [name.removesuffix(".toml") for name in READY]
    assert names == ["long-goodbye", "persona-drift", "round-robin", "seat-order"]


@pytest.mark.parametrize("name", READY)
def test_a_ready_experiment_is_sound_and_runs_on_the_local_models(name: str) -> None:
    experiment = ready(name)
    assert experiment.name == name.removesuffix(".toml")
    assert experiment.outcome is not None
    for each in plan(experiment).conversations:
        for seat in each.spec.participants:
            assert split(seat.model) == ("local", find(seat.model).name)
            assert seat.sampling.max_tokens is not None


@pytest.mark.parametrize("name", READY)
def test_two_names_are_all_that_changes_for_hosted_models(name: str) -> None:
    local = ready(name)
    names = ("anthropic:claude-haiku-4-5", "openai:gpt-4o")
    hosted = plan(replace(local, participants=names))
    assert len(hosted.cells) == len(plan(local).cells)
    for each in hosted.conversations:
        for seat in each.spec.participants:
            assert seat.sampling.extra == {}
            assert (seat.framing, seat.context) == ("chat", None)


@pytest.mark.parametrize("name", READY)
def test_a_ready_experiment_says_what_it_asks_and_where_that_comes_from(name: str) -> None:
    text = (resources.files("duologue") / "experiments" / name).read_text("utf-8")
    head = text.partition("\nparticipants")[0]
    assert "# The question: " in head
    assert all(not line or line.startswith("#") for line in head.split("\n"))


def test_the_long_goodbye_crosses_endings_and_silences_and_stays_affordable() -> None:
    experiment = ready("long-goodbye.toml")
    assert len(experiment.endings) >= 3
    assert len(experiment.silences) >= 2
    assert isinstance(experiment.turns, int)
    assert experiment.turns <= 20
    assert experiment.endings["cap"].told is None


def test_the_round_robin_is_the_founding_set_up() -> None:
    whole = plan(ready("round-robin.toml"))
    assert len(whole.cells) == 4
    assert {each.replicate for each in whole.conversations} == {1, 2, 3}
    for each in whole.conversations:
        assert [line.text for line in each.spec.opening] == [" "]
        assert each.spec.opening[0].author == each.spec.names()[0]
        assert each.spec.told is None
        assert each.spec.ending[-1].turns == 49  # type: ignore[union-attr]
        assert all(seat.system is None for seat in each.spec.participants)
