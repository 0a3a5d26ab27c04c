"""A source together with the options that it was opened with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa

from mm_milvus.images.options import DEFAULTS, DecodeOptions
from mm_milvus.sources.base import Source
from mm_milvus.sources.options import SourceOptions


@dataclass(frozen=True, slots=True)
class OpenedSource:
    """A source together with the options that it was opened with.

    Attributes:
        source: Where the items come from.
        options: The options; `id_column` is the column that was found, "" without one.
    """

    source: Source
    options: SourceOptions

    @property
    def name(self) -> str:
        """The name of the source."""
        return self.source.name

    @property
    def size(self) -> int | None:
        """An upper bound of the number of items; None where it is unknown without reading."""
        return self.source.size

    @property
    def skipped_files(self) -> Mapping[str, int]:
        """The files of a folder that are skipped, by suffix; empty for other sources."""
        skipped: Mapping[str, int] = getattr(self.source, "skipped_files", {})
        return skipped

    @property
    def notes(self) -> Mapping[str, int]:
        """What users should know of the items that were read last, with its numbers."""
        notes: Mapping[str, int] = getattr(self.source, "notes", {})
        return notes

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the items of the source."""
        return self.source.batches()


def options_of_source(source: object) -> SourceOptions | None:
    """Return the options of a source; None for an object that was not opened with any."""
    return source.options if isinstance(source, OpenedSource) else None


def decoding_of(source: object) -> DecodeOptions:
    """Return how the images of a source are decoded; any object may be a source."""
    return source.options.decoding if isinstance(source, OpenedSource) else DEFAULTS
