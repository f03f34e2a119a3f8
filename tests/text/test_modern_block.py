"""Today's block against GPT-2's: equal chances for both, and gates that can be read off."""

import pytest
import torch

from companion.text.gpt.pretraining import NANOGPT, TUNED
from companion.text.llama import Llama, LlamaConfig
from companion.text.modern_block import MODERN, UNTUNED, llama, openings
from tests.conftest import rejects

SIZES = {"width": 24, "layers": 3, "heads": 4, "kv_heads": 2, "hidden": 40}
IDS = torch.randint(31, (2, 7), generator=torch.Generator().manual_seed(0))


def small(gated: bool = True) -> Llama:
    torch.manual_seed(0)
    return Llama(LlamaConfig(31, context=16, **SIZES, gated_attention=gated)).train()


def test_it_has_no_more_parameters_and_reads_no_more_text() -> None:
    sizes = {recipe.name: sum(p.numel() for p in recipe.build(65).parameters()) for recipe in (NANOGPT, MODERN)}
    assert sizes == {NANOGPT.name: 809_856, MODERN.name: 804_096}
    read = {
        recipe.name: recipe.config.steps * recipe.config.batch_size * recipe.build(65).config.context
        for recipe in (NANOGPT, TUNED, MODERN)
    }
    assert max(read.values()) == read[NANOGPT.name] == read[TUNED.name] == 1_536_000


def test_the_control_differs_by_the_block_and_the_steps_alone() -> None:
    ours, control = MODERN.build(65).config, TUNED.build(65).config
    differ = {name for name in vars(TUNED.config) if getattr(MODERN.config, name) != getattr(TUNED.config, name)}
    assert differ == {"steps"}
    shared = ("vocab_size", "context", "width", "layers", "heads", "init_std")
    assert [getattr(ours, name) for name in shared] == [getattr(control, name) for name in shared]


def test_each_of_the_four_runs_differs_from_its_neighbours_in_one_thing() -> None:
    """Down a column of the table the block changes, along a row the recipe: start, learning rates and decay."""

    def differ(one: object, other: object) -> set[str]:
        return {name for name in vars(one) if getattr(one, name) != getattr(other, name)}

    assert differ(UNTUNED.config, NANOGPT.config) == {"steps"} and UNTUNED.config.steps == MODERN.config.steps
    assert differ(UNTUNED.config, MODERN.config) == differ(NANOGPT.config, TUNED.config)
    assert differ(UNTUNED.build(65).config, MODERN.build(65).config) == {"init_std"}
    assert UNTUNED.build(65).config.init_std == NANOGPT.build(65).config.init_std


def test_openings_are_the_gates_that_the_blocks_use() -> None:
    model, streams = small(), []
    for block in model.blocks:
        block.attention.register_forward_pre_hook(lambda module, inputs: streams.append(inputs[0]))
    got = openings(model, IDS)
    wanted = [block.attention.gate(n).sigmoid() for block, n in zip(model.blocks, streams, strict=True)]
    torch.testing.assert_close(got, torch.stack(wanted).detach())
    assert got.shape == (3, 2, 7, 24)
    assert model.training and not got.requires_grad
    assert not any(block.attention.gate._forward_hooks for block in model.blocks)


def test_gates_without_weights_are_half_open_and_halve_what_attention_adds() -> None:
    model, x = small().eval(), torch.randn(2, 7, 24)
    attention = model.blocks[1].attention
    for block in model.blocks:
        torch.nn.init.zeros_(block.attention.gate.weight)
    assert torch.equal(openings(model, IDS), torch.full((3, 2, 7, 24), 0.5))
    half = attention(x, causal=True)
    attention.gate = None
    torch.testing.assert_close(half, attention(x, causal=True) / 2)


def test_attention_without_gates_is_refused() -> None:
    with rejects("model: got attention without gates"):
        openings(small(gated=False), IDS)


@pytest.mark.parametrize("vocab_size", [11, 65])
def test_the_model_knows_its_alphabet(vocab_size: int) -> None:
    assert llama(vocab_size)(torch.tensor([[0, vocab_size - 1]])).shape == (1, 2, vocab_size)
