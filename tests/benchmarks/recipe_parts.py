"""What each part of a pre-training recipe is worth, many small models at once: ``python -m tests.benchmarks.recipe_parts``.

Every variant of `MODERN`'s model (today's block, 0.8 million parameters, characters of Shakespeare) is trained with several
learning rates and seeds side by side: the members of an ensemble are one tensor with a first axis more, so that a graphics
card does the whole ensemble in the time of one. On CUDA the step is captured and replayed. The results, with the learning
rate that is best on one text and the loss on another, go to the table of `book/log.md` by hand; the tests hold the plain
member to `companion.text.gpt.pretraining.race`.
"""

import json
import math
import sys
import time
from dataclasses import dataclass, replace
from statistics import mean

import torch
from torch import Tensor
from torch.nn import functional as F

from companion.data import shakespeare
from companion.language.ngrams import encode
from companion.text.gpt.pretraining import CONTEXT, WIDTH
from companion.text.modern_block import MODERN
from companion.training.random import randint

LAYERS, HEADS, EPS = 4, 4, 1e-6


@dataclass(frozen=True)
class Parts:
    """One variant: what the model has, and how it is trained.

    Attributes:
        steps: at equal processor time, as measured on one core of the CPU; 1,895 take as long as nanoGPT's 2,000.
        lrs: learning rates to try.
        batch: passages a step.
        hidden: of the MLP.
        squared_relu: ReLU² in place of the gated MLP.
        gated: gates on what attention found.
        qk_norm: the length that queries and keys are set to, over √d; 0 for none.
        zero: whether what writes to the stream starts from zero.
        values: a table of values for each token in each layer, added to attention's with a learned weight.
        input_skip: each layer sees a learned mixture of the stream and the normed input.
        smear: each token's embedding takes over a learned share of the one before.
        bigrams: width of a table of pairs of characters that is added to the input; 0 for none.
        untied: an output matrix of its own.
        zero_head: whether that starts from zero.
        cap: c of c tanh(logits / c); 0 for none.
        newton_schulz: Muon for the matrices, with so many iterations; 0 for AdamW. Three have coefficients of their own.
        cautious: weights decay only where the update agrees.
        decay: of the weights.
        average: decay of averaged weights, 0 for none.
        linear: the rate falls on a line to zero, not on a cosine to a fiftieth.
    """

    steps: int = 1_895
    lrs: tuple[float, ...] = (2e-3, 3e-3, 4.5e-3, 6.5e-3)
    batch: int = 12
    hidden: int = 304
    squared_relu: bool = False
    gated: bool = True
    qk_norm: float = 0.0
    zero: bool = False
    values: bool = False
    input_skip: bool = False
    smear: bool = False
    bigrams: int = 0
    untied: bool = False
    zero_head: bool = False
    cap: float = 0.0
    newton_schulz: int = 0
    cautious: bool = False
    decay: float = 0.5
    average: float = 0.0
    linear: bool = False


PLAIN = Parts()
_MUON = (3e-3, 6e-3, 1.2e-2, 2.4e-2)
_SMALL = replace(PLAIN, batch=4, steps=4_350, lrs=(1.4e-3, 2e-3, 3e-3))
VARIANTS = {
    "as it is": PLAIN,
    "Muon, three iterations": replace(PLAIN, newton_schulz=3, steps=1_448, lrs=_MUON),
    "Muon, five iterations": replace(PLAIN, newton_schulz=5, steps=1_285, lrs=_MUON),
    "Muon, five iterations, as many steps": replace(PLAIN, newton_schulz=5, lrs=_MUON),
    "QK norm": replace(PLAIN, qk_norm=1.2, steps=1_830),
    "ReLU², as many parameters": replace(PLAIN, squared_relu=True, hidden=456, steps=1_915),
    "zero-initialised projections": replace(PLAIN, zero=True),
    "value embeddings": replace(PLAIN, values=True, steps=1_790),
    "x0-skips": replace(PLAIN, input_skip=True, steps=1_865),
    "smear": replace(PLAIN, smear=True, steps=1_915),
    "bigram table, width 32": replace(PLAIN, bigrams=32, steps=1_900),
    "untied head": replace(PLAIN, untied=True, steps=1_915),
    "untied head that starts from zero": replace(PLAIN, untied=True, zero_head=True, steps=1_915),
    "soft cap of the logits at 15": replace(PLAIN, cap=15.0, steps=1_850),
    "no gates on attention": replace(PLAIN, gated=False, hidden=347, steps=1_865),
    "Muon, three iterations, cautious decay": replace(PLAIN, newton_schulz=3, steps=1_448, lrs=_MUON, cautious=True),
    "a fifth of the decay": replace(PLAIN, decay=0.1),
    "a third of the batch": _SMALL,
    "a third of the batch, twice the decay": replace(_SMALL, decay=1.0),
    "a third of the batch, the rate falls on a line": replace(_SMALL, linear=True),
    "a third of the batch, averaged weights": replace(_SMALL, average=0.99),
    "a third of the batch, smear": replace(_SMALL, smear=True, steps=4_400),
    "a third of the batch, smear, bigrams": replace(_SMALL, smear=True, bigrams=16, hidden=240),
    "a third of the batch, smear, bigrams, x0-skips": replace(
        _SMALL, smear=True, bigrams=16, hidden=240, input_skip=True, steps=4_200
    ),
    "a sixth of the batch, smear, bigrams, x0-skips": replace(
        _SMALL, batch=2, smear=True, bigrams=16, hidden=240, input_skip=True, steps=5_850, lrs=(1e-3, 1.4e-3, 2e-3)
    ),
}


