"""Reasoning by reward: tasks with a key, votes and verifiers, imitation of right answers, GRPO."""
