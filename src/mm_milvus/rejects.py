"""Rejected items and their reasons: nothing is left out silently."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from mm_milvus.text import one_line, printable

MAX_REASONS = 100
"""Maximum number of distinct reasons that are counted; further ones are `OTHER_REASONS`."""

OTHER_REASONS = "other reasons"

MAX_LINE = 2**16
"""Bytes of a line that are read to recognise a rejects file."""

MAX_REASON = 200
"""Characters of a counted reason."""

_QUOTED = re.compile(r"(?<!\w)'[^']*'(?!\w)|\"[^\"]*\"")
_NUMBER = re.compile(
    r"(?<!HTTP )(?<!HTTP Error )(?<!answers )(?<![\w.-])[-+]?\d[\d,.]*(?:e[-+]?\d+)?(?<![,.])(?!\w)"
)
_NAME = re.compile(r"\S*(?:/|\w\.\w|…|\d{5})\S*?(?=[\s:;,)]*(?:\s|$))")
_PLACE = re.compile(r"^row \d+(?: of \S+)?: ")
_REPEATED = re.compile(r"…(?: …)+")


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

    @property
    def kind(self) -> str:
        """The reason without what concerns one item: N for numbers, … for names and quotations."""
        text = one_line(self.reason)
        text = _PLACE.sub("", text)
        for name in _names_of(self.item_id):
            if name not in text:  # compiling an expression costs more than looking
                continue
            text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "…", text)
        text = _QUOTED.sub("…", text)
        text = _NUMBER.sub("N", text)
        text = _REPEATED.sub("…", _NAME.sub("…", text))
        return printable(text[:MAX_REASON])


def _names_of(item_id: str) -> list[str]:
    """Return what a reason may call an item, the longest first: its id, file name and key."""
    path = PurePosixPath(one_line(item_id))
    stem = path.name.partition(".")[0]
    names = {str(path), path.name, str(path.with_name(stem)) if stem else "", path.stem, stem}
    # A short name, such as `a`, is also a word.
    return sorted((name for name in names if len(name) > 2), key=len, reverse=True)


def count_reasons(counts: dict[str, int], rejects: Iterable[Reject]) -> None:
    """Add the number of rejects of each kind of reason, of `MAX_REASONS` kinds at most."""
    for reject in rejects:
        kind = reject.kind
        if kind not in counts and len(counts) >= MAX_REASONS:
            kind = OTHER_REASONS
        counts[kind] = counts.get(kind, 0) + 1


class RejectsFile:
    """Writes rejects as JSON lines, one per reject; a failure to do so never ends a run.

    The file describes the latest run alone: that of the previous run is deleted when this one
    begins, and none is made without a reject.

    Attributes:
        path: The file; None where nothing is to be written.
        failure: Why the file could not be written, as one line; None where it could.
    """

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        """Delete the previous run's file; without a path, nothing is written at all.

        A file that holds anything else is left alone, and no rejects are written.
        """
        self.path = None if path is None else Path(path)
        self.failure: str | None = None
        self._file: IO[str] | None = None
        if self.path is not None:
            try:
                if self.path.is_file():  # not a device, such as /dev/null
                    if not _holds_rejects(self.path):
                        raise ValueError("it exists, and holds no rejects; name another file")
                    self.path.unlink()
            except (OSError, ValueError) as error:
                self._fail(error)

    def write(self, rejects: Iterable[Reject]) -> None:
        """Append rejects, unless an earlier attempt failed."""
        rejects = list(rejects)
        if self.path is None or self.failure is not None or not rejects:
            return
        try:
            if self._file is None:
                self._file = self.path.open("w", encoding="utf-8", errors="backslashreplace")
            for reject in rejects:
                self._file.write(json.dumps(asdict(reject), ensure_ascii=False) + "\n")
            # A full disk is noticed here, before the run reports where the rejects are.
            self._file.flush()
        except (OSError, ValueError) as error:
            self._fail(error)

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._file is not None:
            try:
                self._file.close()
            except OSError as error:
                self._fail(error)

    def _fail(self, error: Exception) -> None:
        reason = one_line(getattr(error, "strerror", None) or error)
        self.failure = printable(f"{self.path} cannot be written: {reason}")


def _holds_rejects(path: Path) -> bool:
    """Return whether a file is empty, or begins with a reject."""
    with path.open("rb") as file:
        head = file.readline(MAX_LINE)
    if not head:
        return True
    try:
        content = json.loads(head)
    except ValueError:
        # A line that is cut, here or by a full disk, is a reject all the same.
        return head.startswith(b'{"item_id": ')
    return isinstance(content, dict) and content.keys() == Reject.__dataclass_fields__.keys()
