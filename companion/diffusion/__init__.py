"""Diffusion: paths, predictions, losses, samplers, guidance, distillation, with one currency, `prediction.Prediction`."""
