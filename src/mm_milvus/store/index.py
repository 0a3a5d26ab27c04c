"""The index types as data, and the measured choice of nprobe."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from pymilvus import MilvusClient
from pymilvus.milvus_client import IndexParams

from mm_milvus.schema import Field
from mm_milvus.store.manifest import Manifest

TARGET_RECALL = 0.98
"""Of the exact nearest neighbours, the share that the index must find."""

POINTS_PER_CELL = 39
"""What k-means needs to place a centroid (the minimum of FAISS, whose IVF both engines use)."""

MAX_NLIST = 65_536
EXACT_ROWS = 10_000
"""Below this many rows a scan of all cells costs under a millisecond: nothing to save."""


@dataclass(frozen=True, slots=True)
class IndexType:
    """build: index parameters for a row count; search: parameters before any is measured."""

    build: Callable[[int], dict[str, int]]
    search: Callable[[int], dict[str, int]]


def choose_nlist(rows: int) -> int:
    """About 4 * sqrt(rows) cells, fewer where they would hold too few points to be placed."""
    return max(1, min(int(4 * math.sqrt(rows)), rows // POINTS_PER_CELL, MAX_NLIST))


def _ivf(rows: int) -> dict[str, int]:
    return {"nlist": choose_nlist(rows)}


def _ivf_search(rows: int) -> dict[str, int]:
    return {"nprobe": choose_nlist(rows)}


def _hnsw(_rows: int) -> dict[str, int]:
    return {"M": 16, "efConstruction": 200}


def _nothing(_rows: int) -> dict[str, int]:
    return {}


INDEX_TYPES = {
    "IVF_FLAT": IndexType(_ivf, _ivf_search),
    "IVF_SQ8": IndexType(_ivf, _ivf_search),
    "HNSW": IndexType(_hnsw, _nothing),
    "FLAT": IndexType(_nothing, _nothing),
    "AUTOINDEX": IndexType(_nothing, _nothing),
}


def index_params(client: MilvusClient, manifest: Manifest, rows: int) -> IndexParams:
    """The index of a collection that holds, or will hold, so many rows."""
    index_type = manifest.index_type
    build = INDEX_TYPES[index_type].build(rows)
    if build.get("nlist") == 1:
        # An inverted file of one cell is a flat index; FAISS warns of building the former.
        index_type, build = "FLAT", {}
    params = client.prepare_index_params()
    params.add_index(
        Field.EMBEDDING.value,
        index_type=index_type,
        metric_type=manifest.metric_type,
        # pymilvus unpacks one level of "params", and Milvus Lite reads only the nested one.
        params={"params": build},
    )
    return params


def is_stale(built: dict[str, int], wanted: dict[str, int]) -> bool:
    """Whether the collection outgrew its index: nlist is off by more than a factor of two."""
    have, want = built.get("nlist", 1), wanted.get("nlist", 1)
    return max(have, want) > 2 * min(have, want)


def smallest_nprobe(nlist: int, recall_of: Callable[[int], float]) -> int:
    """The smallest power of two (or nlist) whose measured recall reaches `TARGET_RECALL`."""
    nprobe = 1
    while nprobe < nlist and recall_of(nprobe) < TARGET_RECALL:
        nprobe *= 2
    return min(nprobe, nlist)
