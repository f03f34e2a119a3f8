"""Diffusion: the process, what the network predicts, losses, samplers, guidance, distillation."""
