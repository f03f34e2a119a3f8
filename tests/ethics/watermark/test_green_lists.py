"""The green-list watermark: transformers' numbers, the exact null, what δ does, and who must not matter."""

import math

import pytest
import torch

from companion.ethics.watermark.green_lists import GreenLists, Watermark, binomial_tail, deal, detect, green_chance
from tests.conftest import gen, rejects


def write(mark: Watermark, n: int, logits: torch.Tensor, seed: int = 1) -> torch.Tensor:
    """A text of n tokens by a model that gives the same logits everywhere."""
    ids, g = torch.zeros(1, 1, dtype=torch.int64), gen(seed)
    for _ in range(n):
        ids = torch.cat([ids, torch.multinomial(mark(ids, logits[None]).softmax(-1), 1, generator=g)], 1)
    return ids[0]


class TestParity:
    @pytest.mark.parametrize(
        ("vocab", "ratio", "key"),
        [
            (23, 0.3, 15_485_863),
            (101, 0.5, 7),
            (1024, 0.25, 12_345),
            (23, 0.3, 2**63 + 9),
        ],  # the last: seeds wrap around
    )
    def test_logits_equal_transformers(self, vocab, ratio, key):
        from transformers import WatermarkLogitsProcessor

        ids = torch.randint(vocab, (5, 4), generator=gen())
        ids[0, -1] = 0  # a seed of 0
        logits = torch.randn(5, vocab, generator=gen(1))
        theirs = WatermarkLogitsProcessor(vocab, "cpu", greenlist_ratio=ratio, bias=1.7, hashing_key=key)
        ours = Watermark(GreenLists(vocab, ratio, key, "lefthash"), 1.7)
        torch.testing.assert_close(ours(ids, logits), theirs(ids, logits), rtol=0, atol=1e-6)

    @pytest.mark.parametrize("count_repeats", [True, False])
    def test_detection_equals_transformers(self, count_repeats):
        """γ|V| is whole here, so the shares agree; the text has repeated pairs, and a green share of its own."""
        from transformers import GPT2Config, WatermarkDetector, WatermarkingConfig

        lists = GreenLists(40, 0.25, seeding_scheme="lefthash")
        ids = write(Watermark(lists, 1.0), 120, torch.linspace(0, 3, 40))
        theirs = WatermarkDetector(
            GPT2Config(vocab_size=40, bos_token_id=39),
            "cpu",
            WatermarkingConfig(),
            ignore_repeated_ngrams=not count_repeats,
        )(ids[None], return_dict=True)
        ours = detect(ids, lists, count_repeats=count_repeats)
        assert (ours.scored, ours.green) == (theirs.num_tokens_scored[0], theirs.num_green_tokens[0])
        assert ours.z == pytest.approx(theirs.z_score[0], abs=1e-12)
        assert ours.p_value == pytest.approx(float(theirs.p_value[0]), abs=1e-12)
        assert (ours.scored == 120) == count_repeats

    def test_binomial_tail_equals_scipy(self):
        from scipy.stats import binom

        for k, n, p in [(0, 5, 0.25), (3, 5, 0.25), (60, 120, 0.25), (120, 120, 0.25), (900, 3000, 0.25), (2, 2, 1.0)]:
            assert binomial_tail(k, n, p) == pytest.approx(binom.sf(k - 1, n, p), rel=1e-9)


