"""The checks of chapter 3.5's assignment: estimates of success, and programs as text and as trees."""
