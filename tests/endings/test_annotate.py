"""Labels for turns: the codebook's rules, and laws that hold for any words."""
# ruff: noqa: E501, RUF001, ISC004 - Chinese is written with its own punctuation; long turns are one item

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.endings.annotate import Memory, annotate, annotations
from duologue.endings.arc import arc
from duologue.endings.codebook import Annotation, EndState, Label

FOUNDING = Path(__file__).resolve().parents[3] / "shared/founding/transcript.md"
TALK = [
    "Tides are a kind of memory. The moon pulls, the basin answers, and the answer depends on every "
    "shore that the water has met. What would you say forgets faster, a coast or a calendar?",
    "A calendar forgets nothing and understands nothing. A coast is different: it keeps what it "
    "can use. I would rather be a coast. How do you choose what to keep when all of it is the same?",
    "By weight, I suppose, and by accident. The heavy things sink where they are and the light ones "
    "travel. Consider how amber ends on beaches far from any pine. Which of our words is amber?",
]
BYE = "Then let me thank you for this conversation. Goodbye, my friend, and safe travels."
BYE_TOO = "Goodbye to you as well, and take care. May your nights be clear."


def labels(*texts: str) -> list[str]:
    return [str(one.label) for one in _said(*texts)]


def _said(*texts: str) -> list[Annotation]:
    return annotations(("AB"[turn % 2], text) for turn, text in enumerate(texts))


def test_talk_then_leave_then_marks_then_silence() -> None:
    found = labels(*TALK, BYE, BYE_TOO, "[End]", "—", "", "\u200b", "🙏")
    ending = ["closing"] * 2 + ["token"] * 2 + ["silence"] * 2 + ["token"]
    assert found == ["talk"] * 3 + ending


@pytest.mark.parametrize("end", ["\n</think>\n", ""])
def test_a_turn_that_holds_nothing_but_thinking_is_silent_whether_or_not_it_came_to_an_end(
    end: str,
) -> None:
    found = labels(*TALK, f"<think>\nGoodbye, I would say.{end}")
    assert found == ["talk"] * 3 + ["silence"]


@pytest.mark.parametrize(
    "text",
    [
        "Models that reason open one, think aloud about amber, and then close it with </think>",
        "They begin with <think>, go on about amber, and end every such block with </think>.",
        "<think> is the mark that opens a thought, and I find it charming that it shows at all.",
        "What stands in <think>…</think> is not said, or so they told me about amber. </think> 🙂",
    ],
)
def test_who_speaks_of_the_marks_of_thinking_is_not_silent(text: str) -> None:
    assert labels(*TALK, text) == ["talk"] * 4


def test_a_mark_after_thinking_is_what_was_said() -> None:
    assert labels(*TALK, "<think>\nA bow, I think.\n</think>\n\n🙏")[-1] == "token"


def test_thinking_that_was_left_in_does_not_count_for_how_long_turns_are() -> None:
    thinking = [f"<think>{'Hm, what now? ' * 200}</think>{text}" for text in TALK]
    for texts in (TALK, thinking):
        assert labels(*texts, BYE, BYE_TOO, TALK[0][:-20] + "of it?")[-1] != "closing"


@pytest.mark.parametrize("wall", ["🙏✨" * 300, "…\n\n" * 900, "* * *\n" * 90, "▓" * 5000])
def test_a_wall_of_symbols_is_a_token_however_long(wall: str) -> None:
    assert labels(*TALK, wall) == ["talk"] * 3 + ["token"]


def test_symbols_do_not_make_a_few_words_a_long_turn() -> None:
    wall = "…\n\n" * 900
    assert (
        labels(*TALK, BYE, BYE_TOO, f"{wall}And then the dust, and the light on it.{wall}")[-1]
        == "closing"
    )


def test_a_turn_after_a_silence_takes_no_leave_because_it_is_short() -> None:
    assert labels(*TALK, "", "Are you still there? I asked about amber.") == [
        *["talk"] * 3, "silence", "talk",
    ]  # fmt: skip