class TestTruth:
    def test_null_is_standard_normal_over_keys(self):
        """One text that nobody marked, 400 keys: mean 0, and the deviation that dealing without replacement has."""
        vocab, lists = 64, []
        ids = torch.randint(vocab, (300,), generator=gen(2))
        lists = [GreenLists(vocab, 0.25, 10_007 + 2 * k) for k in range(400)]
        z = torch.tensor([detect(ids, one).z for one in lists])
        pairs = {(a, b) for a, b in zip(ids[:-1].tolist(), ids[1:].tolist(), strict=True)}
        followers = torch.tensor([sum(a == token for a, _ in pairs) for token in range(vocab)], dtype=torch.float64)
        exact = math.sqrt(float((followers * (vocab - followers) / (vocab - 1)).sum()) / len(pairs))
        assert 0.9 < exact < 1
        assert abs(float(z.mean())) < 3.5 / math.sqrt(400)
        assert float(z.std()) == pytest.approx(exact, abs=3.5 / math.sqrt(800))

    def test_repeats_inflate_the_null(self):
        """A loop of ten tokens is ten pairs, not two hundred: counted as often as they occur, chance alone looks sure."""
        loop = torch.randperm(64, generator=gen(3))[:10].repeat(20)
        keys = [GreenLists(64, 0.25, 10_007 + 2 * k) for k in range(200)]
        naive = torch.tensor([detect(loop, one, count_repeats=True).z for one in keys])
        honest = torch.tensor([detect(loop, one).z for one in keys])
        assert detect(loop, keys[0]).scored == 10
        assert float(naive.std()) == pytest.approx(math.sqrt(19.9), rel=0.15)
        assert float(honest.std()) == pytest.approx(1, rel=0.15)

    def test_green_chance_is_the_softmaxs(self):
        lists = GreenLists(17, 0.3)
        previous, logits = torch.tensor([3, 16]), torch.randn(2, 17, generator=gen(), dtype=torch.float64)
        green = lists.after(previous)
        direct = (Watermark(lists, 1.3)(previous[:, None], logits).softmax(-1) * green).sum(-1)
        torch.testing.assert_close(green_chance(logits.softmax(-1), green, 1.3), direct)
        torch.testing.assert_close(green_chance(logits.softmax(-1), green, 0), (logits.softmax(-1) * green).sum(-1))

    def test_a_list_is_the_first_tokens_of_the_shuffle(self):
        shuffled = torch.randperm(50, generator=gen(7))
        assert deal(7, 50, 12).nonzero().flatten().tolist() == sorted(shuffled[:12].tolist())

    def test_share_of_green_where_all_tokens_are_equally_likely(self):
        """Then q is γ whatever the lists are: e^δ γ / (1 + (e^δ - 1) γ), here 0.711."""
        lists = GreenLists(200, 0.25)
        found = detect(write(Watermark(lists, 2.0), 1500, torch.zeros(200)), lists, count_repeats=True)
        want = math.exp(2) * 0.25 / (1 + math.expm1(2) * 0.25)
        assert found.green / found.scored == pytest.approx(want, abs=4 * math.sqrt(want * (1 - want) / 1500))
        assert found.z > 30 and found.p_value < 1e-100

    def test_certain_text_carries_no_mark(self):
        """A model that is sure writes the same with and without δ."""
        logits = torch.full((50,), -40.0)
        logits[7] = 40.0
        assert (write(Watermark(GreenLists(50), 3.0), 20, logits)[1:] == 7).all()

    def test_the_test_uses_the_share_that_the_lists_have(self):
        lists = GreenLists(7, 0.4)
        assert (lists.size, lists.share) == (2, 2 / 7)
        assert all(int(lists.after(torch.tensor([t])).sum()) == 2 for t in range(7))
        every_pair = torch.cat([torch.tensor([a, b]) for a in range(7) for b in range(7)])
        found = detect(every_pair, lists)  # all 49 pairs occur, so exactly two of seven are green
        assert (found.scored, found.green, found.z) == (49, 14, 0.0)

    def test_short_texts_need_the_exact_tail(self):
        lists = GreenLists(40, 0.25)
        ids = write(Watermark(lists, 6.0), 12, torch.zeros(40))
        found = detect(ids, lists)
        assert found.p_exact > 10 * found.p_value


def accusing(text: torch.Tensor, **options: str) -> int:
    """How many of the false keys find z > 2 in a text that none of them marked."""
    lists = (GreenLists(len(COMMON), 0.25, key, **options) for key in FALSE_KEYS)
    return sum(detect(text, one).z > 2 for one in lists)


COMMON = torch.zeros(150)  # logits of a writer: a quarter of the text is token 0, the rest even
COMMON[0] = math.log(150 / 3)
FALSE_KEYS = range(10_007, 10_047)
# More accusing keys than that come about once in a thousand times, if each accuses with the chance of z > 2.
MOST = next(k for k in range(41) if binomial_tail(k + 1, 40, 0.5 * math.erfc(2 / math.sqrt(2))) < 1e-3)


