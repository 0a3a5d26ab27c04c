"""What was turned away, and why: nothing is left out silently."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO


@dataclass(frozen=True, slots=True)
class Reject:
    """An item, or one of its captions, that is left out; stage is where it was turned away."""

    item_id: str
    stage: str
    reason: str


def rejects_path(dataset: str) -> Path:
    """`<dataset>.rejects.jsonl` in the current folder."""
    return Path(re.sub(r"[/\\\0]", "_", dataset) + ".rejects.jsonl")


class RejectsFile:
    """A line of JSON a reject.

    It tells of the latest run alone: a former run's file goes, and none is made without a reject.
    """

    def __init__(self, path: Path) -> None:
        """Name the file, and forget the former run's."""
        self.path = path
        self.path.unlink(missing_ok=True)
        self._file: IO[str] | None = None

    def write(self, rejects: Iterable[Reject]) -> None:
        """Append rejects."""
        for reject in rejects:
            if self._file is None:
                self._file = self.path.open("w", encoding="utf-8", errors="backslashreplace")
            self._file.write(json.dumps(asdict(reject), ensure_ascii=False) + "\n")

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._file is not None:
            self._file.close()
