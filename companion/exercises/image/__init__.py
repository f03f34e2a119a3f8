"""The checks of chapter 3.6's assignment: diffusion, its samplers and guidance, and how samples are judged."""
