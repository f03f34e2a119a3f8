"""Chapter 3.7, video: coherence of films, and a diffusion transformer that makes them."""
