"""The published recipe and the tuned one, and the race: its steps are those of the one training loop."""

from dataclasses import replace

import pytest
import torch

from companion.language.scoring import next_token_loss, passages
from companion.text.gpt.pretraining import NANOGPT, TUNED, PretrainingRecipe, race
from companion.training import train

VOCAB = 11
TEXT = torch.randint(VOCAB, (3_000,), generator=torch.Generator().manual_seed(0))


def test_the_published_recipe() -> None:
    """nanoGPT's README and config/train_shakespeare_char.py: what they fix, number by number."""
    config, model = NANOGPT.config, NANOGPT.build(65).config
    assert (model.layers, model.heads, model.width, model.context, model.dropout) == (4, 4, 128, 64, 0)
    assert (config.steps, config.batch_size, config.betas, config.clip, config.weight_decay) == (
        2_000,
        12,
        (0.9, 0.99),
        1,
        0.1,
    )
    assert config.lr_at(99) == pytest.approx(1e-3)
    assert config.lr_at(1_999) == pytest.approx(1e-4)
    assert config.ema is None


def test_the_tuned_recipe_reads_as_much_text_with_the_same_model() -> None:
    plain, tuned = NANOGPT.build(65).config, TUNED.build(65).config
    assert replace(plain, init_std=tuned.init_std) == tuned
    assert tuned.init_std == pytest.approx(128**-0.5)
    shared = ("steps", "batch_size", "betas", "clip")
    assert [getattr(NANOGPT.config, name) for name in shared] == [getattr(TUNED.config, name) for name in shared]
    assert TUNED.config.lr_at(299) == pytest.approx(3 * NANOGPT.config.lr_at(99))


def test_a_race_takes_the_steps_of_the_training_loop() -> None:
    recipe = replace(TUNED, config=replace(TUNED.config, steps=5, batch_size=3))
    other = replace(NANOGPT, config=replace(NANOGPT.config, steps=3, batch_size=4))
    runs = race([recipe, other], TEXT, TEXT[:200], VOCAB, seed=4, judgements=2)
    torch.manual_seed(4)
    model = recipe.build(VOCAB)
    drawn = passages(TEXT, model.config.context + 1)
    alone = train(model, next_token_loss, drawn, replace(recipe.config, seed=4))
    assert runs[0].loss == alone.history.loss
    assert (len(runs[0].loss), len(runs[1].loss)) == (5, 3)
    for ours, wanted in zip(runs[0].model.parameters(), alone.model.parameters(), strict=True):
        assert torch.equal(ours, wanted)


def test_a_race_trains_on_the_recipes_own_loss() -> None:
    recipe = replace(NANOGPT, config=replace(NANOGPT.config, steps=2, batch_size=2))
    thrice = replace(recipe, loss=lambda model, batch, generator: 3 * next_token_loss(model, batch))
    one, two = race([recipe, thrice], TEXT, TEXT[:100], VOCAB)
    assert two.loss[0] == pytest.approx(3 * one.loss[0], rel=1e-6)


def test_a_race_is_by_turns_and_judges_at_equal_parts() -> None:
    seen = []
    short = [replace(r, config=replace(r.config, steps=40, batch_size=2)) for r in (NANOGPT, TUNED)]
    short[1] = replace(short[1], config=replace(short[1].config, steps=20))
    runs = race(
        short,
        TEXT,
        TEXT[:100],
        VOCAB,
        share=0.2,
        judgements=2,
        watch=lambda runs: seen.append([len(r.loss) for r in runs]),
    )
    assert seen == [[4, 2], [8, 4]]
    assert [run.evaluated_at for run in runs] == [[4, 8], [2, 4]]
    for run in runs:
        assert len(run.valid) == 2
        assert run.seconds == sorted(run.seconds)
        assert not run.model.training


def test_the_next_step_is_always_of_the_recipe_that_is_furthest_behind() -> None:
    """A slow minute hits both alike only so: the shares of their steps done never differ by more than one step's."""
    order: list[int] = []

    def watched(recipe: PretrainingRecipe, number: int, steps: int) -> PretrainingRecipe:
        def build(vocab_size: int) -> torch.nn.Module:
            model = recipe.build(vocab_size)
            model.register_forward_pre_hook(lambda model, _: order.append(number) if model.training else None)
            return model

        return replace(recipe, build=build, config=replace(recipe.config, steps=steps, batch_size=2))

    race([watched(NANOGPT, 0, 6), watched(TUNED, 1, 3)], TEXT, TEXT[:100], VOCAB)
    assert order == [0, 1, 0, 0, 1, 0, 0, 1, 0]


def test_the_smallest_share_is_one_step() -> None:
    recipe = replace(NANOGPT, config=replace(NANOGPT.config, batch_size=2))
    (run,) = race([recipe], TEXT, TEXT[:100], VOCAB, share=1e-9, judgements=1)
    assert len(run.loss) == 1


def test_what_cannot_be_run_is_refused() -> None:
    with pytest.raises(ValueError, match="share"):
        race([NANOGPT], TEXT, TEXT, VOCAB, share=0.0)
    with pytest.raises(ValueError, match="steps of each recipe"):
        race([NANOGPT], TEXT, TEXT, VOCAB, share=0.0005, judgements=3)
