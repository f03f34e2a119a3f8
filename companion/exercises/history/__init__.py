"""The checks of chapter 3.2's assignment: lines of descent, a fair price, likelihood, variety."""