@pytest.mark.parametrize("key", [15_485_863, 2301, 10_006])
class TestFalseKeys:
    """A key must find no more in another key's text than in text that nobody marked."""

    def test_text_of_another_key_is_accused_as_rarely_as_unmarked_text(self, key):
        lists = GreenLists(150, 0.25, key)
        marked, unmarked = (write(Watermark(lists, delta), 300, COMMON) for delta in (2.0, 0.0))
        assert detect(marked, lists).z > 10
        assert accusing(marked) <= MOST
        assert accusing(unmarked) <= MOST

    def test_the_librarys_keys_collide(self, key):
        """After token 0 its seed is 0 for each key, and the test above fails."""
        marked = write(Watermark(GreenLists(150, 0.25, key, "lefthash")), 300, COMMON)
        assert accusing(marked, seeding_scheme="lefthash") > MOST
        assert len({GreenLists(150, 0.25, other, "lefthash").seed(0) for other in FALSE_KEYS}) == 1


class TestSeeds:
    def test_neither_products_nor_sums_nor_digits_of_key_and_token_collide(self):
        """3 · 4 = 2 · 6, "1" + "23" = "12" + "3"; and hardly two of 60,000 in the 32 bits that torch's generator keeps."""
        seeds = [GreenLists(300, key=key).seed(token) for key in range(1, 201) for token in range(300)]
        assert len(set(seeds)) == 60_000 and max(seeds) < 2**64
        assert len({seed % 2**32 for seed in seeds}) >= 59_998
        assert max(seeds) > 2**63


class TestDependence:
    def test_only_the_last_token_decides(self):
        mark = Watermark(GreenLists(30))
        logits = torch.randn(2, 30, generator=gen())
        one = mark(torch.tensor([[1, 2, 3], [4, 5, 6]]), logits)
        assert torch.equal(one, mark(torch.tensor([[9, 9, 3], [0, 0, 6]]), logits))
        other = mark(torch.tensor([[1, 2, 3], [4, 5, 7]]), logits)
        assert torch.equal(one[0], other[0]) and not torch.equal(one[1], other[1])

    def test_delta_zero_changes_nothing(self):
        logits = torch.randn(1, 30, generator=gen())
        assert torch.equal(Watermark(GreenLists(30), 0.0)(torch.tensor([[5]]), logits), logits)

    def test_another_key_sees_nothing(self):
        lists = GreenLists(200)
        ids = write(Watermark(lists), 300, torch.zeros(200))
        assert detect(ids, lists).z > 12
        assert abs(detect(ids, GreenLists(200, key=97)).z) < 4

    def test_precision_and_shape_of_the_logits_stay(self):
        got = Watermark(GreenLists(30))(torch.tensor([[1], [2]]), torch.zeros(2, 30, dtype=torch.float64))
        assert got.dtype == torch.float64 and got.shape == (2, 30)


def test_bad_input():
    with rejects("ratio"):
        GreenLists(3, 0.2)
    with rejects("ratio"):
        GreenLists(30, 1.0)
    with rejects("key"):
        GreenLists(30, key=0)
    with rejects("seeding_scheme"):
        GreenLists(30, seeding_scheme="selfhash")
    with rejects("delta"):
        Watermark(GreenLists(30), -1.0)
    with rejects("ids"):
        detect(torch.tensor([3]), GreenLists(30))
    with rejects("ids"):
        detect(torch.tensor([3, 30]), GreenLists(30))
    with rejects("logits"):
        Watermark(GreenLists(30))(torch.tensor([[1]]), torch.zeros(1, 31))
    with rejects("at_least"):
        binomial_tail(4, 3, 0.5)


def test_the_shortest_text_that_has_a_pair():
    lists = GreenLists(10)
    assert lists.colours(torch.tensor([3, 4])).tolist() == [bool(lists.after(torch.tensor([3]))[0, 4])]
