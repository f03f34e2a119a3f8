"""Gemma 2 and 3, and learning from a larger model."""

from companion.text.gemma.config import GemmaConfig
from companion.text.gemma.model import Gemma

__all__ = ["Gemma", "GemmaConfig"]
