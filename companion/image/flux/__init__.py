"""Flux: a transformer on words and image tokens, trained by flow matching."""

from companion.image.flux.config import FluxConfig
from companion.image.flux.model import Flux, places
from companion.image.flux.packed import PackedFlux

__all__ = ["Flux", "FluxConfig", "PackedFlux", "places"]
