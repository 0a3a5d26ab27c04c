"""Options of `encode`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mm_milvus.errors import OptionError
from mm_milvus.pipeline.options import RunOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeOptions(RunOptions):
    """How to encode a dataset.

    Attributes:
        document: Weights of the fields whose weighted sum is an item's image vector, such as
            `{"image": 0.7, "title": 0.3}` (default: the image alone).
        prune: Delete stored items that are no longer in the source.
    """

    document: Mapping[str, float] | None = None
    prune: bool = False

    def __post_init__(self) -> None:
        """Check the values; raise OptionError."""
        RunOptions.__post_init__(self)
        if self.document is not None and not (
            self.document and all(weight > 0 for weight in self.document.values())
        ):
            raise OptionError(
                f"`document` is {dict(self.document)}: it takes fields with weights above 0"
            )
        if self.prune and self.limit is not None:
            raise OptionError("`prune` needs the whole dataset: leave out `limit`")
