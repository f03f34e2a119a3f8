"""GPT-2, and what the lesson on it trains and looks at."""

from companion.text.gpt.model import GPT, GPTBlock, GPTConfig

__all__ = ["GPT", "GPTBlock", "GPTConfig"]
