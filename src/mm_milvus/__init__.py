"""Search a pile of images and captions by text and by picture, on Milvus.

from mm_milvus import SearchClient, ingest

ingest("./photos", store="./mm_milvus.db")
with SearchClient("./mm_milvus.db", "photos") as client:
    for hit in client.search("red dress", top_k=5):
        print(hit.score, hit.item_id, hit.caption)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mm_milvus.embeddings.encode import EncodeReport, encode
    from mm_milvus.embeddings.options import EncodeOptions
    from mm_milvus.embeddings.parts import Embeddings, open_embeddings
    from mm_milvus.encoders.base import Encoder, EncoderIdentity, EncoderSpec
    from mm_milvus.encoders.embed import embed_images
    from mm_milvus.encoders.load import load_encoder
    from mm_milvus.errors import (
        CutTextWarning,
        EncoderError,
        ImageError,
        ItemError,
        MissingExtraError,
        MmMilvusError,
        OptionError,
        OutputError,
        QueryError,
        SourceError,
        StoreError,
        UsageError,
    )
    from mm_milvus.evaluation.compare import Comparison, Difference, compare
    from mm_milvus.evaluation.evaluate import evaluate
    from mm_milvus.evaluation.files import write_evaluation
    from mm_milvus.evaluation.options import EvaluateOptions
    from mm_milvus.evaluation.results import Evaluation, EvaluationRun
    from mm_milvus.exporting.export import ExportReport, export
    from mm_milvus.filters.condition import Condition, Group
    from mm_milvus.images.load import load_image
    from mm_milvus.images.preprocessing import Preprocessing
    from mm_milvus.ingestion.ingest import IngestReport, ingest
    from mm_milvus.ingestion.options import IngestOptions
    from mm_milvus.inspection.inspect import Inspection, inspect_dataset
    from mm_milvus.inspection.report import InspectionReport
    from mm_milvus.items.item import StoredItem
    from mm_milvus.items.table import Items
    from mm_milvus.pipeline.options import RunOptions
    from mm_milvus.render.inspection import write_inspection
    from mm_milvus.rerankers import load_reranker
    from mm_milvus.search.async_client import AsyncSearchClient
    from mm_milvus.search.client import SearchClient
    from mm_milvus.search.hits import ExplainedPlace, Explanation, Hit, ListScore, Page
    from mm_milvus.search.options import SearchOptions
    from mm_milvus.search.query import Query
    from mm_milvus.search.rerank import RerankContext, parse_rerank
    from mm_milvus.sources.base import Source
    from mm_milvus.sources.open import open_source
    from mm_milvus.sources.options import SourceOptions
    from mm_milvus.store.connection import Store
    from mm_milvus.store.copy import copy_dataset
    from mm_milvus.store.dataset import describe_dataset, drop_dataset, list_datasets
    from mm_milvus.store.info import CollectionInfo, IndexInfo, dataset_info
    from mm_milvus.store.manifest import Manifest
    from mm_milvus.store.rename import rename_dataset
    from mm_milvus.store.tune import TuneReport, tune
    from mm_milvus.store.tuner import Tuning
    from mm_milvus.training.options import TrainOptions
    from mm_milvus.training.report import TrainReport
    from mm_milvus.training.train import train
    from mm_milvus.verification.options import VerifyOptions
    from mm_milvus.verification.report import VerifyReport
    from mm_milvus.verification.verify import verify
    from mm_milvus.zeroshot.classify import ClassifyReport, classify
    from mm_milvus.zeroshot.moderate import ModerateReport, moderate
    from mm_milvus.zeroshot.policy import Policy, load_policy

__version__ = "0.2.0"

__all__ = [
    "AsyncSearchClient",
    "ClassifyReport",
    "CollectionInfo",
    "Comparison",
    "Condition",
    "CutTextWarning",
    "Difference",
    "Embeddings",
    "EncodeOptions",
    "EncodeReport",
    "Encoder",
    "EncoderError",
    "EncoderIdentity",
    "EncoderSpec",
    "EvaluateOptions",
    "Evaluation",
    "EvaluationRun",
    "ExplainedPlace",
    "Explanation",
    "ExportReport",
    "Group",
    "Hit",
    "ImageError",
    "IndexInfo",
    "IngestOptions",
    "IngestReport",
    "Inspection",
    "InspectionReport",
    "ItemError",
    "Items",
    "ListScore",
    "Manifest",
    "MissingExtraError",
    "MmMilvusError",
    "ModerateReport",
    "OptionError",
    "OutputError",
    "Page",
    "Policy",
    "Preprocessing",
    "Query",
    "QueryError",
    "RerankContext",
    "RunOptions",
    "SearchClient",
    "SearchOptions",
    "Source",
    "SourceError",
    "SourceOptions",
    "Store",
    "StoreError",
    "StoredItem",
    "TrainOptions",
    "TrainReport",
    "TuneReport",
    "Tuning",
    "UsageError",
    "VerifyOptions",
    "VerifyReport",
    "classify",
    "compare",
    "copy_dataset",
    "dataset_info",
    "describe_dataset",
    "drop_dataset",
    "embed_images",
    "encode",
    "evaluate",
    "export",
    "ingest",
    "inspect_dataset",
    "list_datasets",
    "load_encoder",
    "load_image",
    "load_policy",
    "load_reranker",
    "moderate",
    "open_embeddings",
    "open_source",
    "parse_rerank",
    "rename_dataset",
    "train",
    "tune",
    "verify",
    "write_evaluation",
    "write_inspection",
]

# Imported on first use (PEP 562): pymilvus, pyarrow and the encoders take a second. Packages have
# other names than the verbs: importing a package sets its name here, in place of the verb.
_HOMES = {
    "AsyncSearchClient": "search.async_client",
    "ClassifyReport": "zeroshot.classify",
    "CollectionInfo": "store.info",
    "Comparison": "evaluation.compare",
    "Condition": "filters.condition",
    "CutTextWarning": "errors",
    "Difference": "evaluation.compare",
    "Embeddings": "embeddings.parts",
    "EncodeOptions": "embeddings.options",
    "EncodeReport": "embeddings.encode",
    "Encoder": "encoders.base",
    "EncoderError": "errors",
    "EncoderIdentity": "encoders.base",
    "EncoderSpec": "encoders.base",
    "EvaluateOptions": "evaluation.options",
    "Evaluation": "evaluation.results",
    "EvaluationRun": "evaluation.results",
    "ExplainedPlace": "search.hits",
    "Explanation": "search.hits",
    "ExportReport": "exporting.export",
    "Group": "filters.condition",
    "Hit": "search.hits",
    "ImageError": "errors",
    "IndexInfo": "store.info",
    "IngestOptions": "ingestion.options",
    "IngestReport": "ingestion.ingest",
    "Inspection": "inspection.inspect",
    "InspectionReport": "inspection.report",
    "ItemError": "errors",
    "Items": "items.table",
    "ListScore": "search.hits",
    "Manifest": "store.manifest",
    "MissingExtraError": "errors",
    "MmMilvusError": "errors",
    "ModerateReport": "zeroshot.moderate",
    "OptionError": "errors",
    "OutputError": "errors",
    "Page": "search.hits",
    "Policy": "zeroshot.policy",
    "Preprocessing": "images.preprocessing",
    "Query": "search.query",
    "QueryError": "errors",
    "RerankContext": "search.rerank",
    "RunOptions": "pipeline.options",
    "SearchClient": "search.client",
    "SearchOptions": "search.options",
    "Source": "sources.base",
    "SourceError": "errors",
    "SourceOptions": "sources.options",
    "Store": "store.connection",
    "StoreError": "errors",
    "StoredItem": "items.item",
    "TrainOptions": "training.options",
    "TrainReport": "training.report",
    "TuneReport": "store.tune",
    "Tuning": "store.tuner",
    "UsageError": "errors",
    "VerifyOptions": "verification.options",
    "VerifyReport": "verification.report",
    "classify": "zeroshot.classify",
    "compare": "evaluation.compare",
    "copy_dataset": "store.copy",
    "dataset_info": "store.info",
    "describe_dataset": "store.dataset",
    "drop_dataset": "store.dataset",
    "embed_images": "encoders.embed",
    "encode": "embeddings.encode",
    "evaluate": "evaluation.evaluate",
    "export": "exporting.export",
    "ingest": "ingestion.ingest",
    "inspect_dataset": "inspection.inspect",
    "list_datasets": "store.dataset",
    "load_encoder": "encoders.load",
    "load_image": "images.load",
    "load_policy": "zeroshot.policy",
    "load_reranker": "rerankers",
    "moderate": "zeroshot.moderate",
    "open_embeddings": "embeddings.parts",
    "open_source": "sources.open",
    "parse_rerank": "search.rerank",
    "rename_dataset": "store.rename",
    "train": "training.train",
    "tune": "store.tune",
    "verify": "verification.verify",
    "write_evaluation": "evaluation.files",
    "write_inspection": "render.inspection",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
