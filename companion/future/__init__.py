"""Chapter 3.10, the future: fewer bits, and one model for words and pictures."""
