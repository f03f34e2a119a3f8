"""The lesson on coherence: forecasters of films."""
