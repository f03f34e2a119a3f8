"""T5: the model, where its tokens stand, the puzzle of its pre-training, and every task as text to text."""

from companion.text.t5.model import T5, T5Config

__all__ = ["T5", "T5Config"]
