"""The lesson on scaling laws: families of models, and the fit of a law."""
