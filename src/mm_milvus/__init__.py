"""Search a pile of images and captions by text and by picture, on Milvus.

from mm_milvus import SearchClient, ingest

ingest("./photos", uri="./mm_milvus.db")
with SearchClient("./mm_milvus.db", "photos") as client:
    for hit in client.search(text="red dress", top_k=5):
        print(hit.score, hit.item_id, hit.caption)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mm_milvus.errors import (
    EncoderError,
    ImageError,
    MmMilvusError,
    QueryError,
    SourceError,
    StoreError,
)

if TYPE_CHECKING:
    from mm_milvus.embeddings import Embeddings, open_embeddings
    from mm_milvus.encoders import load_encoder
    from mm_milvus.encoders.exported.write import export
    from mm_milvus.encoders.rerankers import load_reranker
    from mm_milvus.filters import Condition
    from mm_milvus.health import VerifyOptions, VerifyReport, verify
    from mm_milvus.pipeline import (
        ClassifyReport,
        EncodeOptions,
        EncodeReport,
        IngestOptions,
        IngestReport,
        ModerateReport,
        RunOptions,
        classify,
        encode,
        ingest,
        moderate,
    )
    from mm_milvus.search import AsyncSearchClient, Explanation, Hit, Query, SearchClient
    from mm_milvus.sources import SourceOptions

__version__ = "0.1.0"

__all__ = [
    "AsyncSearchClient",
    "ClassifyReport",
    "Condition",
    "Embeddings",
    "EncodeOptions",
    "EncodeReport",
    "EncoderError",
    "Explanation",
    "Hit",
    "ImageError",
    "IngestOptions",
    "IngestReport",
    "MmMilvusError",
    "ModerateReport",
    "Query",
    "QueryError",
    "RunOptions",
    "SearchClient",
    "SourceError",
    "SourceOptions",
    "StoreError",
    "VerifyOptions",
    "VerifyReport",
    "classify",
    "encode",
    "export",
    "ingest",
    "load_encoder",
    "load_reranker",
    "moderate",
    "open_embeddings",
    "verify",
]

# Imported on first use (PEP 562): pymilvus, pyarrow and the encoders take a second.
_HOMES = {
    "AsyncSearchClient": "search",
    "ClassifyReport": "pipeline",
    "Condition": "filters",
    "Embeddings": "embeddings",
    "EncodeOptions": "pipeline",
    "EncodeReport": "pipeline",
    "Explanation": "search",
    "Hit": "search",
    "IngestOptions": "pipeline",
    "IngestReport": "pipeline",
    "ModerateReport": "pipeline",
    "Query": "search",
    "RunOptions": "pipeline",
    "SearchClient": "search",
    "SourceOptions": "sources",
    "VerifyOptions": "health",
    "VerifyReport": "health",
    "classify": "pipeline",
    "encode": "pipeline",
    "export": "encoders.exported.write",
    "ingest": "pipeline",
    "load_encoder": "encoders",
    "load_reranker": "encoders.rerankers",
    "moderate": "pipeline",
    "open_embeddings": "embeddings",
    "verify": "health",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
