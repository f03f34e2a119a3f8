"""Flux: a transformer on words and image tokens, trained by flow matching."""

from companion.image.flux.config import FluxConfig
from companion.image.flux.model import Flux, places
from companion.image.flux.packed import PackedFlux, Told, student_of

__all__ = ["Flux", "FluxConfig", "PackedFlux", "Told", "places", "student_of"]
