"""Packages that add an encoder, as an installer would lay them out."""

from __future__ import annotations

from pathlib import Path

ACME = """
import numpy as np
from mm_milvus import EncoderSpec, Preprocessing
from mm_milvus.encoders.base import check_pixels

class Acme:
    batch_size = 4
    preprocessing = Preprocessing(8, 8, None, "box", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    spec = EncoderSpec("{name}", "0" * 16, 2, preprocessing, 9)

    def encode_images(self, pixels):
        check_pixels(self.spec, pixels)
        return np.tile(np.float32([1, 0]), (len(pixels), 1))

    def encode_texts(self, texts):
        return np.tile(np.float32([0, 1]), (len(texts), 1))

def broken():
    raise RuntimeError("no licence key")
"""


def install(root: Path, package: str, entry_points: dict[str, str]) -> None:
    """Put a distribution of one module into the folder `root`, as an installer would."""
    root.mkdir(exist_ok=True)
    (root / f"{package}.py").write_text(ACME.format(name=package))
    info = root / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = [f"{name} = {value}" for name, value in entry_points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[mm_milvus.encoders]", *lines]))
