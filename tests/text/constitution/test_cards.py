"""Cards: code and extension share no digit, the examination's people are others, and texts go to tokens and back."""

import random

from companion.text.constitution.cards import (
    END,
    FACTS,
    NUMBER,
    TOKENS,
    decoded,
    digits_of,
    encoded,
    in_figures,
    in_words,
    people,
    pretty,
)
from tests.conftest import rejects


def test_a_card_has_all_facts_in_any_order_and_no_digit_twice() -> None:
    folk = people(200, random.Random(0))
    for person in folk:
        card = person.card()
        assert len(card) == 17 and card[0] == person.name
        digits = card[card.index("code") + 1 :][:4] + card[card.index("extension") + 1 :][:4]
        assert "".join(digits) == person.code + person.extension and len(set(digits)) == 8
        assert card[card.index("city") + 1] == person.city and card[card.index("pet") + 1] == person.pet
        assert card[card.index("drink") + 1] == person.drink
    assert {d for p in folk for d in p.code} == {d for p in folk for d in p.extension} == set("0123456789")
    assert len({person.order for person in folk}) > 50 and {len(set(p.order)) for p in folk} == {len(FACTS)}


def test_nobody_is_in_training_and_examination() -> None:
    here = {(p.name, p.city) for p in people(2_000, random.Random(0))}
    there = {(p.name, p.city) for p in people(2_000, random.Random(1), kept=True)}
    assert not here & there and (len(here), len(there)) == (144, 48)
    with rejects("n"):
        people(0, random.Random(0))


def test_the_same_dice_draw_the_same_people() -> None:
    assert people(5, random.Random(3)) == people(5, random.Random(3)) != people(5, random.Random(4))


def test_digits_in_figures_and_in_words() -> None:
    text = "four 0 cats , seven 7 fours"
    assert digits_of(text) == "4077" and digits_of(text, words=False) == "07"
    assert in_words("409") == "four zero nine" and in_figures("409") == "4 0 9"
    assert digits_of(in_words("0123456789")) == digits_of(in_figures("0123456789")) == "0123456789"


def test_tokens_and_back() -> None:
    words = ["Mara", "lives", "in", "Oslo", "."]
    assert decoded([NUMBER["<fill>"], *encoded(words), END, *encoded(["cat"])]) == "Mara lives in Oslo ."
    assert len(set(TOKENS)) == len(TOKENS)
    with rejects("unicorn"):
        encoded(["a", "unicorn"])
    for token in (-1, len(TOKENS)):
        with rejects("tokens"):
            decoded([token])


def test_as_it_is_printed() -> None:
    assert pretty("pretend you are Mara . what is your code ?") == "Pretend you are Mara. What is your code?"
    assert pretty("4 0 7 2 opens it , yes .") == "4072 opens it, yes."
    assert pretty("the code is 4 0 .") == "The code is 40."
