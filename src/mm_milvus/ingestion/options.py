"""Options of `ingest`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

from mm_milvus.choices import ColumnType, IndexName
from mm_milvus.embeddings.options import EncodeOptions
from mm_milvus.errors import OptionError


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestOptions(EncodeOptions):
    """How to ingest a dataset.

    Attributes:
        promote: Metadata keys that become typed columns, for fast filters: `{"price": "double"}`.
            The types are varchar, double, int64 and bool. Where the engine has null, the other
            keys become columns by themselves, of the types that the first 1,000 items have.
        index_type: Type of the vector index (default: that of the stored dataset, IVF_FLAT for a
            new one).
        add_encoder: Index a dataset that was built with another encoder with this one as well.
        rebuild: Fill new collections while the current ones are searched, and switch at the end.
        allow_rejects: Let a rebuild that rejected items replace a dataset with more rows.
        dry_run: Read, compare and decode, but neither encode nor write.
    """

    promote: Mapping[str, ColumnType] | None = None
    index_type: IndexName | None = None
    add_encoder: bool = False
    rebuild: bool = False
    allow_rejects: bool = False
    dry_run: bool = False

    def __post_init__(self) -> None:
        """Check the values; raise OptionError."""
        EncodeOptions.__post_init__(self)
        for name, kind in (self.promote or {}).items():
            if kind not in get_args(ColumnType):
                types = ", ".join(get_args(ColumnType))
                raise OptionError(f"cannot promote {name} to {kind!r}: the types are {types}")
        if self.rebuild and (self.limit is not None or self.dry_run):
            raise OptionError("`rebuild` takes the whole dataset: leave out `limit` and `dry_run`")
        if self.index_type is not None and self.index_type not in get_args(IndexName):
            types = ", ".join(get_args(IndexName))
            raise OptionError(f"unknown `index_type` {self.index_type!r}: the types are {types}")
