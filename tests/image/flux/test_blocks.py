"""Either kind of block equals diffusers' own by itself, and starts as the identity."""

from pathlib import Path

import torch

from companion.image.flux import Flux, FluxConfig, places
from tests.conftest import gen
from tests.image.flux.reference import inputs, published


@torch.no_grad()
def test_a_block_of_either_kind_alone_equals_diffusers(tmp_path: Path) -> None:
    for double, single in ((1, 0), (0, 1)):
        folder = tmp_path / f"{double}"
        theirs = published(folder, num_layers=double, num_single_layers=single)
        want = theirs(**inputs()).sample
        got = Flux.from_pretrained(folder)(**inputs())
        torch.testing.assert_close(got / want.abs().max(), want / want.abs().max(), rtol=0, atol=1e-5)


@torch.no_grad()
def test_untrained_blocks_are_the_identity_and_it_predicts_nothing() -> None:
    model = Flux(FluxConfig(12, 14, 10, 3, (4, 6, 10), 2, 1)).eval()
    assert model(**inputs()).abs().max() == 0
    c, x = torch.randn(2, 4, 60, generator=gen()), torch.randn(2, 15, 60, generator=gen(1))
    image, text = places(3, 5, 4)
    angles = model.rotary.angles(torch.cat([text, image])[None], x.dtype)
    signal = torch.randn(2, 60, generator=gen(2))
    got = model.double_blocks[0](c, x, signal, angles)
    assert torch.equal(got[0], c) and torch.equal(got[1], x)
    assert torch.equal(model.single_blocks[0](x, signal, model.rotary.angles(image[None], x.dtype)), x)
