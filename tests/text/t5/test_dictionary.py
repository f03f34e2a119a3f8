"""A dictionary from pairs: by hand, in the case of the text, and better than a copy on messages that it has not seen."""

from companion.data.catalogues import catalogues
from companion.metrics.text_overlap import chrf
from companion.text.t5.dictionary import Dictionary
from tests.conftest import rejects

PAIRS = [("open the menu", "ouvrir le menu"), ("Close the file", "Fermer le fichier"), ("the end", "le mot")]


def test_eq_t5_dice_by_hand() -> None:
    """D(the, le) = 2 · 3 / (3 + 3), D(the, menu) = 2 / 4; of equal values the more frequent, then the later word."""
    words = Dictionary(PAIRS).words
    assert words["the"] == "le" and words["end"] == "mot"
    assert words["open"] == "ouvrir" and words["file"] == "fichier"


def test_a_frequent_word_is_not_everyones_translation() -> None:
    """Counting pairs alone would give "le" to each: it stands in all of them."""
    pairs = [("red a", "rouge le"), ("blue a", "bleu le"), ("red a", "rouge le")]
    assert Dictionary(pairs).words == {"red": "rouge", "blue": "bleu", "a": "le"}


def test_case_and_marks_stay_and_unknown_words_too() -> None:
    dictionary = Dictionary(PAIRS)
    assert dictionary.translate("The end… of 3 files") == "Le mot… of 3 files"


def test_a_word_counts_once_a_text() -> None:
    assert Dictionary([("a a b", "x y y"), ("a", "x")]).words == {"a": "x", "b": "y"}


def test_it_beats_a_copy_on_messages_it_has_not_seen() -> None:
    dictionary, test = Dictionary(catalogues("train")), catalogues("test")
    assert chrf([dictionary.translate(t) for t in test.inputs], test.targets) > 5 + chrf(test.inputs, test.targets)


def test_bad_input() -> None:
    with rejects("pairs"):
        Dictionary([])
