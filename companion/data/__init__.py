"""Named data sets, one function each: what it is, its shapes, its licence and its source.

Everything here comes out of an installed package or is generated; nothing touches the network but `digits` with
``source="full"``, which fetches the whole of MNIST.
"""

from companion.data.carriers import CorruptFile, MissingCarrier
from companion.data.chats import Chat, ChatSet, chats
from companion.data.code import CodeSet, CodeTask, TaskSet, human_eval, more_itertools, standard_library
from companion.data.dates import LANGUAGES, DateSet, dates, write_date
from companion.data.digits import digits, small_digits
from companion.data.elevation import HeightProfile, height_profile
from companion.data.emoji import EmojiSet, emoji_pictures
from companion.data.points import GaussianMixture, PointSet, grid, moons, ring
from companion.data.scene import Placed, Scene
from companion.data.scenes import SceneSet, scenes
from companion.data.sets import AudioSet, DataSet, ImageSet, PairSet, TextSet, to_display, to_model
from companion.data.speech import spoken_digits
from companion.data.text import shakespeare

__all__ = [
    "LANGUAGES",
    "DateSet",
    "dates",
    "write_date",
    "AudioSet",
    "Chat",
    "ChatSet",
    "chats",
    "CodeSet",
    "CodeTask",
    "TaskSet",
    "human_eval",
    "more_itertools",
    "standard_library",
    "CorruptFile",
    "DataSet",
    "EmojiSet",
    "emoji_pictures",
    "HeightProfile",
    "height_profile",
    "ImageSet",
    "MissingCarrier",
    "GaussianMixture",
    "PointSet",
    "grid",
    "moons",
    "ring",
    "PairSet",
    "Placed",
    "Scene",
    "SceneSet",
    "scenes",
    "TextSet",
    "digits",
    "shakespeare",
    "small_digits",
    "spoken_digits",
    "to_display",
    "to_model",
]
