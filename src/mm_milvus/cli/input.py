"""Files that commands read line by line, or stdin in their place."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mm_milvus.errors import QueryError

STDIN = Path("-")


@contextmanager
def opened_lines(path: Path, content: str) -> Iterator[Iterable[bytes]]:
    r"""Open a file, `-` for stdin; yield its lines, which end with "\n" and no other.

    Args:
        path: The file.
        content: What its lines are, for messages: "the queries".

    Raises:
        QueryError: When the file cannot be read.
    """
    if path == STDIN:
        yield sys.stdin.buffer
        return
    try:
        file = path.open("rb")
    except OSError as error:
        raise QueryError(f"cannot read {content} in {path}: {error.strerror}") from error
    with file:
        yield file
