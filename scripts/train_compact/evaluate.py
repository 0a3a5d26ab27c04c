"""How good the shipped encoder is, on pictures that it was not trained on.

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
from mm_milvus.images.decode import load_pixels

from .emoji import HELD_OUT, emoji
from .phrases import misspelt, plural
from .views import CLOTHES, View, emoji_views, photo_views

TOP = 10
LEAST_RELEVANT = 5
"""So many photos of its colour and garment make a query count."""

SEED = 1
ROUNDS = 50
"""Of each timing, whose median is told."""


@dataclass(frozen=True)
class Gallery:
    """Embedded pictures (n, dim), with what each shows, its texts, and its clear colour."""

    vectors: Vectors
    things: list[str]
    texts: list[list[str]]
    colours: list[str | None]


def gallery(encoder: Encoder, views: Iterable[View]) -> Gallery:
    """Embed pictures, as an ingest would."""
    seen = list(views)
    size = encoder.batch_size
    vectors = [
        encoder.encode_images(np.stack([view.pixels for view in seen[start : start + size]]))
        for start in range(0, len(seen), size)
    ]
    return Gallery(
        np.concatenate(vectors),
        [view.thing for view in seen],
        [view.texts for view in seen],
        [view.colour for view in seen],
    )


def zero_shot(encoder: Encoder, photos: Gallery) -> dict[str, float]:
    """Of each class, the share of photos to which `a photo of a {class}` of theirs is nearest."""
    texts = encoder.encode_texts([f"a photo of a {name}" for name in CLOTHES])
    found = np.array(list(CLOTHES))[(photos.vectors @ texts.T).argmax(axis=1)]
    right = found == np.array(photos.things)
    shares = {name: right[np.array(photos.things) == name].mean() for name in CLOTHES}
    return {"all": float(right.mean()), **{name: float(share) for name, share in shares.items()}}


def recall(encoder: Encoder, pictures: Gallery, queries: Sequence[str], top: int = TOP) -> float:
    """The share of queries, one a picture, that have their picture among the nearest `top`."""
    scores = encoder.encode_texts(queries) @ pictures.vectors.T
    own = scores.diagonal()[:, None]
    return float(((scores > own).sum(axis=1) < top).mean())


def ways_to_ask(texts: list[list[str]], rng: random.Random) -> dict[str, list[str]]:
    """Of each emoji the name, its keywords, and the name in other spellings."""
    names = [each[0] for each in texts]
    return {
        "name": names,
        "keywords": [", ".join(each[1:]) or each[0] for each in texts],
        "NAME": [name.upper() for name in names],
        "Name": [name.title() for name in names],
        "plural of the name": [plural(name) for name in names],
        "name with a typo": [misspelt(name, rng) for name in names],
    }


def colour_queries(
    encoder: Encoder, photos: Gallery, least: int = LEAST_RELEVANT
) -> dict[str, tuple[int, float, float]]:
    """Of each `{colour} {class}` with enough photos: their count n, precision@min(10, n) and @10.

    With fewer than ten photos of a kind, precision@10 cannot reach 1: hence the first of the two.
    """
    kinds = list(zip(photos.colours, photos.things, strict=True))
    found = {}
    for (colour, name), count in Counter(kinds).most_common():
        if colour is None or count < least:
            continue
        query = f"{colour} {name}"
        order = np.argsort(-(photos.vectors @ encoder.encode_texts([query])[0]))[:TOP]
        hits = np.array([kinds[n] == (colour, name) for n in order])
        found[query] = count, float(hits[:count].mean()), float(hits.mean())
    return found


def milliseconds(run: Callable[[], object]) -> float:
    """The median time of a run on one core, after one to warm up; that of other programs aside."""
    times = []
    for _ in range(ROUNDS + 1):
        start = time.process_time()
        run()
        times.append(1000 * (time.process_time() - start))
    return float(np.median(times[1:]))


def report(clothing: Path, downloads: Path) -> None:
    """Print all figures of the files that the package ships."""
    encoder = load_encoder("compact", device="cpu")
    photos = gallery(encoder, photo_views(clothing / "validation", random.Random(SEED), 1))
    shares = zero_shot(encoder, photos)
    print(f"zero-shot class of {len(photos.things)} clothing photos:", listed(shares))

    colours = colour_queries(encoder, photos)
    for query, (count, bounded, full) in colours.items():
        print(f"  {query}: {count} photos, precision {bounded:.2f}, of 10 {full:.2f}")
    figures = np.array([[*each, min(each[0], TOP) / TOP] for each in colours.values()])
    _, bounded, full, best = figures.mean(axis=0)
    print(
        f"{len(colours)} queries of a colour and a garment: precision@min(10, n) {bounded:.3f}, "
        f"precision@10 {full:.3f} of at most {best:.3f}"
    )

    for vendor in HELD_OUT:
        seen = gallery(encoder, emoji_views(emoji(downloads, vendor), random.Random(SEED), 1))
        queries = ways_to_ask(seen.texts, random.Random(SEED))
        figures = {way: recall(encoder, seen, texts) for way, texts in queries.items()}
        figures["name, recall@1"] = recall(encoder, seen, queries["name"], 1)
        print(f"recall@10 of {len(seen.things)} emoji of {vendor}:", listed(figures))

    photo = next((clothing / "validation").glob("*/*.jpg")).read_bytes()
    pixels = load_pixels(photo, encoder.spec.preprocessing)[None]
    text = milliseconds(lambda: encoder.encode_texts(["a red dress with flowers"]))
    image = milliseconds(lambda: encoder.encode_images(pixels))
    print(f"one text {text:.2f} ms, one decoded image {image:.1f} ms")


def listed(figures: dict[str, float]) -> str:
    """Names and figures in a line."""
    return ", ".join(f"{name} {value:.3f}" for name, value in figures.items())


def main() -> None:
    """Read the command line, and print."""
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
