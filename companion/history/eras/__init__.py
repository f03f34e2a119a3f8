"""The lesson on four eras: four models of one kind of digits, at one cost."""
