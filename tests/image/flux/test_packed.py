"""Squares become tokens and squares again, in diffusers' order; the grid's answer is that of its tokens."""

import pytest
import torch
from diffusers import FluxPipeline

from companion.image.flux import Flux, FluxConfig, PackedFlux, Told, places, student_of
from companion.image.flux.packed import pack, unpack
from tests.conftest import gen, rejects

Z = torch.randn(2, 3, 4, 6, generator=gen())


def test_tokens_are_in_the_pipelines_order_and_come_back() -> None:
    assert torch.equal(pack(Z), FluxPipeline._pack_latents(Z, 2, 3, 4, 6))
    assert torch.equal(unpack(pack(Z), 2, 3), Z)


@torch.no_grad()
def test_a_grid_is_answered_as_its_tokens_are() -> None:
    inner = Flux(FluxConfig(12, 5, 7, 2, (2, 4, 6), 1, 1)).eval()
    for parameter in inner.parameters():
        parameter.add_(0.3 * torch.randn(parameter.shape, generator=gen(1)))
    words, pooled, t = (
        torch.randn(2, 4, 5, generator=gen(2)),
        torch.randn(2, 7, generator=gen(3)),
        torch.tensor([0.2, 0.9]),
    )
    want = inner(pack(Z), words, pooled, t, *places(2, 3, 4))
    assert torch.equal(PackedFlux(inner)(Z, t, words, pooled), unpack(want, 2, 3)) and want.abs().max() > 0.1


def test_bad_input() -> None:
    with rejects("z"):
        pack(Z[:, :, :3])
    with rejects("tokens"):
        unpack(pack(Z), 3, 3)


def told(n: int = 2) -> tuple[torch.Tensor, ...]:
    return Z, torch.tensor([0.2, 0.9]), *(torch.randn(n, *shape, generator=gen(5)) for shape in ((4, 5), (7,)))


def teacher() -> PackedFlux:
    inner = Flux(FluxConfig(12, 5, 7, 2, (2, 4, 6), 1, 1)).eval()
    with torch.no_grad():
        for parameter in inner.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=gen(1)))
    return PackedFlux(inner)


@torch.no_grad()
@pytest.mark.parametrize("extra", [{"guidance": 3.0}, {"steps": 4}, {"guidance": 3.0, "steps": 4}])
def test_a_student_begins_as_its_teacher_and_can_learn_from_what_it_is_told(extra) -> None:
    model = teacher()
    student = student_of(model, **dict.fromkeys(extra, True)).eval()
    torch.testing.assert_close(Told(student, **extra)(*told()), model(*told()))
    for name in extra:
        assert getattr(student.inner.config, name) and not getattr(model.inner.config, name)
        getattr(student.inner, name)[-1].weight.normal_(generator=gen(3))
    more = {name: 2 * value for name, value in extra.items()}
    assert (Told(student, **extra)(*told()) - Told(student, **more)(*told())).abs().max() > 1e-3
    assert torch.equal(
        Told(student, **extra)(*told()), student(*told(), **{k: torch.full((2,), v) for k, v in extra.items()})
    )


def test_a_student_is_a_copy_and_keeps_what_its_teacher_is_told() -> None:
    model = teacher()
    student = student_of(student_of(model, guidance=True), steps=True)
    assert student.inner.config.guidance and student.inner.config.steps
    with torch.no_grad():
        student.inner.head.out.weight.zero_()
    assert model.inner.head.out.weight.abs().max() > 0
    with rejects("guidance"):
        student_of(student, guidance=True)
