"""A source together with how its images are decoded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa

from mm_milvus.images.options import DEFAULTS, DecodeOptions
from mm_milvus.sources.base import Source


@dataclass(frozen=True, slots=True)
class DecodedSource:
    """A source whose images are decoded in another way than by default.

    Attributes:
        source: Where the items come from.
        decoding: How their images are decoded.
    """

    source: Source
    decoding: DecodeOptions

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

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the items of the source."""
        return self.source.batches()


def decoding_of(source: object) -> DecodeOptions:
    """Return how the images of a source are decoded; any object may be a source."""
    return source.decoding if isinstance(source, DecodedSource) else DEFAULTS
