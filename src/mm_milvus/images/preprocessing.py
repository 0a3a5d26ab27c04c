"""The input that an image encoder expects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Resample = Literal["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"]


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How an RGB image becomes the input of an image encoder.

    Attributes:
        height: Height of the input, in pixels.
        width: Width of the input, in pixels.
        shortest_edge: Resize the shorter side to this many pixels, keep the aspect ratio, then
            crop the centre to (height, width). None: resize to (height, width) directly.
        resample: Filter of the resize.
        mean: Mean of each channel, for pixels scaled to [0, 1]; the encoder applies it.
        std: Standard deviation of each channel, for pixels scaled to [0, 1]; the encoder applies
            it.
    """

    height: int
    width: int
    shortest_edge: int | None
    resample: Resample
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
