"""Chapter 3.1, overview: discriminative and generative models, memorisation, sound."""
