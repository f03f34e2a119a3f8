"""Guidance distillation: its minimum is guidance itself, and a student learns it for strengths that were drawn."""

import torch
from torch import Tensor, nn

from companion.diffusion.guidance import guided
from companion.diffusion.guidance_distillation import GuidanceDistillationLoss
from companion.diffusion.paths import RectifiedFlow
from companion.diffusion.times import Uniform
from companion.training import TrainConfig, train
from tests.conftest import gen

PATH = RectifiedFlow()
NULL = (torch.zeros(1, 2),)


def teacher(x_t: Tensor, t: Tensor, c: Tensor) -> Tensor:
    return torch.tanh(x_t + c) * t[:, None]


def perfect(x_t: Tensor, t: Tensor, c: Tensor, guidance: Tensor) -> Tensor:
    each = [
        guided(teacher, c[i : i + 1], float(w), null=NULL[0])(x_t[i : i + 1], t[i : i + 1])
        for i, w in enumerate(guidance)
    ]
    return torch.cat(each)


LOSS = GuidanceDistillationLoss(PATH, teacher, NULL, Uniform(1.0, 5.0))
BATCH = torch.randn(300, 2, generator=gen(1)), torch.randn(300, 2, generator=gen(2))


def test_guidance_itself_has_no_loss_and_the_teacher_alone_has() -> None:
    assert float(LOSS(perfect, BATCH, gen())) < 1e-10
    assert float(LOSS(lambda x, t, c, guidance: teacher(x, t, c), BATCH, gen())) > 1e-2


def test_strengths_times_and_noise_are_drawn_as_asked() -> None:
    seen = {}

    def student(x_t: Tensor, t: Tensor, c: Tensor, guidance: Tensor) -> Tensor:
        seen.update(t=t, w=guidance, x=x_t)
        return x_t

    late = GuidanceDistillationLoss(PATH, teacher, NULL, Uniform(2.0, 3.0), times=Uniform(0.5, 0.6))
    late(student, BATCH, gen())
    assert 2 <= seen["w"].min() < 2.1 and 2.9 < seen["w"].max() <= 3
    assert 0.5 <= seen["t"].min() and seen["t"].max() <= 0.6
    noise = (seen["x"] - seen["t"][:, None] * BATCH[0]) / (1 - seen["t"][:, None])
    assert abs(float(noise.std()) - 1) < 0.1 and abs(float((noise * BATCH[0]).mean())) < 0.15


def test_no_gradient_reaches_the_teacher_and_a_student_learns() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Sequential(nn.Linear(6, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 2))

        def forward(self, x_t: Tensor, t: Tensor, c: Tensor, guidance: Tensor) -> Tensor:
            return self.inner(torch.cat([x_t, c, t[:, None], guidance[:, None] / 5], dim=1))

    taught = nn.Linear(5, 2)
    asked = GuidanceDistillationLoss(
        PATH, lambda x, t, c: taught(torch.cat([x, c, t[:, None]], dim=1)).sin(), NULL, Uniform(1.0, 5.0)
    )

    def draw(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return torch.randn(n, 2, generator=generator), torch.randn(n, 2, generator=generator)

    before = asked(Net(), BATCH, gen(3)).item()
    trained = train(Net(), asked, draw, TrainConfig(steps=600, batch_size=64, lr=3e-3, seed=0)).model.eval()
    assert asked(trained, BATCH, gen(3)).item() < 0.1 * before
    assert all(parameter.grad is None for parameter in taught.parameters())
