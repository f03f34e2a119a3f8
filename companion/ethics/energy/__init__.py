"""The lesson on energy: counters, and what was published."""
