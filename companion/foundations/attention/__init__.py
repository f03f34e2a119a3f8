"""The lesson on attention: translators with and without it."""
