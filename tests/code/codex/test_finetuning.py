"""The objective on completions: which tokens count, what padding may not change, and that little training is enough."""

import pytest
import torch
from torch.nn import functional as F

from companion.code.chains import chain_tasks
from companion.code.codex.fim import END, Cut, question
from companion.code.codex.finetuning import NO_TARGET, completion_loss, examples, given_text, middles
from companion.models.codex import load, tokenizer
from companion.text.llama import Llama, LlamaConfig
from companion.training import TrainConfig, evaluating, train
from tests.conftest import rejects


@pytest.fixture
def tiny() -> Llama:
    torch.manual_seed(0)
    return Llama(
        LlamaConfig(tokenizer().vocab_size, context=160, width=16, layers=2, heads=2, kv_heads=1, hidden=24)
    ).eval()


def test_the_targets_are_the_solution_and_its_end_shifted_by_one() -> None:
    bpe, tasks = tokenizer(), chain_tasks("train", 7, 3)
    ids, targets = examples(tasks, bpe)
    for task, row, wanted in zip(tasks, ids.tolist(), targets.tolist(), strict=True):
        asked = [t for t, token in enumerate(wanted) if token != NO_TARGET]
        assert asked == list(range(asked[0], asked[-1] + 1)), "one run of tokens"
        assert [row[t + 1] for t in asked[:-1]] == [wanted[t] for t in asked[:-1]], "I33: the next token, shifted once"
        assert bpe.decode(row[: asked[0] + 1]) == given_text(task)
        assert bpe.decode([wanted[t] for t in asked[:-1]]) == "\n" + task.solution
        assert wanted[asked[-1]] == bpe.special[END], "it learns to stop"


def test_prompt_and_solution_are_the_tokens_of_the_whole_text() -> None:
    """A prompt cut inside a token would be read as text that the model never saw."""
    bpe, [task] = tokenizer(), chain_tasks("train", 1, 5, lengths=(3,))
    ids, _ = examples([task], bpe)
    assert ids[0].tolist() == [*bpe.encode(task.prompt + task.solution), bpe.special[END]]
    assert bpe.encode(task.prompt) + bpe.encode(task.solution) != bpe.encode(task.prompt + task.solution)


def test_the_loss_is_the_mean_over_the_solutions_tokens_written_out(tiny: Llama) -> None:
    ids, targets = examples(chain_tasks("train", 3, 1), tokenizer())
    with torch.no_grad():
        log_probs = tiny(ids).log_softmax(-1)
        terms = [
            -log_probs[i, t, token]
            for i, row in enumerate(targets.tolist())
            for t, token in enumerate(row)
            if token >= 0
        ]
        assert torch.allclose(completion_loss(tiny, (ids, targets)).mean(), torch.stack(terms).mean(), atol=1e-5)


def test_padding_leaves_the_loss_unchanged(tiny: Llama) -> None:
    """I34: padding counted in the loss."""
    ids, targets = examples(chain_tasks("train", 3, 2), tokenizer())
    more = F.pad(ids, (0, 9), value=3), F.pad(targets, (0, 9), value=NO_TARGET)
    with torch.no_grad():
        assert torch.allclose(
            completion_loss(tiny, (ids, targets)).mean(), completion_loss(tiny, more).mean(), atol=1e-6
        )


def test_what_stands_in_the_prompt_counts_and_is_not_asked(tiny: Llama) -> None:
    ids, targets = examples(chain_tasks("train", 2, 4), tokenizer())
    changed = ids.clone()
    changed[:, 2] = 40
    with torch.no_grad():
        before, after = (completion_loss(tiny, (given, targets)).mean() for given in (ids, changed))
    assert not torch.allclose(before, after)
    with rejects("no target"):
        completion_loss(tiny, (ids, torch.full_like(targets, NO_TARGET))).mean()
    with rejects("tasks"):
        examples([], tokenizer())


def test_a_few_steps_take_more_than_half_of_the_loss_of_unseen_chains() -> None:
    model, bpe = load()
    unseen = examples(chain_tasks("test", 24, 9, lengths=(2,)), bpe)
    with evaluating(model):
        before = float(completion_loss(model, unseen))
    data = examples(chain_tasks("train", 400, 0, lengths=(1, 2)), bpe)
    tuned = train(model, completion_loss, data, TrainConfig(steps=14, batch_size=8, lr=2e-3, seed=0)).model
    with evaluating(tuned):
        assert float(completion_loss(tuned, unseen)) < 0.5 * before


def test_of_a_cut_text_the_middle_and_its_end_are_asked() -> None:
    bpe, parts = tokenizer(), [Cut("def f(x):\n    ret", "urn x", " + 1\n"), Cut("", "import os\n", "")]
    ids, targets = middles(parts, bpe)
    for one, row, wanted in zip(parts, ids.tolist(), targets.tolist(), strict=True):
        asked = [t for t, token in enumerate(wanted) if token != NO_TARGET]
        assert row[: asked[0] + 1] == question(bpe, one.prefix, one.suffix)
        assert [wanted[t] for t in asked] == [*bpe.encode(one.middle), bpe.special[END]]
    with rejects("parts"):
        middles([], bpe)


def test_what_is_no_target_is_what_cross_entropy_passes_over() -> None:
    assert NO_TARGET == torch.nn.CrossEntropyLoss().ignore_index
