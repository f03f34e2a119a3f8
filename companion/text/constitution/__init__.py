"""Constitutional AI in miniature: an assistant with a secret, principles that a rule can check, and two stages of training."""
