"""The words of a name, and what a text finds."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.errors import InvalidInput
from rules.learner_search import NAMELESS, LearnerDocument, LearnerText, beginnings, folded
from rules.search import words_in


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Ann-Marie O'Neil", ("ann", "marie", "o", "neil")),
        ("Émile ÅNGSTRÖM", ("emile", "angstrom")),
        ("Søren Łukasz Straße", ("soren", "lukasz", "strasse")),
        ("Ａｎｎ", ("ann",)),
        ("Ann Ann", ("ann",)),
        ("गणित", ("गणित",)),
        ("Йосиф", ("йосиф",)),
        ("山田太郎", ("山田太郎", "田太郎", "太郎", "郎")),
        ("カナ子san", ("カナ子san", "子san", "san")),
        ("", ()),
        ("...", ()),
        ("x" * 300, ("x" * 64,)),
    ],
)
def test_the_words_of_a_name(name: str, words: tuple[str, ...]) -> None:
    assert LearnerDocument("u", name).words == words


def test_a_text_that_is_too_long_has_too_many_words_or_control_characters_is_refused() -> None:
    LearnerText.of("x" * 500)
    for text in ("x" * 501, " ".join(f"w{number}" for number in range(51)), "a\0b", "\ud800"):
        with pytest.raises(InvalidInput) as refused:
            LearnerText.of(text)
        assert refused.value.field == "text"
    same = LearnerText.of("Ann ann ANN " * 20)
    assert same.words == ("ann",), "a word counts once"


def test_who_has_no_name_comes_last() -> None:
    assert LearnerDocument("u").name_in_order == NAMELESS
    assert LearnerDocument("u").words == ()
    assert LearnerDocument("u", "\uffee 𐐀").name_in_order < NAMELESS


@given(st.text(max_size=40))
def test_a_folded_text_stays_as_it_is(text: str) -> None:
    assert folded(folded(text)) == folded(text)


@given(st.text(max_size=40), st.data())
def test_a_name_is_found_by_the_beginning_of_each_of_its_words(name: str, data: st.DataObject) -> None:
    """The beginning ends where a character does, with its marks."""
    document = LearnerDocument("u", name)
    for word in words_in(folded(name)):
        ends = [
            end for end in range(1, len(word) + 1) if end == len(word) or not unicodedata.combining(word[end])
        ]
        begun = word[: data.draw(st.sampled_from(ends))]
        for wanted in LearnerText.of(begun).words:
            assert any(one.startswith(wanted) for one in document.words), (word, begun)


@given(st.text(min_size=1, max_size=40).filter(lambda text: not any(one.isspace() for one in text)))
def test_beginnings_are_ends_of_the_word_the_whole_first(word: str) -> None:
    first, *others = beginnings(word)
    assert first == word
    assert all(word.endswith(one) and one for one in others)
