"""The judge of digits: as good as its card says, blind to what must not matter, and a measure that sees what it should."""

import pytest
import torch

from companion.data import digits
from companion.metrics import digit_judge
from companion.metrics.digit_judge import DigitJudge, cnn_fid, judge, judge_features, opinion, recognised
from companion.metrics.frechet import frechet_floor
from companion.weights import card
from tests.conftest import rejects


@pytest.fixture(scope="module")
def held_out():
    return digits("test")


@pytest.fixture(scope="module")
def others():
    return digits("valid")


def test_it_is_as_good_on_held_out_digits_as_its_card_says(held_out):
    share = float(recognised(held_out.images, held_out.labels).float().mean())
    assert share == pytest.approx(card("digit_judge").quality["accuracy_test"], abs=0.0021)
    assert share >= 0.98
    assert sum(p.numel() for p in judge().parameters()) == 102_146 <= 150_000


def test_it_does_not_recognise_wrong_labels_or_noise(held_out):
    wrong = recognised(held_out.images, (held_out.labels + 1) % 10)
    assert wrong.dtype == torch.bool and float(wrong.float().mean()) < 0.02
    noise = 2 * torch.rand(200, 1, 28, 28) - 1
    # Noise is called something, but not everything: no digit that one might ask for is recognised in it reliably.
    assert len(opinion(noise).argmax(1).unique()) < 10


def test_opinions_are_probabilities_and_do_not_depend_on_the_batch_I15_I26(held_out):
    images = held_out.images[:7]
    together = opinion(images)
    torch.testing.assert_close(together.sum(1), torch.ones(7))
    alone = torch.cat([opinion(image[None]) for image in images])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
    assert torch.equal(opinion(images), together)


def test_features_decide_the_answer(held_out):
    images = held_out.images[:5]
    features = judge_features(images)
    assert features.shape == (5, 64)
    torch.testing.assert_close(judge().head(features.relu()).softmax(1), opinion(images))


def test_features_of_many_images_are_computed_once_and_those_of_other_images_are_others(monkeypatch, held_out):
    monkeypatch.setattr(digit_judge, "_KEPT", {})
    monkeypatch.setattr(digit_judge, "MANY", 50)
    sets = [held_out.images[i : i + 50] for i in range(6)]
    model = judge(held_out.images.device)
    wanted, plain, computed = [judge_features(images, model=model) for images in sets], model.features, []
    monkeypatch.setattr(model, "features", lambda part: computed.append(part) or plain(part))
    for images, features in zip(sets, wanted, strict=True):
        for _ in range(2):
            found = judge_features(images.clone())
            assert torch.equal(found, features)
            found.zero_()  # a caller cannot spoil what is remembered
    assert len(computed) == len(sets) and len(digit_judge._KEPT) == 4
    for images, own in ((sets[0][:49], None), (sets[-1], model), (sets[-1].double(), None)):
        judge_features(images, model=own)
    assert len(computed) == len(sets) + 3


def test_the_distance_sees_blur_noise_and_missing_digits(held_out, others):
    """Real digits are at the floor; each fault raises the distance well above it, and more of it raises it more."""
    real = others.images
    base = cnn_fid(samples=held_out.images, real=real)
    pair = judge_features(held_out.images), judge_features(real)
    assert base == pytest.approx(frechet_floor(*pair, 500, torch.Generator(), draws=1), rel=1e-6)
    noise = torch.randn(held_out.images.shape, generator=torch.Generator().manual_seed(1))
    slightly, strongly = (cnn_fid(held_out.images + s * noise, real) for s in (0.3, 0.8))
    assert 2 * base < slightly < strongly
    no_ones = cnn_fid(held_out.images[held_out.labels != 1], real)
    assert no_ones > 1.5 * base
    blurred = torch.nn.functional.avg_pool2d(held_out.images, 5, 1, 2, count_include_pad=False)
    assert cnn_fid(blurred, real) > 2 * base


def test_the_distance_clips_to_what_a_screen_shows(held_out, others):
    loud = held_out.images * 3
    assert cnn_fid(loud, others.images) == pytest.approx(cnn_fid(loud.clamp(-1, 1), others.images), abs=1e-9)


def test_bad_input(held_out):
    images, labels = held_out.images[:3], held_out.labels[:3]
    for call, pattern in [
        (lambda: opinion(images[:, 0]), "images: got shape"),
        (lambda: opinion(images[..., :14, :14]), "images: got shape"),
        (lambda: recognised(images, labels[:2]), "labels: got shape"),
        (lambda: recognised(images, labels + 10), "labels: got values"),
        (lambda: opinion(images * float("nan")), "images: got .* NaN"),
        (lambda: opinion(images, model=DigitJudge()), "model: got a judge in training mode"),
    ]:
        with rejects(pattern):
            call()
