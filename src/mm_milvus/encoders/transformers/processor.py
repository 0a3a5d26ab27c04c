"""Convert the image processor of a model to the `Preprocessing` that decoding follows."""

from __future__ import annotations

from io import BytesIO
from typing import Any, get_args

import numpy as np
from PIL import Image

from mm_milvus.errors import EncoderError
from mm_milvus.images.decoding import load_pixels
from mm_milvus.images.preprocessing import Preprocessing, Resample

PROBE_SHAPES = [(97, 61), (61, 97), (41, 41)]
PROBE_TOLERANCE = 2 / 255
"""Mean absolute difference of pixels in [0, 1] up to which preprocessing counts as equal."""


def preprocessing_of(processor: Any, name: str) -> Preprocessing:
    """Return the preprocessing that equals an image processor of transformers.

    Its settings are read, and then checked by running it on small images of three shapes: a
    processor that does anything else (tile, pad, keep the aspect ratio) is rejected instead of
    being approximated.

    Args:
        processor: An image processor of transformers with the PIL backend.
        name: What messages call the model.

    Raises:
        EncoderError: When no `Preprocessing` equals the processor.
    """
    height, width, shortest_edge = _geometry(processor, name)
    mean, std = _tone(processor)
    preprocessing = Preprocessing(
        height=height,
        width=width,
        shortest_edge=shortest_edge,
        resample=_resample(processor, name),
        mean=mean,
        std=std,
    )
    _compare(processor, preprocessing, name)
    return preprocessing


def _geometry(processor: Any, name: str) -> tuple[int, int, int | None]:
    """Return height and width of the result, and the shortest edge of the resize before a crop."""
    size = _sizes(processor, "size")
    crop = _sizes(processor, "crop_size") if processor.do_center_crop else {}
    if not processor.do_resize:
        raise _unsupported(name, "it resizes nothing (do_resize is false)")
    if getattr(processor, "do_pad", None):
        raise _unsupported(name, "it pads images (do_pad is true)")
    if size.keys() == {"height", "width"}:
        if crop not in ({}, size):
            raise _unsupported(name, f"it resizes to {size} and then crops to {crop}")
        return size["height"], size["width"], None
    if size.keys() != {"shortest_edge"}:
        raise _unsupported(name, f"it resizes to {size}")
    edge = size["shortest_edge"]
    if crop.keys() != {"height", "width"} or max(crop.values()) > edge:
        raise _unsupported(name, f"it resizes the shortest edge to {edge} and crops to {crop}")
    return crop["height"], crop["width"], edge


def _sizes(processor: Any, field: str) -> dict[str, int]:
    values = getattr(processor, field) or {}
    return {key: int(value) for key, value in dict(values).items() if value is not None}


def _tone(
    processor: Any,
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Return mean and std for pixels in [0, 1], with the processor's own scale folded in."""
    scale = 255 * processor.rescale_factor if processor.do_rescale else 255.0
    mean = processor.image_mean if processor.do_normalize else 0.0
    std = processor.image_std if processor.do_normalize else 1.0
    return _channels(mean, scale), _channels(std, scale)


def _channels(values: Any, scale: float) -> tuple[float, float, float]:
    red, green, blue = np.broadcast_to(np.asarray(values, np.float64), 3) / scale
    return float(red), float(green), float(blue)


def _resample(processor: Any, name: str) -> Resample:
    code = processor.resample
    filter_name = Image.Resampling(code).name.lower() if code is not None else "bilinear"
    for resample in get_args(Resample):
        if resample == filter_name:
            return resample  # type: ignore[no-any-return]
    raise _unsupported(name, f"it resizes with the filter {filter_name}")


def _compare(processor: Any, preprocessing: Preprocessing, name: str) -> None:
    mean, std = np.array(preprocessing.mean), np.array(preprocessing.std)
    for shape in PROBE_SHAPES:
        image = _probe(shape)
        file = BytesIO()
        image.save(file, "PNG")
        ours = load_pixels(file.getvalue(), preprocessing, exact=True) / 255
        values = processor(images=image, return_tensors="np")["pixel_values"]
        if values.shape != (1, 3, preprocessing.height, preprocessing.width):
            raise _unsupported(name, f"it makes arrays of the shape {values.shape}")
        theirs = np.moveaxis(values[0], 0, -1) * std + mean
        difference = float(np.abs(theirs - ours).mean())
        if difference > PROBE_TOLERANCE:
            raise _unsupported(
                name, f"it differs by {255 * difference:.1f}/255 from resize, crop and normalise"
            )


def _probe(shape: tuple[int, int]) -> Image.Image:
    """Return an image of (height, width) with smooth ramps and edges, without any symmetry."""
    rows, columns = np.indices(shape)
    ramps = np.stack([rows * 2, columns * 2 + rows, (rows // 8 + columns // 5) % 2 * 200], -1)
    return Image.fromarray(np.clip(ramps, 0, 255).astype(np.uint8), "RGB")


def _unsupported(name: str, reason: str) -> EncoderError:
    return EncoderError(
        f"{name}: its image preprocessing is not supported, {reason}; "
        "choose a model with a fixed input size"
    )
