"""The lesson on real-time generation: quantised weights."""