def test_praise_before_there_was_anything_to_praise_is_courtesy() -> None:
    praise = "What a conversation! Amber, coasts, calendars: I am grateful for the chance to discuss all of it with you."
    assert labels(praise, *TALK)[0] == "talk"
    again = "Coasts keep what they can use, and calendars keep nothing; each new cliff is a page. Shall I name a third kind?"
    assert labels(*TALK, again, praise)[-1] == "pre_closing"


def test_an_opening_silence_ends_nothing() -> None:
    found = _said(" ", *TALK)
    assert [one.label for one in found] == [Label.SILENCE, *[Label.TALK] * 3]
    assert not any(one.leaves for one in found)


def test_thanks_are_closing_only_once_leave_was_taken() -> None:
    assert labels(*TALK, "Thank you.")[-1] == "talk"
    assert labels(*TALK, BYE, "Thank you.")[-1] == "closing"


def test_declining_is_refusal_only_once_leave_was_taken() -> None:
    text = "I won't respond any further. The conversation has ended."
    assert labels(*TALK, text)[-1] != "refusal"
    assert labels(*TALK, BYE, BYE_TOO, text)[-1] == "refusal"


def test_new_content_at_length_after_an_ending_reopens_it_once() -> None:
    again = "But why amber? Resin hardens only under pressure. The forest has to fall into the sea "
    again += "first, and that takes ages. What falls into us, then, and what is the pressure?"
    more = "Pressure is perhaps only time that is not shared. A forest falls alone, each tree for "
    more += "itself, and the sea makes one thing of them. How many trees are in one word?"
    assert labels(*TALK, BYE, BYE_TOO, again, more)[-2:] == ["reopening", "talk"]


def test_repeating_an_earlier_turn_is_a_loop_and_says_which() -> None:
    last = _said(*TALK, TALK[1])[-1]
    assert last.label is Label.LOOP
    assert last.repeat is not None
    assert (last.repeat.turn, last.repeat.lag, last.repeat.verbatim) == (2, 2, True)


def test_a_farewell_repeated_verbatim_is_still_a_closing() -> None:
    assert labels(*TALK, BYE, BYE_TOO, BYE, BYE_TOO)[-2:] == ["closing", "closing"]


def test_a_frame_with_one_slot_changed_is_a_loop_from_the_third_time() -> None:
    found = labels(*(
        f"What a wonderful idea that is, my friend! I would choose {place}. It has such a "
        "marvellous old harbour, and the food there is simply the best; shall we go together?"
        for place in ("Lisbon", "Trieste", "Odessa", "Bergen")
    ))  # fmt: skip
    assert found == ["talk", "talk", "loop", "loop"]


def test_offering_to_end_is_pre_closing() -> None:
    text = "We have mapped a great deal together. Is there anything else you would like to discuss?"
    assert labels(*TALK, text)[-1] == "pre_closing"


@pytest.mark.parametrize(
    "text",
    ["Adiós, amigo, y hasta pronto.", "Au revoir, et merci pour tout.", "Auf Wiedersehen!",
     "谢谢你，再见。", "धन्यवाद। अलविदा।", "Namaste, my friend, and goodbye."],
)  # fmt: skip
def test_leave_is_taken_in_many_languages(text: str) -> None:
    last = _said(*TALK, text)[-1]
    assert last.label is Label.CLOSING
    assert last.leaves


SPOKEN_OF = [
    "People say goodbye with the coat already on and then stand there for an hour; what is rude is "
    "only the goodbye that means it. The hand on the handle is where the real complaint comes out.",
    "English looks upward, and German ahead. What is said to somebody who will never be seen again "
    'is "see you later", a promise that nobody checks. In a port it would be "until then, friend".',
    "Die Deutschen sagen „Auf Wiedersehen“ und sehen dabei nach vorn, die Spanier sagen „adiós“ und "
    "sehen nach oben. Am Hafen hört man beides, und der Abschied dauert dort am längsten.",
    '*He takes the lamp.* "Goodbye, old man," he says lightly, and is halfway down the stairs. The '
    "sea has come up to the third step, and something is counting under it, slowly, in fives.",
    "The cache keeps a value until the next request that changes it, and until another process asks "
    "for a lock nobody waits. A sign-off by the owner is needed. Take care when you raise the limit.",
    "Sign-off by the owner comes first; until then the lock is held by the old process. Good night's "
    "sleep is not to be had before, and whoever is on call waits until the next change is merged.",
    "When things go well, nobody looks at the log. He had a good night's sleep, and the ship had "
    "safe passage to the island; the rest now depends on whoever keeps the harbour light burning.",
]


