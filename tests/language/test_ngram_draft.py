"""The table as a draft: Witten and Bell's formula, a law at every place, cached as uncached, exact when it speculates."""

import pytest
import torch

from companion.language.generation import empty_caches, generate
from companion.language.ngram_draft import NGramConfig, NGramDraft
from companion.language.scoring import next_token_loss
from companion.language.speculative import speculate
from companion.text.llama import Llama, LlamaConfig
from tests.conftest import rejects

TEXT = torch.tensor([0, 1, 2, 0, 1, 3, 0, 1, 2, 4])
SIZE = 6


def draft(look_back: int = 2) -> NGramDraft:
    return NGramDraft(TEXT, NGramConfig(SIZE, look_back=look_back))


def by_hand(past: list[int], look_back: int) -> list[float]:
    """eq-realtime-table, counted in Python."""
    text = TEXT.tolist()
    q = [(text.count(x) + 1) / (len(text) + SIZE) for x in range(SIZE)]
    for m in range(1, min(look_back, len(past)) + 1):
        after = [text[i + m] for i in range(len(text) - m) if text[i : i + m] == past[-m:]]
        if after:
            n, k = len(after), len(set(after))
            q = [(after.count(x) + k * q[x]) / (n + k) for x in range(SIZE)]
    return q


@pytest.mark.parametrize("look_back", [1, 2, 3])
@pytest.mark.parametrize("past", [[0, 1], [2], [5], [1, 5], [5, 1], [2, 0, 1], [0, 1, 2, 4]])
def test_the_shares_are_those_counted_by_hand(look_back: int, past: list[int]) -> None:
    q = draft(look_back).probabilities(past)
    torch.testing.assert_close(q, torch.tensor(by_hand(past, look_back)), rtol=0, atol=1e-6)
    assert q.sum().item() == pytest.approx(1, abs=1e-6)
    assert (q > 0).all()


def test_with_a_cache_token_by_token_as_all_at_once_I22() -> None:
    model, ids = draft(), torch.tensor([[3, 0, 1, 2, 0], [5, 5, 0, 1, 1]])
    whole, caches = model(ids), empty_caches(model)
    steps = torch.cat([model(ids[:, i : i + 1], caches) for i in range(5)], 1)
    assert torch.equal(whole, steps)
    caches[0].truncate(2)
    assert torch.equal(model(ids[:, 2:4], caches), whole[:, 2:4])  # rolled back as after a refusal


def test_the_future_and_other_rows_do_not_matter() -> None:
    model = draft()
    one, other = torch.tensor([[3, 0, 1, 2], [0, 0, 0, 0]]), torch.tensor([[3, 0, 1, 5], [4, 4, 4, 4]])
    assert torch.equal(model(one)[0, :3], model(other)[0, :3])
    assert not torch.equal(model(one)[0, 3], model(other)[0, 3])


def test_it_learns_a_text_better_than_counts_of_single_tokens() -> None:
    generator = torch.Generator().manual_seed(0)
    chain = torch.rand(8, 8, generator=generator).pow(6) + 1e-3
    ids = [0]
    for _ in range(4000):
        ids.append(int(torch.multinomial(chain[ids[-1]], 1, generator=generator)))
    text = torch.tensor(ids)
    one, two = (NGramDraft(text[:3000], NGramConfig(8, look_back=m)) for m in (1, 2))
    shares = torch.bincount(text[:3000], minlength=8) / 3000
    unigram = -float(shares[text[3001:]].log().mean())
    law = chain / chain.sum(1, keepdim=True)
    best = -float(law[text[3000:-1], text[3001:]].log().mean())
    nats = [float(next_token_loss(model, (text[None, 3000:],))) for model in (one, two)]
    assert best < nats[0] + 0.02 < best + 0.1 < unigram
    assert nats[1] < best + 0.25  # nothing to gain from more than one token here


def test_as_a_draft_it_leaves_the_text_as_it_is() -> None:
    torch.manual_seed(3)
    target = Llama(LlamaConfig(SIZE, 40, 12, 2, heads=3, kv_heads=1, hidden=16))
    for parameter in target.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    prompt = torch.tensor([[1, 0]])
    own = generate(target, prompt, 30)
    seen = NGramDraft(own[0], NGramConfig(SIZE))
    for model in (draft(), seen):
        run = speculate(target, model, prompt, 30, lookahead=3)
        assert torch.equal(run.ids, own)
    assert run.kept > 10  # a table of the target's own text is often right


def test_bad_input() -> None:
    with rejects("ids"):
        NGramDraft(TEXT, NGramConfig(3))
    with rejects("look_back"):
        NGramDraft(TEXT[:2], NGramConfig(SIZE, look_back=2))
    with rejects("look_back"):
        NGramConfig(SIZE, look_back=5)
    with rejects("layers"):
        NGramConfig(SIZE, layers=2)
