"""The checks of chapter 3.7's assignment."""
