"""The checks of chapter 3.9's assignment: ethics and challenges."""
