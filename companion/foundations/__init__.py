"""Chapter 3.3, foundations: distributions, latent variables, losses, attention, each from its equations."""
