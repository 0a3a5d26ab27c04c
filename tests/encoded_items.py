"""Items with random vectors in the format of `encode`, for tests of what is stored."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mm_milvus.embeddings.arrow import from_nested, from_numpy
from mm_milvus.embeddings.header import Header
from mm_milvus.encoders.base import EncoderIdentity
from mm_milvus.keys import content_hash

DIM = 16


@dataclass(frozen=True)
class EncodedItem:
    """An item to be stored."""

    item_id: str
    captions: Sequence[str] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    has_image: bool = True

    @property
    def uri(self) -> str:
        return f"/pictures/{self.item_id}" if self.has_image else ""


def vector(text: str, encoder: str = "test") -> np.ndarray:
    """Return a unit vector, float32, that depends on the text and the encoder alone."""
    seed = int.from_bytes(blake2b(f"{encoder}\0{text}".encode(), digest_size=8).digest())
    row = np.random.default_rng(seed).normal(size=DIM).astype(np.float32)
    return row / np.linalg.norm(row)


def write_encoded(
    path: Path, items: Sequence[EncodedItem], *, encoder: str = "test", source: str = "source"
) -> Path:
    """Write items to a Parquet file that `open_embeddings` takes."""
    identity = EncoderIdentity(encoder, content_hash(encoder)[:16], DIM)
    schema = Header(identity, source).schema()
    images = [vector(item.uri, encoder) if item.has_image else None for item in items]
    captions = [[vector(text, encoder) for text in item.captions] for item in items]
    batch = pa.RecordBatch.from_arrays(
        [
            pa.array([item.item_id for item in items], pa.string()),
            pa.array([item.uri for item in items], pa.string()),
            pa.array([content_hash(item.uri) if item.has_image else "" for item in items]),
            from_numpy(images, DIM),
            pa.array([[*item.captions] for item in items], pa.list_(pa.string())),
            from_nested(captions, DIM),
            pa.array(
                [json.dumps({**item.metadata}, ensure_ascii=False) for item in items], pa.string()
            ),
        ],
        schema=schema,
    )
    pq.write_table(pa.Table.from_batches([batch]), path)
    return path


def numbered(count: int) -> list[EncodedItem]:
    """Return items: a third without an image, with 0 to 3 captions, and with a price and colour."""
    return [
        EncodedItem(
            f"item {n}",
            [f"caption {n}.{m}" for m in range(n % 4)] or (["alone"] if n % 3 == 0 else []),
            {"price": n, "color": ("red", "blue")[n % 2], "size": {"eu": n}},
            has_image=n % 3 != 0,
        )
        for n in range(count)
    ]
