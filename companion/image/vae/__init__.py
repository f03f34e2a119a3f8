"""The lesson on autoencoders: Gaussian codes, codes from a codebook, codes without one, and a prior that writes them."""
