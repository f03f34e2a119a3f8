"""Chapter 3.6, images: diffusion of handwritten digits, with a label."""
