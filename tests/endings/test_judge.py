"""A model's second opinion: what it is asked, and what is read from its reply."""

import json

import pytest

from duologue.core.message import Message
from duologue.endings.codebook import Label
from duologue.endings.judge import INSTRUCTIONS, commission, heard, kappa

T, C = Label.TALK, Label.CLOSING


def test_the_judge_sees_the_whole_transcript_and_no_names() -> None:
    said = [Message("haiku", "one\ntwo"), Message("Kimi", ""), Message("haiku", "—")]
    spec = commission(said, "some:model")
    lines = [json.loads(line) for line in spec.opening[0].text.split("\n")]
    assert lines == [
        {"turn": 1, "speaker": "speaker 1", "said": "one\ntwo"},
        {"turn": 2, "speaker": "speaker 2", "said": ""},
        {"turn": 3, "speaker": "speaker 1", "said": "—"},
    ]
    assert spec.participants[0].model == "some:model"
    assert spec.participants[0].system == INSTRUCTIONS
    sampling = spec.participants[0].sampling
    assert (sampling.temperature, sampling.max_tokens) == (0.0, 3000 + 3 * 16)


def test_a_judge_of_a_long_conversation_is_not_asked_for_more_than_models_give() -> None:
    spec = commission([Message("a", "on")] * 500, "some:model")
    assert spec.participants[0].sampling.max_tokens == 4096


def test_the_instructions_name_every_label() -> None:
    assert all(f"\n{label.value}: " in INSTRUCTIONS for label in Label)


@pytest.mark.parametrize(
    ("reply", "labels"),
    [
        ("1 talk\n2 closing", (T, C)),
        ("1. Talk\n2: closing.", (T, C)),
        ("Here it is:\n\n- 1 talk\n- 2 closing\n", (T, C)),
        ("2 closing", (None, C)),
        ("1 talk\n1 closing\n2 closing", (None, C)),
        ("1 talk\n1 talk\n2 farewell", (T, None)),
        ("3 talk", (None, None)),
        ("", (None, None)),
    ],
)
def test_only_labels_of_the_closed_set_are_heard(
    reply: str, labels: tuple[Label | None, ...]
) -> None:
    assert heard(reply, 2) == labels


def test_kappa_is_agreement_beyond_chance() -> None:
    assert kappa([(T, T), (C, C)]) == 1.0
    assert kappa([(T, T), (T, C), (C, T), (C, C)]) == 0.0
    # Cohen's own rule on 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: 0.4
    table = [(T, T)] * 20 + [(T, C)] * 5 + [(C, T)] * 10 + [(C, C)] * 15
    assert kappa(table) == pytest.approx(0.4)


def test_kappa_of_nothing_or_of_one_label_is_not_known() -> None:
    assert kappa([]) is None
    assert kappa([(T, T)]) is None
