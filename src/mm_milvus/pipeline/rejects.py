"""The file of what was turned away, and why."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from mm_milvus.pipeline.flow import Reject


class RejectsFile:
    """`<dataset>.rejects.jsonl` in the current folder: a line a reject.

    It tells of the latest run alone: a former run's file goes, and none is made without a reject.
    """

    def __init__(self, dataset: str) -> None:
        """Name the file."""
        self.path = Path(re.sub(r"[/\\\0]", "_", dataset) + ".rejects.jsonl")
        self._file: IO[str] | None = None

    def write(self, rejects: Iterable[Reject]) -> None:
        """Append rejects."""
        for reject in rejects:
            if self._file is None:
                self._file = self.path.open("w", encoding="utf-8", errors="backslashreplace")
            self._file.write(json.dumps(asdict(reject), ensure_ascii=False) + "\n")

    def __enter__(self) -> Self:
        """Forget the former run."""
        self.path.unlink(missing_ok=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
