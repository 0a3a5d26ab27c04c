"""Names that options and stored data share, as `Literal` types; they import nothing heavy."""

from __future__ import annotations

from typing import Literal

ColumnType = Literal["varchar", "double", "int64", "bool"]
"""Types of the columns that metadata keys can be promoted to."""

IndexName = Literal["IVF_FLAT", "IVF_SQ8", "HNSW", "FLAT", "AUTOINDEX"]
"""Types of the vector index."""

ExportFormat = Literal["onnx", "openvino", "torchscript"]
"""Graph formats that an encoder can be exported to."""

Pooling = Literal["mean", "cls"]
"""How the token states of a text model become one vector: their mean, or the first one."""

Features = Literal["pooled", "logits"]
"""What an image classifier gives as features: the input of its last layer, or its logits."""

CaptionChoice = Literal["one", "all"]
"""Which captions of an item a training epoch sees: a random one, or all."""

MINILM = "all-minilm-l6-v2"
"""The text model that the extra `train` brings as a Python package."""

LITE0 = "efficientnet-lite0"
"""The image model that the extra `train` brings as a Python package."""

FusionName = Literal["pnorm", "max", "weighted", "rrf", "zscore", "dbsf"]
"""Fusion modes of a search; `mm_milvus.search.fusion` has their formulas."""

DedupMode = Literal["item", "content", "near"]
"""What a search merges as duplicates of one hit."""

MAX_LIMIT = 16_384
"""Maximum number of rows that Milvus returns per query, the skipped ones included."""

IMAGE_FIELD = "image"
"""The field of a document that is its image; the other fields are keys of the metadata."""

DEFAULT_STORE = "./mm_milvus.db"
"""The local Milvus Lite file that is used where no store is named."""

DEFAULT_MODEL = "compact"
"""The encoder that is used where none is named."""

ProgressMode = Literal["auto", "bar", "log", "none"]
"""How the progress of a call is shown on stderr; `auto`: a bar on a terminal or in a notebook, else
a line every 30 seconds."""
