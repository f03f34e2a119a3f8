"""The lesson on bias: skewed data, a model of it, measures and remedies."""
