"""The checks of chapter 3.10's assignment: fewer steps, guessed tokens, whole-number weights."""
