"""The checks of chapter 3.3's assignment, a module for each lesson."""
