"""GPT-2, and what the lesson on it trains and looks at."""

from companion.text.gpt.model import GPT, GPTConfig, gpt_block

__all__ = ["GPT", "GPTConfig", "gpt_block"]
