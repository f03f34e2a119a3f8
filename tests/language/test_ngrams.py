"""Counted text: the printed recursion by hand, probabilities that add up, text that the counts make certain, and tokens."""

import math
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from companion.data import shakespeare
from companion.language.generation import generate
from companion.language.ngrams import NGram, NGramConfig, encode, fit_ngram, longest_copy
from companion.language.scoring import mean_nats, next_token_loss
from companion.language.speculative import speculate
from companion.text.llama import Llama, LlamaConfig
from tests.conftest import gen, rejects


def _by_hand(text: str, order: int, context: str, character: str) -> float:
    """eq-overview-ngram as printed, by counting substrings."""
    p = 1 / len(set(text))
    for k in range(min(order, len(context)) + 1):
        h = context[len(context) - k :]
        follow = Counter(text[i + k] for i in range(len(text) - k) if text[i : i + k] == h)
        n, t = sum(follow.values()), len(follow)
        if not n:
            break
        p = (follow[character] + t * p) / (n + t)
    return p


@pytest.mark.parametrize("order", [0, 1, 3])
def test_next_equals_the_printed_recursion(order: int) -> None:
    text = "to be or not to be that is the question"
    model = fit_ngram(text, order)
    for context in ("", "t", "to ", "not to b", "zz".replace("z", "q")):
        want = [_by_hand(text, order, context, c) for c in model.alphabet]
        torch.testing.assert_close(model.next(context), torch.tensor(want, dtype=torch.float64))


def _kneser_ney(text: str, order: int, discount: float, context: str, character: str) -> float:
    """The printed recursion by counting substrings; below the longest context what counts is the characters before."""
    p = 1 / len(set(text))
    for k in range(min(order, len(context)) + 1):
        h = context[len(context) - k :]
        places = [i for i in range(len(text) - k) if text[i : i + k] == h]
        if k == order:
            n = Counter(text[i + k] for i in places)
        else:
            n = Counter(c for _, c in {(text[i - 1], text[i + k]) for i in places if i > 0})
            n.update(c for c in {text[i + k] for i in places} if c not in n)  # stands at the start alone
        if not n:
            break
        p = (max(n[character] - discount, 0) + discount * len(n) * p) / sum(n.values())
    return p


@pytest.mark.parametrize("order", [0, 1, 3])
@pytest.mark.parametrize("discount", [0.3, 0.8, 1.0])
def test_with_a_discount_it_is_kneser_and_neys_recursion(order: int, discount: float) -> None:
    text = "to be or not to be that is the question"
    model = fit_ngram(text, order, discount=discount)
    for context in ("", "t", "to ", "not to b", "qqq", "on", "ion"):
        want = torch.tensor([_kneser_ney(text, order, discount, context, c) for c in model.alphabet]).double()
        assert abs(float(want.sum()) - 1) < 1e-6
        torch.testing.assert_close(model.next(context), want, rtol=0, atol=1e-7)
        logits = model.model(encode(context or "t", model.alphabet)[None].repeat(1, 3))[0]  # many places at once
        assert logits.exp().sum(-1).sub(1).abs().max() < 1e-5


def test_kneser_and_neys_counts_need_fewer_bits_than_witten_and_bells() -> None:
    train, held_out = shakespeare("train", limit=300_000).text, shakespeare("valid", limit=20_000).text
    held_out = held_out.translate({ord(c): None for c in set(held_out) - set(train)})
    plain, better = (fit_ngram(train, 5, discount=d).bits_per_character(held_out) for d in (None, 0.8))
    assert better < plain - 0.1, (better, plain)


@settings(max_examples=40, deadline=None)
@given(
    st.text("abc", min_size=5, max_size=40),
    st.text("abc", min_size=1, max_size=12),
    st.integers(0, 4),
    st.sampled_from([None, 0.7]),
)
def test_bits_are_the_chain_of_next(text: str, other: str, order: int, discount: float | None) -> None:
    """eq-overview-chain: the fast sum over a text equals one character after the other."""
    model = fit_ngram(text, order, discount=discount)
    other = "".join(c for c in other if c in model.alphabet) or text[:1]
    slow = sum(-math.log2(model.next(other[:i])[model.alphabet.index(c)]) for i, c in enumerate(other)) / len(other)
    assert abs(model.bits_per_character(other) - slow) < 1e-9


@settings(max_examples=40, deadline=None)
@given(st.text("abcd", min_size=5, max_size=40), st.text("abcd", max_size=8))
def test_probabilities_are_positive_and_sum_to_one(text: str, context: str) -> None:
    model = fit_ngram(text, 3)
    p = model.next("".join(c for c in context if c in model.alphabet))
    assert abs(float(p.sum()) - 1) < 1e-9 and (p > 0).all()


