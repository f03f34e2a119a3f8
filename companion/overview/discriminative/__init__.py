"""The lesson on discriminative and generative models."""
