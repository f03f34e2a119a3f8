"""The checks of chapter 3.4's assignment: tokens, training, decoding."""
