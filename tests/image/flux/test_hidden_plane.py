"""Data on a plane: as spread as said, on a spiral, laid into many dimensions without loss; the network takes its time."""

import torch

from companion.image.flux.hidden_plane import PointNet, distance_to_spiral, plane, spiral
from tests.conftest import gen

POINTS = spiral(2000, gen())


def test_points_lie_along_a_spiral_and_fill_it() -> None:
    assert 0.7 < float(POINTS.std()) < 1.3
    near = distance_to_spiral(POINTS)
    assert float(near.mean()) < 0.03 and float(distance_to_spiral(torch.randn(2000, 2, generator=gen(1))).mean()) > 0.1
    radius = POINTS.norm(dim=1)
    assert float(radius.min()) < 0.1 and abs(float(radius.max()) - 2.0) < 0.1


def test_the_distance_is_to_the_nearest_place_of_the_line() -> None:
    end = 3 * torch.pi / 4.7
    points = torch.tensor([[-end - 0.5, 0.0], [0.0, 0.0]])
    torch.testing.assert_close(distance_to_spiral(points), torch.tensor([0.5, 0.0]), rtol=0, atol=0.01)


def test_a_plane_keeps_lengths() -> None:
    p = plane(50, gen(2))
    torch.testing.assert_close(p.T @ p, torch.eye(2), rtol=0, atol=1e-5)
    torch.testing.assert_close((POINTS @ p.T).norm(dim=1), POINTS.norm(dim=1))


def test_the_network_has_five_layers_and_hears_the_time() -> None:
    net = PointNet(6, 32)
    x = torch.randn(3, 6, generator=gen(3))
    assert sum(isinstance(part, torch.nn.Linear) for part in net.layers) == 5
    assert net(x, torch.zeros(3)).shape == x.shape
    assert not torch.allclose(net(x, torch.zeros(3)), net(x, torch.ones(3)))
