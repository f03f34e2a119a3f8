"""Flux: a transformer on words and image tokens, trained by flow matching."""

from companion.image.flux.config import FluxConfig
from companion.image.flux.model import Flux, places

__all__ = ["Flux", "FluxConfig", "places"]
