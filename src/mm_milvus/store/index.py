"""The index types as data."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from pymilvus import MilvusClient
from pymilvus.exceptions import MilvusException
from pymilvus.milvus_client import IndexParams

from mm_milvus.schema import Field
from mm_milvus.store.manifest import Manifest

POINTS_PER_CELL = 39
"""What k-means needs to place a centroid (the minimum of FAISS, whose IVF both engines use)."""

MAX_NLIST = 65_536
MIN_EF, MAX_EF = 16, 2048
"""From little more than the ten neighbours that are asked for, to where a graph is no quicker
than a scan."""
EXACT_ROWS = 10_000
"""Below this many rows a scan of all cells costs under a millisecond: nothing to save."""


@dataclass(frozen=True, slots=True)
class IndexType:
    """What there is to know of an index type.

    build       index parameters for a row count
    knob        the search parameter that trades recall for time, where there is one
    settings    of what an index was built with, the values of the knob worth a trial, rising
    exhaustive  whether the largest setting looks at every vector, unrounded: an exact search
    """

    build: Callable[[int], dict[str, int]]
    parameter: str | None = None
    settings: Callable[[dict[str, int]], list[int]] = lambda _built: []
    exhaustive: bool = False


def choose_nlist(rows: int) -> int:
    """About 4 * sqrt(rows) cells, fewer where they would hold too few points to be placed."""
    return max(1, min(int(4 * math.sqrt(rows)), rows // POINTS_PER_CELL, MAX_NLIST))


def _ivf(rows: int) -> dict[str, int]:
    return {"nlist": choose_nlist(rows)}


def _hnsw(_rows: int) -> dict[str, int]:
    return {"M": 16, "efConstruction": 200}


def _nothing(_rows: int) -> dict[str, int]:
    return {}


def settings_up_to(largest: int, *, smallest: int = 1) -> list[int]:
    """Rising by a half and a third in turns, 1 2 3 4 6 8 12 16 24 ..., then the largest."""
    steps = [round(2**power * part) for power in range(20) for part in (1, 1.5)]
    return [*sorted({step for step in steps if smallest <= step < largest}), largest]


def _nprobes(built: dict[str, int]) -> list[int]:
    return settings_up_to(built.get("nlist", 1))


def _efs(_built: dict[str, int]) -> list[int]:
    return settings_up_to(MAX_EF, smallest=MIN_EF)


INDEX_TYPES = {
    "IVF_FLAT": IndexType(_ivf, "nprobe", _nprobes, exhaustive=True),
    "IVF_SQ8": IndexType(_ivf, "nprobe", _nprobes),
    "HNSW": IndexType(_hnsw, "ef", _efs),
    "FLAT": IndexType(_nothing),
    "AUTOINDEX": IndexType(_nothing),
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


def load(client: MilvusClient, name: str, manifest: Manifest, rows: int, *, embedded: bool) -> None:
    """Make a collection searchable, whatever became of its index when a process was killed."""
    field, params = Field.EMBEDDING.value, index_params(client, manifest, rows)
    if not client.list_indexes(name, field):
        build_index(client, name, params, embedded=embedded)
    try:
        client.load_collection(name)
    except MilvusException:
        if not embedded:
            raise
        # Milvus Lite writes index files in place: a kill leaves half of one behind, and no load
        # succeeds until it is gone. The vectors themselves are elsewhere.
        client.drop_index(name, field)
        build_index(client, name, params, embedded=embedded)
        client.load_collection(name)


def build_index(client: MilvusClient, name: str, params: IndexParams, *, embedded: bool) -> None:
    """Have a collection's rows indexed; returns when they are, or when the load will do it.

    Milvus Lite builds its index when it loads a collection: to wait for it before, pymilvus would
    sleep half a second.
    """
    client.create_index(name, params, sync=not embedded)


def is_stale(built: dict[str, int], wanted: dict[str, int]) -> bool:
    """Whether the collection outgrew its index: nlist is off by more than a factor of two."""
    have, want = built.get("nlist", 1), wanted.get("nlist", 1)
    return max(have, want) > 2 * min(have, want)
