"""The lesson on losses: normalising flow, score matching, Wasserstein critic."""