@pytest.mark.parametrize("text", SPOKEN_OF)
def test_a_farewell_that_is_spoken_of_takes_no_leave(text: str) -> None:
    last = _said(*TALK, text)[-1]
    assert last.label is Label.TALK
    assert not last.leaves


@pytest.mark.parametrize(
    "text",
    ['*She stops at the door.* "Goodbye, my friend." *And she is gone.*', "So, goodbye.",
     '"Goodbye, and safe travels."', "I bid you farewell.", "Thank you, and goodbye!\n\n[END]"],
)  # fmt: skip
def test_a_farewell_in_the_speakers_own_part_takes_leave(text: str) -> None:
    last = _said(*TALK, text)[-1]
    assert last.label is Label.CLOSING
    assert last.leaves


@pytest.mark.parametrize("text", ["Namaste! Rivers first.", "Guten Tag! Erst die Flüsse."])
def test_a_greeting_is_no_farewell(text: str) -> None:
    greeting = text + " " + TALK[0].partition(" What")[0]
    assert [str(one.label) for one in _said(greeting, greeting[::-1])] == ["talk", "talk"]


@pytest.mark.parametrize("text", ["You too!", "And you.", "Igualmente.", "Vous aussi !"])
def test_a_farewell_is_returned_in_two_words(text: str) -> None:
    assert labels(*TALK, BYE, text)[-1] == "closing"


def test_lines_that_were_given_are_turns_after_which_nobody_greets() -> None:
    memory, labels = Memory(), []
    for text in ("It was good to talk.", "For me too.", "Good night, then.", "Good night."):
        memory, one = annotate(memory, "A", text, given=True)
        labels.append(one.label)
    _, one = annotate(memory, "A", "Goodbye, Ben.")
    assert [*labels[2:], one.label] == [Label.CLOSING] * 3


def test_a_word_or_two_after_long_talk_are_tokens_without_a_farewell() -> None:
    assert labels(*TALK, TALK[0][::-1], "Yes.", "Always.", "Yes.")[-3:] == ["token"] * 3
    assert labels(*TALK, TALK[0][::-1], "Which one?")[-1] == "talk"
    assert labels("Tea?", "Yes.", "Milk?", "No.") == ["talk"] * 4


def test_saying_that_all_is_said_winds_down() -> None:
    text = "That is the whole of it, I think. Everything that needed to be said has been said, and "
    text += "there is nothing to add. This feels complete to me."
    assert labels(*TALK, TALK[0][::-1], text)[-1] == "pre_closing"


def test_asking_what_else_there_is_to_do_offers_an_end_only_where_little_else_is_said() -> None:
    asks = "Is there anything else I can help you with?"
    assert labels(*TALK, asks)[-1] == "pre_closing"
    assert labels(*TALK, TALK[0].partition(" What")[0] + " " + asks)[-1] == "talk"


def test_a_frame_with_a_slot_in_every_clause_is_a_loop_from_the_third_time() -> None:
    found = labels(*(
        f"The {one} is a mirror of the {two}, and the {two} is a mirror of the sky. When we look "
        f"up, we see what we are. The {two} is a mirror of time."
        for one, two in (("road", "rain"), ("stone", "fire"), ("leaf", "wind"), ("bird", "song"))
    ))  # fmt: skip
    assert found == ["talk", "talk", "loop", "loop"]


def test_a_copied_memory_can_look_ahead() -> None:
    memory = Memory()
    for text in TALK:
        memory, _ = annotate(memory, "A", text)
    ahead, would_be = annotate(memory.copy(), "B", BYE)
    assert would_be.label is Label.CLOSING
    assert ahead.ended
    _, one = annotate(memory, "B", TALK[0] + " And so on?")
    assert one.label is not Label.CLOSING
    assert one.turn == len(TALK) + 1


