"""The U-Net: parity with diffusers' UNet2DModel and its files, dependence on every input, sizes, bad input."""

import json

import pytest
import torch

from companion.nn.unet import UNet, UNetConfig
from tests.conftest import rejects

CONFIG = UNetConfig(
    in_channels=2, out_channels=3, widths=(8, 16, 24), attention=(False, True, True), layers=1, head_width=4, groups=4,
    classes=5,
)  # fmt: skip


def published(config: UNetConfig, folder, **other) -> torch.nn.Module:
    """diffusers' model of these sizes with random weights, saved to ``folder``."""
    from diffusers import UNet2DModel

    sizes = {
        "in_channels": config.in_channels,
        "out_channels": config.out_channels,
        "block_out_channels": config.widths,
        "down_block_types": tuple(("Attn" if a else "") + "DownBlock2D" for a in config.attention),
        "up_block_types": tuple(("Attn" if a else "") + "UpBlock2D" for a in reversed(config.attention)),
        "layers_per_block": config.layers,
        "attention_head_dim": config.head_width,
        "norm_num_groups": config.groups,
        "num_class_embeds": config.classes or None,
        "norm_eps": config.eps,
        "downsample_padding": config.padding,
        "flip_sin_to_cos": config.cosine_first,
        "freq_shift": config.freq_shift,
    }
    model = UNet2DModel(**(sizes | other)).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # norms and biases too, so that none can be left out unseen
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(folder)
    return model