class Ensemble:
    """Models that differ in seed and learning rate alone; ``p`` holds their parameters, the first axis the member's."""

    def __init__(self, parts: Parts, seeds: tuple[int, ...], vocab_size: int, device: str) -> None:
        self.parts, self.device = parts, device
        self.members = [(seed, lr) for seed in seeds for lr in parts.lrs]
        generators = [torch.Generator().manual_seed(seed) for seed, _ in self.members]
        self.p: dict[str, Tensor] = {}
        self.embeddings: set[str] = set()

        def matrix(name: str, *shape: int, std: float = WIDTH**-0.5, embedding: bool = False) -> None:
            drawn = torch.stack([torch.randn(shape, generator=g) for g in generators])
            self.p[name] = (std * drawn).to(device).requires_grad_()
            if embedding:
                self.embeddings.add(name)

        def vector(name: str, width: int, value: float = 1.0) -> None:
            shape = (len(self.members), 1, 1, width)
            self.p[name] = torch.full(shape, value, device=device).requires_grad_()

        last = 0.0 if parts.zero else WIDTH**-0.5
        matrix("tokens", vocab_size, WIDTH, embedding=True)
        if parts.untied:
            matrix("head", WIDTH, vocab_size, std=0.0 if parts.zero_head else WIDTH**-0.5)
        if parts.bigrams:
            matrix("pairs", vocab_size**2, parts.bigrams, embedding=True)
            matrix("pairs_out", parts.bigrams, WIDTH)
        if parts.smear:
            vector("smear", WIDTH, -1.0)
        for layer in range(LAYERS):
            vector(f"norm1.{layer}", WIDTH)
            vector(f"norm2.{layer}", WIDTH)
            for name in ("q", "k", "v", *(["gate"] if parts.gated else [])):
                matrix(f"{name}.{layer}", WIDTH, WIDTH)
            matrix(f"out.{layer}", WIDTH, WIDTH, std=last)
            for name in ("up",) if parts.squared_relu else ("up", "opens"):
                matrix(f"{name}.{layer}", WIDTH, parts.hidden)
            matrix(f"down.{layer}", parts.hidden, WIDTH, std=last)
            if parts.values:
                matrix(f"values.{layer}", vocab_size, WIDTH, embedding=True)
                vector(f"values_share.{layer}", 1, 0.5)
            if parts.input_skip:
                vector(f"stream_share.{layer}", 1, 1.0)
                vector(f"input_share.{layer}", 1, 0.1)
        vector("norm", WIDTH)
        half = WIDTH // HEADS // 2
        angles = torch.arange(CONTEXT)[:, None] * 300.0 ** (-torch.arange(half) / half)
        self.cos, self.sin = angles.cos().to(device), angles.sin().to(device)

    def _look_up(self, name: str, ids: Tensor) -> Tensor:
        members, rows, width = self.p[name].shape
        first = rows * torch.arange(members, device=ids.device)[:, None, None]
        return F.embedding(ids + first, self.p[name].reshape(members * rows, width))

    def _map(self, x: Tensor, name: str) -> Tensor:
        return torch.bmm(x.flatten(1, 2), self.p[name]).unflatten(1, x.shape[1:3])

    def _turn(self, x: Tensor) -> Tensor:
        a, b = x.chunk(2, -1)
        cos, sin = self.cos[: x.shape[-2]], self.sin[: x.shape[-2]]
        return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)

    def nats(self, ids: Tensor) -> Tensor:
        """The mean loss of each member on its passages, shape (members, passages, length)."""
        parts, p, targets, ids = self.parts, self.p, ids[..., 1:], ids[..., :-1]
        x = self._look_up("tokens", ids)
        if parts.bigrams:
            before = F.pad(ids[..., :-1], (1, 0))
            x = x + self._map(self._look_up("pairs", before * p["tokens"].shape[1] + ids), "pairs_out")
        if parts.smear:
            x = x + F.pad(x[:, :, :-1], (0, 0, 1, 0)) * p["smear"].sigmoid()
        if parts.input_skip:
            x = _normed(x)
        start = x
        for i in range(LAYERS):
            if parts.input_skip:
                x = p[f"stream_share.{i}"] * x + p[f"input_share.{i}"] * start
            n = _normed(x) * p[f"norm1.{i}"]
            q, k, v = (self._map(n, f"{name}.{i}") for name in "qkv")
            if parts.values:
                v = v + p[f"values_share.{i}"] * self._look_up(f"values.{i}", ids)
            q, k, v = (part.unflatten(-1, (HEADS, -1)).transpose(2, 3).flatten(0, 1) for part in (q, k, v))
            if parts.qk_norm:
                q, k = parts.qk_norm * _normed(q), parts.qk_norm * _normed(k)
            found = F.scaled_dot_product_attention(self._turn(q), self._turn(k), v, is_causal=True)
            found = found.transpose(1, 2).flatten(2).unflatten(0, x.shape[:2])
            if parts.gated:
                found = found * self._map(n, f"gate.{i}").sigmoid()
            x = x + self._map(found, f"out.{i}")
            n = _normed(x) * p[f"norm2.{i}"]
            up = self._map(n, f"up.{i}")
            up = F.relu(up).square() if parts.squared_relu else F.silu(self._map(n, f"opens.{i}")) * up
            x = x + self._map(up, f"down.{i}")
        x = (_normed(x) * p["norm"]).flatten(1, 2)
        logits = torch.bmm(x, p["head"] if parts.untied else p["tokens"].transpose(1, 2))
        if parts.cap:
            logits = parts.cap * torch.tanh(logits / parts.cap)
        losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
        return losses.view(len(self.members), -1).mean(1)


