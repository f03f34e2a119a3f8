"""The checks of chapter 3.1's assignment: text by counting, where probability is, Bayes' rule, copying, filling in."""
