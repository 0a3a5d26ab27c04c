"""Rejected items and their reasons: nothing is left out silently."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from mm_milvus.atomic import unwritable


@dataclass(frozen=True, slots=True)
class Reject:
    """An item, or one of its captions, that is left out.

    Attributes:
        item_id: The item.
        stage: Where it was rejected: "read", "decode", "encode" or "store".
        reason: Why, as one line.
    """

    item_id: str
    stage: str
    reason: str


class RejectsFile:
    """Writes rejects as JSON lines, one per reject.

    The file describes the latest run alone: that of the previous run is deleted when this one
    begins, and none is made without a reject.
    """

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        """Delete the previous run's file; without a path, nothing is written at all."""
        self.path = None if path is None else Path(path)
        self._file: IO[str] | None = None
        if self.path is not None:
            try:
                self.path.unlink(missing_ok=True)
            except OSError as error:
                raise unwritable(self.path, error) from error

    def write(self, rejects: Iterable[Reject]) -> None:
        """Append rejects. Raises OutputError."""
        if self.path is None:
            return
        try:
            for reject in rejects:
                if self._file is None:
                    self._file = self.path.open("w", encoding="utf-8", errors="backslashreplace")
                self._file.write(json.dumps(asdict(reject), ensure_ascii=False) + "\n")
        except OSError as error:
            raise unwritable(self.path, error) from error

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._file is not None:
            self._file.close()
