"""A codebook of running means: k-means in a stream, equal to the library's, and no codeword stays dead."""

import torch
from sklearn.cluster import KMeans
from vector_quantize_pytorch import VectorQuantize

from companion.image.vae.online_kmeans import RunningCodebook
from tests.conftest import gen, rejects


def blobs(n: int = 600, seed: int = 1) -> torch.Tensor:
    """Points around eight far places."""
    places = 6 * torch.randn(8, 2, generator=gen(100))
    return places[torch.randint(8, (n,), generator=gen(seed))] + 0.3 * torch.randn(n, 2, generator=gen(seed + 1))


def placed(codewords: torch.Tensor, **options: float) -> RunningCodebook:
    ours = RunningCodebook(*codewords.shape, **options)
    ours.codewords.copy_(codewords)
    ours.sums.copy_(codewords)
    return ours


def test_several_updates_are_those_of_the_library() -> None:
    theirs = VectorQuantize(3, codebook_size=7, decay=0.8, threshold_ema_dead_code=0, commitment_weight=0.25).train()
    theirs._codebook.embed.copy_(torch.randn(1, 7, 3, generator=gen(1)))
    theirs._codebook.embed_avg.copy_(theirs._codebook.embed)
    ours = placed(theirs._codebook.embed[0], decay=0.8, beta=0.25)
    theirs._codebook.cluster_size.fill_(1)
    for seed in range(2, 6):
        z = torch.randn(40, 3, generator=gen(seed))
        found = ours(z)
        ours.follow(z, found.codes, gen())
        values, codes, loss = theirs(z[None])
        assert torch.equal(found.codes, codes[0])
        torch.testing.assert_close(found.values, values[0], atol=1e-6, rtol=0)
        torch.testing.assert_close(found.loss, loss.squeeze(), atol=1e-6, rtol=0)
        torch.testing.assert_close(ours.codewords, theirs._codebook.embed[0], atol=1e-5, rtol=0)
        torch.testing.assert_close(ours.counts, theirs._codebook.cluster_size[0], atol=1e-5, rtol=0)


def test_without_memory_a_batch_is_a_step_of_lloyd() -> None:
    """Each chosen codeword becomes the mean of what chose it."""
    z = blobs()
    ours = placed(z[:5].clone(), decay=0.0)
    codes = ours(z).codes
    ours.follow(z, codes, gen())
    means = torch.stack([z[codes == j].mean(0) for j in range(5)])
    torch.testing.assert_close(ours.codewords, means, atol=1e-3, rtol=0)


def test_in_a_stream_it_reaches_what_kmeans_reaches_from_the_same_start() -> None:
    everything = blobs(2_000, seed=50)
    first = everything[:8].clone()
    best = KMeans(8, init=first.numpy(), n_init=1).fit(everything.numpy()).inertia_
    ours = placed(first, decay=0.9)
    for seed in range(60):
        z = blobs(100, seed=1_000 + 2 * seed)
        ours.follow(z, ours(z).codes, gen())
    inertia = float((everything - ours.vectors(ours(everything).codes)).square().sum())
    start = float((everything - first[ours(everything).codes]).square().sum())
    assert inertia < 1.1 * best and inertia < 0.8 * start


def test_a_codeword_that_nothing_chooses_stays_where_it_is_unless_revived() -> None:
    z = 1 + 0.1 * torch.randn(30, 2, generator=gen(1))
    first = torch.tensor([[1.0, 1.0], [-50.0, 0.0]])
    left, revived = placed(first, decay=0.5), placed(first, decay=0.5, threshold=0.2)
    for ours in (left, revived):
        for _ in range(6):
            ours.follow(z, ours(z).codes, gen(2))
    assert set(left(z).codes.tolist()) == {0}
    torch.testing.assert_close(left.codewords[1] / left.codewords[1].norm(), torch.tensor([-1.0, 0.0]))
    assert set(revived(z).codes.tolist()) == {0, 1}
    assert (revived.codewords - 1).abs().max() < 1


def test_revived_codewords_are_vectors_of_the_batch_with_the_threshold_as_count() -> None:
    ours, z = RunningCodebook(6, 2, threshold=0.5), torch.randn(9, 2, generator=gen(1))
    ours.counts.copy_(torch.tensor([0.6, 0.4, 3.0, 0.0, 0.5, 0.1]))
    before = ours.codewords.clone()
    ours.revive(z, gen(4))
    kept = torch.tensor([0, 2, 4])
    assert torch.equal(ours.codewords[kept], before[kept])
    for j in (1, 3, 5):
        assert (ours.codewords[j] == z).all(1).any()
        assert float(ours.counts[j]) == 0.5
        torch.testing.assert_close(ours.sums[j], 0.5 * ours.codewords[j])
    again = RunningCodebook(6, 2, threshold=0.5)
    again.counts.zero_()
    again.revive(z, gen(5))
    assert len(again.codewords.unique(dim=0)) > 2  # not one vector for all


def test_looking_teaches_nothing_and_no_gradient_reaches_the_codebook() -> None:
    ours, z = RunningCodebook(6, 2), torch.randn(9, 2, generator=gen(1)).requires_grad_()
    before = {name: value.clone() for name, value in ours.state_dict().items()}
    found = ours(z)
    (found.values.sum() + found.loss).backward()
    assert all(torch.equal(value, before[name]) for name, value in ours.state_dict().items())
    assert not list(ours.parameters())
    expected = torch.ones(9, 2) + 2 * ours.beta * (z.detach() - ours.vectors(found.codes)) / z.numel()
    torch.testing.assert_close(z.grad, expected)


def test_begun_on_a_batch_every_codeword_is_a_vector_that_was_chosen_once() -> None:
    z, ours = torch.randn(9, 2, generator=gen(1)), RunningCodebook(6, 2)
    ours.counts.fill_(0.3)
    ours.begin(z, gen(2))
    assert all((row == z).all(1).any() for row in ours.codewords) and len(ours.codewords.unique(dim=0)) == 6
    assert torch.equal(ours.sums, ours.codewords) and torch.equal(ours.counts, torch.ones(6))
    assert ours.sums.data_ptr() != ours.codewords.data_ptr()


def test_bad_input() -> None:
    with rejects("decay"):
        RunningCodebook(4, 2, decay=1.5)
    with rejects("threshold"):
        RunningCodebook(4, 2, threshold=-0.1)
    with rejects("codes"):
        RunningCodebook(4, 2).vectors(torch.tensor([4]))
    ours, before = RunningCodebook(4, 2), RunningCodebook(4, 2).state_dict()
    ours.load_state_dict(before)
    for codes in ([0, 4, 1], [0, -1, 1]):
        with rejects("codes"):
            ours.follow(torch.zeros(3, 2), torch.tensor(codes), gen())
    with rejects("z: got 6 values that are NaN"):
        ours.follow(torch.full((3, 2), torch.nan), torch.tensor([0, 1, 2]), gen())
    assert torch.equal(ours.codewords, before["codewords"])
    with rejects("z: got"):
        RunningCodebook(4, 2)(torch.zeros(3, 5))