def test_only_the_last_characters_count() -> None:
    model = fit_ngram(shakespeare(limit=20_000).text, 3)
    assert torch.equal(model.next("O what a noble"), model.next("ble"))
    assert not torch.equal(model.next("ble"), model.next("bly"))


def test_learns_shakespeare_better_than_letter_frequencies() -> None:
    train, held_out = shakespeare("train", limit=300_000).text, shakespeare("valid", limit=20_000).text
    held_out = held_out.translate({ord(c): None for c in set(held_out) - set(train)})
    bits = [fit_ngram(train, order).bits_per_character(held_out) for order in (0, 1, 4)]
    assert bits[0] > 4.5 and bits[1] < 4.0 and bits[2] < 2.8, bits


def test_continues_what_it_is_certain_of() -> None:
    model = fit_ngram("abcdef" * 500, 3)
    sample = model.sample(12, torch.Generator().manual_seed(0), prompt="abc", temperature=0.3)
    assert sample == "abcdefabcdefabc"


def test_temperature_raises_entropy() -> None:
    """I38: hotter is more varied."""
    model = fit_ngram(shakespeare(limit=50_000).text, 2)
    kinds = [len(set(model.sample(300, torch.Generator().manual_seed(0), temperature=t))) for t in (0.2, 1.0, 5.0)]
    assert kinds[0] < kinds[1] < kinds[2], kinds


def test_length_and_seed() -> None:
    """I39: the answer holds the prompt and exactly as many characters as were asked for."""
    model = fit_ngram(shakespeare(limit=20_000).text, 2)
    one, two, other = (model.sample(50, torch.Generator().manual_seed(s), prompt="O ") for s in (1, 1, 2))
    assert one == two != other and len(one) == 52 and one.startswith("O ")


def test_longest_copy() -> None:
    assert longest_copy("xx brown cow", "how now brown cow") == len(" brown cow")
    assert longest_copy("zzz", "abc") == 0


def test_bad_input() -> None:
    model = fit_ngram("hello world", 2)
    with rejects("order"):
        fit_ngram("abc", -1)
    with rejects("text"):
        fit_ngram("ab", 2)
    with rejects("text"):
        encode("z", "abc")
    with rejects("text"):
        model.bits_per_character("")
    with rejects("temperature"):
        model.sample(5, torch.Generator(), temperature=0)
    with rejects("characters"):
        model.sample(-1, torch.Generator())


TOKENS = torch.tensor([0, 1, 2, 0, 1, 3, 0, 1, 2, 4])
SIZE = 6


