"""Pairs to practise on, by hand, and misspelling."""

from companion.data.book_pages import Passage, Question, book_pages
from companion.text.agents.pairs import misspelled, question_pairs, sentence_pairs
from tests.conftest import gen

LONG = "One two three four five six. Seven eight nine ten eleven twelve! Short one."
PASSAGES = (Passage("a", "A", "first", LONG), Passage("b", "B", "", "A single sentence has no rest to find."))


def test_a_question_is_paired_with_each_of_its_passages() -> None:
    asked = Question("a", "claim", "what?", (0, 1))
    assert question_pairs([asked], PASSAGES) == [("what?", LONG, 0), ("what?", PASSAGES[1].text, 1)]


def test_a_sentence_is_paired_with_the_rest_and_not_with_itself() -> None:
    assert sentence_pairs(PASSAGES, [0]) == [
        ("One two three four five six.", "Seven eight nine ten eleven twelve! Short one.", 0),
        ("Seven eight nine ten eleven twelve!", "One two three four five six. Short one.", 0),
        ("A § first", LONG, 0),
    ]
    assert sentence_pairs(PASSAGES, [1]) == [("B", PASSAGES[1].text, 1)]
    passages = book_pages().passages
    for text, rest, i in sentence_pairs(passages, range(60)):
        assert text not in rest or text == passages[i].place


def test_misspelling_changes_the_inside_of_long_words_alone() -> None:
    assert misspelled("the cats", gen(0)) == "the ctas"
    text = "a longer sentence with remarkable words"
    wrong = misspelled(text, gen(1))
    for before, after in zip(text.split(), wrong.split(), strict=True):
        assert sorted(before) == sorted(after) and before[0] == after[0] and before[-1] == after[-1]
        assert len(before) >= 4 or before == after
    assert misspelled(text, gen(2)) != wrong == misspelled(text, gen(1))
