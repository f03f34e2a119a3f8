"""Writing token by token: the same tokens as transformers, with and without the cache, of the right length."""

import torch
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel

from companion.language.generation import choose, generate
from companion.text.gpt import GPT, GPTConfig
from tests.conftest import rejects

IDS = torch.randint(23, (3, 4), generator=torch.Generator().manual_seed(0))


def gpt(context: int = 40) -> GPT:
    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=23, context=context, width=12, layers=2, heads=3))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.4)
    return model


def test_greedy_equals_transformers(tmp_path) -> None:
    torch.manual_seed(0)
    theirs = GPT2LMHeadModel(
        GPT2Config(vocab_size=23, n_positions=40, n_embd=12, n_layer=2, n_head=3, bos_token_id=0, eos_token_id=0)
    )
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.4)
    theirs.save_pretrained(tmp_path)
    ones = torch.ones_like(IDS)
    expected = theirs.eval().generate(
        IDS, attention_mask=ones, max_new_tokens=30, min_new_tokens=30, do_sample=False, pad_token_id=0,
        suppress_tokens=[0],
    )  # fmt: skip

    def never_zero(ids: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        return logits.index_fill(1, torch.tensor([0]), -torch.inf)

    got = generate(GPT.from_pretrained(tmp_path), IDS, 30, processors=[never_zero])
    assert torch.equal(got, expected)


def test_the_cache_changes_nothing_also_where_the_context_is_outgrown() -> None:
    model = gpt(context=9).eval()
    ids = IDS
    kept = 0  # how the older half is forgotten, followed without a cache
    for _ in range(20):
        if ids.shape[1] - kept > 9:
            kept = ids.shape[1] - 5
        ids = torch.cat([ids, model(ids[:, kept:])[:, -1].argmax(-1, keepdim=True)], 1)
    assert torch.equal(generate(model, IDS, 20), ids)


def test_as_many_tokens_as_asked_for_and_the_prompt_is_kept_I39() -> None:
    for n in (0, 1, 6):
        out = generate(gpt(), IDS, n, generator=torch.Generator().manual_seed(0))
        assert out.shape == (3, 4 + n)
        assert torch.equal(out[:, :4], IDS)


def test_tokens_are_drawn_with_their_probabilities() -> None:
    model = gpt().eval()
    prompt = IDS[:1].expand(20_000, -1)
    drawn = generate(model, prompt, 1, generator=torch.Generator().manual_seed(1))[:, -1]
    p = model(IDS[:1])[0, -1].softmax(-1)
    share = torch.bincount(drawn, minlength=23) / len(drawn)
    assert (share - p).abs().max() < 4 * (p * (1 - p) / len(drawn)).sqrt().max()


def test_processors_see_the_text_so_far_and_act_in_order() -> None:
    seen = []

    def first(ids: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        seen.append(ids.shape[1])
        return torch.zeros_like(logits)

    def second(ids: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        assert not logits.any()
        return logits.index_fill(1, torch.tensor([7]), 1.0)

    assert (generate(gpt(), IDS, 3, processors=[first, second])[:, 4:] == 7).all()
    assert seen == [4, 5, 6]


def test_a_stopped_row_is_filled_up_and_the_others_go_on() -> None:
    def plan(ids: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        step = ids.shape[1] - 4
        wanted = torch.tensor([5 if step >= 1 else 2, 5 if step >= 3 else 2, 5 if step >= 3 else 2])
        return nn.functional.one_hot(torch.where(torch.tensor([step > 1, False, False]), 2, wanted), 23).float()

    out = generate(gpt(), IDS, 10, processors=[plan], stop_token=5)
    assert out[:, 4:].tolist() == [[2, 5, 5, 5], [2, 2, 2, 5], [2, 2, 2, 5]]


def test_repeatable_and_leaves_the_mode_I27() -> None:
    model = GPT(GPTConfig(vocab_size=23, context=40, width=12, layers=2, heads=3, dropout=0.5)).train()
    once, again = generate(model, IDS, 8), generate(model, IDS, 8)
    assert torch.equal(once, again)
    assert model.training
    assert not once.requires_grad


def test_the_likeliest_without_a_generator() -> None:
    assert choose(torch.tensor([[0.0, 2.0, 1.0], [3.0, 0.0, 1.0]])).tolist() == [1, 0]


def test_bad_input() -> None:
    with rejects("input_ids"):
        generate(gpt(), IDS[:, :0], 3)
    with rejects("new_tokens"):
        generate(gpt(), IDS, -1)
