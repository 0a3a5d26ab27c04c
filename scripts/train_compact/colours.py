"""Names of the colours of pictures, computed in OKLab (Ottosson, 2020)."""

from __future__ import annotations

import numpy as np
from PIL import Image

HUES = (
    (12, "pink"),
    (40, "red"),
    (72, "orange"),
    (112, "yellow"),
    (165, "green"),
    (215, "turquoise"),
    (285, "blue"),
    (335, "purple"),
    (360, "pink"),
)
"""Upper bounds of the hue in degrees, and the colour's name."""

COLOURS = (
    "black", "white", "grey", "brown", "red", "orange",
    "yellow", "green", "turquoise", "blue", "purple", "pink",
)  # fmt: skip

NAMELESS = "beige"
"""Pale orange and yellow: cream, sand, beige, ivory. People use too many words for one query."""

SHARE = 0.5
"""Share of the object's pixels that must have a colour for the object to have it."""

SIDE = 48
"""Pictures are reduced to this many pixels per side; finer, the shadows of a weave would count."""

GROUND_DISTANCE = 0.08
"""Distance in OKLab from the photo's border; nearer pixels are background."""

MIN_OBJECT = 0.25
"""Share of the photo's centre that must differ from the background; else all of it counts."""


def dominant_colour(image: Image.Image) -> str | None:
    """Return the colour of most of the object's pixels, one of `COLOURS`, or None.

    In a picture with transparency the object is what is opaque. In others it is what differs from
    the median of the border within the central 50 x 50 %, where a photographed garment lies; the
    whole centre where little differs.
    """
    small = image.resize((SIDE, SIDE), Image.Resampling.BOX)
    lab = oklab(np.asarray(small.convert("RGB"), dtype=np.float32) / 255)
    opaque = np.asarray(small)[..., 3] > 127 if image.mode == "RGBA" else None
    pixels = _object_pixels(lab) if opaque is None else lab[opaque]
    if not len(pixels):
        return None
    colours, counts = np.unique(names(pixels), return_counts=True)
    best = int(counts.argmax())
    clear = counts[best] > SHARE * len(pixels) and colours[best] != NAMELESS
    return str(colours[best]) if clear else None


def _object_pixels(lab: np.ndarray) -> np.ndarray:
    edge, quarter = SIDE // 12, SIDE // 4
    inner = np.zeros((SIDE, SIDE), dtype=bool)
    inner[edge:-edge, edge:-edge] = True
    ground = np.median(lab[~inner], axis=0)
    centre = lab[quarter:-quarter, quarter:-quarter].reshape(-1, 3)
    pixels = centre[np.linalg.norm(centre - ground, axis=1) > GROUND_DISTANCE]
    return pixels if len(pixels) >= MIN_OBJECT * len(centre) else centre


def names(lab: np.ndarray) -> np.ndarray:
    """Return the colour name of each OKLab row (n, 3).

    Greys have little chroma; brown is a dark orange or yellow; a light red is pink, and a dark pink
    is red.
    """
    lightness, a, b = lab.T
    chroma = np.hypot(a, b)
    hue = np.degrees(np.arctan2(b, a)) % 360
    bounds = [bound for bound, _ in HUES[:-1]]
    colours = np.array([name for _, name in HUES])[np.searchsorted(bounds, hue, "right")]
    warm = (colours == "orange") | (colours == "yellow")
    colours[warm & (chroma < 0.09) & (lightness >= 0.6)] = NAMELESS
    colours[(colours == "orange") & (lightness < 0.6)] = "brown"
    colours[(colours == "yellow") & (chroma < 0.09) & (lightness < 0.6)] = "brown"
    colours[(colours == "yellow") & (chroma >= 0.09) & (lightness < 0.6)] = "green"
    colours[(colours == "red") & (lightness > 0.7)] = "pink"
    colours[(colours == "pink") & (lightness < 0.42)] = "red"
    colours[(colours == "red") & (chroma < 0.09) & (lightness < 0.45)] = "brown"
    grey = chroma < np.where(warm, 0.04, 0.027)
    colours[grey] = np.where(lightness[grey] > 0.77, "white", "grey")
    colours[(lightness < 0.33) & (chroma < 0.06)] = "black"
    colours[lightness < 0.22] = "black"
    return colours


def oklab(rgb: np.ndarray) -> np.ndarray:
    """Convert sRGB (..., 3) between 0 and 1 to OKLab (..., 3)."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    cones = (
        linear
        @ np.array(
            [
                [0.4122214708, 0.5363325363, 0.0514459929],
                [0.2119034982, 0.6806995451, 0.1073969566],
                [0.0883024619, 0.2817188376, 0.6299787005],
            ]
        ).T
    )
    return (
        np.cbrt(cones)
        @ np.array(
            [
                [0.2104542553, 0.7936177850, -0.0040720468],
                [1.9779984951, -2.4285922050, 0.4505937099],
                [0.0259040371, 0.7827717662, -0.8086757660],
            ]
        ).T
    )
