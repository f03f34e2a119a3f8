"""The checks of chapter 3.8's assignment: what a training costs, and the law that says how to spend it."""
