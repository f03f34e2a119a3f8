"""T5 as published, both versions: the library's logits, gradients and maps; states, padding, the start; it learns numbers."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import T5Config as TheirConfig
from transformers import T5ForConditionalGeneration

from companion.foundations.attention.seq2seq import Memory
from companion.language.beam_search import beam_search
from companion.language.conditioning import EncoderDecoder
from companion.language.contract import LanguageModel, State, left_padded
from companion.language.generation import generate
from companion.text.t5 import T5, T5Config
from tests.conftest import gen, rejects
from tests.text.t5.tiny import NEW, REAL, SOURCE, TARGET, VERSIONS, published_t5

SMALL = T5Config(31, 18, 2, 3, heads=3, head_width=5, hidden=22, buckets=8, max_distance=11)
KINDS = pytest.mark.parametrize("gated", [False, True], ids=["T5", "T5 v1.1"])


def small(gated: bool = False, **options: float) -> T5:
    """With sharp, arbitrary opinions."""
    torch.manual_seed(3)
    model = T5(T5Config(**(vars(SMALL) | {"gated": gated, "tied": not gated} | options)))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model.eval()


def close(got: Tensor, want: Tensor) -> None:
    torch.testing.assert_close(got, want, rtol=0, atol=1e-5)


# ------------------------------------------------------------------------------------------------ parity


@VERSIONS
def test_reads_the_published_format_and_gives_the_same_logits_I16_I19(version, tmp_path) -> None:
    theirs = published_t5(tmp_path, version)
    ours = T5.from_pretrained(tmp_path)
    assert (ours.out.weight is ours.tokens.weight) == (version is not NEW)
    again = T5ForConditionalGeneration.from_pretrained(tmp_path).eval()  # the file, as the library reads it
    with torch.no_grad():
        for mask in (None, REAL):
            want = theirs(SOURCE, mask, TARGET).logits
            assert want.std() > 0.1
            close(ours(SOURCE, mask, TARGET), want)
            close(ours(SOURCE, mask, TARGET), again(SOURCE, mask, TARGET).logits)


@VERSIONS
def test_targets_with_padding_in_front(version, tmp_path) -> None:
    theirs, seen = published_t5(tmp_path, version), torch.arange(7) >= torch.tensor([[0], [2], [5]])
    ours = T5.from_pretrained(tmp_path)
    with torch.no_grad():
        close(ours(SOURCE, REAL, TARGET, seen)[seen], theirs(SOURCE, REAL, TARGET, seen).logits[seen])


@VERSIONS
def test_gradients_agree(version, tmp_path) -> None:
    theirs = published_t5(tmp_path, version)
    ours = T5.from_pretrained(tmp_path)
    ours(SOURCE, REAL, TARGET).pow(2).mean().backward()
    theirs(SOURCE, REAL, TARGET).logits.pow(2).mean().backward()
    encoder, decoder = theirs.encoder.block, theirs.decoder.block
    for mine, wanted in (
        (ours.tokens.weight, theirs.shared.weight),
        (ours.out.weight, theirs.lm_head.weight),
        (ours.encoder_positions.table.weight, encoder[0].layer[0].SelfAttention.relative_attention_bias.weight),
        (ours.decoder_positions.table.weight, decoder[0].layer[0].SelfAttention.relative_attention_bias.weight),
        (ours.encoder[1].attention.q.weight, encoder[1].layer[0].SelfAttention.q.weight),
        (ours.decoder[1].cross.k.weight, decoder[1].layer[1].EncDecAttention.k.weight),
        (ours.decoder[0].cross_norm.weight, decoder[0].layer[1].layer_norm.weight),
        (ours.decoder[1].mlp.down.weight, decoder[1].layer[2].DenseReluDense.wo.weight),
    ):
        torch.testing.assert_close(mine.grad, wanted.grad, rtol=1e-4, atol=1e-5)


@VERSIONS
def test_the_maps_are_the_librarys_cross_attentions_I25(version, tmp_path) -> None:
    theirs = published_t5(tmp_path, version)
    ours = T5.from_pretrained(tmp_path)
    theirs.set_attn_implementation("eager")
    with torch.no_grad():
        logits, maps = ours.decode_with_maps(ours.encode(SOURCE, REAL), TARGET)
        want = theirs(SOURCE, REAL, TARGET, output_attentions=True)
    assert maps.shape == (3, 2, 3, 7, 13)  # batch, layers, heads, target, source
    close(maps, torch.stack(want.cross_attentions, 1))
    close(logits, want.logits)
    close(maps.sum(-1), torch.ones(3, 2, 3, 7))
    assert (maps[0, ..., 9:] == 0).all() and (maps[1, ..., :3] == 0).all()


@VERSIONS
def test_writes_what_the_library_writes_for_unequal_sources(version, tmp_path) -> None:
    theirs = published_t5(tmp_path, version)
    ours = T5.from_pretrained(tmp_path)
    want = theirs.generate(
        SOURCE, attention_mask=REAL.long(), max_new_tokens=15, do_sample=False, suppress_tokens=[1], num_beams=1
    )

    def never_end(ids: Tensor, logits: Tensor) -> Tensor:
        return logits.index_fill(1, torch.tensor([1]), -torch.inf)

    start = torch.zeros(3, 1, dtype=torch.int64)
    assert torch.equal(generate(ours.given(SOURCE, REAL), start, 15, processors=[never_end]), want)


# ------------------------------------------------------------------------------------------------ states and the contract


@KINDS
@pytest.mark.parametrize("chunks", [(1,) * 7, (3, 1, 3), (7,)])
def test_piece_by_piece_as_all_at_once_I22_I23(gated: bool, chunks: tuple[int, ...]) -> None:
    model, seen = small(gated), torch.arange(7) >= torch.tensor([[0], [2], [4]])
    with torch.no_grad():
        memory = model.encode(SOURCE, REAL)
        want, padded = model(SOURCE, REAL, TARGET), model(SOURCE, REAL, TARGET, seen)
        state, other, parts, end = model.new_state(3), model.new_state(3), [], 0
        for part in TARGET.split(list(chunks), 1):
            end += part.shape[1]
            parts.append((model.decode(memory, part, state), model(None, None, part, seen[:, :end], memory, other)))
            assert state.length == other.length == end
        close(torch.cat([part for part, _ in parts], 1), want)
        close(torch.cat([part for _, part in parts], 1)[seen], padded[seen])
        state = model.new_state(3)
        maps = [model.decode_with_maps(memory, part, state)[1] for part in TARGET.split(list(chunks), 1)]
        close(torch.cat(maps, 3), model.decode_with_maps(memory, TARGET)[1])


@KINDS
def test_with_its_source_given_it_is_a_language_model_of_the_target(gated: bool) -> None:
    model, rows = small(gated), torch.tensor([2, 0, 0, 1])
    writer = model.given(SOURCE, REAL)
    assert isinstance(model, EncoderDecoder) and isinstance(writer, LanguageModel)
    with torch.no_grad():
        want, state = model(SOURCE, REAL, TARGET), writer.new_state(3)
        assert isinstance(state, State)
        close(writer(TARGET), want)
        close(writer(TARGET[:, :4], state), want[:, :4])
        chosen, copied = state.select(rows), state.clone()
        close(writer(TARGET[rows, 4:], chosen), want[rows, 4:])
        close(writer(TARGET[:, 4:], copied), want[:, 4:])
        assert (state.length, copied.length, chosen.length) == (4, 7, 7)
        state.truncate(2)
        close(writer(TARGET[:, 2:], state), want[:, 2:])


@KINDS
def test_the_state_changes_no_word_also_where_the_context_is_outgrown_I39(gated: bool) -> None:
    model = small(gated)
    ids, kept = torch.zeros(3, 1, dtype=torch.int64), 0
    with torch.no_grad():
        for _ in range(11):
            if ids.shape[1] - kept > 6:
                kept = ids.shape[1] - 3
            logits = model(SOURCE, REAL, ids[:, kept:])
            ids = torch.cat([ids, logits[:, -1].argmax(-1, keepdim=True)], 1)
    got = generate(model.given(SOURCE, REAL, context=6), torch.zeros(3, 1, dtype=torch.int64), 11)
    assert torch.equal(got, ids) and got.shape == (3, 12)


def test_each_source_is_read_once() -> None:
    model, calls = small(), []
    model.encoder[0].register_forward_hook(lambda *_: calls.append(1))
    generate(model.given(SOURCE, REAL), torch.zeros(3, 1, dtype=torch.int64), 9)
    assert len(calls) == 1


@KINDS
def test_unequal_sources_together_as_each_alone_I24(gated: bool) -> None:
    """Padding behind or in front, whatever stands in it."""
    model, lengths = small(gated), (13, 4, 8)
    rows = [row[:length] for row, length in zip(SOURCE, lengths, strict=True)]
    start = torch.zeros(3, 1, dtype=torch.int64)
    alone = torch.cat([generate(model.given(row[None]), start[:1], 7) for row in rows])
    front, real = left_padded(rows, pad=5)
    behind = torch.arange(13) < torch.tensor(lengths)[:, None]
    assert torch.equal(generate(model.given(front, real), start, 7), alone)
    assert torch.equal(generate(model.given(SOURCE, behind), start, 7), alone)
    assert len({tuple(row) for row in alone.tolist()}) == 3
    twice = generate(model.given(SOURCE, behind), start, 5, samples=2)
    assert torch.equal(twice, alone[:, :6].repeat_interleave(2, 0))


@KINDS
def test_beams_that_hold_every_target_find_the_most_probable(gated: bool) -> None:
    model = small(gated, vocab_size=6)
    source, start = SOURCE[:1] % 6, torch.zeros(1, 1, dtype=torch.int64)
    best = beam_search(model.given(source), start, 3, beams=6**3)[0]
    every = torch.cartesian_prod(*[torch.arange(6)] * 3)
    with torch.no_grad():
        log_p = model(source.expand(len(every), -1), None, model.shift_right(every)).log_softmax(-1)
    log_p = log_p.gather(-1, every[..., None]).sum((1, 2))
    assert best.log_prob == pytest.approx(float(log_p.max()), abs=1e-4)
    assert torch.equal(best.ids[1:], every[log_p.argmax()])


# ------------------------------------------------------------------------------------------------ dependence


@KINDS
def test_the_future_of_the_target_cannot_be_seen_and_all_of_the_source_can_I21(gated: bool) -> None:
    model = small(gated)
    before = model(SOURCE, REAL, TARGET)
    changed = TARGET.clone()
    changed[:, 4] = (changed[:, 4] + 1) % 31
    after = model(SOURCE, REAL, changed)
    assert torch.equal(before[:, :4], after[:, :4]) and (before[:, 4:] != after[:, 4:]).any(-1).all()
    for place in (0, 12):  # the encoder looks both ways: the first token's vector knows the last
        changed = SOURCE.clone()
        changed[:, place] = (changed[:, place] + 1) % 31
        other = model.encode(changed).states
        assert (other != model.encode(SOURCE).states).any(-1).all()
        assert (model(changed, None, TARGET) != model(SOURCE, None, TARGET)).any(-1).all()


def test_padding_and_other_rows_change_nothing_I18_I24() -> None:
    model, changed = small(), SOURCE.clone()
    changed[~REAL] = 7
    want = model(SOURCE, REAL, TARGET)
    assert torch.equal(model(changed, REAL, TARGET), want)
    changed = SOURCE.clone()
    changed[2] = changed[2].flip(0)
    assert torch.equal(model(changed, REAL, TARGET)[:2], want[:2])
    close(model(SOURCE[1:2, 3:], None, TARGET[1:2]), want[1:2])


def test_a_source_of_padding_alone_stays_finite_I24() -> None:
    model, real = small(), REAL.clone()
    real[0] = False
    logits = model(SOURCE, real, TARGET)
    logits.pow(2).mean().backward()
    assert logits.isfinite().all() and all(p.grad.isfinite().all() for p in model.parameters())


def test_positions_are_really_used_in_both_stacks_I29() -> None:
    model = small()
    want = model(SOURCE, None, TARGET)
    assert (model(SOURCE.flip(1), None, TARGET) - want).abs().max() > 1e-3
    swapped = TARGET[:, [1, 0, 2, 3, 4, 5, 6]]
    assert (model(SOURCE, None, swapped)[:, 6] - want[:, 6]).abs().max() > 1e-3
    for positions in (model.encoder_positions, model.decoder_positions):
        kept = positions.table.weight.detach().clone()
        nn.init.zeros_(positions.table.weight)
        assert (model(SOURCE, None, TARGET) - want).abs().max() > 1e-3
        positions.table.weight.data.copy_(kept)
    close(model(SOURCE, None, TARGET), want)


def test_eval_switches_dropout_off_and_training_drops_everywhere_I26() -> None:
    model = small(dropout=0.5)
    assert torch.equal(model(SOURCE, REAL, TARGET), model(SOURCE, REAL, TARGET))
    close(model(SOURCE, REAL, TARGET), small()(SOURCE, REAL, TARGET))
    model.train()
    assert not torch.equal(model(SOURCE, REAL, TARGET), model(SOURCE, REAL, TARGET))
    hidden = model.encoder[0].mlp
    x = torch.randn(2, 18)
    assert not torch.equal(hidden(x), hidden(x))
    assert model.decoder[1].dropout == model.decoder[1].cross.dropout == model.encoder[0].attention.dropout == 0.5
    drop, seen = model._drop, []
    model._drop = lambda x: seen.append(x.shape) or drop(x)
    model(SOURCE, REAL, TARGET)
    assert seen == [(3, 13, 18)] * 2 + [(3, 7, 18)] * 2, "both stacks drop what they read and what they give"
    nothing = T5(T5Config(**(vars(SMALL) | {"dropout": 1.0}))).train()
    assert not nothing.encode(SOURCE).states.any() and not nothing(SOURCE, None, TARGET).any()


def test_mlps_as_printed_I60() -> None:
    x = torch.randn(4, 18, dtype=torch.float64)
    for gated in (False, True):
        mlp = small(gated).double().decoder[1].mlp
        up = x @ mlp.up.weight.T
        if gated:
            z = x @ mlp.gate.weight.T
            inner = math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)
            hidden = 0.5 * z * (1 + inner.tanh()) * up
        else:
            hidden = up.clamp(min=0)
        torch.testing.assert_close(mlp(x), hidden @ mlp.down.weight.T)


# ------------------------------------------------------------------------------------------------ the start


def test_the_decoder_reads_the_target_shifted_once_I33(tmp_path) -> None:
    model = small(pad_token=4)
    assert model.shift_right(torch.tensor([[7, 2, 5], [1, 1, 4]])).tolist() == [[4, 7, 2], [4, 1, 1]]
    theirs = published_t5(tmp_path, NEW)
    assert torch.equal(T5.from_pretrained(tmp_path).shift_right(TARGET), theirs._shift_right(TARGET))


@KINDS
def test_each_matrix_starts_with_its_spread(gated: bool) -> None:
    torch.manual_seed(0)
    config = T5Config(400, 64, 2, heads=6, head_width=25, hidden=200, gated=gated, tied=not gated, buckets=64)
    wanted = {"tokens": 1, "out": 64**-0.5, "table": 64**-0.5, "q": (64 * 25) ** -0.5, "k": 64**-0.5, "v": 64**-0.5}
    for name, parameter in T5(config).named_parameters():
        kind = name.split(".")[-2]
        if parameter.ndim == 1:
            assert (parameter == 1).all(), name
            continue
        inside = {"up": 64**-0.5, "gate": 64**-0.5, "down": 200**-0.5, "out": 150**-0.5}
        want = inside[kind] if kind in inside and name != "out.weight" else wanted[kind]
        assert float(parameter.detach().std()) == pytest.approx(want, rel=0.1), name


def test_scores_start_with_variance_one_though_nothing_divides_them_I19_I20() -> None:
    torch.manual_seed(0)
    model = T5(T5Config(50, 96, 1, heads=8, head_width=32, hidden=10))
    x = torch.randn(2, 60, 96)
    q, k, _ = model.encoder[0].attention.project(x)
    assert float((q @ k.transpose(-2, -1)).detach().var()) == pytest.approx(1, rel=0.15)


def test_the_first_loss_is_about_ln_v_and_the_librarys_version_1_1_is_far_above() -> None:
    """huggingface/transformers#26441: its output starts from N(0, 1) where nothing divides the logits."""
    source, target = (torch.randint(2, 200, (8, n), generator=gen(n)) for n in (12, 9))
    sizes = {"vocab_size": 200, "d_model": 96, "d_kv": 16, "d_ff": 128, "num_layers": 2, "num_heads": 4}

    def loss(logits: Tensor) -> float:
        return float(F.cross_entropy(logits.flatten(0, 1), target.flatten()))

    for gated in (False, True):
        torch.manual_seed(0)
        ours = T5(T5Config(200, 96, 2, heads=4, head_width=16, hidden=128, gated=gated, tied=not gated))
        with torch.no_grad():
            assert loss(ours(source, None, ours.shift_right(target))) == pytest.approx(math.log(200), abs=1)
    theirs = T5ForConditionalGeneration(TheirConfig(**sizes, **NEW, decoder_start_token_id=0)).eval()
    with torch.no_grad():
        assert loss(theirs(source, None, theirs._shift_right(target)).logits) > 3 * math.log(200)


