"""Evaluate the shipped encoder on pictures that it was not trained on.

    python -m scripts.train_compact.evaluate --clothing DIR [--downloads DIR]

The folders are those of `python -m scripts.train_compact`.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mm_milvus.arrays import Vectors
from mm_milvus.encoders.base import Encoder
from mm_milvus.encoders.load import load_encoder
from mm_milvus.images.decoding import load_pixels

from .emoji import HELD_OUT, emoji
from .phrases import misspelt, plural
from .views import CLOTHES, View, emoji_views, photo_views

TOP = 10
MIN_RELEVANT = 5
"""A query of a colour and a garment counts if it has at least this many photos."""

SEED = 1
ROUNDS = 50
"""Repetitions of each timing; the median is reported."""


@dataclass(frozen=True)
class Gallery:
    """Embedded pictures.

    Attributes:
        vectors: Unit vectors (n, dim).
        things: What each picture shows.
        texts: The name and other words for each.
        colours: The clear colour of each, or None.
    """

    vectors: Vectors
    things: list[str]
    texts: list[list[str]]
    colours: list[str | None]


def gallery(encoder: Encoder, views: Iterable[View]) -> Gallery:
    """Embed pictures, as an ingest would."""
    pictures = list(views)
    size = encoder.batch_size
    vectors = [
        encoder.encode_images(np.stack([view.pixels for view in pictures[start : start + size]]))
        for start in range(0, len(pictures), size)
    ]
    return Gallery(
        np.concatenate(vectors),
        [view.thing for view in pictures],
        [view.texts for view in pictures],
        [view.colour for view in pictures],
    )


def zero_shot(encoder: Encoder, photos: Gallery) -> dict[str, float]:
    """Return the accuracy of the nearest `a photo of a {class}`, in all and per class."""
    texts = encoder.encode_texts([f"a photo of a {name}" for name in CLOTHES])
    predicted = np.array(list(CLOTHES))[(photos.vectors @ texts.T).argmax(axis=1)]
    right = predicted == np.array(photos.things)
    shares = {name: right[np.array(photos.things) == name].mean() for name in CLOTHES}
    return {"all": float(right.mean()), **{name: float(share) for name, share in shares.items()}}


def recall(encoder: Encoder, pictures: Gallery, queries: Sequence[str], top: int = TOP) -> float:
    """Return the share of queries, one per picture, with their picture among the nearest `top`."""
    scores = encoder.encode_texts(queries) @ pictures.vectors.T
    targets = scores.diagonal()[:, None]
    return float(((scores > targets).sum(axis=1) < top).mean())


def query_variants(texts: list[list[str]], rng: random.Random) -> dict[str, list[str]]:
    """Return, for all emoji, the name, the keywords, and the name in other spellings."""
    names = [name for name, *_ in texts]
    return {
        "name": names,
        "keywords": [", ".join(keywords) or name for name, *keywords in texts],
        "NAME": [name.upper() for name in names],
        "Name": [name.title() for name in names],
        "plural of the name": [plural(name) for name in names],
        "name with a typo": [misspelt(name, rng) for name in names],
    }


def colour_queries(
    encoder: Encoder, photos: Gallery, at_least: int = MIN_RELEVANT
) -> dict[str, tuple[int, float, float]]:
    """Return, per `{colour} {class}` query: count n, precision@min(10, n) and precision@10.

    With fewer than ten photos of a kind, precision@10 cannot reach 1; the first of the two can.
    """
    kinds = list(zip(photos.colours, photos.things, strict=True))
    figures = {}
    for (colour, name), count in Counter(kinds).most_common():
        if colour is None or count < at_least:
            continue
        query = f"{colour} {name}"
        order = np.argsort(-(photos.vectors @ encoder.encode_texts([query])[0]))[:TOP]
        hits = np.array([kinds[n] == (colour, name) for n in order])
        figures[query] = count, float(hits[:count].mean()), float(hits.mean())
    return figures


def milliseconds(run: Callable[[], object]) -> float:
    """Return the median processor time of a call in milliseconds, after one call to warm up."""
    times = []
    for _ in range(ROUNDS + 1):
        start = time.process_time()
        run()
        times.append(1000 * (time.process_time() - start))
    return float(np.median(times[1:]))


def report(clothing: Path, downloads: Path) -> None:
    """Print all figures of the shipped files."""
    encoder = load_encoder("compact", device="cpu")
    photos = gallery(encoder, photo_views(clothing / "validation", random.Random(SEED), 1))
    shares = zero_shot(encoder, photos)
    print(f"zero-shot class of {len(photos.things)} clothing photos:", listed(shares))

    colours = colour_queries(encoder, photos)
    for query, (count, bounded, full) in colours.items():
        print(f"  {query}: {count} photos, precision {bounded:.2f}, of 10 {full:.2f}")
    figures = np.array([[*row, min(row[0], TOP) / TOP] for row in colours.values()])
    _, bounded, full, best = figures.mean(axis=0)
    print(
        f"{len(colours)} queries of a colour and a garment: precision@min(10, n) {bounded:.3f}, "
        f"precision@10 {full:.3f} of at most {best:.3f}"
    )

    for vendor in HELD_OUT:
        pictures = gallery(encoder, emoji_views(emoji(downloads, vendor), random.Random(SEED), 1))
        queries = query_variants(pictures.texts, random.Random(SEED))
        figures = {kind: recall(encoder, pictures, texts) for kind, texts in queries.items()}
        figures["name, recall@1"] = recall(encoder, pictures, queries["name"], 1)
        print(f"recall@10 of {len(pictures.things)} emoji of {vendor}:", listed(figures))

    photo = next((clothing / "validation").glob("*/*.jpg")).read_bytes()
    pixels = load_pixels(photo, encoder.spec.preprocessing)[None]
    text = milliseconds(lambda: encoder.encode_texts(["a red dress with flowers"]))
    image = milliseconds(lambda: encoder.encode_images(pixels))
    print(f"one text {text:.2f} ms, one decoded image {image:.1f} ms")


def listed(figures: dict[str, float]) -> str:
    """Format names and figures as one line."""
    return ", ".join(f"{name} {value:.3f}" for name, value in figures.items())


def main() -> None:
    """Read the command line and print the report."""
    import torch

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clothing", type=Path, required=True)
    parser.add_argument("--downloads", type=Path, default=Path())
    options = parser.parse_args()
    torch.set_num_threads(1)
    report(options.clothing, options.downloads)


if __name__ == "__main__":
    main()
