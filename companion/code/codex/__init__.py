"""The lesson on Codex: completion, fill-in-the-middle, sampling and judging of programs."""
