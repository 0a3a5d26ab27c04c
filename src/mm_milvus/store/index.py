"""The index types as data, and how an index is built and loaded."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from pymilvus import MilvusClient
from pymilvus.exceptions import MilvusException
from pymilvus.milvus_client import IndexParams

from mm_milvus.choices import MAX_LIMIT
from mm_milvus.schema import Field
from mm_milvus.store.manifest import Manifest

POINTS_PER_CELL = 39
"""Points that k-means needs per centroid (the minimum of FAISS, whose IVF both engines use)."""

MAX_NLIST = 65_536
MIN_EF, MAX_EF = 16, 2048
"""From little more than the ten neighbours that are searched for, to where a graph is no faster
than a scan."""
EXACT_ROWS = 10_000
"""Up to this many rows a scan of all cells costs less than a millisecond."""


@dataclass(frozen=True, slots=True)
class IndexType:
    """How an index type is built and searched.

    Attributes:
        build: Returns the index parameters for a row count.
        parameter: The search parameter that trades recall for time; None if there is none.
        settings: Returns the values of that parameter worth a trial, rising, for the index
            parameters that an index was built with.
        exhaustive: Whether the largest setting compares every vector at full precision, which is
            an exact search.
    """

    build: Callable[[int], dict[str, int]]
    parameter: str | None = None
    settings: Callable[[dict[str, int]], list[int]] = lambda _built: []
    exhaustive: bool = False


def choose_nlist(rows: int) -> int:
    """Return about 4 * sqrt(rows) cells, fewer where they would hold too few points for k-means."""
    return max(1, min(int(4 * math.sqrt(rows)), rows // POINTS_PER_CELL, MAX_NLIST))


def _ivf(rows: int) -> dict[str, int]:
    return {"nlist": choose_nlist(rows)}


def _hnsw(_rows: int) -> dict[str, int]:
    return {"M": 16, "efConstruction": 200}


def _nothing(_rows: int) -> dict[str, int]:
    return {}


def settings_up_to(largest: int, *, smallest: int = 1) -> list[int]:
    """Return 1 2 3 4 6 8 12 16 24 ... between the smallest and the largest, then the largest."""
    steps = [round(2**power * part) for power in range(20) for part in (1, 1.5)]
    return [*sorted({step for step in steps if smallest <= step < largest}), largest]


def _nprobes(built: dict[str, int]) -> list[int]:
    return settings_up_to(built.get("nlist", 1))


def _efs(_built: dict[str, int]) -> list[int]:
    return settings_up_to(MAX_EF, smallest=MIN_EF)


BUILD_PARAMETERS = ("nlist", "M", "efConstruction")
"""The parameters that indexes are built with."""

INDEX_TYPES = {
    "IVF_FLAT": IndexType(_ivf, "nprobe", _nprobes, exhaustive=True),
    "IVF_SQ8": IndexType(_ivf, "nprobe", _nprobes),
    "HNSW": IndexType(_hnsw, "ef", _efs),
    "FLAT": IndexType(_nothing),
    "AUTOINDEX": IndexType(_nothing),
}


def untuned_params(index_type: str, built: dict[str, int], rows: int) -> dict[str, int]:
    """Return search parameters for an index that has not been tuned.

    Args:
        index_type: One of `INDEX_TYPES`.
        built: The index parameters that the index was built with.
        rows: The row count.

    Returns:
        All cells of a collection of up to `EXACT_ROWS` rows, and of a larger one as many cells as
        hold about that many rows; the longest list of candidates for a graph; empty where the
        index has no search parameter.
    """
    match INDEX_TYPES[index_type].parameter:
        case "nprobe" if rows <= EXACT_ROWS:
            return {"nprobe": MAX_NLIST}  # the engines take it for all cells
        case "nprobe":
            return {"nprobe": math.ceil(built.get("nlist", 1) * EXACT_ROWS / rows)}
        case "ef":
            return {"ef": MAX_EF}
    return {}


def exhaustive_params(
    index_type: str, params: dict[str, int], built_with: Callable[[], dict[str, int]]
) -> dict[str, int]:
    """Return search parameters by which a search leaves out no row that meets an expression.

    Args:
        index_type: One of `INDEX_TYPES`.
        params: Search parameters; they are returned if they do so already.
        built_with: Returns the index parameters that the index was built with.

    Returns:
        All cells of an inverted file; for a graph, a list of candidates as long as the longest
        answer, which nearly does so.
    """
    match INDEX_TYPES[index_type].parameter:
        case "nprobe" if params.get("nprobe", 1) < built_with().get("nlist", 1):
            return {"nprobe": MAX_NLIST}  # the engines take it for all cells
        case "ef":
            return {"ef": max(MAX_LIMIT, params.get("ef", 0))}
    return params


def index_params(client: MilvusClient, manifest: Manifest, rows: int) -> IndexParams:
    """Return the index of a collection that holds, or will hold, this many rows."""
    index_type = manifest.index_type
    build = INDEX_TYPES[index_type].build(rows)
    if build.get("nlist") == 1:
        # An inverted file of one cell is a flat index, and FAISS warns when it builds one.
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
    """Make a collection searchable, whatever state a killed process left its index in."""
    field, params = Field.EMBEDDING.value, index_params(client, manifest, rows)
    if not client.list_indexes(name, field):
        build_index(client, name, params, embedded=embedded)
    try:
        client.load_collection(name)
    except MilvusException:
        if not embedded:
            raise
        # Milvus Lite writes index files in place: a kill can leave half of one, and no load
        # succeeds until it is removed. The vectors themselves are stored elsewhere.
        client.drop_index(name, field)
        build_index(client, name, params, embedded=embedded)
        client.load_collection(name)


def build_index(client: MilvusClient, name: str, params: IndexParams, *, embedded: bool) -> None:
    """Index a collection's rows, and wait for it where loading the collection does not.

    Milvus Lite builds its index when it loads a collection; waiting for it before would make
    pymilvus sleep for half a second.
    """
    client.create_index(name, params, sync=not embedded)


def is_stale(built: dict[str, int], wanted: dict[str, int]) -> bool:
    """Return whether nlist is off by more than a factor of two for the present row count."""
    smaller, larger = sorted((built.get("nlist", 1), wanted.get("nlist", 1)))
    return larger > 2 * smaller