class TestParity:
    @pytest.mark.parametrize(
        "config",
        [
            CONFIG,
            UNetConfig(widths=(8, 16), attention=(True, False), layers=2, head_width=None, groups=2, eps=1e-6, padding=0,
                       cosine_first=False, freq_shift=1, in_channels=3, out_channels=3),
            UNetConfig(widths=(6, 6, 12, 18), attention=(False,) * 4, layers=3, head_width=3, groups=3),
        ],
        ids=["labelled", "as in the paper", "deep"],
    )  # fmt: skip
    @pytest.mark.parametrize("size", [(8, 24), (16, 16)])
    def test_equals_diffusers_at_two_sizes_I57(self, config, size, tmp_path):
        """Oblong and square pictures, a step for each image, from diffusers' own files; the gradients agree too."""
        theirs, ours = published(config, tmp_path), UNet.from_pretrained(tmp_path)
        assert ours.config == config and not ours.training
        x, t = torch.randn(3, config.in_channels, *size), torch.tensor([0, 7, 999])
        labels = torch.tensor([4, 0, 2]) if config.classes else None
        a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
        got, want = ours(a, t, labels), theirs(b, t, labels).sample
        torch.testing.assert_close(got, want, rtol=0, atol=1e-5)
        weight = torch.randn_like(got)
        (got * weight).sum().backward()
        (want * weight).sum().backward()
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-5)
        norms = [
            sum(p.grad.double().square().sum() for p in m.parameters() if p.grad is not None) for m in (ours, theirs)
        ]
        torch.testing.assert_close(norms[0], norms[1], rtol=1e-4, atol=0)
        assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())

    def test_one_step_for_all(self, tmp_path):
        config = UNetConfig(widths=(4, 8), attention=(False, False), groups=2, head_width=4)
        theirs, ours = published(config, tmp_path), UNet.from_pretrained(tmp_path)
        x = torch.randn(2, 1, 4, 6)
        for t in (17, torch.tensor(17), torch.tensor([17])):
            torch.testing.assert_close(ours(x, t), theirs(x, 17).sample, rtol=0, atol=1e-5)

    def test_reads_the_old_names_of_attention(self, tmp_path):
        """google/ddpm-cifar10-32 and its siblings still call them query, key, value and proj_attn."""
        import safetensors.torch

        theirs = published(CONFIG, tmp_path)
        file = tmp_path / "diffusion_pytorch_model.safetensors"
        old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
        tensors = {}
        for name, value in safetensors.torch.load_file(file).items():
            for new, was in old.items():
                name = name.replace(f".{new}.", f".{was}.")
            tensors[name] = value
        safetensors.torch.save_file(tensors, file)
        x, t, labels = torch.randn(2, 2, 8, 8), torch.tensor([1, 2]), torch.tensor([0, 1])
        torch.testing.assert_close(
            UNet.from_pretrained(tmp_path)(x, t, labels), theirs(x, t, labels).sample, rtol=0, atol=1e-5
        )

    def test_defaults_of_a_file_are_those_of_diffusers(self):
        """What config.json leaves out means the same to both."""
        from diffusers import UNet2DModel

        from companion.nn.unet import FIELDS, config_from_published

        full = dict(UNet2DModel(block_out_channels=(32,) * 4).config) | {"block_out_channels": (224, 448, 672, 896)}
        kind = {"_class_name": "UNet2DModel"}
        read = [config_from_published(FIELDS.of(kind | given, "here"), "here") for given in ({}, full)]
        assert read[0] == read[1]

    @pytest.mark.parametrize(
        "other",
        [{"resnet_time_scale_shift": "scale_shift"}, {"time_embedding_type": "fourier"}, {"downsample_type": "resnet"}],
    )
    def test_a_variant_it_lacks_is_named(self, other, tmp_path):
        published(UNetConfig(widths=(4, 8), attention=(False, False), groups=2, head_width=4), tmp_path)
        file = tmp_path / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | other))
        with rejects(next(iter(other))):
            UNet.from_pretrained(tmp_path)

    def test_a_lopsided_network_is_refused(self, tmp_path):
        published(CONFIG, tmp_path, up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"))
        with rejects("up_block_types"):
            UNet.from_pretrained(tmp_path)


class TestDependence:
    @pytest.fixture
    def net(self) -> UNet:
        return UNet(CONFIG).eval()

    @pytest.fixture
    def inputs(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return torch.randn(3, 2, 8, 12), torch.tensor([10, 10, 900]), torch.tensor([1, 1, 4])

    def test_the_step_matters_to_its_own_image_I47(self, net, inputs):
        """An embedding on the batch axis would let the time be ignored, or reach the wrong image."""
        x, t, labels = inputs
        before = net(x, t, labels)
        after = net(x, torch.tensor([10, 500, 900]), labels)
        same = torch.tensor([True, False, True])
        torch.testing.assert_close(before[same], after[same], rtol=0, atol=1e-6)
        assert (before[1] - after[1]).abs().max() > 1e-4
        twins = net(x[:1].expand(2, -1, -1, -1), t[:2], labels[:2])
        torch.testing.assert_close(twins[0], twins[1], rtol=0, atol=1e-6)

    def test_the_label_matters_to_its_own_image(self, net, inputs):
        x, t, labels = inputs
        before, after = net(x, t, labels), net(x, t, torch.tensor([1, 3, 4]))
        assert (before[1] - after[1]).abs().max() > 1e-4
        torch.testing.assert_close(before[[0, 2]], after[[0, 2]], rtol=0, atol=1e-6)

    def test_images_of_a_batch_do_not_mix(self, net, inputs):
        x, t, labels = inputs
        alone = torch.cat([net(x[i : i + 1], t[i : i + 1], labels[i : i + 1]) for i in range(3)])
        torch.testing.assert_close(net(x, t, labels), alone, rtol=0, atol=1e-5)

    def test_every_pixel_sees_every_pixel(self, net, inputs):
        """Through the small sizes and their attention, one corner of the output depends on the far one of the input."""
        x, t, labels = inputs
        x = x.requires_grad_()
        net(x, t, labels)[0, 0, 0, 0].backward()
        assert (x.grad[0, :, -1, -1].abs() > 0).all()
        assert (x.grad[1:] == 0).all()

    def test_every_parameter_is_used(self, net, inputs):
        net(*inputs).square().sum().backward()
        unused = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()]
        # A key's bias shifts all scores of a query alike, which softmax does not see.
        assert [name for name in unused if not name.endswith("attention.k.bias")] == []

    def test_dropout_only_in_training(self, inputs):
        net = UNet(UNetConfig(widths=(8,), attention=(False,), in_channels=2, dropout=0.5, groups=4, head_width=None))
        x, t, _ = inputs
        assert not torch.equal(net.train()(x, t), net(x, t))
        torch.testing.assert_close(net.eval()(x, t), net(x, t), rtol=0, atol=0)


class TestBadInput:
    @pytest.mark.parametrize(
        "change",
        [
            {"widths": (8, 17)}, {"widths": ()}, {"groups": 0}, {"layers": 0}, {"in_channels": 0}, {"classes": -1},
            {"padding": 2}, {"dropout": 1.5}, {"attention": (True,)}, {"head_width": 5},
        ],
        ids=str,
    )  # fmt: skip
    def test_sizes(self, change):
        with rejects(next(iter(change)) if "head_width" not in change else "widths"):
            UNetConfig(**({"widths": (8, 16), "attention": (False, False), "groups": 8, "head_width": 8} | change))

    @pytest.mark.parametrize("shape", [(2, 2, 8, 10), (2, 2, 6, 8), (2, 1, 8, 8), (2, 8, 8)])
    def test_pictures(self, shape):
        with rejects("sample"):
            UNet(CONFIG)(torch.zeros(shape), 3, torch.zeros(2).long())

    @pytest.mark.parametrize("t", [torch.zeros(3), torch.zeros(2, 1)])
    def test_steps(self, t):
        with rejects("timestep"):
            UNet(CONFIG)(torch.zeros(2, 2, 8, 8), t, torch.zeros(2).long())

    @pytest.mark.parametrize("labels", [None, torch.tensor([0, 5]), torch.tensor([0]), torch.tensor([0.0, 1.0])])
    def test_labels(self, labels):
        with rejects("class_labels"):
            UNet(CONFIG)(torch.zeros(2, 2, 8, 8), 3, labels)

    def test_labels_for_a_model_without(self):
        with rejects("class_labels"):
            UNet(UNetConfig())(torch.zeros(2, 1, 8, 8), 3, torch.tensor([0, 1]))


def test_the_default_attends_at_its_deepest_level_alone():
    names = {name.split(".attentions")[0] for name, _ in UNet(UNetConfig()).named_parameters() if "attentions" in name}
    assert names == {"down_blocks.2", "mid_block", "up_blocks.0"}
