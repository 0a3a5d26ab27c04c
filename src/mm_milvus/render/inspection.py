"""The report and the pictures of an inspection: a map, similarities, nearest captions."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mm_milvus.arrays import Vectors
from mm_milvus.atomic import unwritable
from mm_milvus.errors import MmMilvusError, OptionError
from mm_milvus.extras import require_extra
from mm_milvus.images.load import load_image
from mm_milvus.inspection.geometry import principal_axes
from mm_milvus.inspection.inspect import Inspection
from mm_milvus.inspection.sample import Sample
from mm_milvus.render.caption_sheet import CaptionedImage, caption_sheet
from mm_milvus.render.gallery import data_uri
from mm_milvus.render.map_page import Layout, Point, write_map
from mm_milvus.render.plots import draw_map, draw_similarity

REPORT, MAP_PAGE, MAP, SIMILARITY, CAPTIONS = (
    "report.json",
    "map.html",
    "map.png",
    "similarity.png",
    "captions.png",
)
MAP_IMAGES = 2000
"""Maximum number of images in the map: more points hide one another, and each has a thumbnail."""

MAP_THUMBNAIL = 96
NEAREST_CAPTIONS = 5
MISSING_SIZE = (128, 128)
MISSING_COLOUR = "#eef0f4"


def require_matplotlib() -> None:
    """Check that the pictures can be drawn, before the work. Raises MissingExtraError."""
    require_extra("eval", "matplotlib", "drawing an inspection")


def write_inspection(
    folder: str | os.PathLike[str], inspection: Inspection, *, pairs: int = 20
) -> list[Path]:
    """Write the report of an inspection, and its pictures.

    `report.json` has the numbers; `map.html` and `map.png` show images and captions on two axes,
    by group; `similarity.png` has the cosines of image-caption pairs, and `captions.png` the
    captions nearest to each image. The last two are left out for a dataset without captions.
    Images that can no longer be read are grey.

    Args:
        folder: Where the files go; it is made if need be, and files of these names are replaced.
        inspection: What `inspect_dataset` returned.
        pairs: Maximum number of image-caption pairs in the last two pictures; at least 1.

    Returns:
        The files.

    Raises:
        MissingExtraError: When matplotlib is not installed, which the extra `eval` brings.
        OptionError: When `pairs` is less than 1.
        OutputError: When the folder cannot be written.
    """
    require_matplotlib()
    if pairs < 1:
        raise OptionError(f"`pairs` is {pairs}, and must be at least 1")
    folder = Path(folder)
    sample = inspection.sample
    files = [folder / name for name in (REPORT, MAP_PAGE, MAP)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(inspection.report.to_dict(), ensure_ascii=False, indent=2)
        files[0].write_text(text + "\n", encoding="utf-8")
        _write_maps(files[1], files[2], inspection)
        if sample.captions:
            files += [folder / SIMILARITY, folder / CAPTIONS]
            _write_similarity(files[3], sample, pairs)
            caption_sheet(_captioned_images(sample, pairs)).save(files[4])
    except OSError as error:
        raise unwritable(folder, error) from error
    return files


def _write_maps(page: Path, picture: Path, inspection: Inspection) -> None:
    report, sample, groups = inspection.report, inspection.sample, inspection.groups
    count = min(MAP_IMAGES, len(sample.items))
    pairs = sample.pairs[sample.pairs[:, 0] < count]
    captions = sorted({int(caption) for caption in pairs[:, 1]})
    images, texts = sample.image_vectors[:count], sample.caption_vectors[captions]
    layouts = [
        Layout("as stored", *_project_together(images, texts)),
        Layout("each about its own centre", *_project_apart(images, texts)),
    ]
    captions_of_image, images_of_caption = defaultdict(list), defaultdict(list)
    for image, caption in pairs.tolist():
        captions_of_image[image].append(sample.captions[caption])
        images_of_caption[caption].append(image)
    points = [
        Point(item.item_id, " · ".join(captions_of_image[row]), groups[row], _thumbnail(item.uri))
        for row, item in enumerate(sample.items[:count])
    ]
    for caption in captions:
        owners = images_of_caption[caption]
        points.append(
            Point(_owner_names(sample, owners), sample.captions[caption], groups[owners[0]], None)
        )
    title = f"{report.dataset}: images and captions as {report.model} sees them"
    write_map(page, title, report.by, points, layouts)
    draw_map(picture, layouts, groups[:count], report.by)


def _project_together(images: Vectors, texts: Vectors) -> tuple[Vectors, Vectors]:
    """Project both on the two axes along which all vary most: the modality gap is visible."""
    vectors = np.concatenate([images, texts])
    axes, centre = principal_axes(vectors), vectors.mean(axis=0)
    return _project(images - centre, axes), _project(texts - centre, axes)


def _project_apart(images: Vectors, texts: Vectors) -> tuple[Vectors, Vectors]:
    """Project both about their own centroids, on the axes along which the images vary most."""
    axes = principal_axes(images)
    centre = texts.mean(axis=0) if len(texts) else 0
    return _project(images - images.mean(axis=0), axes), _project(texts - centre, axes)


def _project(vectors: Vectors, axes: NDArray[np.float64]) -> Vectors:
    return np.asarray(vectors @ axes.T, dtype=np.float32)


def _owner_names(sample: Sample, images: list[int]) -> str:
    first = sample.items[images[0]].item_id
    return first if len(images) == 1 else f"{first} and {len(images) - 1:,} more"


def _write_similarity(path: Path, sample: Sample, count: int) -> None:
    """Draw the cosines of the first `count` pairs, each image and each caption once."""
    chosen: dict[int, int] = {}
    for image, caption in sample.pairs.tolist():
        if len(chosen) == count:
            break
        if image not in chosen and caption not in chosen.values():
            chosen[image] = caption
    images, captions = list(chosen), list(chosen.values())
    cosines = sample.caption_vectors[captions] @ sample.image_vectors[images].T
    pictures = [_picture(sample.items[image].uri) for image in images]
    draw_similarity(path, cosines, pictures, [sample.captions[caption] for caption in captions])


def _captioned_images(sample: Sample, count: int) -> list[CaptionedImage]:
    captioned = []
    for row, item in enumerate(sample.items[:count]):
        cosines = sample.caption_vectors @ sample.image_vectors[row]
        nearest = np.argsort(-cosines, kind="stable")[:NEAREST_CAPTIONS]
        captioned.append(
            CaptionedImage(
                picture=_picture(item.uri),
                own=[(float(cosines[n]), sample.captions[n]) for n in sample.captions_of(row)],
                nearest=[(float(cosines[n]), sample.captions[n]) for n in nearest],
            )
        )
    return captioned


def _picture(uri: str) -> Image.Image:
    """Load an image; return a grey tile where it cannot be read any more."""
    try:
        return load_image(uri)
    except (MmMilvusError, OSError):
        return Image.new("RGB", MISSING_SIZE, MISSING_COLOUR)


def _thumbnail(uri: str) -> str | None:
    """Return a `data:` URI of an image; None where it cannot be read any more."""
    try:
        return data_uri(load_image(uri), MAP_THUMBNAIL)
    except (MmMilvusError, OSError):
        return None
