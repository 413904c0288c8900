import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.core.message import silence
from duologue.web.words import one_line, spelled, words
from web.payloads import BOMBS, DISTURBS, EXECUTES

_TAG = re.compile(r"<[^>]*>")


def _seen(drawn: str) -> str:
    return html.unescape(_TAG.sub("", drawn))


def _letters(text: str) -> int:
    return sum(map(str.isalnum, text)) + text.count("\\")


@pytest.mark.parametrize("payload", [*EXECUTES, *DISTURBS, *BOMBS])
def test_no_element_of_a_stranger_gets_through(payload: str) -> None:
    drawn = str(words(payload))
    for tag in re.findall(r"<(\w+)", drawn):
        assert tag in {
            *("p", "br", "em", "strong", "s", "code", "pre", "blockquote", "ol", "ul", "li", "hr"),
            *("a", "h3", "h4", "table", "thead", "tbody", "tr", "th", "td", "span", "div", "wbr"),
        }
    assert not re.search(r"<[^>]+\s(on\w+|style|src|id|name)\s*=", re.sub(r'"[^"]*"', '""', drawn))
    assert not re.search(r'href="(?!https?://|mailto:)', drawn)


@given(st.text(alphabet=st.sampled_from("ab1 \n>*_`[]()!#|-~<&;:\\\t.$\u200b"), max_size=120))
def test_no_letter_and_no_backslash_of_a_message_is_lost(text: str) -> None:
    drawn = str(words(text))
    numbers = "".join(re.findall(r'value="(\d+)"', drawn))
    assert _letters(_seen(drawn) + numbers) >= _letters(text)


@given(st.text(min_size=1, max_size=60))
def test_what_is_not_silent_can_be_seen(text: str) -> None:
    drawn = str(words(text))
    assert silence(text) or _seen(drawn).strip() or "<hr>" in drawn or "<li" in drawn


def test_a_line_of_verse_stays_a_line_and_stays_set_in() -> None:
    drawn = str(words("one\n    two\n\n   three"))
    assert "one<br>" in drawn
    assert '<span class="indent">    </span>two' in drawn
    assert '<span class="indent">   </span>three' in drawn


@pytest.mark.parametrize(
    "tex",
    [
        r"\(a_1 * b_1\) and \(c_1 * d_1\)",
        r"\[x_{i}*y_{i}*z\]",
        r"$a_1$, $b_1$, $f(x)=a*b*c$",
        r"$ S = \frac{A}{4\ell_P^2} * \alpha * \beta $",
        "$$ a*b*c $$",
        "\\[\na\n+ b\n- c \\\\\n= d\n\\]",
        "$$\nx_1 * y_1\n$$",
        "\\begin{align*}\na &= b \\\\\n+ c_1 * d_1\n\\end{align*}",
        "so that $$\n- a\n+ b\n$$",
        r"a path C:\\a\_b, a command \\",
        "a picture: /\\_/\\",
        "sh \\\n-i a \\\n-o b",
    ],
)
def test_tex_and_backslashes_stay_as_they_were_typed(tex: str) -> None:
    for text in (tex, f"So:\n{tex}\n*thus*", f"> {tex}".replace("\n", "\n> ")):
        assert tex in _seen(str(words(text)))


def test_tex_in_a_list_and_words_around_it_are_drawn() -> None:
    drawn = str(words("*So*:\n\n- *one*\n  \\[\n  a\n  + b\n  \\]\n- two\n\n# \\(a_1\\)"))
    assert '<div class="tex">\\[\na\n+ b\n\\]</div>' in drawn
    assert '<h3><span class="tex">\\(a_1\\)</span></h3>' in drawn
    assert drawn.count("<li>") == 2
    assert "<em>So</em>" in drawn


def test_prices_are_no_tex() -> None:
    assert "<em>really</em> and 3$ more" in words("It costs $5 *really* and 3$ more")
    assert "<em>a</em>" in words("from $5 to $10: *a*")


def test_a_list_keeps_the_numbers_that_were_written() -> None:
    assert re.findall(r'value="(\d+)"', str(words("3. a\n7. b"))) == ["3", "7"]


def test_a_picture_is_named_and_not_loaded() -> None:
    drawn = str(words("![a cat](https://evil.example/cat.png)"))
    assert "<img" not in drawn
    assert "picture, not loaded: a cat (https://evil.example/cat.png)" in drawn


def test_what_cannot_be_seen_is_a_symbol_with_its_name() -> None:
    drawn = str(words("a\u202eb\x1b"))
    assert 'title="U+202E RIGHT-TO-LEFT OVERRIDE"' in drawn
    assert "\u202e" not in drawn
    assert ">ESC</span>" in drawn


def test_a_name_is_on_one_line() -> None:
    assert "\n" not in one_line("a\nb")
    assert "LF" in one_line("a\nb")


def test_a_long_silence_says_how_much_more_there_is() -> None:
    assert "and 60 more" in spelled(" " * 300)