class Trainer:
    """Trains an ensemble as `companion.training.optimization.Updater` trains a model, each member at its own rate."""

    def __init__(self, models: Ensemble, text: Tensor) -> None:
        self.models, self.text, config = models, text, MODERN.config
        parts, device = models.parts, models.device
        self.config = replace(config, steps=parts.steps)
        self.rates = torch.tensor([self._rate(i) for i in range(parts.steps)], device=device)
        self.lrs = torch.tensor([lr for _, lr in models.members], device=device)
        # The same passages for each learning rate.
        starts = {
            seed: randint(len(text) - CONTEXT, (parts.steps, parts.batch), torch.Generator().manual_seed(seed), text)
            for seed, _ in models.members
        }
        self.starts = torch.stack([starts[seed] for seed, _ in models.members], 1)
        self.first = {name: torch.zeros_like(p) for name, p in models.p.items()}
        self.second = {name: torch.zeros_like(p) for name, p in models.p.items()}
        self.averages = {name: p.detach().clone() for name, p in models.p.items()}
        self.done = torch.zeros(1, dtype=torch.long, device=device)
        self.losses = torch.zeros(len(models.members), device=device)

    def _rate(self, step: int) -> float:
        """The share of the highest learning rate."""
        warm = round(self.config.warmup * self.config.steps)
        if self.models.parts.linear and step >= warm:
            return 1 - (step - warm) / (self.config.steps - warm)
        return self.config.lr_at(step) / self.config.lr

    def step(self) -> None:
        """One step of each member, without a look at any number, so that it can be captured."""
        models, parts, config = self.models, self.models.parts, self.config
        starts = self.starts.index_select(0, self.done)[0]
        losses = models.nats(self.text[starts[..., None] + torch.arange(CONTEXT + 1, device=starts.device)])
        gradients = torch.autograd.grad(losses.sum(), list(models.p.values()))
        with torch.no_grad():
            self.losses.copy_(losses)
            self.done += 1
            norms = sum(g.flatten(1).square().sum(1) for g in gradients).sqrt()
            clipped = (config.clip / (norms + 1e-6)).clamp(max=1)
            lrs = self.lrs * self.rates.index_select(0, self.done - 1)
            for (name, p), g in zip(models.p.items(), gradients, strict=True):
                each = (-1,) + (1,) * (p.ndim - 1)
                lr, decays = lrs.view(each), p.ndim == 3 and name not in models.embeddings
                change = self._change(name, g * clipped.view(each), muon=bool(parts.newton_schulz and decays))
                if decays:
                    p.sub_(lr * parts.decay * p * (((change * p) > 0) if parts.cautious else 1))
                p.sub_(lr * change)
                if parts.average:
                    share = ((1 + self.done) / (10 + self.done)).clamp(max=parts.average)
                    self.averages[name].mul_(share).add_(p * (1 - share))

    def _change(self, name: str, g: Tensor, *, muon: bool) -> Tensor:
        """What is subtracted at a rate of 1: AdamW's, or Muon's at the size that AdamW's usually has."""
        first, second, (b1, b2) = self.first[name], self.second[name], self.config.betas
        if muon:
            first.lerp_(g, 0.05)
            return orthogonal(g.lerp(first, 0.95), self.models.parts.newton_schulz) * 0.2 * max(g.shape[1:]) ** 0.5
        first.lerp_(g, 1 - b1)
        second.lerp_(g.square(), 1 - b2)
        return first / (1 - b1**self.done) / ((second / (1 - b2**self.done)).sqrt() + 1e-8)

    def run(self) -> None:
        """All steps; on CUDA one of them is captured and replayed."""
        steps = self.config.steps
        if self.models.device != "cuda":
            for _ in range(steps):
                self.step()
            return
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(3):
                self.step()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.step()  # is recorded, and not run
        for _ in range(steps - 3):
            graph.replay()
        torch.cuda.synchronize()

    @torch.no_grad()
    def judged(self, ids: Tensor) -> list[float]:
        """Nats a character of each member, of its averaged weights where there are, on a text in passages side by side."""
        models, used = self.models, self.models.p
        if models.parts.average:
            models.p = self.averages
        whole = (len(ids) - 1) // CONTEXT
        rows = torch.arange(whole, device=ids.device)[:, None] * CONTEXT + torch.arange(CONTEXT + 1, device=ids.device)
        total = sum(
            models.nats(ids[part].expand(len(models.members), -1, -1)).double() * len(part) for part in rows.split(256)
        )
        models.p = used
        return (total / whole).tolist()


