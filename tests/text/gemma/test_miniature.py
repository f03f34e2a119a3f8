"""The miniature: each change exchanges what it names and nothing else, at equal size, and starts as the rest does."""

from dataclasses import asdict

import pytest
import torch

from companion.nn.mlp import MLP
from companion.nn.sandwich_block import SandwichBlock
from companion.text.gemma import Gemma
from companion.text.gemma.miniature import CHANGES, CONTEXT, WHOLE, WIDTH, WINDOW, miniature
from tests.conftest import gen, rejects

IDS = torch.randint(50, (2, CONTEXT), generator=gen())


def weights(model: Gemma) -> int:
    return sum(p.numel() for p in model.parameters() if p.ndim == 2)


def kinds(model: Gemma) -> dict[str, object]:
    one, config = model.blocks[0], model.config
    return {
        "norms": len([name for name, _ in one.named_modules() if name.endswith("norm") and "." not in name]),
        "mlp": type(one.mlp).__name__,
        "qk": one.attention.q_norm is not None,
        "caps": (config.score_cap, config.logit_cap, one.attention.score_mod is not None, model.cap is not None),
        "local": [block.attention.mask_mod is not None for block in model.blocks],
    }


def test_each_change_exchanges_what_it_names() -> None:
    whole = kinds(miniature(50))
    assert whole == {
        "norms": 4, "mlp": "GeGLU", "qk": True, "caps": (None, None, False, False), "local": [True, False],
    }  # fmt: skip
    other = {
        "no QK norm": {"qk": False},
        "caps, no QK norm": {"qk": False, "caps": (50.0, 30.0, True, True)},
        "two norms": {"norms": 2},
        "plain MLP": {"mlp": "MLP"},
        "global layers": {"local": [False, False]},
    }
    assert other.keys() == CHANGES.keys()
    for change, differs in other.items():
        assert kinds(miniature(50, change)) == whole | differs, change


def test_no_change_touches_another_field_of_the_configuration() -> None:
    """That of the whole, too: few tokens, so both bases are 300, and pairs of heads share keys and values."""
    whole = asdict(miniature(50).config)
    assert (whole["local_base"], whole["global_base"], whole["heads"], whole["kv_heads"]) == (300.0, 300.0, 4, 2)
    other = {
        "no QK norm": {"qk_norm": False},
        "caps, no QK norm": {"qk_norm": False, "score_cap": 50.0, "logit_cap": 30.0},
        "two norms": {},
        "plain MLP": {},
        "global layers": {"global_every": 1},
    }
    for change, differs in other.items():
        assert asdict(miniature(50, change).config) == whole | differs, change


def test_every_variant_has_as_many_weights_sees_no_future_and_starts_alike() -> None:
    size = weights(miniature(50))
    later = IDS.clone()
    later[:, 40:] = 1
    for change in (WHOLE, *CHANGES):
        torch.manual_seed(1)
        model = miniature(50, change)
        assert weights(model) == pytest.approx(size, rel=0.01)
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2:
                assert float(parameter.detach().std()) == pytest.approx(WIDTH**-0.5, rel=0.1), (change, name)
        with torch.no_grad():
            assert torch.equal(model(IDS)[:, :40], model(later)[:, :40])


def test_the_local_layer_sees_its_window() -> None:
    torch.manual_seed(0)
    model = miniature(50)
    changed = IDS.clone()
    changed[:, 3] = (changed[:, 3] + 1) % 50
    seen: list[torch.Tensor] = []
    model.blocks[0].register_forward_hook(lambda module, given, out: seen.append(out))
    with torch.no_grad():
        model(IDS), model(changed)
    differ = (seen[0] != seen[1]).any(-1)
    assert differ[:, 3 : 3 + WINDOW].all() and not differ[:, 3 + WINDOW :].any() and not differ[:, :3].any()


def test_the_two_norms_are_those_before_each_half() -> None:
    torch.manual_seed(0)
    model = miniature(50, "two norms")
    block, x = model.blocks[0], torch.randn(2, 5, WIDTH, generator=gen(1))
    with torch.no_grad():
        h = x + block.attention(block.attention_norm(x), causal=True)
        torch.testing.assert_close(block(x), h + block.mlp(block.mlp_norm(h)))
    assert not isinstance(block, SandwichBlock) and isinstance(miniature(50, "plain MLP").blocks[1].mlp, MLP)


def test_bad_input() -> None:
    with rejects("change"):
        miniature(50, "no norms")