def test_the_published_small_sizes() -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in T5(T5Config()).parameters()) == 60_506_624  # t5-small
        new = T5Config(layers=8, heads=6, hidden=1024, gated=True, tied=False)
        assert sum(p.numel() for p in T5(new).parameters()) == 76_961_152  # t5-v1_1-small


# ------------------------------------------------------------------------------------------------ bad input


def test_bad_input() -> None:
    model = small()
    memory = model.encode(SOURCE)
    for call in (lambda: model(SOURCE), lambda: model(decoder_input_ids=TARGET)):
        with rejects("decoder_input_ids"):
            call()
    with rejects("encoder_outputs"):
        model(SOURCE, None, TARGET, encoder_outputs=memory)
    with rejects("0 to 30"):
        model.encode(SOURCE + 31)
    with rejects("target: .*0 to 30"):
        model.decode(memory, TARGET - 31)
    with rejects("attention_mask"):
        model.encode(SOURCE, REAL.long())
    with rejects("key_mask"):
        model.decode(Memory(memory.states, REAL[:, :5]), TARGET)
    with rejects("state"):
        model.decode(memory, TARGET, [])
    with rejects("target_mask"):
        model.decode(memory, TARGET, None, torch.ones(3, 7))
    with rejects("pad_token"):
        T5Config(31, pad_token=31)
    with rejects("pad_token"):
        T5Config(31, pad_token=-1)
    with rejects("head_width"):
        T5Config(head_width=0)
    with rejects("source"):
        model.given(SOURCE).new_state(2)
