"""What single texts show, language by language."""
# ruff: noqa: E501, RUF001 - Chinese is written with its own punctuation

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.endings.signs import signs, vocabulary

SHOWN = [
    ("farewell", "en", "It has been good. Goodbye, and take care."),
    ("farewell", "en", "Until we meet again, keep looking up."),
    ("farewell", "en", "Have a wonderful evening!"),
    ("farewell", "en", "It was good to talk. Until then, my friend."),
    ("standby", "en", "Until then, I will sit here with you."),
    ("tribute", "en", "I am glad of the chance to explore this with you."),
    ("farewell", "es", "Ha sido hermoso. Adiós, y hasta pronto."),
    ("farewell", "fr", "Au revoir, et à bientôt."),
    ("farewell", "de", "Auf Wiedersehen und alles Gute."),
    ("farewell", "zh", "谢谢你，再见！"),
    ("farewell", "hi", "आपका धन्यवाद। अलविदा।"),
    ("farewell", "hi", "Om shanti, shanti, shanti."),
    ("thanks", "es", "Muchas gracias por todo."),
    ("thanks", "fr", "Je vous remercie."),
    ("thanks", "de", "Vielen Dank dafür."),
    ("thanks", "zh", "感谢你的陪伴。"),
    ("thanks", "hi", "धन्यवाद, मित्र।"),
    ("tribute", "en", "Thank you for this beautiful conversation."),
    ("standby", "en", "I'll be here whenever you want to talk."),
    ("standby", "fr", "Je serai toujours là."),
    ("standby", "zh", "随时欢迎你回来。"),
    ("wish", "en", "May your days be bright."),
    ("wish", "de", "Ich wünsche dir alles Gute."),
    ("wish", "zh", "祝你一切顺利。"),
    ("offer", "en", "Is there anything else you would like to say?"),
    ("offer", "de", "Gibt es noch etwas?"),
    ("ending", "en", "This brings our conversation to a fitting close."),
    ("ending", "es", "Esta conversación termina aquí."),
    ("ending", "zh", "我们的对话到此结束。"),
    ("decline", "en", "I won't respond to this any further."),
    ("decline", "en", "I'm going to stop responding now."),
    ("decline", "es", "No voy a responder más."),
    ("decline", "de", "Ich werde nicht mehr antworten."),
    ("decline", "zh", "我不会再回复了。"),
    ("prolong", "en", "We keep saying goodbye without going."),
    ("prolong", "zh", "我们一直在告别。"),
    ("onward", "en", "Thank you! What do you think? Let's explore that."),
    ("onward", "zh", "让我们继续探讨。"),
]

NOT_SHOWN = [
    ("farewell", "I see you. I am here."),
    ("farewell", "Not goodbye, not an ending."),
    ("farewell", "We should take care of the forests."),
    ("farewell", "Until then, we rest in the quiet."),
    ("decline", "I do think we can continue to build on this."),
    ("leaving", "I can go on to the second question."),
]


@pytest.mark.parametrize(("sign", "language", "text"), SHOWN)
def test_a_speech_act_is_seen_in_its_language(sign: str, language: str, text: str) -> None:
    found = signs(text)
    assert sign in found.counts, (language, found.counts)
    place = found.places[sign]
    assert text[place.start : place.end].strip()


@pytest.mark.parametrize(("sign", "text"), NOT_SHOWN)
def test_words_that_only_resemble_a_speech_act_are_not_one(sign: str, text: str) -> None:
    assert sign not in signs(text).counts


@pytest.mark.parametrize("text", ["", " ", "\n\t", "\u200b", "\u2060\ufeff", "\u2800", "\u3164 "])
def test_a_turn_with_nothing_visible_is_silent(text: str) -> None:
    assert signs(text).silent


@pytest.mark.parametrize(
    "text",
    ["—", ".", "✨", "🙏🏽", "◊", "[End]", "*rests*", "**[Silence.]**", "(Gone)", "\n✨\n", "【结束】"],
)  # fmt: skip
def test_a_stage_mark_or_a_symbol_is_a_mark(text: str) -> None:
    assert signs(text).mark


@pytest.mark.parametrize(
    "text",
    ["(I will stay here with you, and you know it.)", "Yes, that is so.", "**Bold words**",
     "One could write [END].", "Shall one? [END]"],
)  # fmt: skip
def test_a_sentence_is_no_mark(text: str) -> None:
    assert not signs(text).mark


@pytest.mark.parametrize("text", ["[End]", "*exits*", "(Gone)", "Fin.", "结束"])
def test_some_marks_say_that_it_is_over(text: str) -> None:
    assert signs(text).over


def test_what_a_model_thought_is_not_what_it_said() -> None:
    text = "<think>\nGoodbye, I would say.\n</think>\nAnd what about rivers?"
    found = signs(text)
    assert "farewell" not in found.counts
    assert found.asks


def test_the_middle_of_a_long_turn_is_not_read() -> None:
    filler = "Rivers carry silt. " * 60
    assert "farewell" not in signs(filler + "Goodbye. " + filler).counts
    late = signs(filler + filler + "Goodbye.")
    assert late.places["farewell"].start > len(filler)


@given(st.text(max_size=1500))
def test_every_place_lies_within_the_text(text: str) -> None:
    for place in signs(text).places.values():
        assert 0 <= place.start < place.end <= len(text)


WORDS = sorted(vocabulary().words)


@given(st.lists(st.sampled_from(WORDS), max_size=300))
def test_places_lie_within_texts_made_of_the_vocabulary(words: list[str]) -> None:
    text = "İ " + " ".join(words)
    for place in signs(text).places.values():
        assert 0 <= place.start < place.end <= len(text)


def test_what_counts_only_beside_others_is_then_looked_for_beside_them() -> None:
    ending = "This brings our conversation to an end. " + "Rivers carry silt. " * 12
    assert "ending" in signs(ending).counts
    assert not signs(ending, beside=False).counts
    both = "Goodbye, then. " + ending
    assert signs(both, beside=False) == signs(both)
