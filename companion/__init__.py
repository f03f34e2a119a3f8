"""Reference implementations for the course *Generative AI You Can Run*, one room for each section."""

__version__ = "0.1.0"
