"""A small language model of Shakespeare's plays that ships with the course: today's block, byte-pair tokens.

1.3 million parameters, trained for some minutes by ``python -m companion train gpt_shakespeare`` on 30 plays. Its tokenizer
is not shipped: it is learned again from the first million characters of the same plays, in a second, and always comes out
the same.
"""

from functools import lru_cache

from companion.data.text import shakespeare
from companion.text.llama import Llama, LlamaConfig
from companion.text.tokenizer import ByteLevelBPE, train_bpe
from companion.weights import load_weights

VOCAB_SIZE = 1024
CONTEXT = 128


@lru_cache(maxsize=1)
def tokenizer() -> ByteLevelBPE:
    """The tokens of the shipped model: 256 bytes and 768 merges learned from the training plays."""
    return train_bpe(shakespeare("train", limit=1_000_000).text, VOCAB_SIZE)


def untrained() -> Llama:
    """The model before training: 4 layers of width 160, 4 heads that share keys and values in pairs."""
    return Llama(
        LlamaConfig(vocab_size=VOCAB_SIZE, context=CONTEXT, width=160, layers=4, heads=4, kv_heads=2, hidden=448)
    )


def load() -> tuple[Llama, ByteLevelBPE]:
    """The trained model, in evaluation mode, and its tokenizer."""
    return load_weights("gpt_shakespeare", untrained()), tokenizer()
