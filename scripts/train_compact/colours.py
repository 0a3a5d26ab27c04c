"""The names of the colours of pictures, computed in OKLab (Ottosson, 2020)."""

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
"""Upper bounds of the hue, in degrees."""

COLOURS = (
    "black", "white", "grey", "brown", "red", "orange",
    "yellow", "green", "turquoise", "blue", "purple", "pink",
)  # fmt: skip

NAMELESS = "beige"
"""Pale orange and yellow: cream, sand, beige, ivory. Too many words to hold a search to one."""

SHARE = 0.5
"""Of the thing's pixels that a colour must have to be the thing's."""

SIDE = 48
"""Pictures are looked at in so many pixels a side: finer, a weave's shadows would count."""

GROUND_DISTANCE = 0.08
"""In OKLab, from the photo's border: what is nearer is background."""

LEAST_THING = 0.25
"""Of the photo's centre that must not be background; else the thing has the background's colour."""


def dominant_colour(image: Image.Image) -> str | None:
    """The colour of most of a picture's thing, one of `COLOURS`, or None when none has half of it.

    Of a picture with transparency, what is opaque is the thing. Of another, the thing is what in
    the central 50 x 50 %, where a photographed garment lies, differs from the median of the border;
    the whole centre, where little does.
    """
    small = image.resize((SIDE, SIDE), Image.Resampling.BOX)
    lab = oklab(np.asarray(small.convert("RGB"), dtype=np.float32) / 255)
    seen = lab[np.asarray(small)[..., 3] > 127] if image.mode == "RGBA" else _thing(lab)
    if not len(seen):
        return None
    found, counts = np.unique(names(seen), return_counts=True)
    best = int(counts.argmax())
    clear = counts[best] > SHARE * len(seen) and found[best] != NAMELESS
    return str(found[best]) if clear else None


def _thing(lab: np.ndarray) -> np.ndarray:
    edge, quarter = SIDE // 12, SIDE // 4
    inner = np.zeros((SIDE, SIDE), dtype=bool)
    inner[edge:-edge, edge:-edge] = True
    ground = np.median(lab[~inner], axis=0)
    centre = lab[quarter:-quarter, quarter:-quarter].reshape(-1, 3)
    thing = centre[np.linalg.norm(centre - ground, axis=1) > GROUND_DISTANCE]
    return thing if len(thing) >= LEAST_THING * len(centre) else centre


def names(lab: np.ndarray) -> np.ndarray:
    """The colour's name of each OKLab row (n, 3).

    Greys have little chroma; brown is a dark orange or yellow; a light red is pink, and a dark pink
    red.
    """
    lightness, a, b = lab.T
    chroma = np.hypot(a, b)
    hue = np.degrees(np.arctan2(b, a)) % 360
    bounds = [bound for bound, _ in HUES[:-1]]
    found = np.array([name for _, name in HUES])[np.searchsorted(bounds, hue, "right")]
    warm = (found == "orange") | (found == "yellow")
    found[warm & (chroma < 0.09) & (lightness >= 0.6)] = NAMELESS
    found[(found == "orange") & (lightness < 0.6)] = "brown"
    found[(found == "yellow") & (chroma < 0.09) & (lightness < 0.6)] = "brown"
    found[(found == "yellow") & (chroma >= 0.09) & (lightness < 0.6)] = "green"
    found[(found == "red") & (lightness > 0.7)] = "pink"
    found[(found == "pink") & (lightness < 0.42)] = "red"
    found[(found == "red") & (chroma < 0.09) & (lightness < 0.45)] = "brown"
    grey = chroma < np.where(warm, 0.04, 0.027)
    found[grey] = np.where(lightness[grey] > 0.77, "white", "grey")
    found[(lightness < 0.33) & (chroma < 0.06)] = "black"
    found[lightness < 0.22] = "black"
    return found


def oklab(rgb: np.ndarray) -> np.ndarray:
    """OKLab (..., 3) of sRGB (..., 3) between 0 and 1."""
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
