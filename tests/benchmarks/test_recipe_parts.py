"""The ensembles with which parts of a recipe are compared train their plain member as the course trains a model."""

from dataclasses import replace

import pytest
import torch

from companion.text.gpt.pretraining import CONTEXT
from companion.text.modern_block import MODERN
from companion.training.optimization import Updater
from tests.benchmarks.recipe_parts import LAYERS, PLAIN, VARIANTS, Ensemble, Parts, Trainer, orthogonal

VOCAB = 40
TEXT = torch.randint(VOCAB, (5_000,), generator=torch.Generator().manual_seed(5))
NAMES = {
    "tokens": "tokens", "norm": "norm", "norm1.*": "blocks.*.attention_norm", "norm2.*": "blocks.*.mlp_norm",
    "q.*": "blocks.*.attention.q", "k.*": "blocks.*.attention.k", "v.*": "blocks.*.attention.v",
    "gate.*": "blocks.*.attention.gate", "out.*": "blocks.*.attention.out", "up.*": "blocks.*.mlp.up",
    "opens.*": "blocks.*.mlp.gate", "down.*": "blocks.*.mlp.down",
}  # fmt: skip


def test_two_plain_members_train_as_two_models_of_the_course() -> None:
    parts = replace(PLAIN, steps=4, lrs=(1e-3, 4e-3))
    trainer = Trainer(Ensemble(parts, (0,), VOCAB, "cpu"), TEXT)
    models = []
    for member in range(2):
        model = MODERN.build(VOCAB)
        with torch.no_grad():
            for ours, theirs in NAMES.items():
                for layer in map(str, range(LAYERS if "*" in ours else 1)):
                    weight = trainer.models.p[ours.replace("*", layer)][member].detach()
                    own = model.get_submodule(theirs.replace("*", layer)).weight
                    own.copy_(weight.flatten() if own.ndim == 1 else weight if ours == "tokens" else weight.T)
        models.append(model.train())
    updaters = [
        Updater(model, replace(MODERN.config, steps=4, lr=lr)) for model, lr in zip(models, parts.lrs, strict=True)
    ]
    for step in range(4):
        trainer.step()
        for member, updater in enumerate(updaters):
            starts = trainer.starts[step, member]
            ids = TEXT[starts[:, None] + torch.arange(CONTEXT + 1)]
            logits = updater.model(ids[:, :-1])
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
            loss.backward()
            updater.step()
            assert float(trainer.losses[member]) == pytest.approx(loss.item(), abs=2e-4), (step, member)
    assert trainer.losses[0] != trainer.losses[1]


def losses(parts: Parts) -> torch.Tensor:
    """On a text that counts, before and after three steps."""
    text = torch.arange(1_000) % VOCAB
    trainer = Trainer(Ensemble(replace(parts, steps=4, lrs=(3e-3,)), (0,), VOCAB, "cpu"), text)
    before = trainer.judged(text[:130])
    for _ in range(3):
        trainer.step()
    return torch.tensor([before, trainer.judged(text[:130])])


@pytest.fixture(scope="module")
def plain() -> torch.Tensor:
    return losses(PLAIN)


@pytest.mark.parametrize("name", VARIANTS)
def test_each_variant_learns_and_differs_from_the_plain_one(name: str, plain: torch.Tensor) -> None:
    found = losses(VARIANTS[name])
    assert found[1] < found[0]
    only_longer = replace(VARIANTS[name], steps=PLAIN.steps) == PLAIN
    assert torch.equal(found, plain) == only_longer


@pytest.mark.parametrize(("iterations", "least", "most"), [(3, 0.1, 2.0), (5, 0.6, 1.3)])
def test_singular_values_come_nearer_to_one(iterations: int, least: float, most: float) -> None:
    g = torch.randn(2, 24, 60, generator=torch.Generator().manual_seed(1))
    values = torch.linalg.svdvals(orthogonal(g, iterations))
    assert least < values.min() and values.max() < most
    assert torch.equal(orthogonal(g, iterations), orthogonal(g.transpose(1, 2), iterations).transpose(1, 2))