class TestTokens:
    """The same counts as a language model of token numbers."""

    @staticmethod
    def by_hand(past: list[int], order: int, add: float | None) -> list[float]:
        text = TOKENS.tolist()
        a = len(set(text)) / SIZE if add is None else add
        q = [(text.count(x) + a) / (len(text) + a * SIZE) for x in range(SIZE)]
        for m in range(1, min(order, len(past)) + 1):
            after = [text[i + m] for i in range(len(text) - m) if text[i : i + m] == past[-m:]]
            if after:
                n, k = len(after), len(set(after))
                q = [(after.count(x) + k * q[x]) / (n + k) for x in range(SIZE)]
        return q

    @pytest.mark.parametrize("order", [0, 1, 2, 3])
    @pytest.mark.parametrize("add", [None, 1.0, 0.25])
    @pytest.mark.parametrize("past", [[], [0, 1], [2], [5], [4], [1, 5], [5, 1], [2, 0, 1], [0, 1, 2, 4]])
    def test_the_shares_are_those_counted_by_hand(self, order, add, past):
        """A context that was never seen, one that ends the text and is followed by nothing, and the empty one included."""
        model, want = NGram(TOKENS, NGramConfig(SIZE, order, add)), torch.tensor(self.by_hand(past, order, add))
        torch.testing.assert_close(model.probabilities(past).float(), want, rtol=0, atol=1e-6)
        if past:
            got = model(torch.tensor([past]))[0, -1].exp()  # with T/V an unseen token still has a share
            torch.testing.assert_close(got, want, rtol=0, atol=1e-6)

    def test_no_number_overflows_however_many_tokens_and_however_long_the_past(self):
        """With V = 10,000 and an order of 4 a sequence has 10^20 names, more than int64 holds: counted exactly all the same."""
        text = 9_990 + torch.randint(10, (300,), generator=torch.Generator().manual_seed(2))
        large, small = NGram(text, NGramConfig(10_000, 6, 1.0)), NGram(text - 9_990, NGramConfig(10, 6, 1.0))
        for start in (0, 70, 200):
            past = text[start : start + 9]
            counted, want = large.probabilities(past), small.probabilities(past - 9_990)
            # only the shares of single tokens know how many there are; six tokens in a row outweigh them
            assert counted.argmax() == 9_990 + want.argmax() == text[start + 9]
            assert float((counted[9_990:] - want).abs().max()) < 0.02
        assert (
            large.token_probabilities(text).log() - small.token_probabilities(text - 9_990).log()
        ).abs().median() < 0.02

    def test_a_texts_probabilities_are_those_of_one_token_after_the_other(self):
        model = NGram(TOKENS, NGramConfig(SIZE, 2, 1.0))
        text = torch.tensor([1, 2, 0, 5, 0, 1, 3, 3])
        want = [float(model.probabilities(text[:i])[text[i]]) for i in range(len(text))]
        assert model.token_probabilities(text).tolist() == pytest.approx(want, abs=1e-12)
        assert mean_nats(model, text) == pytest.approx(-sum(map(math.log, want[1:])) / 7, abs=1e-6)

    @pytest.mark.parametrize("order", [0, 1, 3])
    @pytest.mark.parametrize("add", [None, 0.5])
    def test_one_token_after_the_other_is_the_same_as_all_at_once(self, order, add):
        """Few places take the short path, many the other; the numbers are the same, also beside an unseen token."""
        ids = torch.randint(7, (200,), generator=gen(3))
        model, text = NGram(ids, NGramConfig(9, order, add)), torch.randint(9, (3, 40), generator=gen(4))
        whole, state = model(text).softmax(-1), model.new_state(3)
        pieces = torch.cat([model(text[:, i : i + n], state) for i, n in ((0, 1), (1, 2), (3, 1), (4, 36))], 1)
        torch.testing.assert_close(pieces.softmax(-1), whole, rtol=0, atol=1e-6)
        torch.testing.assert_close(model.probabilities(text[1, :3]).float(), whole[1, 2], rtol=0, atol=1e-6)

    def test_the_future_and_other_rows_do_not_matter(self):
        model = NGram(TOKENS, NGramConfig(SIZE))
        one, other = torch.tensor([[3, 0, 1, 2], [0, 0, 0, 0]]), torch.tensor([[3, 0, 1, 5], [4, 4, 4, 4]])
        assert torch.equal(model(one)[0, :3], model(other)[0, :3])
        assert not torch.equal(model(one)[0, 3], model(other)[0, 3])

    def test_it_learns_a_text_better_than_counts_of_single_tokens(self):
        generator = torch.Generator().manual_seed(0)
        chain = torch.rand(8, 8, generator=generator).pow(6) + 1e-3
        ids = [0]
        for _ in range(4000):
            ids.append(int(torch.multinomial(chain[ids[-1]], 1, generator=generator)))
        text = torch.tensor(ids)
        one, two = (NGram(text[:3000], NGramConfig(8, order, 1.0)) for order in (1, 2))
        shares = torch.bincount(text[:3000], minlength=8) / 3000
        unigram = -float(shares[text[3001:]].log().mean())
        law = chain / chain.sum(1, keepdim=True)
        best = -float(law[text[3000:-1], text[3001:]].log().mean())
        nats = [float(next_token_loss(model, (text[None, 3000:],))) for model in (one, two)]
        assert best < nats[0] + 0.02 < best + 0.1 < unigram
        assert nats[1] < best + 0.25  # nothing to gain from more than one token here

    def test_as_a_draft_it_leaves_the_text_as_it_is(self):
        torch.manual_seed(3)
        target = Llama(LlamaConfig(SIZE, 40, 12, 2, heads=3, kv_heads=1, hidden=16))
        for parameter in target.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
        prompt = torch.tensor([[1, 0]])
        own = generate(target, prompt, 30)
        for model in (NGram(TOKENS, NGramConfig(SIZE)), NGram(own[0], NGramConfig(SIZE))):
            run = speculate(target, model, prompt, 30, lookahead=3)
            assert torch.equal(run.ids, own)
        assert run.kept > 10  # a table of the target's own text is often right

    def test_bad_input(self):
        with rejects("ids"):
            NGram(TOKENS, NGramConfig(3))
        with rejects("order"):
            NGram(TOKENS[:2], NGramConfig(SIZE, 2))
        with rejects("order"):
            NGramConfig(SIZE, -1)
        with rejects("add"):
            NGramConfig(SIZE, add=0.0)
        with rejects("ids"):
            NGram(TOKENS, NGramConfig(SIZE)).token_probabilities(TOKENS[None])
