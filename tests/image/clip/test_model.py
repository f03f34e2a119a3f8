"""CLIP as a whole: equal to transformers, and what the loss learns: point-wise mutual information, at most log N of it."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPModel

from companion.image.clip import Clip, ClipConfig, ClipTextConfig, ClipVisionConfig, clip_loss
from companion.image.clip.model import LARGEST_SCALE, Scale
from companion.training import TrainConfig, train
from companion.training.contrastive import info_nce_of_scores
from tests.conftest import gen, rejects
from tests.image.clip.test_towers import IDS, REAL
from tests.published import published

TEXT = {"hidden_size": 24, "intermediate_size": 20, "num_hidden_layers": 2, "num_attention_heads": 6, "vocab_size": 23,
        "max_position_embeddings": 11, "eos_token_id": 21, "pad_token_id": 1, "bos_token_id": 2}  # fmt: skip
VISION = {"hidden_size": 28, "intermediate_size": 18, "num_hidden_layers": 3, "num_attention_heads": 4, "image_size": 12,
          "patch_size": 4}  # fmt: skip
PICTURES = torch.randn(3, 3, 12, 12, generator=gen())


def published_clip(folder: Path, **more: object) -> CLIPModel:
    theirs = CLIPModel(CLIPConfig(text_config=TEXT, vision_config=VISION, projection_dim=10, **more))
    return published(theirs, folder)


def small(seed: int = 0) -> Clip:
    torch.manual_seed(seed)
    text = ClipTextConfig(23, 11, width=24, layers=1, heads=2, hidden=20, end_token=21)
    return Clip(ClipConfig(text, ClipVisionConfig(12, 4, width=20, layers=1, heads=2, hidden=16), shared=10))


def close(got: Tensor, want: Tensor) -> None:
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)


def test_reads_the_published_format_and_gives_the_same_scores_vectors_and_loss(tmp_path: Path) -> None:
    theirs = published_clip(tmp_path)
    ours = Clip.from_pretrained(tmp_path)
    some = PICTURES[:2]
    with torch.no_grad():
        want = theirs(IDS, some, attention_mask=REAL.long())
        close(ours(IDS, some, REAL), want.logits_per_image)
        close(ours(IDS, some, REAL).T, want.logits_per_text)
        close(ours.text_features(IDS, REAL), want.text_embeds)
        close(ours.image_features(some), want.image_embeds)
        loss = theirs(IDS, PICTURES, return_loss=True).loss
        close(clip_loss(ours, (PICTURES, IDS, torch.arange(3))), loss)
    assert not ours.training and abs(ours.scale().item() - 1) > 0.01


def test_gradients_agree(tmp_path: Path) -> None:
    theirs = published_clip(tmp_path)
    ours = Clip.from_pretrained(tmp_path).train()
    clip_loss(ours, (PICTURES, IDS, torch.arange(3))).backward()
    theirs(IDS, PICTURES, return_loss=True).loss.backward()
    for one, wanted in (
        (ours.scale.logit_scale, theirs.logit_scale),
        (ours.text.tokens.weight, theirs.text_model.embeddings.token_embedding.weight),
        (ours.vision.class_embedding, theirs.vision_model.embeddings.class_embedding),
        (ours.vision.patches.weight, theirs.vision_model.embeddings.patch_embedding.weight),
        (ours.text_map.weight, theirs.text_projection.weight),
        (ours.vision.blocks[1].attention.q.weight, theirs.vision_model.encoder.layers[1].self_attn.q_proj.weight),
    ):
        torch.testing.assert_close(one.grad, wanted.grad, rtol=1e-4, atol=1e-5)


def test_unknown_fields_and_other_kinds_are_refused(tmp_path: Path) -> None:
    published_clip(tmp_path)
    file = tmp_path / "config.json"
    whole = file.read_text()
    file.write_text(whole.replace('"model_type": "clip"', '"model_type": "siglip"'))
    with rejects("siglip"):
        Clip.from_pretrained(tmp_path)
    file.write_text(whole.replace('"projection_dim": 10', '"projection_dim": 10, "gating": true', 1))
    with rejects("gating"):
        Clip.from_pretrained(tmp_path)


def test_eq_clip_loss_as_printed_both_ways() -> None:
    """A loss of one direction alone is another number, and leaves the other direction unlearned."""
    model = small()
    got = clip_loss(model, (PICTURES, IDS, torch.arange(3)))
    s = model(IDS, PICTURES)
    rows, columns = (-sum(t[i].log_softmax(0)[i] for i in range(3)) / 3 for t in (s, s.T))
    torch.testing.assert_close(got, (rows + columns) / 2)
    assert (got - rows).abs() > 1e-3 and (got - columns).abs() > 1e-3


def test_vectors_have_length_one_so_a_score_is_the_scale_times_a_cosine() -> None:
    model = small()
    for vectors in (model.text_features(IDS), model.image_features(PICTURES)):
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))
    assert model.scale().item() == pytest.approx(1 / 0.07)
    assert model(IDS, PICTURES).abs().max() <= 1 / 0.07 + 1e-4


def test_the_scale_is_held_at_100_and_can_come_back() -> None:
    """Known mistakes: no bound; and a bound in the forward pass alone, beyond which the parameter gets no gradient."""
    model = small()
    nn.init.constant_(model.scale.logit_scale, math.log(1000))
    loss = clip_loss(model, (PICTURES, IDS, torch.arange(3)))
    assert model.scale().item() == pytest.approx(LARGEST_SCALE)
    loss.backward()
    assert model.scale.logit_scale.grad.abs() > 1e-2 and loss.isfinite()
    low = Scale(2.0)
    low.hold()
    assert low().item() == pytest.approx(2.0)


class Table(nn.Module):
    """A critic with a free score for each of n × m kinds of pairs."""

    def __init__(self, n: int, m: int) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.zeros(n, m, dtype=torch.float64))


JOINT = torch.tensor([[0.30, 0.02, 0.08], [0.05, 0.25, 0.02], [0.03, 0.05, 0.20]], dtype=torch.float64)


def expected_loss(scores: Tensor, batch: int) -> Tensor:
    """The symmetric loss of free scores, over all batches of pairs (i, j) ~ JOINT, each by its probability; no copies."""
    pairs = torch.cartesian_prod(torch.arange(3), torch.arange(3))
    chosen = torch.cartesian_prod(*[torch.arange(9)] * batch)
    rows, columns = pairs[chosen, 0], pairs[chosen, 1]
    chance = JOINT[rows, columns].prod(1)
    s = scores[rows[:, :, None], columns[:, None, :]]  # (batches, n, n)
    own = s.diagonal(dim1=1, dim2=2)
    each = (s.logsumexp(2) + s.logsumexp(1)) / 2 - own
    return (chance * each.mean(1)).sum()


@pytest.mark.parametrize("batch", [2, 4])
def test_the_optimum_is_pointwise_mutual_information_up_to_a_constant(batch: int) -> None:
    """Truth: minimise the exact expected loss over free scores; compare with log p(i, j) / p(i) p(j)."""
    critic = Table(3, 3)
    optimizer = torch.optim.LBFGS(
        critic.parameters(), max_iter=300, tolerance_grad=1e-10, line_search_fn="strong_wolfe"
    )

    def step() -> Tensor:
        optimizer.zero_grad()
        loss = expected_loss(critic.scores, batch)
        loss.backward()
        return loss

    optimizer.step(step)
    pmi = (JOINT / (JOINT.sum(1, keepdim=True) * JOINT.sum(0, keepdim=True))).log()
    off = critic.scores.detach() - pmi
    assert off.std() < 0.02 * pmi.std(), off
    information = float((JOINT * pmi).sum())
    best = expected_loss(critic.scores.detach(), batch).item()
    assert math.log(batch) - information < best < math.log(batch), "the bound: L ≥ log N - I"
    assert best == pytest.approx(expected_loss(pmi, batch).item(), abs=1e-5)


def test_no_batch_can_show_more_than_log_n_nats() -> None:
    """However much pairs say about each other, log N - L, what the loss shows of it, stays below log N."""
    certain = 100 * torch.eye(4)
    loss = info_nce_of_scores(certain, torch.arange(4))
    assert 0 <= loss.item() < 1e-6 and math.log(4) - loss.item() <= math.log(4)


def test_it_learns_pairs_that_it_has_not_seen_beyond_chance() -> None:
    """Pictures of one lit quadrant and texts that name it: eight pairs of four kinds a batch, copies left out."""

    def draw(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        kind = torch.randint(4, (n,), generator=generator)
        pictures = 0.3 * torch.randn(n, 3, 12, 12, generator=generator)
        for i, k in enumerate(kind.tolist()):
            pictures[i, :, 6 * (k // 2) : 6 * (k // 2) + 6, 6 * (k % 2) : 6 * (k % 2) + 6] += 1
        ids = torch.stack([torch.full((n,), 2), 3 + kind, torch.full((n,), 21)], 1)
        return pictures, ids, kind

    how = TrainConfig(steps=60, batch_size=8, lr=3e-3, seed=0)
    model = train(small(), clip_loss, draw, how).model
    pictures, ids, kind = draw(200, gen(9))
    names = torch.tensor([[2, 3 + k, 21] for k in range(4)])
    assert (model(names, pictures).argmax(1) == kind).float().mean() > 0.9
