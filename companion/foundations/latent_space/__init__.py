"""The lesson on latent space: probabilistic PCA and gradient estimators."""
