"""How an RGB image becomes the input of an image encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Resample = Literal["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"]


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How an RGB image becomes the input of an image encoder.

    height, width  of the result, in pixels
    shortest_edge  resize the shorter side to this many pixels, keep the aspect ratio, then crop
                   the centre to (height, width); None: resize straight to (height, width)
    resample       the filter of the resize
    mean, std      of each channel, after scaling pixels to [0, 1]; applied on the device
    """

    height: int
    width: int
    shortest_edge: int | None
    resample: Resample
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
