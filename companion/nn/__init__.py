"""Layers: attention, norms, positions, blocks of transformers and U-Nets."""
