"""How to encode, how to ingest, and how to judge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mm_milvus.errors import QueryError
from mm_milvus.store import COLUMN_TYPES, INDEX_TYPES


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How to go through a data set.

    limit       stop after this many items
    batch_size  images a call of the encoder; None: what the encoder finds best
    progress    draw a bar on stderr, when that is a terminal
    """

    limit: int | None = None
    batch_size: int | None = None
    progress: bool = False

    def __post_init__(self) -> None:
        """Refuse what makes no sense, with a `QueryError`."""
        for name, value in (("limit", self.limit), ("batch size", self.batch_size)):
            if value is not None and value < 1:
                raise QueryError(f"the {name} is {value}, and must be at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeOptions(RunOptions):
    """How to encode: what `RunOptions` says, and what an item's vector is made of.

    document  the fields whose weighted sum is an item's vector among the images, such as
              `{"image": 0.7, "title": 0.3}`; None: its image alone
    prune     delete what is there and no longer in the source
    """

    document: Mapping[str, float] | None = None
    prune: bool = False

    def __post_init__(self) -> None:
        """Refuse what makes no sense, with a `QueryError`."""
        RunOptions.__post_init__(self)
        if self.document is not None and not (
            self.document and all(weight > 0 for weight in self.document.values())
        ):
            raise QueryError(
                f"the document is {dict(self.document)}: it takes fields with weights above 0"
            )
        if self.prune and self.limit is not None:
            raise QueryError("prune needs the whole data set: leave out the limit")


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestOptions(EncodeOptions):
    """How to ingest: what `EncodeOptions` says, and how to store.

    promote     metadata keys that become typed columns: `{"price": "double"}`; of `COLUMN_TYPES`
    index_type  one of `INDEX_TYPES`; None: what the data set has, IVF_FLAT for a new one
    add_encoder where the data set was built with another encoder, index it with this one as well
    rebuild     fill new collections while the former ones are searched, and switch at the end
    dry_run     read, compare and decode, but neither encode nor write
    """

    promote: Mapping[str, str] | None = None
    index_type: str | None = None
    add_encoder: bool = False
    rebuild: bool = False
    dry_run: bool = False

    def __post_init__(self) -> None:
        """Refuse what makes no sense, with a `QueryError`."""
        EncodeOptions.__post_init__(self)
        for name, kind in (self.promote or {}).items():
            if kind not in COLUMN_TYPES:
                raise QueryError(
                    f"cannot promote {name} to {kind!r}: the types are {', '.join(COLUMN_TYPES)}"
                )
        if self.rebuild and (self.limit is not None or self.dry_run):
            raise QueryError("rebuild takes the whole data set: leave out limit and dry_run")
        if self.index_type is not None and self.index_type not in INDEX_TYPES:
            raise QueryError(
                f"unknown index {self.index_type!r}: the types are {', '.join(INDEX_TYPES)}"
            )
