"""The pictures of an inspection: a map, a similarity matrix, the best captions of images."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mm_milvus.errors import MmMilvusError, StoreError
from mm_milvus.images.load import load_image
from mm_milvus.inspection.geometry import Vectors, principal_axes
from mm_milvus.inspection.report import HealthReport
from mm_milvus.inspection.sample import Sample
from mm_milvus.render.caption_sheet import Captioned, caption_sheet
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
"""More points hide one another, and each carries its thumbnail in the page."""

MAP_THUMBNAIL = 96
BEST_CAPTIONS = 5
MISSING_SIZE = (128, 128)
MISSING_COLOUR = "#eef0f4"


def check_drawing() -> None:
    """Raise the error of a missing matplotlib before the work, not after it."""
    try:
        import matplotlib as _  # noqa: F401
    except ImportError as error:
        raise MmMilvusError(
            "matplotlib is not installed, which draws the pictures; pip install 'mm-milvus[eval]'"
        ) from error


def write_pictures(
    folder: Path, report: HealthReport, sample: Sample, names: list[str], pairs: int
) -> list[Path]:
    """Write the report and its pictures; returns the files.

    names  the group of each image of the sample
    pairs  how many image-caption pairs the similarity matrix and the captions show

    Raises `StoreError` when the folder cannot be written.
    """
    files = [folder / name for name in (REPORT, MAP_PAGE, MAP)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(report.to_dict(), ensure_ascii=False, indent=2)
        files[0].write_text(text + "\n", encoding="utf-8")
        _write_maps(files[1], files[2], report, sample, names)
        if sample.captions:
            files += [folder / SIMILARITY, folder / CAPTIONS]
            _write_similarity(files[3], sample, pairs)
            caption_sheet(_captioned(sample, pairs)).save(files[4])
    except OSError as error:
        raise StoreError(f"cannot write to {folder}: {error.strerror or error}") from error
    return files


def _write_maps(
    page: Path, picture: Path, report: HealthReport, sample: Sample, names: list[str]
) -> None:
    shown = min(MAP_IMAGES, len(sample.items))
    pairs = sample.pairs[sample.pairs[:, 0] < shown]
    captions = sorted({int(caption) for caption in pairs[:, 1]})
    images, texts = sample.images[:shown], sample.texts[captions]
    layouts = [Layout("as stored", *_together(images, texts))]
    layouts.append(Layout("each about its own centre", *_apart(images, texts)))
    of_image, of_caption = defaultdict(list), defaultdict(list)
    for image, caption in pairs.tolist():
        of_image[image].append(sample.captions[caption])
        of_caption[caption].append(image)
    points = [
        Point(item.item_id, " · ".join(of_image[row]), names[row], _thumbnail(item.uri))
        for row, item in enumerate(sample.items[:shown])
    ]
    points += [
        Point(_owners(sample, of_caption[caption]), sample.captions[caption], names[first], None)
        for caption in captions
        for first in of_caption[caption][:1]
    ]
    title = f"{report.dataset}: images and captions as {report.model} sees them"
    write_map(page, title, report.by, points, layouts)
    draw_map(picture, layouts, names[:shown], report.by)


def _together(images: Vectors, texts: Vectors) -> tuple[Vectors, Vectors]:
    """Both on the two axes along which all vary most: the gap between them shows."""
    every = np.concatenate([images, texts])
    axes, centre = principal_axes(every), every.mean(axis=0)
    return _placed(images - centre, axes), _placed(texts - centre, axes)


def _apart(images: Vectors, texts: Vectors) -> tuple[Vectors, Vectors]:
    """Both about their own centroids, on the axes along which the images vary most."""
    axes = principal_axes(images)
    centre = texts.mean(axis=0) if len(texts) else 0
    return _placed(images - images.mean(axis=0), axes), _placed(texts - centre, axes)


def _placed(vectors: Vectors, axes: NDArray[np.float64]) -> Vectors:
    return np.asarray(vectors @ axes.T, dtype=np.float32)


def _owners(sample: Sample, images: list[int]) -> str:
    first = sample.items[images[0]].item_id
    return first if len(images) == 1 else f"{first} and {len(images) - 1:,} more"


def _write_similarity(path: Path, sample: Sample, pairs: int) -> None:
    """The matrix of the first pairs, each caption once."""
    chosen: dict[int, int] = {}
    taken: set[int] = set()
    for image, caption in sample.pairs.tolist():
        if len(chosen) == pairs:
            break
        if image not in chosen and caption not in taken:
            chosen[image] = caption
            taken.add(caption)
    images, captions = list(chosen), list(chosen.values())
    matrix = sample.texts[captions] @ sample.images[images].T
    pictures = [_picture(sample.items[image].uri) for image in images]
    draw_similarity(path, matrix, pictures, [sample.captions[each] for each in captions])


def _captioned(sample: Sample, count: int) -> list[Captioned]:
    cells = []
    for row, item in enumerate(sample.items[:count]):
        scores = sample.texts @ sample.images[row]
        own = sample.captions_of(row)
        best = np.argsort(-scores, kind="stable")[:BEST_CAPTIONS]
        cells.append(
            Captioned(
                picture=_picture(item.uri),
                true=[(float(scores[each]), sample.captions[each]) for each in own],
                best=[(float(scores[each]), sample.captions[each]) for each in best],
            )
        )
    return cells


def _picture(uri: str) -> Image.Image:
    """The image, or a grey tile where it is no longer to be had."""
    try:
        return load_image(uri)
    except (MmMilvusError, OSError):
        return Image.new("RGB", MISSING_SIZE, MISSING_COLOUR)


def _thumbnail(uri: str) -> str | None:
    try:
        return data_uri(load_image(uri), MAP_THUMBNAIL)
    except (MmMilvusError, OSError):
        return None
