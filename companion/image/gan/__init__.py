"""The lesson on adversarial networks: the smallest game, DCGAN, the relativistic game with two penalties, and R3GAN."""
