"""The lesson on distributions: families, mixtures, factor analysis, changes of variables."""
