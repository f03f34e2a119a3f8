"""Grok-1 and Mixtral: a mixture of experts, how its load is balanced, and what the experts read."""

from companion.text.grok.config import GrokConfig
from companion.text.grok.model import Grok

__all__ = ["Grok", "GrokConfig"]
