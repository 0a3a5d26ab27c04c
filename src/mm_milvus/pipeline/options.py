"""Options that every run over a dataset has."""

from __future__ import annotations

from dataclasses import dataclass

from mm_milvus.choices import ProgressMode
from mm_milvus.errors import OptionError


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How to go through a dataset.

    Attributes:
        limit: Stop after this many items (default: all).
        batch_size: Images per encoder call (default: chosen automatically).
        progress: How to show progress on stderr: `bar`; `log`, a line every 30 seconds; `none`;
            `auto`, a bar on a terminal or in a notebook, else `log`.
    """

    limit: int | None = None
    batch_size: int | None = None
    progress: ProgressMode | bool = "none"

    def __post_init__(self) -> None:
        """Check the values; raise OptionError."""
        for name in ("limit", "batch_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise OptionError(f"`{name}` is {value}, and must be at least 1")
