"""The counts against torch's own counter, and against each other."""

from dataclasses import replace

import pytest
import torch

from companion.metrics.flops import count_flops
from companion.scaling.flops import decoder_flops, six_nd, training_flops
from companion.text.llama import Llama, LlamaConfig
from tests.conftest import rejects

CONFIG = LlamaConfig(vocab_size=79, context=24, width=48, layers=3, heads=4, kv_heads=2, hidden=104)


class TestParity:
    @pytest.mark.parametrize(
        "changes",
        [
            {},
            {"kv_heads": 4},
            {"layers": 1, "hidden": 56},
            {"width": 24, "vocab_size": 301, "kv_heads": 1},
            {"gated_attention": True},
        ],
    )
    @pytest.mark.parametrize(("batch", "n"), [(2, 24), (5, 7)])
    def test_forward_count_is_torchs(self, changes: dict, batch: int, n: int) -> None:
        config = replace(CONFIG, **changes)
        ids = torch.randint(config.vocab_size, (batch, n))
        assert count_flops(lambda: Llama(config)(ids)) == batch * n * decoder_flops(config, context=n)

    def test_training_is_three_forward_passes(self) -> None:
        """The backward pass of each matrix product is two products of the same size."""
        ids = torch.randint(79, (2, 24))
        model = Llama(CONFIG)
        assert count_flops(lambda: model(ids).sum().backward()) == training_flops(CONFIG, 2 * 24)

    def test_rule_is_exact_for_one_matrix(self) -> None:
        layer, x = torch.nn.Linear(5, 7, bias=False), torch.randn(3, 5, requires_grad=True)
        assert count_flops(lambda: layer(x).sum().backward()) == six_nd(35, 3)


class TestTruth:
    def test_rule_is_close_for_a_wide_model_with_a_short_context(self) -> None:
        wide = replace(CONFIG, width=1024, hidden=2728, heads=16, kv_heads=16, layers=12, context=8)
        parameters = 12 * (4 * 1024**2 + 3 * 1024 * 2728) + 79 * 1024
        assert training_flops(wide, 1000) / six_nd(parameters, 1000) == pytest.approx(1, abs=0.01)

    def test_rule_misses_the_attention(self) -> None:
        """At equal sizes a longer context costs more, and 6 N D does not see it: 12 n w more for each layer and token."""
        short, long = (decoder_flops(CONFIG, context=n) for n in (10, 110))
        assert long - short == CONFIG.layers * 2 * 2 * 100 * CONFIG.width

    def test_fused_kernel_is_not_overlooked(self) -> None:
        """torch's counter has no entry for the fused kernel of the processor; attention must be counted all the same."""
        ids = torch.randint(79, (1, 24))
        without = 24 * decoder_flops(CONFIG) - 24 * CONFIG.layers * 4 * 24 * CONFIG.width
        assert count_flops(lambda: Llama(CONFIG)(ids)) > without


class TestDependence:
    def test_counts_are_proportional_to_tokens(self) -> None:
        assert training_flops(CONFIG, 700) == 7 * training_flops(CONFIG, 100)
        assert training_flops(CONFIG, 0) == 0 and six_nd(3.0, 0.0) == 0


class TestBadInput:
    def test_numbers(self) -> None:
        with rejects("tokens"):
            training_flops(CONFIG, -1)
        with rejects("parameters"):
            six_nd(-1.0, 3.0)
        with rejects("context"):
            decoder_flops(CONFIG, context=0)
