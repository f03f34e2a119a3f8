"""The checks of chapter 3.2's assignment: lines of descent, the operations of an update, likelihood, variety."""
