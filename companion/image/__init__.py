"""Chapter 3.6, images: diffusion of handwritten digits, with a label; CLIP, which knows what belongs to which words."""
