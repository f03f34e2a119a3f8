"""Demonstrations: which exchanges are taken, and that what fills them up does not count."""

import torch

from companion.data.chats import Chat
from companion.language.scoring import token_log_probs
from companion.models.chat_small import build, tokenizer
from companion.text.chat.demonstrations import demonstrations, exchanges, frequent_words
from companion.text.chat.template import ASSISTANT, END, templated
from companion.text.reasoning.tasks import answer_loss

TALKS = (
    Chat(("Hello there", "hi, how are you?", "good good good", "the bot said so", "hello", "how are you"), None),
    Chat(("hello", "zyzzyva hello", "how are you", "hi"), None),
)
WORDS = frozenset(["hello", "there", "hi", "how", "are", "you", "good", "the", "bot", "said", "so"])


def test_runs_are_short_frequent_and_not_about_the_page() -> None:
    assert exchanges(TALKS, WORDS) == [
        ("Hello there", "hi, how are you?"),
        ("hi, how are you?", "good good good"),
        ("hello", "how are you"),
        ("how are you", "hi"),
    ]
    assert exchanges(TALKS, WORDS, turns=3) == [("Hello there", "hi, how are you?", "good good good")]
    assert exchanges(TALKS, WORDS, words=2) == []


def test_frequent_words_are_counted_once_a_conversation() -> None:
    assert frequent_words(TALKS, 5) == {"hello", "hi", "how", "are", "you"}  # in both; "good" three times, but in one


def test_only_the_assistant_counts_and_filling_up_changes_nothing() -> None:
    """I34; and the end sign of the assistant counts, the ones that fill up do not."""
    tokens, runs = tokenizer(), exchanges(TALKS, WORDS)
    (ids, mask), (longer, longer_mask) = (demonstrations(runs, tokens, n) for n in (24, 31))
    assert torch.equal(mask, longer_mask[:, :24]) and not longer_mask[:, 24:].any()
    for row, run in enumerate(runs):
        answer = tokens.decode(ids[row][mask[row]])
        assert answer == f" {run[1].lower()}{END}"
    torch.manual_seed(0)
    model = build()
    with torch.no_grad():
        one, other = (float(answer_loss(model, batch)) for batch in ((ids, mask), (longer, longer_mask)))
        said = torch.tensor([templated(runs[0], tokens)])
        first = said[0].tolist().index(tokens.special[ASSISTANT])
        wanted = -float(token_log_probs(model, said)[0, first:].mean())
        alone = float(answer_loss(model, demonstrations(runs[:1], tokens, 24)))
    assert abs(one - other) < 1e-5 and abs(alone - wanted) < 1e-4