def orthogonal(g: Tensor, iterations: int) -> Tensor:
    """Each matrix with its singular values brought near 1 by Newton–Schulz steps (Jordan et al. 2024, "Muon").

    Three steps take the first three of "The Polar Express" (Amsel et al. 2025, arXiv:2505.16932), which leave more spread;
    others take Muon's own.
    """
    polar = [(8.2872, -23.5959, 17.3004), (4.1071, -2.9478, 0.5448), (3.9487, -2.9089, 0.5518)]
    steps = polar if iterations == 3 else [(3.4445, -4.7750, 2.0315)] * iterations
    x = g.transpose(1, 2) if g.shape[1] > g.shape[2] else g
    x = x / (1.02 * x.flatten(1).norm(dim=1)[:, None, None] + 1e-7)
    for a, b, c in steps:
        square = x @ x.transpose(1, 2)
        x = a * x + (b * square + c * square @ square) @ x
    return x.transpose(1, 2) if g.shape[1] > g.shape[2] else x


def _normed(x: Tensor) -> Tensor:
    return x * (x.square().mean(-1, keepdim=True) + EPS).rsqrt()


def main() -> None:
    device, only = "cuda" if torch.cuda.is_available() else "cpu", " ".join(sys.argv[1:])
    text = shakespeare("train").text
    alphabet = "".join(sorted(set(text)))
    known = set(alphabet)
    others = "".join(c for c in shakespeare("valid").text if c in known)
    ids, valid = encode(text, alphabet).to(device), encode(others, alphabet).to(device)
    for name, parts in VARIANTS.items():
        if only not in name:
            continue
        started = time.perf_counter()
        trainer = Trainer(Ensemble(parts, (0, 1), len(alphabet), device), ids)
        trainer.run()
        chosen_on, reported_on = trainer.judged(valid[100_000:400_000]), trainer.judged(valid[:100_000])
        by_lr: dict[float, list[tuple[float, float]]] = {}
        for (_, lr), *both in zip(trainer.models.members, chosen_on, reported_on, strict=True):
            by_lr.setdefault(lr, []).append(tuple(both))
        best = min(
            by_lr, key=lambda lr: mean(a for a, _ in by_lr[lr]) if all(map(math.isfinite, by_lr[lr][0])) else math.inf
        )
        row = {"what": name, "steps": parts.steps, "lr": best, "chosen on": round(mean(a for a, _ in by_lr[best]), 4)}
        row |= {"nats": [round(b, 4) for _, b in by_lr[best]], "seconds": round(time.perf_counter() - started, 1)}
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
