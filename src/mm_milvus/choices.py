"""Names that options and stored data share, as `Literal` types; they import nothing heavy."""

from __future__ import annotations

from typing import Literal

ColumnType = Literal["varchar", "double", "int64", "bool"]
"""Types of the columns that metadata keys can be promoted to."""

IndexName = Literal["IVF_FLAT", "IVF_SQ8", "HNSW", "FLAT", "AUTOINDEX"]
"""Types of the vector index."""

DEFAULT_STORE = "./mm_milvus.db"
"""The local Milvus Lite file that is used where no store is named."""

DEFAULT_MODEL = "compact"
"""The encoder that is used where none is named."""
