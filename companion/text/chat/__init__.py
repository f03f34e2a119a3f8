"""From a language model to an assistant: templates, a reward from comparisons, PPO, DPO, GRPO."""