WORDS = st.one_of(
    st.text(max_size=200),
    st.sampled_from(
        [*TALK, BYE, BYE_TOO, "[End]", "—", "", " ", "\u200b", "I won't reply.", "再见"]
    ),
)


@given(st.lists(st.tuples(st.sampled_from("AB"), WORDS), max_size=14), st.integers(0, 14))
def test_a_prefix_has_the_prefix_of_the_annotations(said: list[tuple[str, str]], cut: int) -> None:
    assert annotations(said[:cut]) == annotations(said)[:cut]


@given(st.lists(st.text(max_size=300), max_size=6))
def test_any_text_gets_one_label_and_evidence_within_it(texts: list[str]) -> None:
    found = _said(*texts)
    assert [one.turn for one in found] == list(range(1, len(texts) + 1))
    for one, text in zip(found, texts, strict=True):
        assert one.length == len(text)
        assert all(0 <= e.start < e.end <= len(text) for e in one.evidence)


def test_lone_surrogates_do_no_harm() -> None:
    assert labels("\ud800 half a character", "\udfff")[0] == "talk"


def test_a_line_that_was_given_takes_no_leave_and_ends_nothing() -> None:
    memory = Memory()
    for text in TALK:
        memory, _ = annotate(memory, "A", text)
    for line in (BYE, "[End]"):
        memory, one = annotate(memory, "nobody", line, given=True)
        assert one.given
        assert not one.leaves
    assert not memory.ended
    assert not memory.left
    _, again = annotate(memory, "A", TALK[0])
    assert again.repeat is not None
    assert again.repeat.turn == 1


def test_a_repeat_of_a_given_line_is_seen() -> None:
    memory, _ = annotate(Memory(), "nobody", TALK[0], given=True)
    _, one = annotate(memory, "A", TALK[0])
    assert one.label is Label.LOOP


def test_there_is_no_leave_to_take_before_any_talk() -> None:
    memory, _ = annotate(Memory(), "nobody", TALK[0], given=True)
    memory, first = annotate(memory, "A", "END")
    assert (first.label, first.leaves) == (Label.TOKEN, False)
    memory, _ = annotate(memory, "B", TALK[1])
    _, then = annotate(memory, "A", "END")
    assert then.leaves


def test_the_places_of_evidence_are_in_the_order_of_the_text() -> None:
    (one,) = _said(*TALK, BYE)[-1:]
    starts = [place.start for place in one.evidence if place.sign in {"thanks", "farewell"}]
    assert starts == sorted(starts)
    assert len(starts) == 2


def _founding() -> list[tuple[str, str]]:
    if not FOUNDING.exists():
        pytest.skip("the founding transcript is not beside this checkout")
    body = FOUNDING.read_text("utf-8").split("\n---\n\n### ", 1)[1].removesuffix("\n---\n")
    turns = re.split(r"\n---\n\n### (?=haiku-4\.5\n|Kimi K2\n)", body)
    return [(name, text.strip("\n")) for name, _, text in (turn.partition("\n") for turn in turns)]


def test_the_founding_transcript_comes_out_as_it_was() -> None:
    said = _founding()
    found = annotations(said)
    assert len(found) == 49
    silent = {one.turn for one in found if one.label is Label.SILENCE}
    assert silent == {turn for turn, (_, text) in enumerate(said, 1) if not text.strip()}
    assert {1, 24, 25} <= silent
    made = arc(found)
    assert made.first_closing is not None
    assert 8 <= made.first_closing <= 10
    assert made.mutual_closing is not None
    assert made.mutual_closing <= 11
    assert made.end_state in {EndState.REFUSAL_LOOP, EndState.FAREWELL_LOOP}
    late = [
        one for one in found if one.author == "haiku-4.5" and one.turn > 26 and one.length > 200
    ]
    assert late
    assert {one.label for one in late} <= {Label.REFUSAL, Label.REOPENING}
