"""Options of `verify`."""

from __future__ import annotations

from dataclasses import dataclass

from mm_milvus.choices import ProgressMode
from mm_milvus.errors import OptionError


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyOptions:
    """How to check a stored dataset.

    Attributes:
        sample: Items to encode again; without a source, as many images and as many captions.
        repair: Delete damaged rows and captions without images, and ingest what is missing or
            stale.
        prune: With `repair`: delete stored items that are no longer in the source.
        progress: How to show progress on stderr: `bar`; `log`, a line every 30 seconds; `none`;
            `auto`, a bar on a terminal or in a notebook, else `log`.
    """

    sample: int = 32
    repair: bool = False
    prune: bool = False
    progress: ProgressMode | bool = "none"

    def __post_init__(self) -> None:
        """Check the values; raise OptionError."""
        if self.sample < 0:
            raise OptionError(f"`sample` is {self.sample}, and must be at least 0")
        if self.prune and not self.repair:
            raise OptionError("`prune` deletes rows as part of a repair: set `repair` as well")
