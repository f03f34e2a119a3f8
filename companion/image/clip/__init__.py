"""CLIP: texts and pictures in one space; it judges what image models draw, and its text tower conditions them."""

from companion.image.clip.config import ClipConfig, ClipTextConfig, ClipVisionConfig
from companion.image.clip.model import Clip, clip_loss, text_from_pretrained, vision_from_pretrained
from companion.image.clip.towers import ClipText, ClipVision

__all__ = [
    "Clip",
    "ClipConfig",
    "ClipText",
    "ClipTextConfig",
    "ClipVision",
    "ClipVisionConfig",
    "clip_loss",
    "text_from_pretrained",
    "vision_from_pretrained",
]
