"""GPT-2 as published: equal to transformers in logits and gradients, causal, and the same with a cache."""

import json
import math
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F
from transformers import GPT2Config, GPT2LMHeadModel

from companion.nn.kv_cache import KVCache
from companion.text.gpt import GPT, GPTConfig
from companion.training.optimization import decay_groups
from tests.conftest import rejects
from tests.published import published

SIZES = {"vocab_size": 23, "n_positions": 11, "n_embd": 12, "n_layer": 2, "n_head": 3}
IDS = torch.randint(23, (2, 7), generator=torch.Generator().manual_seed(0))


@pytest.fixture(name="published")
def published_gpt2(tmp_path: Path) -> tuple[GPT2LMHeadModel, Path]:
    """A GPT-2 by transformers with random weights of every kind, and the folder that it was saved to."""
    config = GPT2Config(**SIZES, bos_token_id=0, eos_token_id=0, layer_norm_epsilon=1e-4)
    return published(GPT2LMHeadModel(config), tmp_path), tmp_path


def test_reads_the_published_format_and_gives_the_same_logits(published: tuple[GPT2LMHeadModel, Path]) -> None:
    theirs, folder = published
    ours = GPT.from_pretrained(folder)
    assert not ours.training
    torch.testing.assert_close(ours(IDS), theirs(IDS).logits, rtol=0, atol=1e-5)
    padded = torch.ones(2, 7, dtype=torch.bool)
    padded[0, 5:] = False
    expected = theirs(IDS, attention_mask=padded.long(), position_ids=torch.arange(7)[None].expand(2, 7)).logits
    got = ours(IDS, attention_mask=padded)
    torch.testing.assert_close(got[padded], expected[padded], rtol=0, atol=1e-5)


def test_reads_the_names_without_prefix_of_the_first_release(
    published: tuple[GPT2LMHeadModel, Path], tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    theirs, folder = published
    expected = GPT.from_pretrained(folder)(IDS)
    stored = load_file(folder / "model.safetensors")
    bare = {name.removeprefix("transformer."): tensor for name, tensor in stored.items()}
    bare["h.0.attn.bias"] = torch.ones(1, 1, 11, 11)  # the causal mask lies in the first files, as a buffer
    save_file(bare, folder / "model.safetensors")
    torch.testing.assert_close(GPT.from_pretrained(folder)(IDS), expected)


def test_gradients_agree(published: tuple[GPT2LMHeadModel, Path]) -> None:
    theirs, folder = published
    ours = GPT.from_pretrained(folder)
    F.cross_entropy(ours(IDS[:, :-1]).flatten(0, 1), IDS[:, 1:].flatten()).backward()
    theirs(IDS, labels=IDS).loss.backward()
    torch.testing.assert_close(
        ours.tokens.weight.grad, theirs.transformer.wte.weight.grad, rtol=0, atol=1e-5
    )  # through the input and the output
    qkv = theirs.transformer.h[1].attn.c_attn.weight.grad.T
    mine = torch.cat([getattr(ours.blocks[1].attention, name).weight.grad for name in "qkv"])
    torch.testing.assert_close(mine, qkv, rtol=0, atol=1e-5)


def test_as_many_parameters_as_the_published_small_model() -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in GPT(GPTConfig()).parameters()) == 124_439_808


def test_the_future_cannot_be_seen() -> None:
    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=23, context=11, width=12, layers=2, heads=3)).eval()
    changed = IDS.clone()
    changed[:, 4] = (changed[:, 4] + 1) % 23
    before, after = model(IDS), model(changed)
    assert torch.equal(before[:, :4], after[:, :4])
    assert (before[:, 4:] != after[:, 4:]).any(-1).all()


def test_one_example_does_not_change_another_I18() -> None:
    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=23, context=11, width=12, layers=2, heads=3)).eval()
    changed = IDS.clone()
    changed[1] = (changed[1] + 1) % 23
    assert torch.equal(model(IDS)[0], model(changed)[0])


@pytest.mark.parametrize("chunks", [(7,), (1,) * 7, (3, 1, 3), (2, 4, 1)])
def test_with_a_cache_the_logits_are_the_same(chunks: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=23, context=11, width=12, layers=2, heads=3)).eval()
    caches, got = model.new_state(2), []
    with torch.no_grad():
        for part in IDS.split(list(chunks), dim=1):
            got.append(model(part, caches))
        torch.testing.assert_close(torch.cat(got, 1), model(IDS), rtol=0, atol=1e-6)


def test_starts_at_ln_v_and_with_scaled_writers() -> None:
    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=65, context=16, width=64, layers=8, heads=4))
    ids = torch.randint(65, (8, 16))
    loss = F.cross_entropy(model(ids).detach().flatten(0, 1), ids.roll(-1, 1).flatten())
    assert abs(float(loss) - math.log(65)) < 0.1
    assert abs(float(model.blocks[3].mlp.narrow.weight.detach().std()) - 0.02 / 4) < 5e-4
    assert abs(float(model.blocks[3].mlp.widen.weight.detach().std()) - 0.02) < 1e-3
    wider = GPT(GPTConfig(vocab_size=50, context=8, width=64, layers=8, heads=4, init_std=0.3)).blocks[3].mlp
    assert abs(float(wider.widen.weight.detach().std()) - 0.3) < 0.015
    assert abs(float(wider.narrow.weight.detach().std()) - 0.3 / 4) < 0.005


def test_dropout_acts_in_training_only() -> None:
    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=23, context=11, width=12, layers=2, heads=3, dropout=0.5))
    assert not torch.equal(model.train()(IDS), model(IDS))
    assert torch.equal(model.eval()(IDS), model(IDS))


def test_the_tied_table_decays_once_and_no_gain_or_bias_does_I41() -> None:
    model = GPT(GPTConfig(vocab_size=23, context=11, width=12, layers=2, heads=3))
    groups = decay_groups(model, 0.1)
    parameters = [p for group in groups for p in group["params"]]
    assert len(parameters) == len({id(p) for p in parameters}) == len([*model.parameters()])
    for group in groups:
        if group["weight_decay"]:
            assert all(p.ndim >= 2 for p in group["params"])


def test_bad_input(published: tuple[GPT2LMHeadModel, Path]) -> None:
    _, folder = published
    model = GPT.from_pretrained(folder)
    with rejects("position 12"):
        model(torch.zeros(1, 12, dtype=torch.int64))
    with rejects("0 to 22"):
        model(torch.tensor([[23]]))
    with rejects("a state"):
        model(IDS, [KVCache()])
    with rejects("layers"):
        GPTConfig(layers=0)
    with rejects("divisor"):
        GPT(GPTConfig(vocab_size=5, context=4, width=10, layers=1, heads=3))
    about = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**about, "n_layer": 3}))
    with rejects("missing: h.2.attn.c_attn.bias"):
        GPT.from_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({**about, "activation_function": "relu"}))
    with rejects("gelu_new"):
        GPT.from_pretrained(folder)
    with pytest.raises(FileNotFoundError):
        GPT.from_pretrained(folder / "nowhere")
