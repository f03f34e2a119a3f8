"""Chapter 3.2, history: the milestones as data, each in miniature, and four eras at one budget."""
