"""Ratings: the fit against scikit-learn, pairs by hand, and that readings do not depend on the batch."""

import pytest
import torch
from sklearn.linear_model import LogisticRegression

from companion.data.chats import Chat
from companion.models.chat_small import build, tokenizer
from companion.text.chat.ratings import fit_reward, lengths, pair_scores, readings, stars
from companion.training.random import randint
from tests.conftest import gen, rejects

TALKS = [
    Chat(("hello there", "hi", "well"), (9, 10, 8)),
    Chat(("so?", "no way you did that"), (1, 2, 6)),
    Chat(("ok",), (5, 5, 6)),
]


def test_fit_is_logistic_regression_without_an_intercept() -> None:
    features, rating = torch.randn(60, 3, generator=gen(0)), torch.randint(1, 6, (60,), generator=gen(1)).float()
    found = fit_reward(features, rating, gen(2), alpha=0.05, pairs=900)
    x, y = randint(60, (2, 900), gen(2))
    keep = rating[x] != rating[y]
    difference, higher = (features[x] - features[y])[keep].numpy(), (rating[x] > rating[y])[keep].numpy()
    theirs = LogisticRegression(C=1 / (0.05 * len(higher)), fit_intercept=False, tol=1e-9).fit(difference, higher)
    torch.testing.assert_close(found, torch.tensor(theirs.coef_[0]).float(), atol=1e-4, rtol=1e-3)


def test_pairs_by_hand() -> None:
    found = pair_scores(torch.tensor([1.0, 0.0, 0.0, 2.0]), torch.tensor([3.0, 1.0, 2.0, 1.0]))
    sigma = torch.tensor([1.0, 1.0, -1.0, 0.0, -2.0]).sigmoid()  # 0 over 1, 2, 3; 2 over 1, 3
    torch.testing.assert_close(found[:, 0], torch.tensor([1.0, 1.0, 0.0, 0.5, 0.0]))
    torch.testing.assert_close(found[:, 1], (1 - sigma).square())


def test_features() -> None:
    torch.testing.assert_close(stars(TALKS), torch.tensor([9.0, 3.0, 16 / 3]))
    torch.testing.assert_close(lengths(TALKS).exp(), torch.tensor([[4.0, 3.0], [6.0, 2.0], [1.0, 1.0]]))


def test_readings_of_one_do_not_depend_on_the_others() -> None:
    torch.manual_seed(0)
    model, tokens = build(), tokenizer()
    together = readings(model, tokens, TALKS, 5)
    alone = torch.cat([readings(model, tokens, [talk], 5) for talk in TALKS])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    ids = torch.tensor([tokens.encode("so?\nno way you did that")[-5:]])
    states = []
    model.norm.register_forward_hook(lambda module, given, out: states.append(out))
    with torch.no_grad():
        model(ids)
    torch.testing.assert_close(together[1], states[0][0].mean(0), atol=1e-5, rtol=0)
    assert float(together.std(0).mean()) == pytest.approx(float(alone.std(0).mean()))


def test_bad_input() -> None:
    features, equal = torch.randn(4, 2, generator=gen()), torch.ones(4)
    rating = torch.tensor([1.0, 2.0, 3.0, 1.0])
    with rejects("rating"):
        stars([*TALKS, Chat(("a", "b"), None)])
    with rejects("equal ratings"):
        fit_reward(features, equal, gen(), alpha=1.0)
    with rejects("equal ratings"):
        pair_scores(features[:, 0], equal)
    with rejects("finite"):
        fit_reward(features, rating / 0, gen(), alpha=1.0)
    with rejects("finite"):
        fit_reward(features / 0, rating, gen(), alpha=1.0)
